"""Why a wrong answer is wrong, and which equations of a trace are false."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from potstill.grading import false_equations, grade
from potstill.grading.causes import with_cause
from potstill.records import Cause, Finish, Problem, TextGold

csv.field_size_limit(10**9)


@pytest.mark.parametrize(
    ("key", "kind", "text", "finish", "cause"),
    [
        (
            "84",
            "integer",
            "so the answer is \\boxed{83.9}",
            Finish.STOP,
            Cause.NEAR_MISS,
        ),
        ("72", "integer", "7 * 6 = 54 and 54 + 1 = 55. \\boxed{55}", Finish.STOP, Cause.ARITHMETIC),
        ("5", "integer", "\\boxed{-5}", Finish.STOP, Cause.SIGN),
        ("2/7", "fraction", "\\boxed{7/2}", Finish.STOP, Cause.RECIPROCAL),
        ("40", "integer", "\\boxed{80}", Finish.STOP, Cause.FACTOR),
        ("40", "integer", "I cannot determine the answer.", Finish.STOP, Cause.GAVE_UP),
        ("40", "integer", "We begin with", Finish.LENGTH, Cause.TRUNCATED),
        ("40", "integer", "and so on " * 200, Finish.LENGTH, Cause.REPEATED),
        ("40", "integer", "\\boxed{17}", Finish.STOP, Cause.OTHER),
        ("40", "integer", "\\boxed{40}", Finish.STOP, Cause.NONE),
    ],
)
def test_cause(key: str, kind: str, text: str, finish: Finish, cause: Cause) -> None:
    problem = Problem("p", "What is it?", TextGold(key), kind, "test")
    verdict = with_cause(problem, text, grade(problem, text, finish=finish))
    assert verdict.cause is cause


@pytest.mark.parametrize(
    "text",
    [
        "2 + 2 = 4 and 3 · 4 = 12",
        "1/3 + 1/6 = 1/2",
        r"\frac{1}{2} \times 6 = 3",
        "2^10 = 1024 = 32 * 32",
        "10/3 ≈ 3.33",
        "x + 2 = 5, so x = 3",
        "f(2) = 7",
        "0.5 = 1/2 = 50%",
    ],
)
def test_true_equations_raise_no_alarm(text: str) -> None:
    assert false_equations(text) == []


@pytest.mark.parametrize(
    "text",
    ["2 + 2 = 5", "3 · 4 = 13", "1/3 + 1/6 = 2/3", r"\frac{1}{2} \times 6 = 4", "28 / 2 = 15"],
)
def test_false_equations_are_found(text: str) -> None:
    assert len(false_equations(f"First, {text}. Then we go on.")) == 1


def test_verified_lessons_hold_few_false_equations(data: Path) -> None:
    import json

    found = 0
    lines = (data / "recorded" / "distilled_train.jsonl").read_text("utf-8").splitlines()
    for line in lines:
        found += bool(false_equations(json.loads(line)["messages"][-1]["content"]))
    assert found <= len(lines) * 0.02
