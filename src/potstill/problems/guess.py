"""What a file or folder of problems is, from its names and columns alone."""

from __future__ import annotations

from pathlib import Path

from potstill.errors import InputError
from potstill.problems.competition import find_years
from potstill.problems.intake import SourceConfig
from potstill.store.rows import SUFFIXES, as_text, load_json, read_columns, read_rows

__all__ = ["guess_source"]

_TEXT = ("problem", "question", "text", "prompt", "input", "query", "instruction")
_KEY = ("answer", "key", "gold", "true_answer", "final_answer", "target", "label", "solution")
_ID = ("id", "unique_id", "problem_id", "question_id", "uid")
_GROUPS = ("year", "section", "subject", "level", "difficulty", "topic", "type", "category")


def guess_source(path: Path) -> SourceConfig:
    """Return the configuration that reads ``path``; its ``why`` says what was guessed.

    A folder with YEAR.json files is a competition, a table with problem, answer and unique_id
    MATH-500, any other table one with guessed columns. Raises InputError where nothing fits.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a file or folder of problems.")
    if path.is_dir():
        years = find_years(path)
        why = f"{path} holds {len(years)} YEAR.json files: read as the competition"
        return SourceConfig("competition", {"path": path}, why=why)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no table of problems; give {', '.join(SUFFIXES)} or a folder.")
    if path.suffix.lower() == ".json" and isinstance(load_json(path), dict):
        return SourceConfig(
            "competition",
            {"path": path},
            why=f"{path} is a JSON object: read as a competition year",
        )
    return _guess_table(path)


def _guess_table(path: Path) -> SourceConfig:
    columns = read_columns(path)
    if {"problem", "answer", "unique_id", "subject", "level"} <= set(columns):
        return SourceConfig("math500", {"path": path}, why=f"{path} has the columns of MATH-500")
    text, key = _first(columns, _TEXT), _first(columns, _KEY)
    for what, found, known in (("problem text", text, _TEXT), ("key", key, _KEY)):
        if found is None:
            raise InputError(
                f"{path} has no column that looks like the {what} ({', '.join(known)}); there are "
                f"{', '.join(columns) or 'none'}. Name the columns in a study file (source: table)."
            )
    groups = {c.casefold(): c for c in columns if c.casefold() in _GROUPS}
    options = {"path": path, "text": text, "key": key, "groups": groups}
    id_column = _first(columns, _ID)
    if id_column is not None and _unique(path, id_column):
        options["id"] = id_column
    said = f"text from column {text!r}, key from {key!r}"
    said += f", id from {id_column!r}" if "id" in options else ""
    said += f", groups {', '.join(groups)}" if groups else ""
    return SourceConfig("table", options, why=f"{path} read as a table: {said}")


def _unique(path: Path, name: str) -> bool:
    """Return whether a column can be an id: a question number often repeats from section to
    section.
    """
    seen: set[str] = set()
    for _, row in read_rows(path):
        cell = as_text(row.get(name))
        if not cell or cell in seen:
            return False
        seen.add(cell)
    return True


def _first(columns: tuple[str, ...], wanted: tuple[str, ...]) -> str | None:
    by_name = {c.casefold(): c for c in reversed(columns)}
    return next((by_name[name] for name in wanted if name in by_name), None)
