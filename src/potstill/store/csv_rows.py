"""Rows of csv and tsv files as spreadsheets write them: any delimiter, titles above the header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.store.encoding import encoding_of
from potstill.store.header import Header, Table, header_of, is_blank
from potstill.store.untrusted import LINE_CHARACTERS

__all__ = ["open_csv"]

_SAMPLE_CHARACTERS = 1 << 20
_SAMPLE_RECORDS = 60
_DELIMITERS = (",", ";", "\t", "|")
_SEP_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    spaced: bool
    sep_line: bool
    header: Header


def open_csv(path: Path, delimiter: str = "", encoding: str = "") -> Table:
    """Return the table of a csv file; the delimiter is seen from its first rows where not given.

    Raises InputError for one that is empty or names a column twice, and (as its rows are read) for
    a row with more or fewer cells than there are columns.
    """
    csv.field_size_limit(LINE_CHARACTERS)
    encoded = encoding_of(path, encoding)
    default = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding=encoded.name, newline="") as file:
        sample = file.read(_SAMPLE_CHARACTERS)
        whole = not file.read(1)
    dialect = _dialect(path, sample, delimiter, default, whole)
    notes = [encoded.note, *dialect.header.notes]
    if dialect.delimiter != default and not delimiter:
        name = _NAMES.get(dialect.delimiter, repr(dialect.delimiter))
        notes.insert(1, f"{path.name}: cells are parted by {name}")
    rows = _rows(path, encoded.name, dialect)
    return Table(dialect.header.columns, rows, tuple(note for note in notes if note))


def _dialect(path: Path, sample: str, given: str, default: str, whole: bool) -> _Dialect:
    lines = StringIO(sample, newline="")
    told = _SEP_LINE.fullmatch(lines.readline().strip("\r\n"))
    body = lines.read() if told else sample
    known = given or (told[1] if told else "")
    delimiters = (known,) if known else (default, *(d for d in _DELIMITERS if d != default))
    # a quote may stand behind a space: a, "b, c"
    ways = [(delimiter, spaced) for spaced in (False, True) for delimiter in delimiters]
    scores = {way: _fits(_records(body, *way, whole)) for way in ways}
    delimiter, spaced = max(ways, key=lambda way: scores[way])  # the first of equals
    quoted = any(c.startswith(' "') for r in _records(body, delimiter, False, whole) for c in r)
    spaced = spaced or (quoted and scores[delimiter, True] >= scores[delimiter, False])
    header = header_of(path, _records(body, delimiter, spaced, whole))
    return _Dialect(delimiter, spaced, bool(told), header)


def _records(text: str, delimiter: str, spaced: bool, whole: bool) -> list[list[str]]:
    """Return the first records of a sample, without a last one that the sample cuts."""
    lines = StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=spaced)
    found: list[list[str]] = []
    try:
        for record in reader:
            found.append(record)
            if len(found) > _SAMPLE_RECORDS:
                return found[:-1]
    except csv.Error:
        return found
    return found if whole or len(found) < 2 else found[:-1]


def _fits(records: Sequence[Sequence[str]]) -> float:
    """Return the share of records that are as wide as most are, 0 where most have one cell."""
    widths = [len(record) for record in records if not is_blank(record)]
    if not widths:
        return 0.0
    usual = max(set(widths), key=lambda w: (widths.count(w), w))
    return widths.count(usual) / len(widths) if usual > 1 else 0.0


def _rows(path: Path, encoding: str, dialect: _Dialect) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding=encoding, newline="") as file:
        if dialect.sep_line:
            file.readline()
        extra = 1 if dialect.sep_line else 0
        reader = csv.reader(
            file, delimiter=dialect.delimiter, skipinitialspace=dialect.spaced, strict=True
        )
        header, begun = dialect.header, 1 + extra
        try:
            for number, cells in enumerate(reader):
                begun = reader.line_num + extra + 1  # of the next record
                if number <= header.at or is_blank(cells) or header.is_repeated(cells):
                    continue
                line = reader.line_num + extra
                yield line, header.row(cells, f"{path} line {line}", dialect.delimiter)
        except csv.Error as exc:
            raise InputError(_complaint(path, begun, reader.line_num + extra, exc)) from exc


def _complaint(path: Path, begun: int, line: int, exc: csv.Error) -> str:
    """Return what is wrong with a record that begins in one line and is broken in another."""
    at = f"line {line}" + (f", in the row that begins in line {begun}" if begun < line else "")
    hint = "mend that row, or fetch the file again if it is cut off"
    if "expected after" in str(exc):
        hint = 'a quote within a quoted cell is doubled ("") and not \\"; mend that row'
    elif "unexpected end" in str(exc):
        at = f"line {begun}"
        hint = "a quote is opened and never closed; mend that row, or fetch the file again"
    return f"{path} {at}: not valid CSV ({exc}); {hint}."
