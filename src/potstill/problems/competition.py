"""The John O'Bryan Mathematics Competition, one YEAR.json per year.

A raw file is ``{section: {question_id: {"question": ..., "answer": ...}}}``, transcribed by hand.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from potstill.errors import InputError
from potstill.plugins import nearest
from potstill.problems.raw import RawProblem, SourceOptions
from potstill.problems.table import key_of, text_of
from potstill.store.rows import load_json

__all__ = ["Options", "find_years", "read"]

_YEAR_FILE = re.compile(r"(?:19|20)\d\d\.json")
_SKIPPED = {"node_modules", "site-packages", "__pycache__"}
_SHAPE = '{section: {question_id: {"question": ..., "answer": ...}}}'


class Options(SourceOptions):
    """``path``: the authors' repository, the folder of YEAR.json files, or one such file."""

    path: Annotated[Path, Field(description="the repository, the folder, or one YEAR.json")]
    years: tuple[int, ...] = Field(default=(), description="only these years; all where empty")


def read(options: Options) -> Iterator[RawProblem]:
    """Yield every question of every year, in the order of year, section and file.

    Raises InputError for a path without YEAR.json files, JSON that is cut off or of another shape,
    and a year that is asked for and not there.
    """
    files = find_years(options.path)
    missing = [str(year) for year in options.years if str(year) not in files]
    if missing:
        raise InputError(f"{options.path} has no {missing[0]}.json{nearest(missing[0], files)}.")
    for year, path in sorted(files.items()):
        if not options.years or int(year) in options.years:
            yield from _read_year(path, year)


def find_years(path: Path) -> dict[str, Path]:
    """Return the YEAR.json files of a folder by year, or of the folder beneath it that holds most
    of them.

    Raises InputError where there are none, and where two folders hold equally many.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give the folder that holds the YEAR.json files.")
    if path.is_file():
        year = re.search(r"(?:19|20)\d\d", path.stem)
        return {year[0] if year else path.stem: path}
    direct = {p.stem: p for p in path.iterdir() if _YEAR_FILE.fullmatch(p.name)}
    if direct:
        return direct
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for found in sorted(path.rglob("*.json")):
        parts = found.relative_to(path).parts[:-1]
        hidden = any(part.startswith(".") or part in _SKIPPED for part in parts)
        if not hidden and _YEAR_FILE.fullmatch(found.name) and _has_shape(found):
            folders[found.parent][found.stem] = found
    if not folders:
        raise InputError(f"{path} holds no YEAR.json file (2011.json, ...) of the form {_SHAPE}.")
    ranked = sorted(folders, key=lambda f: (-len(folders[f]), len(f.parts), str(f)))
    if len(ranked) > 1 and len(folders[ranked[0]]) == len(folders[ranked[1]]):
        raise InputError(
            f"{path} has as many YEAR.json files in {ranked[0]} as in {ranked[1]}; "
            f"give one of them."
        )
    return folders[ranked[0]]


def _has_shape(path: Path) -> bool:
    """Return whether a file found on the way has the shape: results of a run often bear the same
    name.
    """
    try:
        value = load_json(path)
    except InputError:
        return True  # a damaged file must be complained of, not passed over
    if not isinstance(value, dict):
        return False
    questions = [q for s in value.values() if isinstance(s, dict) for q in s.values()]
    return bool(questions) and all(isinstance(q, dict) and "question" in q for q in questions)


def _read_year(path: Path, year: str) -> Iterator[RawProblem]:
    sections = _object(load_json(path), str(path))
    if not sections:
        raise InputError(f"{path} holds no section; expected {_SHAPE}.")
    for section, questions in sections.items():
        for question_id, entry in _object(questions, f"{path}: {section}").items():
            where = f"{path}: {section}: {question_id}"
            fields = _object(entry, where)
            if "question" not in fields:
                raise InputError(f"{where} has no field 'question'; expected {_SHAPE}.")
            if isinstance(fields["question"], dict | list):
                raise InputError(f"{where}: question is not text; expected {_SHAPE}.")
            text = text_of(fields, "question", where)
            key = key_of({"answer": None, **fields}, "answer", where)
            yield RawProblem(
                id=f"{year}/{section}/{question_id}",
                text=text.text,
                key=key.text,
                source="competition",
                mended=(*text.what, *key.what),
                groups={"year": year, "section": section},
            )


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise InputError(f"{where}: {type(value).__name__} found where an object stands in {_SHAPE}.")
