"""The JSON Schema of report.json, made from the records that it is written from.

It ships as ``potstill/report/report.schema.json``; run this file to write it anew where a record
has changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from potstill.evaluation.comparisons import PairedComparison
from potstill.evaluation.ladder import Ladder, SharedErrors
from potstill.evaluation.published import Published
from potstill.evaluation.scores import LevelScore
from potstill.lessons.listing import GateTotal
from potstill.records import Condition, Outcome, Reading, Score
from potstill.report.data import (
    CallCount,
    CauseCount,
    Corpus,
    Grader,
    LossCurve,
    OverlapPair,
    Reproduction,
    Unread,
)

__all__ = ["SCHEMA_FILE", "report_schema"]

SCHEMA_FILE = Path(str(files("potstill.report") / "report.schema.json"))

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ADDED: dict[str, dict[str, Any]] = {
    "PairedComparison": {
        "beyond_chance": {
            "type": "boolean",
            "description": "whether p, corrected where it is, and interval both exclude zero",
        },
        "survives_format": {
            "type": "boolean",
            "description": "whether it is beyond chance however the unread answers are counted",
        },
    },
    "Condition": {"condition_id": {"type": "string", "pattern": "^[0-9a-f]{16}$"}},
    "Published": {
        "who": {"type": "string", "description": "whose figures here stand beside it, or empty"},
        **{name: {"type": "number"} for name in ("accuracy", "low", "high")},
    },
}
"""What is written beside a record's own fields."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of the report's opening, made from the numbers it states."""

    set: Annotated[str, Field(description="the problem set it speaks of")]
    about: Literal[
        "student", "best", "overlap", "ladder", "control", "base", "teacher", "cut", "seen"
    ]
    text: str


@dataclass(frozen=True, slots=True)
class Solver:
    """Who a name in the tables is, in a clause."""

    name: str
    told: str


@dataclass(frozen=True, slots=True)
class Opening:
    """What a first reader is told: a plain sentence, who is who, what the study cannot tell."""

    sentence: Annotated[str, Field(description="empty where nothing was scored")]
    who: list[Solver]
    limits: list[str]


@dataclass(frozen=True, slots=True)
class NearDuplicateScores:
    """The scores on held-out problems that resemble one of the training side, and on the rest.

    A ``group`` is "overlap=alike" or "overlap=apart"; ``comparisons`` are the primary ones.
    """

    scores: list[LevelScore]
    comparisons: list[PairedComparison]


@dataclass(frozen=True, slots=True)
class Spend:
    """What was spent in all. Dollars are null where no price is known or nothing was bought.

    ``usd_per_reply`` counts replies with a price, ``usd_per_lesson`` the lessons kept below R0,
    ``usd_per_point`` the points of accuracy of the primary comparison, if its gain is beyond
    chance.
    """

    usd_per_reply: float | None
    usd_per_lesson: float | None
    usd_per_point: float | None
    calls: int
    retries: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One of others' tables: its counts with their intervals, and what they cannot support."""

    table: str
    limits: list[str]
    figures: list[Published]


def _said(text: str) -> Any:
    return Field(description=text)


@dataclass(frozen=True, slots=True)
class Report:
    """Every number of a Potstill report; page, Markdown, tables and figures are made from it.

    Shares and accuracies are in [0, 1], intervals are 95 %. A ``group`` is "all" or NAME=VALUE of
    the problems' groups (year=2017). ``set`` names a problem set and ``split`` where its problems
    stood: ``heldout`` was seen by no student.
    """

    format_version: Literal[1]
    study: Annotated[str, _said("the study's name")]
    description: str
    base: Annotated[str, _said("the base model's name, or empty")]
    opening: Opening
    claims: Annotated[list[Claim], _said("what is claimed, the primary comparison's set first")]
    scores: Annotated[list[Score], _said("a row per solver, set, split and group")]
    levels: Annotated[list[LevelScore], _said("the same with the seeds of a level together")]
    comparisons: Annotated[list[PairedComparison], _said("paired, problem by problem")]
    declared: Annotated[
        bool, _said("the primary comparison was set before held-out problems were answered")
    ]
    training: Annotated[list[LossCurve], _said("a curve per student; losses null if unmeasured")]
    corpus: Corpus
    calls: Annotated[list[CallCount], _said("model calls by stage and model")]
    spend: Spend
    ladders: Annotated[list[Ladder], _said("per held-out set: the trend, and who loses most")]
    shared: Annotated[list[SharedErrors], _said("wrong answers that solver and teacher share")]
    published: list[PublishedTable]
    unread: Annotated[list[Unread], _said("solvers with more than 2 % unread answers")]
    causes: Annotated[list[CauseCount], _said("why answers are not right, where it can be told")]
    grader: Grader | None
    overlap: Annotated[list[OverlapPair], _said("held-out problems that repeat a training one")]
    near_duplicates: NearDuplicateScores
    gates: Annotated[list[GateTotal], _said("what each gate excluded, by level")]
    conditions: Annotated[list[Condition], _said("every condition that a score was taken under")]
    versions: Annotated[dict[str, str], _said("the same as reproduction.versions")]
    reproduction: Reproduction
    notes: Annotated[list[str], _said("what a reader must know beside the numbers")]


def report_schema() -> dict[str, Any]:
    """Return the schema as a plain dict (JSON Schema 2020-12): every key named, no other
    allowed.
    """
    made = TypeAdapter(Report).json_schema(mode="serialization")
    kinds = made["$defs"]
    for name, added in _ADDED.items():
        kinds[name]["properties"] |= added
        kinds[name]["required"] += list(added)
    for part in _parts(made):
        _tidy(part)
    for name in ("Score", "LevelScore", "Published"):
        _bound(kinds[name], ("accuracy", "low", "high"), 0)
    _bound(kinds["PairedComparison"], ("accuracy_a", "accuracy_b"), 0)
    _bound(kinds["PairedComparison"], ("difference", "low", "high"), -1)
    _bound(kinds["FormatBounds"], ("boxed_a", "boxed_b"), 0)
    _bound(kinds["FormatBounds"], ("boxed", "least", "most", "low", "high"), -1)
    return {"$schema": _DIALECT, "title": "report.json of Potstill", **made}


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a schema, itself first."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _parts(part)


def _tidy(part: dict[str, Any]) -> None:
    """Take made-up titles and defaults away, closes objects, makes docstrings prose."""
    if isinstance(part.get("title"), str):
        del part["title"]
    part.pop("default", None)
    if isinstance(part.get("description"), str):
        part["description"] = _prose(part["description"])
    named = part.get("properties")
    if isinstance(named, Mapping) and part.get("type") == "object":
        part["additionalProperties"] = False
        if "outcomes" in named:
            named["outcomes"]["propertyNames"] = {"enum": [o.value for o in Outcome]}
        for name in {"readings", "readings_right"} & set(named):
            named[name]["propertyNames"] = {"enum": [r.value for r in Reading]}


def _prose(docstring: str) -> str:
    """Return a docstring without its markup, on one line."""
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda m: m[1].rpartition(".")[2], docstring)
    return " ".join(re.sub(r"\bNone\b", "null", text).replace("``", "").split())


def _bound(kind: dict[str, Any], names: tuple[str, ...], least: int) -> None:
    for name in names:
        kind["properties"][name] |= {"minimum": least, "maximum": 1}


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(report_schema(), indent=1) + "\n", encoding="utf-8")
    print(f"Written: {SCHEMA_FILE}")
