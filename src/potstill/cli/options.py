"""The arguments and options that several commands share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from potstill.errors import InputError, StoreError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "BasePath",
    "BestStudent",
    "DecimalSign",
    "Delimiter",
    "EncodingName",
    "EngineName",
    "JsonFile",
    "KeyColumn",
    "OtherStudyDir",
    "SheetName",
    "SolutionColumn",
    "StudyDir",
    "StudyFile",
    "TextColumn",
    "needs",
    "outside_a_study",
    "port_there_is",
    "say_loading",
    "terminal",
]

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).", show_default=False)]


def _directory(path: Path) -> Path:
    """Return the directory that a command's argument means: a study file stands for its own."""
    if not path.is_file():
        return path
    is_study = path.name == "study.json" or path.suffix.lower() in (".yaml", ".yml")
    if not is_study and (path.parent / "study.json").is_file():
        raise InputError(f"{path} is one file of a study; give its directory, {path.parent}.")
    from potstill.pipeline.directory import directory_of, study_of
    from potstill.study.schema import load_study

    directory = directory_of(path)
    if path.suffix.lower() in (".yaml", ".yml") and not directory.exists():
        raise StoreError(
            f"{path} has not been run: {directory} is no study directory (no study.json); potstill "
            f"run {path} makes it, or give the directory of its --out."
        )
    made = path.name != "study.json" and (directory / "study.json").is_file()
    if made and study_of(directory) != load_study(path):
        print(
            f"potstill: {path} has changed since {directory} was made; what is shown is of the "
            "study as it was then. potstill run takes up the change.",
            file=sys.stderr,
        )
    return directory


StudyDir = Annotated[
    Path,
    typer.Argument(
        help="The study directory that potstill run made, or the study file.",
        show_default=False,
        callback=_directory,
    ),
]

OtherStudyDir = Annotated[
    Path, typer.Argument(help="Another one.", show_default=False, callback=_directory)
]

JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write all of it to this file too, as JSON.")
]
BestStudent = Annotated[
    str, typer.Option(help="A student's id, or its level and seed.  [default: the best]")
]
EngineName = Annotated[str, typer.Option(help="auto, transformers, mlx or llama.")]
BasePath = Annotated[str, typer.Option(help="Where the base model is, if it has moved.")]

TextColumn = Annotated[str, typer.Option("--text", help="The column of problems, if not guessed.")]
KeyColumn = Annotated[str, typer.Option("--key", help="The column of keys, if not guessed.")]
SolutionColumn = Annotated[
    str, typer.Option("--solution", help="The column of worked solutions, if not guessed.")
]
Delimiter = Annotated[
    str, typer.Option("--delimiter", help="What parts a csv's cells: ';', ',' or tab.")
]
EncodingName = Annotated[str, typer.Option("--encoding", help="Of a csv, such as cp1252.")]
SheetName = Annotated[str, typer.Option("--sheet", help="The sheet of a workbook.")]
DecimalSign = Annotated[
    str, typer.Option("--decimal", help="comma, where keys are written 1.234,5.")
]


def needs(option: str, given: object, what: str) -> None:
    """Raise InputError for an option that would be ignored; ``what`` says what it needs."""
    if given not in (None, "", False):
        raise InputError(f"{option} needs {what}.")


def port_there_is(port: int) -> int:
    """Return a port that was given. Raises InputError for one that no machine has."""
    if not 0 <= port <= 65_535:
        raise InputError(
            f"there is no port {port}; ports go from 1 to 65535, and 0 takes a free one."
        )
    return port


def outside_a_study(out: Path | None) -> Path | None:
    """Return where a study is to be made. Raises InputError for a place that another one keeps."""
    if out is not None:
        from potstill.cli.outputs import check_folder

        check_folder(out)
    return out


def say_loading(what: str) -> None:
    """Say on standard error that something is being loaded, before what takes seconds."""
    print(f"Loading {what} ...", file=sys.stderr, flush=True)


def terminal() -> Console:
    """Return the terminal."""
    from rich.console import Console

    columns = os.environ.get("COLUMNS", "")
    nothing = columns.isdecimal() and not int(columns)  # a width in which nothing would be shown
    return Console(width=80 if nothing else None)
