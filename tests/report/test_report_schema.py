"""report.json is what its schema says, the schema is what ships, and the docs name every key."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tools.report_schema import report_schema

from potstill.evaluation import evaluate
from potstill.evaluation.published import Published
from potstill.records import Split
from potstill.report.data import LossCurve, LossPoint
from potstill.report.numbers import report_numbers
from support.report_sample import CONDITIONS, answers, report_data

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"


@pytest.fixture(scope="module")
def check() -> jsonschema.Draft202012Validator:
    schema = json.loads((files("potstill.report") / "report.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return as_written(report_numbers(report_data(seeds=3)))


def as_written(numbers: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(numbers, allow_nan=False))
    return made


def test_what_ships_is_made_from_the_records() -> None:
    shipped = json.loads((files("potstill.report") / "report.schema.json").read_text("utf-8"))
    assert shipped == report_schema(), "a record changed: python tools/report_schema.py"


def test_every_kind_of_report_is_valid(check: Any, numbers: dict[str, Any]) -> None:
    bare = [x for x in answers(n=20) if x.role.value == "base"]
    seen = answers(n=40) + answers(n=40, split=Split.TRAIN)
    points = (LossPoint(0, None, 1.0), LossPoint(10, float("nan"), float("inf")))
    empty = evaluate(bare, CONDITIONS)
    for data in (
        report_data(hostile="<b>\x00\ud800"),
        report_data(empty, training=(), calls=(), grader=None, overlap=(), causes=()),
        report_data(evaluate(seen, CONDITIONS)),
        report_data(published=(("R1", Published("Table 2", "R1, all", 452, 651, seen=487)),)),
        report_data(training=(LossCurve("R1", 0, points, 0, "lowest validation loss"),)),
    ):
        check.validate(as_written(report_numbers(data)))
    check.validate(numbers)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), 2),
        (("scores", 0, "accuracy"), 1.5),
        (("scores", 0, "outcomes", "LUCKY"), 1),
        (("levels", 0, "split"), "test"),
        (("comparisons", 0, "beyond_chance"), None),
        (("comparisons", 0, "kind"), "secondary"),
        (("conditions", 0, "condition_id"), "short"),
        (("corpus", "lessons", 0, "kept"), "270"),
        (("surprise",), 1),
        (("spend", "usd_per_reply"), "2"),
    ],
)
def test_what_a_reader_cannot_expect_is_invalid(
    check: Any, numbers: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    wrong = copy.deepcopy(numbers)
    at: Any = wrong
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    assert not check.is_valid(wrong)
    del at[path[-1]]
    added = path[-1] in ("surprise", "LUCKY")
    assert check.is_valid(wrong) is added  # nothing may be missing either


def test_the_docs_name_every_key(numbers: dict[str, Any]) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for key in numbers:
        assert f"| `{key}` |" in text, key
