"""Kinds beyond mathematics, found by entry point as a stranger's would be."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from potstill.grading import grade
from potstill.records import Gold, NumberGold, Outcome, Problem, TestsGold, TextGold


def outcome(gold: Gold, kind: str, text: str) -> Outcome:
    return grade(Problem("p", "Question?", gold, kind, "test"), text).outcome


def test_built_in_kinds_are_entry_points() -> None:
    names = {point.name for point in entry_points(group="potstill.kinds")}
    assert {"choice", "exact", "numeric", "judge", "code"} <= names


@pytest.mark.parametrize(
    ("gold", "kind", "text", "expected"),
    [
        (TextGold("B"), "choice", "The answer is \\boxed{B}", Outcome.CORRECT),
        (TextGold("B"), "choice", "The answer is \\boxed{C}", Outcome.WRONG),
        (TextGold("Paris"), "exact", "\\boxed{Paris}", Outcome.CORRECT),
        (TextGold("Paris"), "exact", "\\boxed{London}", Outcome.WRONG),
        (NumberGold(9.81, 0.02), "numeric", "\\boxed{9.8}", Outcome.CORRECT),
        (NumberGold(9.81, 0.02), "numeric", "\\boxed{9.7}", Outcome.WRONG),
    ],
)
def test_kinds(gold: Gold, kind: str, text: str, expected: Outcome) -> None:
    assert outcome(gold, kind, text) is expected


def test_code_is_run_against_the_problems_tests_and_stopped() -> None:
    gold = TestsGold("assert double(4) == 8\nassert double(-1) == -2\n")
    right = "```python\ndef double(x):\n    return 2 * x\n```"
    wrong = "```python\ndef double(x):\n    return x\n```"
    endless = "```python\ndef double(x):\n    while True: pass\n```"
    assert outcome(gold, "code", right) is Outcome.CORRECT
    assert outcome(gold, "code", wrong) is Outcome.WRONG
    assert outcome(gold, "code", endless) is not Outcome.CORRECT
