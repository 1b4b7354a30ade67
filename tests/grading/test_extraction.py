"""Which part of a response is its answer, and by which rule."""

from __future__ import annotations

import pytest

from potstill.grading import extract, grade
from potstill.records import Finish, Outcome, Problem, TextGold


@pytest.mark.parametrize(
    ("text", "kind", "answer", "rule"),
    [
        ("-5/4", "fraction", "-5/4", "bare"),
        ("x = 5", "integer", "x = 5", "bare"),
        ("(3, π/2)", "tuple", "(3, π/2)", "bare"),
        ("So \\boxed{36}.", "integer", "36", "boxed"),
        ("First \\boxed{1}, but no: it is \\boxed{2}.", "integer", "2", "boxed"),
        ("\\boxed{\\frac{1}{\\sqrt{2}}}", "root", "\\frac{1}{\\sqrt{2}}", "boxed"),
        (
            "\\[ \\boxed{ \\left\\{ 1, 2 \\right\\} } \\]",
            "set",
            "\\left\\{ 1, 2 \\right\\}",
            "boxed",
        ),
        ("Roots \\boxed{1} and \\boxed{-2}.", "set", "1, -2", "boxed list"),
        ("$x = \\boxed{1}$, $y = \\boxed{2}$", "tuple", "1, 2", "boxed list"),
        (
            "\\boxed{7} is one step. Later we find\n\n\\boxed{1}, \\boxed{2}",
            "set",
            "1, 2",
            "boxed list",
        ),
        ("Roots \\boxed{1} and \\boxed{-2}.", "integer", "-2", "boxed"),
        ("\\boxed{5} and then \\boxed{", "integer", "5", "boxed"),
        ("\\boxed 7", "integer", "7", "boxed"),
        ("Work.\n\nAnswer: 640", "integer", "640", "answer line"),
        ("Work.\n\n**Answer:** 640", "integer", "640", "answer line"),
        ("Work.\n\n**Final Answer**: 12 apples\n", "integer", "12 apples", "answer line"),
        ("Answer: 1\n\nNo, wait.\n\nAnswer: 2", "integer", "2", "answer line"),
        ("Work.\nAnswer:\n\n42", "integer", "42", "answer line"),
        ("We add.\n#### 72", "integer", "72", "answer line"),
        ("Because of that the final answer is 12.", "integer", "12", "answer sentence"),
        (
            "We saw that it is so. The answer is $\\frac{3}{4}$.",
            "fraction",
            "3/4",
            "answer sentence",
        ),
        ("We saw that it is so, and the answer is **(C)**.", "letter", "C", "answer sentence"),
        ("We know the sum is odd. Therefore, x = 5.", "integer", "5", "sentence"),
        (
            "<think>The answer is 3 \\boxed{3}</think> So the answer is \\boxed{4}",
            "integer",
            "4",
            "boxed",
        ),
        ("Please provide the problem, because it is missing.", "integer", "", ""),
    ],
)
def test_extract(text: str, kind: str, answer: str, rule: str) -> None:
    found = extract(text, kind)
    assert (found.text, found.rule) == (answer, rule)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("It follows that 12", Outcome.TRUNCATED),
        ("Answer: 12", Outcome.TRUNCATED),
        ("So \\boxed{12} and we check that", Outcome.CORRECT),
        ("So \\boxed{13} and we check that", Outcome.WRONG),
        ("So \\boxed{12} and so \\boxed{1", Outcome.TRUNCATED),
        ("So \\boxed{", Outcome.TRUNCATED),
        ("", Outcome.TRUNCATED),
    ],
)
def test_a_cut_response_is_truncated_unless_a_boxed_answer_stands(
    text: str, outcome: Outcome
) -> None:
    problem = Problem("p", "", TextGold("12"), "integer", "test")
    verdict = grade(problem, text, finish=Finish.LENGTH)
    assert verdict.outcome is outcome
    if outcome is Outcome.CORRECT:
        assert verdict.form == "cut after the answer"
        assert (verdict.extracted, verdict.rule) == ("12", "boxed")


@pytest.mark.parametrize("text", ["", "   \n\t ", "\u200b\u200b", "\ufeff", "\x00"])
def test_a_response_without_text_is_blank(text: str) -> None:
    problem = Problem("p", "", TextGold("12"), "integer", "test")
    assert grade(problem, text).outcome is Outcome.BLANK


@pytest.mark.parametrize(
    "key", ["", "  ", "???", "-", "(3, 4", "\\frac{1}{", "3/4 = 0.76", "1/0", "N/A", "{1,2"]
)
def test_a_key_that_cannot_be_read_is_never_correct(key: str) -> None:
    from potstill.grading import infer_kind

    problem = Problem("p", "", TextGold(key), infer_kind(key), "test")
    for text in (key, f"\\boxed{{{key}}}", "12", ""):
        assert grade(problem, text).outcome is Outcome.BAD_KEY


def test_an_answer_never_makes_a_key_bad() -> None:
    problem = Problem("p", "", TextGold("6:7"), "ratio", "test")
    assert grade(problem, "lambda: (yield)").outcome is Outcome.UNPARSED


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("\\triangle ABC \\sim \\triangle DEF", "\\triangle ABC \\cong \\triangle DEF"),
        ("f(2) < f(1) < f(4)", "f(1) < f(2) < f(4)"),
        ("O(n \\log n)", "O(n)"),
        ("1, 2, \\ldots, n", "1, 3, \\ldots, n"),
    ],
)
def test_a_key_beyond_the_grammar_is_its_own_text(key: str, other: str) -> None:
    from potstill.grading import infer_kind

    problem = Problem("p", "", TextGold(key), infer_kind(key), "test")
    assert grade(problem, f"So \\boxed{{{key}}}").outcome is Outcome.CORRECT
    assert grade(problem, f"So \\boxed{{{other}}}").outcome in (Outcome.UNPARSED, Outcome.WRONG)
