"""Any table of problems: csv, tsv, jsonl, json or parquet, with its columns mapped.

A raw row of a csv: ``problem,answer,topic`` / ``"What is 2 + 2?",4,arithmetic``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from potstill.errors import InputError
from potstill.problems.raw import RawProblem, SourceOptions
from potstill.records import Gold, NumberGold, RubricGold, TestsGold
from potstill.store.rows import as_text, column, read_rows

__all__ = ["Options", "TableColumns", "raw_problem", "read"]


class TableColumns(SourceOptions):
    """Which column is what. ``key_is`` says how a key is checked; ``tolerance`` is absolute."""

    text: str = Field(default="problem", description="The column of problem texts.")
    key: str = Field(default="answer", description="The column of keys.")
    id: str | None = Field(default=None, description="The column of ids.")
    kind: str | None = Field(
        default=None, description="The column of answer kinds; inferred where none."
    )
    groups: dict[str, str] = Field(default_factory=dict, description="group name: column")
    key_is: Literal["text", "number", "tests", "rubric"] = Field(
        default="text", description="What the key is, and so how it is checked."
    )
    tolerance: Annotated[float, Field(ge=0, description="Of key_is: number, absolute.")] = 0.0


class Options(TableColumns):
    """A table file and its columns. Rows without an id column are called FILE/LINE."""

    path: Path = Field(description="The csv, tsv, jsonl, json or parquet file.")


def read(options: Options) -> Iterator[RawProblem]:
    """Yield a problem per row. Raises InputError for what is wrong with the file or a column."""
    empty = True
    for number, row in read_rows(options.path):
        empty = False
        where = f"{options.path} line {number}"
        yield raw_problem(row, options, f"{options.path.stem}/{number}", "table", where)
    if empty:
        raise InputError(f"{options.path} holds no rows; give a table with a problem per row.")


def raw_problem(
    row: Mapping[str, Any], columns: TableColumns, otherwise_id: str, source: str, where: str
) -> RawProblem:
    """Return the problem of one row.

    Raises InputError for a missing column or a key of the wrong form.
    """
    key = as_text(column(row, columns.key, where))
    given_id = as_text(column(row, columns.id, where)) if columns.id else otherwise_id
    if not given_id:
        raise InputError(f"{where}: the column {columns.id!r} is empty; every problem needs an id.")
    return RawProblem(
        id=given_id,
        text=as_text(column(row, columns.text, where)),
        key=key,
        source=source,
        groups={g: as_text(column(row, c, where)) for g, c in columns.groups.items()},
        kind=as_text(column(row, columns.kind, where)) if columns.kind else "",
        gold=_gold(key, columns, where) if key else None,
    )


def _gold(key: str, columns: TableColumns, where: str) -> Gold | None:
    match columns.key_is:
        case "number":
            try:
                return NumberGold(float(key.replace(",", "")), columns.tolerance)
            except ValueError as exc:
                raise InputError(
                    f"{where}: the key {key!r} is not a number; use key_is: text, or mend the key."
                ) from exc
        case "tests":
            return TestsGold(key)
        case "rubric":
            return RubricGold(key)
        case "text":
            return None
