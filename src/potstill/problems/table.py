"""Any table of problems: csv, tsv, jsonl, json, parquet or xlsx, with its columns mapped.

A raw row of a csv: ``problem,answer,topic`` / ``"What is 2 + 2?",4,arithmetic``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from potstill.errors import InputError
from potstill.problems.mending import (
    Mended,
    as_several,
    decimal_points,
    looks_comma,
    mend,
    mend_key,
)
from potstill.problems.raw import RawProblem, SourceOptions
from potstill.records import Gold, NumberGold, RubricGold, TestsGold
from potstill.store.rows import (
    Pointed,
    TableFormat,
    as_text,
    column,
    open_table,
    place_of_row,
    table_notes,
)

__all__ = ["Options", "TableColumns", "key_of", "notes", "raw_problem", "read", "text_of"]

_MOST_ALTERNATIVES = 20
_AS_THEY_ARE = ("code", "exact", "tests")  # kinds whose keys may well hold &lt; or a tab
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_WHOLE = re.compile(r"(\d+)\.0")


class TableColumns(SourceOptions):
    """Which column is what. ``key_is`` says how a key is checked; ``tolerance`` is absolute.

    ``solution`` is a column of worked solutions: where a row has no key, its final answer is taken.
    """

    text: str = Field(default="problem", description="The column of problem texts.")
    key: str = Field(
        default="answer", description="The column of keys; empty where the table has none."
    )
    solution: str | None = Field(
        default=None, description="The column of worked solutions, which end in the key."
    )
    id: str | None = Field(default=None, description="The column of ids.")
    kind: str | None = Field(
        default=None, description="The column of answer kinds; inferred where none."
    )
    groups: dict[str, str] = Field(default_factory=dict, description="group name: column")
    key_is: Literal["text", "number", "tests", "rubric"] = Field(
        default="text", description="What the key is, and so how it is checked."
    )
    decimal: Literal["point", "comma"] = Field(
        default="point", description="What parts the decimals of the keys: comma for 1.234,5."
    )
    tolerance: Annotated[float, Field(ge=0, description="Of key_is: number, absolute.")] = 0.0

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.text in (self.key, self.solution):
            other = "key" if self.text == self.key else "solution"
            raise ValueError(
                f"text and {other} are both the column {self.text!r}, so that every problem would "
                "be its own answer; name another column"
            )
        if self.tolerance and self.key_is != "number":
            raise ValueError(
                f"tolerance decides nothing with key_is: {self.key_is}; set key_is: number, or "
                "take it out"
            )
        return self


class Options(TableColumns):
    """A table file and its columns. Rows without an id column are called FILE/LINE."""

    path: Path = Field(description="The csv, tsv, jsonl, json, parquet or xlsx file.")
    delimiter: str = Field(
        default="", description="What parts a csv's cells (or tab); seen from it where empty."
    )
    encoding: str = Field(
        default="", description="Of a csv or jsonl, such as cp1252; seen from it where empty."
    )
    sheet: str = Field(default="", description="The sheet of a workbook; its first where empty.")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value) > 1 and value not in ("tab", "\\t"):
            raise ValueError("a delimiter is one character, or tab")
        return "\t" if len(value) > 1 else value

    @property
    def form(self) -> TableFormat:
        """How the file is to be read."""
        return TableFormat(self.delimiter, self.encoding, self.sheet)


def read(options: Options) -> Iterator[RawProblem]:
    """Yield a problem per row. Raises InputError for what is wrong with the file or a column."""
    empty = True
    for number, row in open_table(options.path, options.form).rows:
        empty = False
        where = f"{options.path} {place_of_row(options.path, number)}"
        yield raw_problem(row, options, f"{options.path.stem}/{number}", "table", where)
    if empty:
        raise InputError(f"{options.path} holds no rows; give a table with a problem per row.")


def notes(options: Options) -> tuple[str, ...]:
    """Return what was seen of the file and is worth saying: its encoding, delimiter, sheet."""
    return table_notes(options.path, options.form)


def raw_problem(
    row: Mapping[str, Any], columns: TableColumns, otherwise_id: str, source: str, where: str
) -> RawProblem:
    """Return the problem of one row.

    Raises InputError for a missing column or a key of the wrong form.
    """
    kind = as_text(column(row, columns.kind, where)) if columns.kind else ""
    plain = columns.key_is in ("text", "number") and kind not in _AS_THEY_ARE
    text = text_of(row, columns.text, where, mended=plain)
    key, solution = _key_and_solution(row, columns, where, mended=plain)
    given_id = as_text(column(row, columns.id, where)) if columns.id else otherwise_id
    if not given_id:
        raise InputError(f"{where}: the column {columns.id!r} is empty; every problem needs an id.")
    by_trying = columns.key_is in ("tests", "rubric") and not (key.text or solution)
    decimal = columns.decimal if "decimal" in columns.model_fields_set else ""
    if decimal == "point" and plain and columns.key_is == "text":
        key = Mended(as_several(key.text), key.what)
    return RawProblem(
        id=given_id,
        text=text.text,
        key=key.text,
        source=source,
        groups={g: _group(column(row, c, where)) for g, c in columns.groups.items()},
        kind=kind or (columns.key_is if by_trying else ""),
        gold=_gold(key.text, columns, where) if key.text else None,
        solution=solution,
        where=" ".join(where.split()[-2:]) if columns.id else "",
        mended=tuple(dict.fromkeys((*text.what, *key.what))),
        decimal=decimal,
    )


def text_of(row: Mapping[str, Any], name: str, where: str, *, mended: bool = True) -> Mended:
    """Return a cell of text. Raises InputError where it holds an object or a list."""
    cell = column(row, name, where)
    if isinstance(cell, dict | list | tuple):
        what = "an object" if isinstance(cell, dict) else "a list"
        raise InputError(f"{where}: the column {name!r} holds {what}; name one that holds text.")
    return _mended(cell, mend) if mended else Mended(as_text(cell))


def key_of(
    row: Mapping[str, Any],
    name: str,
    where: str,
    *,
    mended: bool = True,
    commas: bool = False,
) -> Mended:
    """Return a key; a list of several is written as JSON, any of which is right.

    ``commas`` says that the decimals of those that are text are parted by one.

    Raises InputError for an object, a list within a list, and more alternatives than are compared.
    """
    cell = column(row, name, where)
    if isinstance(cell, dict):
        shown = json.dumps(cell, default=str)
        raise InputError(
            f"{where}: the key in column {name!r} is an object ({shown[:60]}); give its value, or "
            "a list of values any of which is right."
        )
    if any(isinstance(x, float) and math.isinf(x) for x in _items(cell)):
        raise InputError(
            f"{where}: the key in column {name!r} is a number beyond what a float holds (1e400, "
            "Infinity); write it as text, in quotes."
        )
    if not isinstance(cell, list | tuple):
        found = _mended(cell, mend_key) if mended else Mended(as_text(cell))
        return _with_points(found, cell) if commas else found
    if any(isinstance(item, dict | list | tuple) for item in cell):
        raise InputError(
            f"{where}: the key in column {name!r} holds a list or an object within a list; give "
            "one value, or a list of values any of which is right."
        )
    items = [_mended(item, mend_key) for item in cell]
    if commas:
        items = [_with_points(*pair) for pair in zip(items, cell, strict=True)]
    texts = tuple(dict.fromkeys(item.text for item in items if item.text))
    if len(texts) > _MOST_ALTERNATIVES:
        raise InputError(
            f"{where}: the key in column {name!r} lists {len(texts)} answers, and no more than "
            f"{_MOST_ALTERNATIVES} are compared; keep those that differ."
        )
    what = tuple(dict.fromkeys(w for item in items for w in item.what))
    whole = json.dumps(texts, ensure_ascii=False) if len(texts) > 1 else "".join(texts)
    return Mended(whole, what)


def _items(cell: Any) -> Sequence[Any]:
    return cell if isinstance(cell, list | tuple) else (cell,)


def _mended(cell: Any, how: Callable[[str], Mended]) -> Mended:
    """Return a cell mended before it is stripped: the form feed it begins with may be a ``\\f``."""
    found = how(cell) if isinstance(cell, str) else Mended(as_text(cell))
    return Mended(as_text(found.text), found.what)


def _with_points(key: Mended, cell: Any) -> Mended:
    """Return a key with points for decimal commas, but where its cell holds a number, no text."""
    is_text = isinstance(cell, str) and not isinstance(cell, Pointed)
    return Mended(decimal_points(key.text), key.what) if is_text else key


def _key_and_solution(
    row: Mapping[str, Any], columns: TableColumns, where: str, *, mended: bool
) -> tuple[Mended, str]:
    commas = mended and columns.decimal == "comma"
    if not columns.key and columns.solution is None:
        return Mended(""), ""
    if columns.solution is None:
        return key_of(row, columns.key, where, mended=mended, commas=commas), ""
    solution = text_of(row, columns.solution, where, mended=mended)
    named = columns.key not in ("", columns.solution) and "key" in columns.model_fields_set
    if not named and (columns.key == columns.solution or columns.key not in row):
        return Mended("", solution.what), solution.text
    return key_of(row, columns.key, where, mended=mended, commas=commas), solution.text


def _group(cell: Any) -> str:
    """Return a group's value, without the ".0" of a whole number that was kept as a float."""
    text = as_text(cell)
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _gold(key: str, columns: TableColumns, where: str) -> Gold | None:
    match columns.key_is:
        case "number":
            try:
                plain = key.replace(",", "") if _THOUSANDS.fullmatch(key) else key
                return NumberGold(float(plain), columns.tolerance)
            except ValueError as exc:
                comma = " say decimal: comma," if looks_comma(key) else ""
                raise InputError(
                    f"{where}: the key {key!r} is not a number;{comma} use key_is: text, or mend "
                    "the key."
                ) from exc
        case "tests":
            return TestsGold(key)
        case "rubric":
            return RubricGold(key)
        case "text":
            return None
