"""The controls of the ladder: the answer alone, and R1 cut to another level's length."""

from __future__ import annotations

import pytest

from potstill.errors import StudyError
from potstill.lessons.controls import control_names, make_controls
from potstill.records import Lesson

LEVELS = ["R1", "R2", "R4"]


def lesson(problem_id: str, level: str, text: str) -> Lesson:
    return Lesson(problem_id, level, "R0", text, len(text.split()), 1, "m")


CHOSEN = {
    "R1": [
        lesson("a", "R1", "first add two and three then double it so the answer is \\boxed{10}"),
        lesson("b", "R1", "half of \\boxed{8} no of 9 is\nAnswer: \\boxed{\\frac{9}{2}}"),
    ],
    "R4": [lesson("a", "R4", "2 + 3, doubled: \\boxed{10}"), lesson("c", "R4", "x \\boxed{1}")],
}


def test_a_control_is_as_long_as_the_level_it_stands_beside_and_ends_in_r1s_answer() -> None:
    made = make_controls(CHOSEN, ["answer_only", "truncate-R4"])
    assert made == {
        "answer_only": {"a": "\\boxed{10}", "b": "\\boxed{\\frac{9}{2}}"},
        # five words as in R4, the box among them; c has no R1, b no R4
        "truncate-R4": {"a": "first add two and \\boxed{10}"},
    }


def test_truncate_stands_for_every_level_below_r1() -> None:
    assert control_names(["truncate", "answer_only", "truncate-R2"], LEVELS) == [
        "truncate-R2",
        "truncate-R4",
        "answer_only",
    ]
    assert control_names([], ["R4"]) == []


@pytest.mark.parametrize(
    ("controls", "levels", "told"),
    [
        (["truncate-R3"], LEVELS, "did you mean 'truncate-R"),
        (["anser_only"], LEVELS, "did you mean 'answer_only'"),
        (["answer_only"], ["R2"], "add R1 to the levels"),
    ],
)
def test_a_control_that_cannot_be_made_is_refused(
    controls: list[str], levels: list[str], told: str
) -> None:
    with pytest.raises(StudyError, match=told):
        control_names(controls, levels)
