"""Grading a table: a file of answers in, the same rows with their verdicts out."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from potstill.chat import Solver
from potstill.errors import InputError, StoreError
from potstill.grading.causes import with_cause
from potstill.grading.key_reading import kind_of_key
from potstill.grading.panel import verify
from potstill.grading.plugins import check_kind
from potstill.grading.pool import GradingPool
from potstill.records import Problem, Response, TextGold, Verdict
from potstill.store.atomic import whole_file
from potstill.store.rows import (
    AS_SEEN,
    TableFormat,
    decoded,
    open_table,
    parquet_rows,
    text_of_bytes,
)
from potstill.store.untrusted import lines_of, parse_json

__all__ = ["ADDED", "grade_table"]

ADDED = ("outcome", "extracted", "rule", "decided_by", "form", "cause", "why")
FORMATS = (".csv", ".jsonl", ".parquet")
SPREADSHEETS = (".csv", ".tsv", ".xlsx", ".xlsm")
CHUNK = 2_000


def grade_table(
    path: str | os.PathLike[str],
    *,
    gold: str,
    response: str,
    problem: str | None = None,
    id: str | None = None,
    kind: str | None = None,
    judge: Solver | None = None,
    out: str | os.PathLike[str] = "-",
    workers: int | None = None,
    limit_s: float = 5.0,
    memory_mb: int = 512,
    form: TableFormat = AS_SEEN,
) -> Counter[str]:
    """Return the counts of outcomes of a csv, xlsx, jsonl or parquet file; its rows, graded, go to
    ``out``.

    ``gold``, ``response``, ``problem`` and ``id`` name columns; ``kind`` is an answer kind for
    every row (inferred where None). ``out`` is written by its ending, whole or not at all; ``-``
    writes JSONL to standard output. ``form`` says how a csv or a workbook is to
    be read. Raises InputError for a missing file or column and for a broken line.
    """
    if kind is not None:
        check_kind(kind)
    source, target = Path(path), str(out)
    if target != "-":
        _ending(Path(target))
        if Path(target).resolve() == source.resolve():
            raise InputError(f"{target} is the file that is graded; name another with --out.")
    columns, rows = _read(source, form)
    for column in (gold, response, problem, id):
        if column is not None and column not in columns:
            raise _missing(source, column, columns)
    counts: Counter[str] = Counter()

    def graded() -> Iterator[dict[str, Any]]:
        with GradingPool(workers, limit_s, memory_mb) as pool:
            for chunk in _chunks(rows):
                pairs = [
                    _pair(number, row, gold, response, problem, id, kind) for number, row in chunk
                ]
                verdicts = verify(pairs, pool=pool, judge=judge, stage="grade", mode="undecided")
                for (_, row), (one, answer), verdict in zip(chunk, pairs, verdicts, strict=True):
                    final = with_cause(one, answer.text, verdict)
                    counts[str(final.outcome)] += 1
                    yield row | _added(final)

    _write(target, [name for name in columns if name not in ADDED] + list(ADDED), graded())
    return counts


def _added(verdict: Verdict) -> dict[str, str]:
    return {name: str(getattr(verdict, name)) for name in ADDED}


def _chunks(
    rows: Iterator[tuple[int, dict[str, Any]]],
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    chunk: list[tuple[int, dict[str, Any]]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _pair(
    number: int,
    row: dict[str, Any],
    gold: str,
    response: str,
    problem: str | None,
    id: str | None,
    kind: str | None,
) -> tuple[Problem, Response]:
    def cell(name: str) -> Any:
        return decoded(row.get(name), name, f"row {number}")

    name = _cell(cell(id)) if id else f"row {number}"
    key, text = _key(cell(gold), gold, name), _cell(cell(problem)) if problem else ""
    one = Problem(name, text, TextGold(key), kind or kind_of_key(key, text), "table")
    return one, Response.of_text("table", name, _cell(cell(response)), sample=number)


def _key(value: Any, column: str, name: str) -> str:
    """Return a key; a list, any of which is right, as the JSON that a study writes of it.

    Raises InputError for an object, and for a list within a list.
    """
    if not isinstance(value, dict | list | tuple):
        return _cell(value)
    if isinstance(value, dict) or any(isinstance(item, dict | list | tuple) for item in value):
        raise InputError(
            f"{name}: the key in column {column!r} holds an object or a list within a list; give "
            "one value, or a list of values any of which is right."
        )
    texts = list(dict.fromkeys(text for item in value if (text := _cell(item).strip())))
    return json.dumps(texts, ensure_ascii=False) if len(texts) > 1 else "".join(texts)


def _cell(value: Any) -> str:
    """Return a cell as text; a missing one is blank, never the word None or nan."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _missing(path: Path, column: str, columns: list[str]) -> InputError:
    near = get_close_matches(column, columns, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(
        f"{path} has no column {column!r}.{hint} Its columns: {', '.join(columns) or 'none'}."
    )


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise InputError(
            f"{path} ends in {ending or 'nothing'!r}; use a name that ends in {', '.join(FORMATS)}."
        )
    return ending


def _read(path: Path, form: TableFormat) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]]]:
    """Return the column names of a file and its numbered rows."""
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the name and the folder you are in.")
    ending = path.suffix.lower()
    if ending in SPREADSHEETS:
        table = open_table(path, form)
        rows = ((number, dict(row)) for number, (_, row) in enumerate(table.rows, 1))
        return list(table.columns), rows
    if form != AS_SEEN:
        raise InputError(f"{path} is no csv or workbook; leave out its delimiter and its sheet.")
    return _read_jsonl(path) if _ending(path) == ".jsonl" else _read_parquet(path)


def _read_jsonl(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]]]:
    columns: dict[str, None] = {}
    for _, row in _json_rows(path):
        columns.update(dict.fromkeys(row))
    return list(columns), _json_rows(path)


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for number, (line_number, line) in enumerate(lines_of(path), 1):
            try:
                row = parse_json(line)
            except ValueError as error:
                raise InputError(
                    f"{path}, line {line_number}, is not JSON: {error}. Mend or delete it."
                ) from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {line_number}, is not a JSON object.")
            yield number, row
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}.") from error


def _read_parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]]]:
    columns, rows = parquet_rows(path)
    return list(columns), (
        (number, {k: text_of_bytes(v) for k, v in row.items()}) for number, row in rows
    )


def _write(target: str, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
    if target == "-":
        for row in rows:
            sys.stdout.write(_line(row))
        sys.stdout.flush()
        return
    path = Path(target)
    try:
        with (
            whole_file(path) as part,
            part.open("w", encoding="utf-8", errors="replace", newline="") as file,
        ):
            _write_rows(_ending(path), file, part, columns, rows)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}.") from error


def _write_rows(
    ending: str, file: TextIO, path: Path, columns: list[str], rows: Iterable[dict[str, Any]]
) -> None:
    if ending == ".jsonl":
        for row in rows:
            file.write(_line(row))
    elif ending == ".csv":
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if row.get(name) is None else row[name] for name in columns})
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pa.Table.from_pylist([{n: row.get(n) for n in columns} for row in rows])
            pq.write_table(table if table.num_columns else pa.table({n: [] for n in columns}), path)
        except (pa.ArrowException, OverflowError, TypeError, UnicodeEncodeError) as error:
            raise InputError(
                f"The rows cannot be written to {path} ({error}): a Parquet column holds values of "
                "one kind; write .jsonl or .csv instead."
            ) from error
    file.flush()


def _line(row: dict[str, Any]) -> str:
    """Return a row as a line of JSON; half a character, which no file holds, becomes a question
    mark.
    """
    text = json.dumps(row, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode() + "\n"
