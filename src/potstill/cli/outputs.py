"""Where a command may write: never over what it reads, nor over what is a study's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.store.cells import OWN

__all__ = ["EXPLORATORY", "begins_as_ledger", "check_folder", "check_output"]

EXPLORATORY = ("format_version", "kind", "exploratory")
"""What the JSON of gap and compare begins with."""
_STUDY_ENDINGS = (".yaml", ".yml")
_BEGINNING_BYTES = 1 << 20
_LEDGER_STARTS = b"SQLite format 3\0"


def check_output(option: str, out: Path, *inputs: Path, holds: Sequence[str]) -> None:
    """Check that writing to ``out`` costs no file but an earlier output.

    ``holds`` are the first names that such an output begins with, in any format. Raises InputError
    where it is a file that the command reads (one of ``inputs``, or named by a study among them), a
    study file, a ledger, a file of a study directory, another file, or no file at all.
    """
    try:
        why = _kept(out, inputs) or _other(out, holds)
    except (OSError, ValueError) as exc:  # a name no file can have, or one that may not be read
        raise InputError(
            f"{option} cannot be written to {out} ({one_line(exc, 120)}); name another file. "
            "Nothing was written."
        ) from exc
    if why:
        raise InputError(
            f"{out} {why}, and {option} would write over it; name another file. Nothing was "
            "written."
        )


def check_folder(out: Path) -> None:
    """Check that a new folder is none that a study directory keeps for itself.

    Raises InputError where it is; ``exports`` takes what is exported.
    """
    owner = _owner(out)
    if owner is not None and owner[1] != "exports":
        raise InputError(
            f"{out} belongs to the study directory {owner[0]}; give --out a folder beside it, or "
            f"within {owner[0] / 'exports'}. Nothing was written."
        )


def _owner(out: Path) -> tuple[Path, str] | None:
    """Return the study directory that keeps a path for itself, and where in it that is."""
    for place in (out.resolve(), out.parent.resolve() / out.name):
        for folder in place.parents:
            if (folder / "study.json").is_file():
                within = place.relative_to(folder).parts[0]
                if any(fnmatch(within, name) for name in OWN):
                    return folder, within
                break
    return None


def _kept(out: Path, inputs: tuple[Path, ...]) -> str:
    """Return what a file is that must stay, as the end of a sentence; "" where it may go."""
    if os.path.lexists(out) and not out.is_file():
        return "is no file"
    if (owner := _owner(out)) is not None:
        return f"belongs to the study directory {owner[0]}"
    if not out.exists():
        return ""
    for given in inputs:
        for read in (given, *_named_by(given)):
            if _holds(read, out):
                return "is read by this command" if read == given else f"is read by {given}"
    if out.suffix.lower() in _STUDY_ENDINGS:
        return "is a study file"
    ledger = out.suffix.lower().startswith(".sqlite") or begins_as_ledger(out)
    return "is a ledger" if ledger else ""


def begins_as_ledger(path: Path) -> bool:
    """Return whether a file begins as SQLite's do."""
    with path.open("rb") as file:
        return file.read(len(_LEDGER_STARTS)) == _LEDGER_STARTS


def _other(out: Path, holds: Sequence[str]) -> str:
    """Return that a file is none that the command wrote before, "" where it may go."""
    if not out.exists() or not out.stat().st_size:
        return ""
    if out.suffix == ".parquet":
        from potstill.store.rows import read_columns

        try:
            begins = " ".join(read_columns(out))
        except InputError:
            begins = ""
    else:
        with out.open("rb") as file:
            begins = file.read(_BEGINNING_BYTES).decode("utf-8", "replace")
    words = set(re.findall(r"\w+", begins))
    return "" if words.issuperset(holds) else "is no earlier output of this command"


def _named_by(given: Path) -> Iterator[Path]:
    """Yield the files and folders that a study file or a study directory names."""
    from potstill.pipeline.directory import study_of
    from potstill.study.schema import load_study

    if given.suffix in _STUDY_ENDINGS and given.is_file():
        yield from _paths(load_study(given).model_dump(mode="json"))
    elif (given / "study.json").is_file():
        yield from _paths(study_of(given).model_dump(mode="json"))


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, str):
        if os.path.isabs(value):
            yield Path(value)
    elif isinstance(value, dict | list):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from _paths(inside)


def _holds(read: Path, out: Path) -> bool:
    """Return whether a file is, or lies in, what is read; a study directory is told apart."""
    try:
        if read.samefile(out):
            return True
        return (
            read.is_dir()
            and not (read / "study.json").is_file()
            and out.resolve().is_relative_to(read.resolve())
        )
    except OSError:  # not there, or a name that no file can have
        return False
