"""report.json: every number of the report, in plain values; all else renders from it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from potstill.errors import StoreError, StudyError
from potstill.evaluation.comparisons import Kind, PairedComparison
from potstill.evaluation.published import Published, limits_of
from potstill.evaluation.scores import check_counts, check_readings
from potstill.records import Level
from potstill.report.claims import claims
from potstill.report.data import ReportData
from potstill.report.opening import opening
from potstill.report.phrases import plain
from potstill.store.atomic import write_atomically

__all__ = ["FORMAT_VERSION", "Numbers", "report_numbers", "values", "write_json", "written"]

FORMAT_VERSION = 1

Numbers = dict[str, Any]


def report_numbers(data: ReportData) -> Numbers:
    """Return the report as a plain dict, ready for JSON: no NaN (None instead), no lone surrogate.

    Raises StudyError where outcome counts do not add up or a score's condition is not given.
    """
    known = {condition.condition_id for condition in data.conditions}
    for score in data.scores:
        whose = f"{score.solver} on {score.set} ({score.group})"
        check_counts(score.n, score.outcomes, whose)
        check_readings(score.outcomes, score.readings, score.readings_right, whose)
        if score.condition_id not in known:
            raise StudyError(
                f"the condition {score.condition_id} of {score.solver} is not in the report; give "
                "every condition that a score was taken under."
            )
    numbers: Numbers = {
        "format_version": FORMAT_VERSION,
        "study": data.study,
        "description": data.description,
        "base": data.base,
        "opening": {},
        "claims": [],
        "scores": data.scores,
        "levels": data.levels,
        "comparisons": [_compared(c) for c in data.comparisons],
        "declared": data.declared,
        "training": data.training,
        "corpus": data.corpus,
        "calls": data.calls,
        "spend": _spend(data),
        "ladders": data.ladders,
        "shared": data.shared,
        "published": _published(data),
        "unread": data.unread,
        "causes": data.causes,
        "grader": data.grader,
        "overlap": data.overlap,
        "near_duplicates": {
            "scores": data.near_duplicates.scores,
            "comparisons": [_compared(c) for c in data.near_duplicates.comparisons],
        },
        "gates": data.gates,
        "conditions": [{"condition_id": c.condition_id} | values(c) for c in data.conditions],
        "versions": data.reproduction.versions,
        "reproduction": data.reproduction,
        "notes": data.notes,
    }
    made: Numbers = written(numbers)
    made["opening"] = opening(made)
    made["claims"] = claims(made)
    return made


def write_json(numbers: Numbers, path: Path) -> None:
    """Write the numbers to ``path`` as JSON, the whole file or none. Raises StoreError."""
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        write_atomically(path, f"{text}\n".encode())
    except OSError as exc:
        raise StoreError(f"{path} cannot be written ({exc.strerror}); name another file.") from exc


def _compared(c: PairedComparison) -> Numbers:
    return values(c) | {"beyond_chance": c.beyond_chance, "survives_format": c.survives_format}


def _spend(data: ReportData) -> Numbers:
    """Return what was spent in all, per bought reply, per kept lesson and per point gained.

    A point is one of accuracy, of the primary comparison, where it is a gain beyond chance.
    """
    calls = data.calls
    priced = [c.cost_usd for c in calls if c.cost_usd is not None]
    usd = math.fsum(priced)
    bought = sum(c.calls for c in calls if c.cost_usd)
    kept = sum(x.kept for x in data.corpus.lessons if x.level != Level.R0)
    gains = (c for c in data.comparisons if c.kind is Kind.PRIMARY and c.beyond_chance)
    points = next((100 * c.difference for c in gains if c.difference > 0), 0.0)
    return {
        "usd_per_reply": usd / bought if bought else None,
        "usd_per_lesson": usd / kept if usd and kept else None,
        "usd_per_point": usd / points if usd and points else None,
        "calls": sum(c.calls for c in calls),
        "retries": sum(c.retries for c in calls),
        "tokens_in": sum(c.tokens_in for c in calls),
        "tokens_out": sum(c.tokens_out for c in calls),
        "cost_usd": math.fsum(priced) if priced else None,
        "unpriced_calls": sum(c.calls for c in calls if c.cost_usd is None),
    }


def _published(data: ReportData) -> list[Numbers]:
    """Return others' figures by table, each with its interval, and what the table cannot
    support.
    """
    tables: dict[str, list[tuple[str, Published]]] = {}
    for who, figure in data.published:
        tables.setdefault(figure.table, []).append((who, figure))
    return [
        {
            "table": name,
            "limits": limits_of([figure for _, figure in rows]),
            "figures": [
                values(figure)
                | {
                    "who": who,
                    "accuracy": figure.accuracy,
                    "low": figure.interval.low,
                    "high": figure.interval.high,
                }
                for who, figure in rows
            ],
        }
        for name, rows in tables.items()
    ]


def values(record: Any) -> Numbers:
    """Return the fields of a record by name, one level deep."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def written(value: Any) -> Any:
    """Return a record or plain value as JSON holds it: no NaN (None instead), no lone surrogate."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return written(values(value))
    if isinstance(value, Mapping):
        return {plain(str(k)): written(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [written(v) for v in value]
    return value
