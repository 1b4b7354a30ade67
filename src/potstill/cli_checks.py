"""The commands that check: a study's files, its reproduction, and what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CHECKS"]

StudyDir = Annotated[
    Path, typer.Argument(help="The study directory that potstill run made.", show_default=False)
]


def verify(directory: StudyDir) -> None:
    """Derive every hash of a study again and say what is damaged; exit 2 if anything is."""
    from rich.console import Console

    from potstill.verifying import print_verified, verify_study

    found = verify_study(directory)
    print_verified(found, directory, Console())
    if found.damaged:
        raise typer.Exit(2)


def reproduce(
    directory: StudyDir,
    out: Annotated[
        Path | None, typer.Option(help="A new study directory.  [default: DIR-reproduced]")
    ] = None,
    base: Annotated[str, typer.Option(help="Where the base model is, if it has moved.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Local models answer anew, not from the ledger.")
    ] = False,
) -> None:
    """Run a study again from its ledger, buying nothing; say which numbers differ (exit 1)."""
    from rich.console import Console

    from potstill.progress import TerminalProgress
    from potstill.reproducing import print_reproduced, reproduce_study

    console = Console()
    whole = directory.resolve()
    place = out or whole.with_name(f"{whole.name}-reproduced")
    found = reproduce_study(
        directory, place, base=base, again=again, progress=TerminalProgress(console)
    )
    print_reproduced(found, console)
    if found.differences:
        raise typer.Exit(1)


def doctor(
    study: Annotated[
        Path | None, typer.Argument(help="A study file whose needs are looked at too.")
    ] = None,
) -> None:
    """Say what this machine can do: backends, memory, which student fits; and what to install."""
    from rich.console import Console

    from potstill.doctor import print_examination

    print_examination(study, Console())


CHECKS = (verify, reproduce, doctor)
