"""Levels that teach the same texts are told, for their students differ by chance alone."""

from __future__ import annotations

from potstill.lessons.alike import alike_levels
from potstill.records import Lesson, Level


def lessons(level: Level, texts: list[str]) -> list[Lesson]:
    return [
        Lesson(f"p/{number}", level, "", text, len(text.split()), 9, "condenser")
        for number, text in enumerate(texts)
    ]


LONG = [f"First {n} + 1 is {n + 1}, and so the answer is {n + 1}." for n in range(6)]
SHORT = [f"{n} + 1 = {n + 1}" for n in range(6)]


def test_a_level_that_repeats_the_one_above_is_told() -> None:
    chosen = {
        "R1": lessons(Level.R1, LONG),
        "R3": lessons(Level.R3, [f"{text}\n" for text in LONG[:4]] + SHORT[4:]),
        "R6": lessons(Level.R6, SHORT),
    }
    told = list(alike_levels(chosen, (Level.R6, Level.R1, Level.R3)))
    assert len(told) == 1
    assert told[0].startswith("R3 teaches the same text as R1 in 4 of 6 lessons")


def test_a_raw_trace_beside_its_whole_lesson_and_a_handful_of_lessons_are_not() -> None:
    raw = {"R0": lessons(Level.R0, LONG), "R1": lessons(Level.R1, LONG)}
    assert not list(alike_levels(raw, (Level.R0, Level.R1)))
    few = {"R1": lessons(Level.R1, LONG[:4]), "R3": lessons(Level.R3, LONG[:4])}
    assert not list(alike_levels(few, (Level.R1, Level.R3)))
