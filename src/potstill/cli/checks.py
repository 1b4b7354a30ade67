"""The commands that check: a study's files, its reproduction, and what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.options import BasePath, StudyDir, outside_a_study, terminal
from potstill.progress import TerminalProgress

__all__ = ["CHECKS"]


def verify(directory: StudyDir) -> None:
    """Derive every hash of a study again and say what is damaged; exit 2 if anything is."""
    from potstill.analysis.verify import print_verified, verify_study

    found = verify_study(directory)
    print_verified(found, directory, terminal())
    if found.damaged:
        raise typer.Exit(2)


def reproduce(
    directory: StudyDir,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=outside_a_study, help="A new study directory.  [default: DIR-reproduced]"
        ),
    ] = None,
    base: BasePath = "",
    again: Annotated[
        bool, typer.Option("--again", help="Local models answer anew, not from the ledger.")
    ] = False,
) -> None:
    """Run a study again from its ledger, buying nothing; say which numbers differ (exit 1)."""
    from potstill.analysis.reproduce import print_reproduced, reproduce_study

    console = terminal()
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
    """Say what this machine can do, what to install, and which of a study's models are there."""
    from potstill.cli.doctor import print_examination

    print_examination(study, terminal())


CHECKS = (verify, reproduce, doctor)
