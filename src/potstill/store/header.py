"""The line of column names of a table, wherever it stands, and the rows beneath it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.text import several

__all__ = ["Header", "Table", "header_of", "is_blank"]

_MOST_TITLES = 20
_NAME_CHARACTERS = 80
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\ufeff"))


@dataclass(frozen=True, slots=True)
class Table:
    """An opened table: its columns, its numbered rows, and what was found out about the file.

    ``sheet`` is the one that was read of a workbook, ``others`` more that hold something.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Mapping[str, Any]]]
    notes: tuple[str, ...] = ()
    sheet: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """Which record holds the column names (counted from 0), and what they are.

    ``places`` are the cells of a record that have a name, ``width`` how far the last of them is.
    """

    at: int
    columns: tuple[str, ...]
    places: tuple[int, ...]
    width: int
    notes: tuple[str, ...]

    def is_repeated(self, cells: Sequence[Any]) -> bool:
        """Return whether a record is the column names again, as where files were joined."""
        names = [_name(cells[place]) for place in self.places if place < len(cells)]
        return len(names) > 1 and tuple(names) == self.columns

    def row(self, cells: Sequence[Any], where: str, delimiter: str = "") -> dict[str, Any]:
        """Return a record as a row. Raises InputError for cells too many or too few."""
        if len(cells) < self.width or not is_blank(cells[self.width :]):
            raise InputError(
                f"{where}: {several(len(cells), 'cell')} under {self.width} column names; "
                f"{self._remedy(cells, delimiter)}."
            )
        for place in range(1, self.width):
            if place not in self.places and not is_blank(cells[place : place + 1]):
                raise InputError(
                    f"{where}: {str(cells[place])[:40]!r} stands in column {place + 1}, which has "
                    "no name; name it in the line of column names, or put quotes around a cell "
                    "that holds the delimiter."
                )
        return {name: cells[place] for name, place in zip(self.columns, self.places, strict=True)}

    def _remedy(self, cells: Sequence[Any], delimiter: str) -> str:
        if len(cells) < self.width:
            return "fill that row in, or delete it where it holds no problem"
        if not delimiter:
            return "name every column in one line, or empty the cells that have no name"
        parting = {"\t": "tab", ";": "semicolon"}.get(delimiter, "comma")
        return f"mend that row (a {parting} in a cell needs quotes)"


def header_of(path: Path, records: Sequence[Sequence[Any]]) -> Header:
    """Return the header of a table from its first records: titles and blank lines are passed over.

    Raises InputError where there is none, or a name comes twice.
    """
    at = _place(records)
    if at is None:
        raise InputError(f"{path} is empty; give a table with a line of column names.")
    cells = [_name(cell) for cell in records[at]]
    places = tuple(i for i, cell in enumerate(cells) if cell)
    columns = tuple(cells[i] for i in places)
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(
            f"{path} names the column {twice!r} twice; rename one, or delete a line "
            "of headings above the line of names."
        )
    notes = []
    titles = [record for record in records[:at] if not is_blank(record)]
    if titles:
        shown = next(str(cell).strip() for cell in titles[0] if cell is not None and str(cell))
        notes.append(
            f"{path.name}: passed over what stands above the column names ({shown[:60]!r})"
        )
    if places[0] > 0 and len(places) > 1:
        notes.append(f"{path.name}: the first column has no name and is not read")
    return Header(at, columns, places, places[-1] + 1, tuple(notes))


def _place(records: Sequence[Sequence[Any]]) -> int | None:
    """Return which record holds the names: the first with two or more, where all above it have one.

    Else the first that is not blank.
    """
    filled = [i for i, record in enumerate(records) if not is_blank(record)]
    if not filled:
        return None
    for i in filled[: _MOST_TITLES + 1]:
        named = _filled(records[i])
        if len(named) < 2:
            continue
        if i != filled[0] and not (_are_names(named) and _is_table(records[i + 1 :])):
            break
        return i
    return filled[0]


def _is_table(records: Sequence[Sequence[Any]]) -> bool:
    """Return whether most records hold two cells and more, as those beneath column names do."""
    wide = [not is_blank(record) and len(_filled(record)) > 1 for record in records]
    return 2 * sum(wide) > sum(not is_blank(record) for record in records)


def _filled(record: Sequence[Any]) -> list[str]:
    return [str(cell).strip() for cell in record if cell is not None and str(cell).strip()]


def _are_names(cells: Sequence[str]) -> bool:
    short = all(len(cell) <= _NAME_CHARACTERS for cell in cells)
    return short and not any(any(c.isdigit() for c in cell[:1]) for cell in cells)


def _name(cell: Any) -> str:
    """Return a cell of the header as a name, without spaces and marks that nobody sees."""
    return "" if cell is None else str(cell).translate(_UNSEEN).strip()


def is_blank(cells: Sequence[Any]) -> bool:
    """Return whether no cell of a record holds anything."""
    return all(cell is None or not str(cell).strip() for cell in cells)
