"""Rows of an Excel workbook (.xlsx), each cell as the text that a person sees in it."""

from __future__ import annotations

import datetime
import math
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.plugins import nearest
from potstill.store.header import Table, header_of, is_blank
from potstill.store.untrusted import DOCUMENT_BYTES
from potstill.text import first_of, several

__all__ = ["Pointed", "duration", "open_workbook"]

_FRACTION_FORMAT = re.compile(r"#?\s*\?+/(\?+|\d+)")
_MOST_OTHERS = 5
_DAY_S = 86_400
_DECIMALS_FORMAT = re.compile(r"[#0,]*0(?:\.([0#?]+))?[\s_)]*")
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')


class Pointed(str):
    """A number as text, its decimals behind a point whatever the language of its table."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet's cells as text, and the names of others that hold something."""

    name: str
    records: list[list[str]]
    others: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_workbook(path: Path, sheet: str = "") -> Table:
    """Return the table of a sheet: the one named, else the first that holds anything.

    Numbers, dates, percentages and fractions become text as they are shown; raised and lowered
    letters become ^{} and _{}. Raises InputError for a damaged workbook, a sheet that is not there,
    and a formula whose value was never kept.
    """
    status = path.stat()
    found = _read(path.absolute(), sheet, status.st_mtime_ns, status.st_size)
    records = found.records
    header = header_of(path, records[:60])
    notes = [*header.notes, *(f"{path.name}: {note}" for note in found.notes)]
    if found.others and not sheet:
        others = ", ".join(map(repr, found.others))
        notes.append(
            f"{path.name}: the sheet {found.name!r} is read and not {others}; "
            "sheet: NAME in a study, or --sheet NAME, names another"
        )

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, cells in enumerate(records[header.at + 1 :], header.at + 2):
            if not is_blank(cells) and not header.is_repeated(cells):
                yield number, header.row(cells, f"{path} row {number}")

    return Table(header.columns, rows(), tuple(notes), found.name, found.others)


@lru_cache(maxsize=2)
def _read(path: Path, sheet: str, changed_ns: int, size: int) -> _Sheet:
    """Return a sheet's records; a workbook that did not change is not read again."""
    del changed_ns, size
    shown, formulas = _load(path)
    filled = [name for name in shown.sheetnames if _used(shown[name], formulas[name])[0]]
    if not filled:
        raise InputError(f"{path} is empty; give a table with a line of column names.")
    if sheet and sheet not in shown.sheetnames:
        raise InputError(f"{path} has no sheet {sheet!r}{nearest(sheet, shown.sheetnames)}.")
    name = sheet or filled[0]
    others = tuple(other for other in filled if other != name)[:_MOST_OTHERS]
    records = _records(path, shown[name], formulas[name])
    return _Sheet(name, records, others, tuple(_unseen(shown[name], records)))


def _unseen(sheet: Any, records: list[list[str]]) -> Iterator[str]:
    """Yield what a person sees of a sheet and a reader of its cells does not."""
    hidden = [
        number
        for number, cells in enumerate(records, 1)
        if not is_blank(cells) and sheet.row_dimensions[number].hidden
    ]
    if hidden:
        rows, are = ("row", "is") if len(hidden) == 1 else ("rows", "are")
        listed = first_of(list(map(str, hidden)), _MOST_OTHERS)
        yield f"{len(hidden):,} hidden {rows} ({listed}) {are} read too; delete what is not meant"
    if count := len(sheet._images):
        yield (
            f"{several(count, 'image')} in the sheet {'is' if count == 1 else 'are'} not read, and "
            "no model sees what a problem shows there"
        )
    tall = [x.coord for x in sheet.merged_cells.ranges if x.min_row < x.max_row]
    if tall:
        listed = first_of(tall, _MOST_OTHERS)
        yield f"cells merged over several rows ({listed}) are read in each of these rows"
    rounded = [
        sheet._cells[at] for at in sorted(at for at, x in sheet._cells.items() if _is_rounded(x))
    ]
    if rounded:
        first, where = rounded[0], first_of([cell.coordinate for cell in rounded], _MOST_OTHERS)
        holds = "holds" if len(rounded) == 1 else "hold"
        yield (
            f"{several(len(rounded), 'number')} in the sheet ({where}) {holds} more digits than "
            f"the sheet shows: {first.coordinate} is read as {_text(first)}, not as it is shown "
            f"({first.number_format}); round what is meant to be rounded"
        )


def _is_rounded(cell: Any) -> bool:
    """Return whether a cell shows its number with fewer decimals than it holds."""
    value = cell.value
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    first = _QUOTED.sub("", str(cell.number_format)).split(";")[0].strip()
    if (parts := _DECIMALS_FORMAT.fullmatch(first)) is None:
        return False
    return float(f"{value:.15g}") != round(value, len(parts[1] or ""))


def _load(path: Path) -> tuple[Any, Any]:
    """Return the workbook with its values, and again with its formulas."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(item.file_size for item in packed.infolist())
        if size > DOCUMENT_BYTES:
            raise InputError(
                f"{path} unpacks to {size / 1e6:,.0f} MB, too much for a sheet of problems; save "
                "the sheet as CSV UTF-8."
            )
        shown = load_workbook(path, data_only=True, rich_text=True)
        return shown, load_workbook(path)
    except FileNotFoundError:
        raise
    except InputError:
        raise
    except (zipfile.BadZipFile, InvalidFileException) as exc:
        raise InputError(
            f"{path} is no Excel workbook (.xlsx), whatever its name says, or has a password; open "
            "it in a spreadsheet and save it as .xlsx or CSV UTF-8, without a password."
        ) from exc
    except Exception as exc:  # openpyxl lets what its parsers raise through
        first = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise InputError(
            f"{path} cannot be read as a workbook ({first}); save its sheet as CSV UTF-8."
        ) from exc


def _records(path: Path, shown: Any, formulas: Any) -> list[list[str]]:
    """Return the sheet's cells as text, those of cells merged downwards filled in."""
    records = []
    last_row, last_column = _used(shown, formulas)
    area = {"max_row": last_row, "min_row": 1, "min_col": 1, "max_col": last_column}
    for cells, sources in zip(shown.iter_rows(**area), formulas.iter_rows(**area), strict=True):
        for cell, source in zip(cells, sources, strict=True):
            if cell.value is None and source.data_type == "f":
                raise InputError(
                    f"{path}: the cell {cell.coordinate} of {shown.title!r} holds a formula whose "
                    "value was never kept; open the workbook in a spreadsheet, save it, and try "
                    "again."
                )
        records.append([_text(cell) for cell in cells])
    for merged in shown.merged_cells.ranges:
        if merged.min_row > last_row or merged.min_col > last_column:
            continue
        for row in range(merged.min_row, min(merged.max_row, last_row)):
            records[row][merged.min_col - 1] = records[merged.min_row - 1][merged.min_col - 1]
    return records


def _used(*sheets: Any) -> tuple[int, int]:
    """Return the last row and column with a value: a format may reach to the end of the sheet."""
    places = [
        place
        for sheet in sheets
        for place, cell in getattr(sheet, "_cells", {}).items()
        if cell.value is not None
    ]
    return max((row for row, _ in places), default=0), max((col for _, col in places), default=0)


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return _number(value, _QUOTED.sub("", str(cell.number_format)))
    if isinstance(value, datetime.datetime):
        day = value.time() == datetime.time()
        return value.date().isoformat() if day else value.isoformat(" ", "seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.isoformat("seconds")
    if isinstance(value, datetime.timedelta):
        return _elapsed(round(value.total_seconds()))
    if isinstance(value, list):
        return "".join(map(_run, value))
    return str(value).strip()


def _number(value: float, shown_as: str) -> str:
    """Return a number as its format shows it where that says more than its digits."""
    if "%" in shown_as:
        return Pointed(f"{value * 100:.13g}%")
    if (parts := _FRACTION_FORMAT.search(shown_as)) is not None and value != int(value):
        most = int(parts[1]) if parts[1].isdigit() else 10 ** len(parts[1])
        near = Fraction(value).limit_denominator(most)
        if abs(float(near) - value) < 1e-9:
            return f"{near.numerator}/{near.denominator}"
    if isinstance(value, int):  # written by a program that keeps them all
        return str(value)
    plain = float(f"{value:.15g}")  # a spreadsheet keeps fifteen digits
    if abs(plain) >= 1e15:
        return f"{plain:.15g}"
    return str(int(plain)) if plain.is_integer() else Pointed(repr(plain))


def _elapsed(seconds: int) -> str:
    """Return a time that is shown as elapsed.

    From a day on as 30:15:00, for there a spreadsheet shows it so unasked, and 30:15 was typed.
    """
    if seconds < _DAY_S:
        return duration(seconds)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def duration(seconds: int) -> str:
    """Return a duration in hours, minutes and seconds: 30 h 15 min."""
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _run(part: Any) -> str:
    """Return a run of a cell's text, raised or lowered as its font has it."""
    text = str(part)
    raised = getattr(getattr(part, "font", None), "vertAlign", None)
    if raised == "superscript" and text.strip():
        return "^{" + text.strip() + "}"
    if raised == "subscript" and text.strip():
        return "_{" + text.strip() + "}"
    return text
