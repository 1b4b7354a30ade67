"""The CSV files: the numbers of report.json, flat, for a spreadsheet or a plot of one's own."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from potstill.lessons.listing import GateRow
from potstill.records import Outcome
from potstill.report.phrases import plain

__all__ = ["write_gates", "write_tables"]

Row = dict[str, Any]


def write_tables(numbers: Row, folder: Path) -> None:
    """Write every table of the report as a CSV file."""
    folder.mkdir()
    _write(folder / "scores.csv", (_flat(x) for x in numbers["scores"]))
    _write(folder / "levels.csv", (_flat(x) for x in numbers["levels"]))
    _write(folder / "comparisons.csv", (_flat(x) for x in numbers["comparisons"]))
    _write(folder / "interactions.csv", _interactions(numbers["ladders"]))
    _write(folder / "shared.csv", (_flat(x) for x in numbers["shared"]))
    _write(folder / "causes.csv", _causes(numbers["causes"]))
    _write(folder / "unread.csv", _unread(numbers["unread"]))
    _write(folder / "calls.csv", map(_call, numbers["calls"]))
    _write(folder / "losses.csv", _losses(numbers["training"]))
    _write(folder / "lessons.csv", _lessons(numbers["corpus"]["lessons"]))
    _write(folder / "corpus.csv", _corpus(numbers["corpus"]))


def write_gates(rows: Iterable[GateRow], folder: Path) -> None:
    """Write gates.csv: what every gate saw, one text a row. Too long for report.json."""
    names = ("problem_id", "level", "gate", "detail", "excludes")
    _write(folder / "gates.csv", ({n: _plain(getattr(row, n)) for n in names} for row in rows))


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value


def _flat(x: Row) -> Row:
    row: Row = {}
    for name, value in x.items():
        if name == "outcomes":
            row |= {o.value: value[o.value] for o in Outcome}
        elif isinstance(value, dict):
            row |= {f"{name}_{k}": v for k, v in value.items()}
        elif isinstance(value, list):
            row[name] = " ".join(str(v) for v in value)
        else:
            row[name] = value
    return row


def _call(x: Row) -> Row:
    """Return calls under the name a reader knows, before the ledger's, which may be a hash."""
    who = x["who"] or x["model"]
    return {"stage": x["stage"], "who": who} | {k: v for k, v in x.items() if k != "who"}


def _losses(training: list[Row]) -> Iterable[Row]:
    for curve in training:
        for point in curve["history"]:
            yield {
                "variant": curve["variant"],
                "seed": curve["seed"],
                **point,
                "chosen": point["step"] == curve["chosen_step"],
            }


def _interactions(ladders: list[Row]) -> Iterable[Row]:
    for ladder in ladders:
        for x in ladder["interactions"]:
            yield {"set": ladder["set"], **x}


def _lessons(lessons: list[Row]) -> Iterable[Row]:
    flags = list(dict.fromkeys(flag for x in lessons for flag in x["flagged"]))
    for x in lessons:
        kept = {k: v for k, v in x.items() if k != "flagged"}
        yield kept | {f"flagged: {flag}": x["flagged"].get(flag, 0) for flag in flags}


def _causes(causes: list[Row]) -> Iterable[Row]:
    for x in causes:
        for cause, count in x["counts"].items():
            yield {k: x[k] for k in ("set", "split", "who", "group", "n")} | {
                "cause": cause,
                "count": count,
            }


def _unread(rows: list[Row]) -> Iterable[Row]:
    for x in rows:
        for example in x["examples"]:
            yield {k: v for k, v in x.items() if k != "examples"} | example


def _corpus(corpus: Row) -> Iterable[Row]:
    yield {"what": "problems", "which": "", "count": corpus["problems"]}
    for what in ("set_aside", "splits", "teacher_outcomes", "not_asked"):
        for which, n in corpus[what].items():
            yield {"what": what, "which": which, "count": n}


def _write(path: Path, rows: Iterable[Row]) -> None:
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        if listed:
            writer = csv.DictWriter(file, list(listed[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(listed)
