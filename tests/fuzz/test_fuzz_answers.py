"""Answers and keys, as models and strangers write them: extraction and grading never crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from potstill.grading import GradingPool
from potstill.grading.boxes import boxed_values, has_open_box
from potstill.grading.extraction import extract
from potstill.records import AnswerKind, Finish, Outcome, Problem, Response, TextGold
from support.fuzzing import Target, fuzzed
from support.mutations import HOSTILE_TEXTS, spoiled_bytes

SAID = [
    b"So we get \\boxed{\\frac{1}{2}} and \\boxed{3}.",
    b"**Answer:** (8, 23)",
    b"Therefore the answer is $x = 3\\sqrt{2}$.",
    b"<think>Let me see 12:30 pm</think>#### 1,234.5",
    b"\\begin{pmatrix} 1 & 0 \\\\ 0 & 1 \\end{pmatrix}",
    b"The set is {1, 2, 3}, or [0, 1) U (2, \\infty).",
    "It costs £3.50, i.e. 12½ % of 28 cm² at 45°".encode(),
    b"1/2+1/3=5/6 \\text{ square feet}",
    b"log_2(8) + sin(30^\\circ) - |x^2 - 1|!",
]
TEXTS = st.one_of(
    spoiled_bytes(SAID, edits=6).map(lambda b: b.decode("utf-8", "surrogateescape")),
    st.lists(
        st.sampled_from([*HOSTILE_TEXTS, "\\boxed{", "}", "=", "^", "!", "5"]), max_size=8
    ).map("".join),
    st.text(max_size=80),
)
KINDS = st.sampled_from(
    [*(kind.value for kind in AnswerKind), "", "no such kind", "choice", "exact"]
)


def _extract(case: tuple[str, str], folder: Path) -> None:
    text, kind = case
    found = extract(text, kind)
    assert isinstance(found.text, str)
    assert found.rule or not found.text
    boxed_values(text)
    has_open_box(text)


TARGETS = [Target("extraction", st.tuples(TEXTS, KINDS), _extract)]


@fuzzed(TARGETS)
def test_an_answer_is_found_or_is_not(target: Target, cases: int) -> None:
    target.hold(cases)


@pytest.mark.parametrize("cases", [50, pytest.param(10_000, marks=pytest.mark.soak)])
def test_any_answer_to_any_key_gets_one_verdict(cases: int) -> None:
    pairs = st.tuples(TEXTS, TEXTS, KINDS, st.sampled_from(list(Finish)))
    with GradingPool(2, limit_s=3.0, memory_mb=400) as pool:

        def grade(case: tuple[str, str, str, Finish], folder: Path) -> None:
            key, text, kind, finish = case
            problem = Problem("p", "", TextGold(key), kind, "test")
            answer = Response("s", "p", "c", 0, 0, "", text, finish, 0, 0, "")
            (verdict,) = pool.grade([(problem, answer)])
            assert isinstance(verdict.outcome, Outcome)
            assert verdict.problem_id == "p"

        Target("answers and keys graded", pairs, grade).hold(cases)
