"""Each problem at a level of its own: long where the base fails, short where it succeeds."""

from __future__ import annotations

import pytest

from potstill.lessons.auto_level import auto_lessons, auto_sentence, level_place
from potstill.lessons.difficulty import PassRate
from potstill.records import Lesson, Level

LADDER = [Level.R6, Level.R0, Level.R3]


def lesson(problem_id: str, level: Level, text: str = "") -> Lesson:
    return Lesson(problem_id, level, "", text, 1, 1, "")


@pytest.mark.parametrize(
    ("right", "draws", "levels", "place"),
    [
        (0, 4, 6, 0),
        (4, 4, 6, 5),
        (0, 0, 6, 0),  # no evidence
        (1, 4, 6, 1),  # 1.25
        (2, 4, 6, 2),  # 2.5: as near to 2 as to 3, and 2 is the longer
        (3, 4, 6, 4),  # 3.75
        (1, 2, 2, 0),  # 0.5
        (33, 64, 2, 1),
        (1, 64, 7, 0),
        (63, 64, 7, 6),
    ],
)
def test_the_place_on_the_ladder_is_the_nearest_to_the_share_right(
    right: int, draws: int, levels: int, place: int
) -> None:
    assert level_place(PassRate(right, draws), levels) == place


def test_a_problem_without_a_lesson_there_takes_the_next_longer_then_the_next_shorter() -> None:
    chosen = {
        "R0": [lesson(x, Level.R0) for x in ("always", "half", "never", "unrated")],
        "R3": [lesson(x, Level.R3) for x in ("always", "half", "short")],
        "R6": [lesson(x, Level.R6) for x in ("always", "half", "last", "never")],
    }
    rates = {
        "always": PassRate(4, 4),
        "half": PassRate(2, 4),
        "never": PassRate(0, 4),
        "short": PassRate(4, 4),  # has R3 alone, and R6 is its level
        "last": PassRate(0, 4),  # has R6 alone, and R0 is its level
    }
    found = auto_lessons(chosen, LADDER, rates)
    assert [(x.problem_id, x.level) for x in found] == [
        ("always", "R6"),
        ("half", "R3"),
        ("last", "R6"),
        ("never", "R0"),
        ("short", "R3"),
        ("unrated", "R0"),
    ]
    assert auto_sentence(found).endswith("R0 2, R3 2, R6 2.")


def test_of_several_traces_a_problem_is_taught_all_at_its_level() -> None:
    traces = [lesson("x", Level.R0, "one"), lesson("x", Level.R0, "two")]
    chosen = {"R0": traces, "R3": [lesson("x", Level.R3)], "R6": [lesson("x", Level.R6)]}
    found = auto_lessons(chosen, LADDER, {"x": PassRate(0, 1)})
    assert [x.text for x in found] == ["one", "two"]
    assert auto_sentence(found).endswith("R0 1.")
