"""The levels: every equation true, every answer right, every level shorter than the last."""

from __future__ import annotations

import math
import random
import re
from fractions import Fraction

import pytest

from potstill.errors import InputError
from potstill.pocket import LEVELS, PocketProblem, PocketStep, render
from potstill.pocket.render import render_terse, textbook
from potstill.pocket.steps import Ref, equation, substeps, values
from potstill.pocket.teacher import draw_slip

_TOKEN = r"(?:gcd\(\d+, \d+\)|\(*-?\d+(?:/\d+)?\)*|x|\+|-|/|mod)"
_EQUATION = re.compile(rf"({_TOKEN}(?: {_TOKEN})*) = (-?\d+(?:/\d+)?)")
_LEXEME = re.compile(r"gcd\(\d+, \d+\)|-?\d+/\d+|\d+|[()x+/-]|mod")


def _evaluate(text: str) -> Fraction:
    """Evaluate by recursive descent, exactly: sums of products of atoms, left to right."""
    lexemes = _LEXEME.findall(text)
    position = 0

    def read_only() -> str:
        return lexemes[position] if position < len(lexemes) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return str(lexemes[position - 1])

    def atom() -> Fraction:
        lexeme = take()
        if lexeme == "(":
            inner = total()
            assert take() == ")"
            return inner
        if lexeme.startswith("gcd"):
            return Fraction(math.gcd(*map(int, re.findall(r"\d+", lexeme))))
        return Fraction(lexeme)

    def product() -> Fraction:
        value = atom()
        while read_only() in ("x", "/", "mod"):
            sign, right = take(), atom()
            value = (
                value * right if sign == "x" else value / right if sign == "/" else value % right
            )
        return value

    def total() -> Fraction:
        value = product()
        while read_only() in ("+", "-"):
            sign, right = take(), product()
            value = value + right if sign == "+" else value - right
        return value

    result = total()
    assert position == len(lexemes), text
    return result


def _false_equations(text: str) -> list[str]:
    found = _EQUATION.findall(text)
    assert text.count("=") == len(found), f"an equation escaped the check: {text}"
    return [f"{left} = {right}" for left, right in found if _evaluate(left) != Fraction(right)]


def _boxed(text: str) -> str:
    return re.findall(r"\\boxed\{(.*?)\}", text)[-1]


def test_evaluator() -> None:
    assert _evaluate("167 - (9 x 15 + 30)") == 2
    assert _evaluate("(11 + 15) / (22 + 15)") == Fraction(26, 37)
    assert _false_equations("5 x (200 / 10) = 101; 47 mod 6 = 5. gcd(12, 18) = 6") == [
        "5 x (200 / 10) = 101"
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_equations_are_true_and_answers_right(many: list[PocketProblem], level: str) -> None:
    for problem in many:
        text = render(problem, level)
        assert not _false_equations(text.replace(problem.text, "")), text
        assert _boxed(text) == problem.answer
        assert text.rstrip(".").endswith(f"\\boxed{{{problem.answer}}}")


def test_pretraining_text_is_true(train: list[PocketProblem]) -> None:
    rng = random.Random(0)
    for problem in train:
        for text in (render_terse(problem, rng), textbook(problem, rng)[1]):
            assert not _false_equations(text.replace(problem.text, ""))
            assert _boxed(text) == problem.answer


def test_each_level_is_shorter_than_the_one_above(many: list[PocketProblem]) -> None:
    for problem in many:
        words = [len(render(problem, level).split()) for level in LEVELS]
        assert words == sorted(words, reverse=True)
        assert len(set(words)) == len(LEVELS), f"a tie at {problem.text}"


def test_equation_budgets(many: list[PocketProblem]) -> None:
    for problem in many:
        for level, budget in (("R3", 3), ("R4", 2), ("R5", 1), ("R6", 0)):
            written = render(problem, level).count("=")
            assert written == min(budget, len(problem.steps))


def test_words_of_r1_occur_in_pretraining(many: list[PocketProblem]) -> None:
    rng = random.Random(4)
    read = " ".join(" ".join(textbook(problem, rng)) for problem in many for _ in range(3))
    known = set(re.findall(r"[a-z]+", read.casefold()))
    for problem in many:
        assert set(re.findall(r"[a-z]+", render(problem, "R1").casefold())) <= known


def test_a_slip_is_one_false_equation_that_the_answer_follows(many: list[PocketProblem]) -> None:
    for number, problem in enumerate(many):
        slip = draw_slip(problem, random.Random(number))
        text = render(problem, "R0", slip).replace(problem.text, "")
        assert len(set(_false_equations(text))) == 1, text
        assert _boxed(text) != problem.answer


def test_results_are_used_once(many: list[PocketProblem]) -> None:
    for problem in many:
        used = [o.index for s in problem.steps for o in (s.left, s.right) if isinstance(o, Ref)]
        assert sorted(used) == list(range(len(problem.steps) - 1))


def test_substeps_are_a_schools() -> None:
    assert substeps("/", Fraction(84), Fraction(6)) == (
        "6 x 10 = 60",
        "84 - 60 = 24",
        "24 / 6 = 4",
        "10 + 4 = 14",
    )
    assert substeps("x", Fraction(7), Fraction(8)) == ()


def test_merging_keeps_brackets() -> None:
    steps = (
        PocketStep("+", 3, 4, "a"),
        PocketStep("x", 5, Ref(0), "b"),
        PocketStep("-", 90, Ref(1), "c"),
    )
    assert equation(steps, values(steps), 2, {0, 1}) == ("90 - 5 x (3 + 4)", "55")


def test_bad_requests_are_told(train: list[PocketProblem]) -> None:
    with pytest.raises(InputError, match="no level 'R7'"):
        render(train[0], "R7")
    with pytest.raises(InputError, match="only R0"):
        render(train[0], "R2", (0, Fraction(1)))
