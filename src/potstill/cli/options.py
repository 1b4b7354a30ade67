"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BasePath", "BestStudent", "EngineName", "JsonFile", "StudyDir", "StudyFile", "terminal"]

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).", show_default=False)]
StudyDir = Annotated[
    Path, typer.Argument(help="The study directory that potstill run made.", show_default=False)
]

JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write all of it to this file too, as JSON.")
]
BestStudent = Annotated[
    str, typer.Option(help="A student's id, or its level and seed.  [default: the best]")
]
EngineName = Annotated[str, typer.Option(help="auto, transformers, mlx or llama.")]
BasePath = Annotated[str, typer.Option(help="Where the base model is, if it has moved.")]


def terminal() -> Console:
    """The terminal."""
    from rich.console import Console

    return Console()
