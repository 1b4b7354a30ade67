"""Controls are R1 cut or left out: as long as the level they stand beside, right as R1 is."""

from __future__ import annotations

import pytest

from potstill.grading.extraction import extract
from potstill.lessons.controls import (
    compared_with,
    expand_controls,
    is_control,
    make_controls,
)
from potstill.lessons.ladder import count_words
from potstill.records import Lesson, Level, Problem, TextGold

R1 = "First, 12 + 30 = 42.\nThen nothing is left to add.\nSo the answer is $\\boxed{42}$."


def problem(key: str = "42", kind: str = "integer") -> Problem:
    return Problem("p1", "What is 12 + 30?", TextGold(key), kind, "test", {})


def lesson(level: str, text: str, id: str = "p1") -> Lesson:
    return Lesson(id, level, "R0", text, count_words(text), len(text), "condenser")


def made(r1: str, below: str, control: str, **of: str) -> Lesson:
    chosen = {"R1": (lesson("R1", r1),), "R4": (lesson("R4", below),)}
    return make_controls(chosen, [control], [problem(**of)], len)[control][0]


@pytest.mark.parametrize("words", range(1, 17))
def test_it_is_cut_to_the_words_of_its_level_with_the_answer_among_them(words: int) -> None:
    found = made(R1, " ".join(["w"] * words), "truncate-R4")
    assert count_words(found.text) == found.words == min(words, count_words(R1))
    assert extract(found.text, "integer").text == "42"
    body = found.text.removesuffix("\\boxed{42}").rstrip()
    assert R1.startswith(body)
    assert (found.level, found.parent, found.flags) == ("truncate-R4", "R1", ())
    assert found.tokens == len(found.text)


def test_line_breaks_stay_and_no_open_dollar_is_left() -> None:
    assert made(R1, "w " * 9, "truncate-R4").text == (
        "First, 12 + 30 = 42.\nThen nothing \\boxed{42}"
    )
    assert made(R1, "w " * 99, "truncate-R4").text == (
        "First, 12 + 30 = 42.\nThen nothing is left to add.\nSo the answer is \\boxed{42}"
    )


def test_answer_only_is_the_boxed_answer_that_r1_ends_in() -> None:
    assert made(R1, "w", "answer_only").text == "\\boxed{42}"
    assert made("It is \\boxed{\\frac{1}{2}}.", "w", "answer_only").text == "\\boxed{\\frac{1}{2}}"
    unboxed = "12 + 30 = 42.\nAnswer: 42"
    assert made(unboxed, "w", "answer_only").text == "\\boxed{42}"


def test_where_r1_ends_in_no_answer_the_keys_text_stands_in() -> None:
    silent = "We add the two and that is what there was to be done here, whatever anyone says of it"
    assert extract(silent, "integer").text == ""
    assert made(silent, "w w w", "truncate-R4", key="42").text == "We add \\boxed{42}"


def test_a_problem_without_one_of_the_two_levels_has_no_cut_lesson() -> None:
    chosen = {
        "R1": (lesson("R1", R1, "p1"), lesson("R1", R1, "p2")),
        "R4": (lesson("R4", "w w", "p2"), lesson("R4", "w w", "p3")),
    }
    problems = [Problem(i, "?", TextGold("42"), "integer", "t", {}) for i in ("p1", "p2", "p3")]
    found = make_controls(chosen, ["truncate-R4", "answer_only"], problems, len)
    assert [x.problem_id for x in found["truncate-R4"]] == ["p2"]
    assert [x.problem_id for x in found["answer_only"]] == ["p1", "p2"]


def test_truncate_stands_for_every_level_below_r1() -> None:
    levels = [Level.R1, Level.R3, Level.R6]
    assert expand_controls(["answer_only", "truncate"], levels) == (
        "truncate-R3",
        "truncate-R6",
        "answer_only",
    )
    assert expand_controls(["truncate-R6"], levels) == ("truncate-R6",)
    assert expand_controls([], [Level.R4]) == ()


@pytest.mark.parametrize(
    ("names", "levels", "said"),
    [
        (["trunkate"], ["R1", "R4"], "did you mean 'truncate'"),
        (["answer-only"], ["R1", "R4"], "did you mean 'answer_only'"),
        (["truncate-R1"], ["R1", "R4"], "there is no 'truncate-R1'"),
        (["truncate-R5"], ["R1", "R4"], "truncate-R5 needs R5 among levels"),
        (["truncate"], ["R1"], "needs a level below R1"),
        (["answer_only"], ["R4"], "add R1 to levels"),
    ],
)
def test_anything_else_is_refused(names: list[str], levels: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        expand_controls(names, [Level(level) for level in levels])


def test_each_control_knows_the_level_it_is_there_for() -> None:
    assert compared_with("truncate-R4") == "R4"
    assert compared_with("answer_only") == "R1"
    assert [is_control(x) for x in ("R1", "mix", "truncate-R2", "answer_only", "base")] == [
        False,
        False,
        True,
        True,
        False,
    ]
