"""Rows of csv, jsonl, json and parquet files, with errors that name the file and the line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.plugins import nearest
from potstill.store.untrusted import LINE_CHARACTERS, TABLE_BYTES, lines_of, parse_json, read_bytes

__all__ = [
    "SUFFIXES",
    "as_text",
    "column",
    "load_json",
    "parquet_rows",
    "read_columns",
    "read_rows",
]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield every row of a table with its number (a line where the format has lines).

    Raises InputError naming the file and the line for a missing file, bytes that are not UTF-8, a
    row with too many or too few cells, JSON that is cut off, and a row that is not an object.
    """
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        raise InputError(f"{path} is not a table; give a file that ends in {', '.join(SUFFIXES)}.")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    try:
        if suffix in (".csv", ".tsv"):
            yield from _csv_rows(path, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".parquet":
            yield from parquet_rows(path)[1]
        elif suffix == ".json":
            yield from _json_rows(path)
        else:
            yield from _jsonl_rows(path)
    except UnicodeDecodeError as exc:
        raise InputError(
            f"{path} is not UTF-8 text (byte {exc.start}); save it as UTF-8 and try again."
        ) from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}.") from exc


def read_columns(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns (of a JSON file: the keys of its first row)."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        return parquet_rows(path)[0]
    for _, row in read_rows(path):
        return tuple(row)
    if path.suffix.lower() in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return tuple(next(csv.reader(handle), ()))
    return ()


def column(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Return the cell of a named column.

    Raises InputError with the nearest name and all there are.
    """
    if name in row:
        return row[name]
    raise InputError(f"{where} has no column {name!r}{nearest(name, row)}.")


def as_text(cell: Any) -> str:
    """Return a cell as stripped text: "" for none, a whole float without its ".0"."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float):
        if cell != cell:  # NaN is how tables write an empty number
            return ""
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return str(cell).strip()


def load_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises InputError naming the file, the line and what is wrong.
    """
    try:
        text = read_bytes(path, TABLE_BYTES).decode("utf-8-sig")
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
        raise InputError(
            f"{path} has the key {exc.key!r} twice in one object; rename one of the two."
        ) from exc
    except (RecursionError, ValueError) as exc:
        what = "nested too deep" if isinstance(exc, RecursionError) else exc
        raise InputError(f"{path} is no file of problems: {what}.") from exc


class _Repeated(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found


def _json_complaint(file: str, line: int, exc: json.JSONDecodeError, text: str) -> str:
    cut = exc.pos >= len(text.rstrip()) or exc.msg.startswith("Unterminated string")
    what = "the JSON is cut off" if cut else f"not valid JSON ({exc.msg})"
    todo = "fetch or write the file again" if cut else "mend that line"
    return f"{file} line {line}: {what}; {todo}."


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(LINE_CHARACTERS)
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, delimiter=delimiter, strict=True)
        try:
            header = next(reader, None)
            if not header:
                raise InputError(f"{path} is empty; give a table with a line of column names.")
            if len(set(header)) < len(header):
                twice = next(name for name in header if header.count(name) > 1)
                raise InputError(f"{path} names the column {twice!r} twice; rename one.")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{path} line {reader.line_num}: {len(cells)} cells under {len(header)} "
                        f"column names; mend that row (a comma in a cell needs quotes)."
                    )
                yield reader.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as exc:
            raise InputError(
                f"{path} line {reader.line_num}: not valid CSV ({exc}); mend that row, or fetch "
                f"the file again if it is cut off."
            ) from exc


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in lines_of(path):
        try:
            row = parse_json(line)
        except json.JSONDecodeError as exc:
            raise InputError(_json_complaint(str(path), number, exc, line)) from exc
        except ValueError as exc:
            raise InputError(f"{path} line {number}: not valid JSON ({exc}); mend it.") from exc
        yield number, _object(row, f"{path} line {number}")


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    value = load_json(path)
    if not isinstance(value, list):
        raise InputError(f"{path} is not a list of objects; a table in JSON is [{{...}}, {{...}}].")
    for number, row in enumerate(value, 1):
        yield number, _object(row, f"{path} item {number}")


def _object(row: Any, where: str) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    raise InputError(f"{where}: {type(row).__name__} instead of an object with named columns.")


def parquet_rows(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, Any]]]]:
    """Return the columns and the numbered rows of a Parquet file.

    Raises InputError for a damaged one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def damaged(exc: Exception) -> InputError:
        return InputError(
            f"{path} is not a Parquet file, or not a whole one ({exc}); fetch or write it again."
        )

    # Arrow lets Python's own errors through for a text that is none, a date beyond the calendar
    refusals = (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, KeyError)
    try:
        file = pq.ParquetFile(path)
        columns = tuple(str(name) for name in file.schema_arrow.names)
    except refusals as exc:
        raise damaged(exc) from exc
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
            raise damaged(exc) from exc

    return columns, rows()
