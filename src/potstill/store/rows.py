"""Rows of csv, jsonl, json, parquet and xlsx files; errors name the file and the line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.plugins import nearest
from potstill.store.csv_rows import open_csv
from potstill.store.encoding import encoding_of
from potstill.store.header import Table
from potstill.store.untrusted import TABLE_BYTES, lines_of, parse_json, read_bytes
from potstill.store.workbook import Pointed, open_workbook

__all__ = [
    "AS_SEEN",
    "SUFFIXES",
    "Pointed",
    "Table",
    "TableFormat",
    "as_text",
    "column",
    "decoded",
    "load_json",
    "open_table",
    "parquet_rows",
    "place_of_row",
    "read_columns",
    "read_rows",
    "refuse_no_table",
    "table_notes",
    "text_of_bytes",
]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx", ".xlsm")
_REMEDIES = {
    ".xls": "save it as .xlsx or CSV UTF-8",
    ".xlsb": "save it as .xlsx or CSV UTF-8",
    ".ods": "save it as .xlsx or CSV UTF-8",
    ".numbers": "export it as .xlsx or CSV UTF-8",
    ".docx": "copy its problems into a spreadsheet, one a row",
    ".doc": "copy its problems into a spreadsheet, one a row",
    ".odt": "copy its problems into a spreadsheet, one a row",
    ".pdf": "copy its problems into a spreadsheet, one a row",
    ".tex": "copy its problems into a spreadsheet, one a row",
    ".md": "copy its problems into a spreadsheet, one a row",
    ".html": "open it in a spreadsheet and save it as CSV UTF-8",
    ".txt": "where its cells are parted by tabs or commas, name it .tsv or .csv",
    ".gz": "unpack it first",
    ".zip": "unpack it first",
    ".xz": "unpack it first",
    ".zst": "unpack it first",
    ".arrow": "write it as .parquet",
    ".feather": "write it as .parquet",
    ".pkl": "write it as .parquet or .jsonl",
}


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How a table is to be read where it is not to be seen from the file; "" where it is."""

    delimiter: str = ""
    encoding: str = ""
    sheet: str = ""


AS_SEEN = TableFormat()


def open_table(path: Path, form: TableFormat = AS_SEEN) -> Table:
    """Return a table, its rows numbered (by line where the format has lines).

    Delimiter, encoding and header are seen from the file where ``form`` does not name them. Raises
    InputError naming the file and what to do for a missing file, one that is no table or is
    damaged; its rows raise it naming the line.
    """
    refuse_no_table(path)
    suffix = path.suffix.lower()
    if form.sheet and suffix not in (".xlsx", ".xlsm"):
        raise InputError(f"{path} has no sheets; leave out the sheet {form.sheet!r}.")
    if form.delimiter and suffix not in (".csv", ".tsv"):
        raise InputError(f"{path} is no csv; leave out the delimiter {form.delimiter!r}.")
    with _named(path):
        table = _opened(path, suffix, form)
    return replace(table, rows=_guarded(path, table.rows))


def _opened(path: Path, suffix: str, form: TableFormat) -> Table:
    if suffix in (".csv", ".tsv"):
        return open_csv(path, form.delimiter, form.encoding)
    if suffix in (".xlsx", ".xlsm"):
        return open_workbook(path, form.sheet)
    if suffix == ".parquet":
        return Table(*parquet_rows(path))
    if suffix == ".json":
        return _peeked(_json_rows(path))
    encoded = encoding_of(path, form.encoding)
    notes = (encoded.note,) if encoded.note else ()
    return _peeked(_jsonl_rows(path, encoded.name), notes)


def _peeked(rows: Iterator[tuple[int, Mapping[str, Any]]], notes: tuple[str, ...] = ()) -> Table:
    """Return a table whose columns are the keys of its first row."""
    first = next(rows, None)
    if first is None:
        return Table((), rows, notes)

    def again() -> Iterator[tuple[int, Mapping[str, Any]]]:
        yield first
        yield from rows

    return Table(tuple(first[1]), again(), notes)


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield every row of a table with its number (see :func:`open_table`)."""
    yield from open_table(path).rows


def read_columns(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns (of a JSON file: the keys of its first row)."""
    return open_table(path).columns


def place_of_row(path: Path, number: int) -> str:
    """Return how a row is found in its file: by line, or by row where one has no line of its
    own.
    """
    unit = "row" if path.suffix.lower() in (".xlsx", ".xlsm", ".parquet", ".json") else "line"
    return f"{unit} {number}"


def table_notes(path: Path, form: TableFormat) -> tuple[str, ...]:
    """Return what was seen of a file and is worth saying: its encoding, its delimiter, its sheet.

    Empty where the file says it all itself.
    """
    return open_table(path, form).notes


def refuse_no_table(path: Path) -> None:
    """Raise InputError where a path is no file of a table, with what to do about it."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        remedy = _REMEDIES.get(suffix, f"give a file that ends in {', '.join(SUFFIXES)}")
        raise InputError(f"{path} is not a table; {remedy}.")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong as it is read."""
    try:
        yield
    except UnicodeError as exc:
        raise _no_text(path, exc) from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}.") from exc


def _guarded(
    path: Path, rows: Iterator[tuple[int, Mapping[str, Any]]]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with _named(path):
        yield from rows


def _no_text(path: Path, exc: UnicodeError) -> InputError:
    if not isinstance(exc, UnicodeDecodeError):  # UTF-16 or UTF-32 that begins with no mark
        wide = str(exc).partition(" ")[0]
        return InputError(
            f"{path} does not begin as {wide} does; leave the encoding out, or name another."
        )
    at, name = f" (byte {exc.start})", exc.encoding
    named = "UTF-8" if name.startswith("utf-8") or name == "utf8" else name
    return InputError(
        f"{path} is not {named} text{at}; name another encoding, or leave it out and it is found."
    )


def column(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Return the cell of a named column, bytes as the text that they are in UTF-8.

    Raises InputError with the nearest name and all there are, and for bytes that are no text.
    """
    if name in row:
        return decoded(row[name], name, where)
    raise InputError(f"{where} has no column {name!r}{nearest(name, row)}.")


def decoded(cell: Any, name: str, where: str) -> Any:
    """Return a cell, its bytes as the text that they are in UTF-8.

    Raises InputError for bytes that are no text.
    """
    if isinstance(cell, list) and any(isinstance(item, bytes) for item in cell):
        return [decoded(item, name, where) for item in cell]
    text = text_of_bytes(cell)
    if isinstance(text, bytes):
        raise InputError(
            f"{where}: the column {name!r} holds bytes that are no UTF-8 text; write that column "
            "as text, or name another."
        )
    return text


def text_of_bytes(cell: Any) -> Any:
    """Return a cell, its bytes as text where they are text in UTF-8."""
    try:
        return cell.decode("utf-8") if isinstance(cell, bytes) else cell
    except UnicodeDecodeError:
        return cell


def as_text(cell: Any) -> str:
    """Return a cell as stripped text: "" for none, a whole float without its ".0"."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, bytes):  # of a column that is only looked at
        return cell.decode("utf-8", "replace").strip()
    if isinstance(cell, float):
        if cell != cell:  # NaN is how tables write an empty number
            return ""
        if cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        return repr(float(f"{cell:.15g}"))  # 0.3, where a sum left 0.30000000000000004
    return str(cell).strip()


def load_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises InputError naming the file, the line and what is wrong.
    """
    try:
        raw = read_bytes(path, TABLE_BYTES)
        wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; check the path.") from exc
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} is not UTF-8 text (byte {exc.start}); save it as UTF-8.") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as exc:
        raise InputError(_json_complaint(str(path), exc.lineno, exc, text)) from exc
    except _Repeated as exc:
        raise _twice(f"{path} line {_line_of_repeated(text)}", exc) from exc
    except (RecursionError, ValueError) as exc:
        deep = isinstance(exc, RecursionError)
        what = "nested too deep" if deep else "it holds a number of thousands of digits"
        raise InputError(f"{path} is no file of problems: {what}.") from exc


class _Repeated(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _twice(where: str, exc: _Repeated) -> InputError:
    return InputError(
        f"{where}: the name {exc.key!r} stands twice in one object; rename or delete one of the "
        "two."
    )


def _line_of_repeated(text: str) -> int:
    """Return the line in which the first object begins that names a key twice."""
    decoder: Any = json.JSONDecoder(object_pairs_hook=_once)
    begun: list[int] = []

    def parse_object(place: tuple[str, int], *rest: Any) -> Any:
        try:
            return json.decoder.JSONObject(place, *rest)  # type: ignore[attr-defined]
        except _Repeated:
            begun.append(place[1])  # the innermost comes first
            raise

    decoder.parse_object = parse_object
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    with suppress(_Repeated, RecursionError):
        decoder.decode(text)
    return text.count("\n", 0, begun[0] if begun else 0) + 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found


_PROBLEMS = {
    "Expecting value": "a value is missing, or a text without double quotes",
    "Expecting property name": "a name without double quotes, or a comma too many",
    "Expecting ','": "a comma or a quote is missing",
    "Expecting ':'": "a colon is missing after a name",
    "Invalid control character": "a line break or a tab within quotes, where \\n or \\t belongs",
    "Invalid \\": "a backslash that begins no escape: TeX needs two, \\\\frac",
    "Illegal trailing comma": "a comma too many",
    "Extra data": "more than one value",
}
"""What Python's JSON reader says of a fault, and what it means."""


def _in_words(exc: json.JSONDecodeError) -> str:
    words = next((x for begin, x in _PROBLEMS.items() if exc.msg.startswith(begin)), exc.msg)
    return f"{words}, at character {exc.colno}"


def _json_complaint(file: str, line: int, exc: json.JSONDecodeError, text: str) -> str:
    cut = exc.pos >= len(text.rstrip()) or exc.msg.startswith("Unterminated string")
    what = "the JSON is cut off" if cut else f"not valid JSON ({_in_words(exc)})"
    if exc.msg == "Extra data" and file.endswith(".json"):
        return f"{file} line {line}: more than one JSON value; one object a line is named .jsonl."
    todo = "fetch or write the file again" if cut else "mend that line"
    return f"{file} line {line}: {what}; {todo}."


def _jsonl_rows(path: Path, encoding: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in lines_of(path, encoding):
        try:
            row = parse_json(line, _once)
        except _Repeated as exc:
            raise _twice(f"{path} line {number}", exc) from exc
        except json.JSONDecodeError as exc:
            if number == 1 and line.strip() in ("[", "{"):
                raise InputError(
                    f"{path} holds JSON over several lines; name it .json, or write one object a "
                    "line."
                ) from exc
            raise InputError(_json_complaint(str(path), number, exc, line)) from exc
        except ValueError as exc:
            raise InputError(f"{path} line {number}: not valid JSON ({exc}); mend it.") from exc
        yield number, _object(row, f"{path} line {number}")


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    value = load_json(path)
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        value = lists[0] if len(lists) == 1 else value
    if not isinstance(value, list):
        by_column = (
            isinstance(value, dict)
            and value
            and all(isinstance(v, dict | list) for v in value.values())
        )
        how = "; pandas writes it so with orient='records'" if by_column else ""
        raise InputError(
            f"{path} is not a list of objects; a table in JSON is [{{...}}, {{...}}]{how}."
        )
    for number, row in enumerate(value, 1):
        yield number, _object(row, f"{path} row {number}")


def _object(row: Any, where: str) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    what = {"list": "a list", "str": "a text", "NoneType": "null"}.get(
        type(row).__name__, "a value"
    )
    raise InputError(
        f"{where}: {what} instead of an object with named columns; write one "
        '{"question": ..., "answer": ...} a line, or name a file that is one list .json.'
    )


def parquet_rows(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, Any]]]]:
    """Return the columns and the numbered rows of a Parquet file.

    Raises InputError for a damaged one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def damaged(after: int = 0) -> InputError:
        what = f"damaged after row {after:,}" if after else "not a Parquet file, or not a whole one"
        return InputError(f"{path} is {what}; fetch or write it again.")

    # Arrow lets Python's own errors through for a text that is none, a date beyond the calendar
    refusals = (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, KeyError)
    try:
        file = pq.ParquetFile(path)
        columns = tuple(str(name) for name in file.schema_arrow.names)
    except refusals as exc:
        raise damaged() from exc
    if len(set(columns)) < len(columns):
        raise InputError(f"{path} names a column twice; rename one of the two.")

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except refusals as exc:
            raise damaged(number) from exc

    return columns, rows()
