"""MATH-500: a csv of it, or HuggingFaceH4/MATH-500 from the hub.

A raw row: ``problem``, ``solution``, ``answer``, ``subject``, ``level``, ``unique_id``
(test/precalculus/807.json).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.problems.hub import load_split
from potstill.problems.raw import RawProblem, SourceOptions
from potstill.problems.table import key_of, text_of
from potstill.store.rows import as_text, column, read_rows

__all__ = ["DATASET", "Options", "read"]

DATASET = "HuggingFaceH4/MATH-500"


class Options(SourceOptions):
    """``path``: a csv, jsonl or parquet of MATH-500; without it the hub is asked."""

    path: Path | None = None


def read(options: Options) -> Iterator[RawProblem]:
    """Yield the 500 problems. Raises InputError for a file without its columns, or no hub."""
    for where, row in _rows(options.path):
        text, key = text_of(row, "problem", where), key_of(row, "answer", where)
        yield RawProblem(
            id=as_text(column(row, "unique_id", where)),
            text=text.text,
            key=key.text,
            source="math500",
            mended=(*text.what, *key.what),
            groups={name: as_text(column(row, name, where)) for name in ("subject", "level")},
        )


def _rows(path: Path | None) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if path is not None:
        return ((f"{path} line {number}", row) for number, row in read_rows(path))

    try:
        rows = load_split(DATASET, None, "test", None)
    except InputError as exc:
        raise InputError(
            f"MATH-500 cannot be had from the hub ({exc.__cause__}); download test.jsonl from "
            f"https://huggingface.co/datasets/{DATASET} by hand and give it as path."
        ) from exc
    return ((f"{DATASET} row {number}", row) for number, row in enumerate(rows))
