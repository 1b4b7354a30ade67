"""The controls of the ladder: lessons that no model condensed.

``answer_only`` teaches the final answer and nothing else. ``truncate-R4`` cuts R1 to the length of
that problem's own R4: what a student of R4 does better than one of truncate-R4 is due to what was
kept, not to how little.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from potstill.errors import StudyError
from potstill.grading.extraction import boxed_values, extract
from potstill.lessons.ladder import count_words
from potstill.records import Lesson, Level

__all__ = ["ANSWER_ONLY", "TRUNCATE", "control_names", "make_controls"]

ANSWER_ONLY = "answer_only"
TRUNCATE = "truncate"


def control_names(controls: Sequence[str], levels: Sequence[str]) -> list[str]:
    """The variants that ``controls`` asks for, each once: ``truncate`` is one per level below R1.

    Raises StudyError for a name that is none, and where R1 is not among the levels.
    """
    below = [str(level) for level in levels if level != Level.R1]
    every = [f"{TRUNCATE}-{level}" for level in below]
    known = [ANSWER_ONLY, TRUNCATE, *every]
    found: list[str] = []
    for name in controls:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise StudyError(
                f"controls: there is no {name!r}; "
                + (f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}.")
            )
        found += every if name == TRUNCATE else [name]
    if found and Level.R1 not in levels:
        raise StudyError("controls are made from R1; add R1 to the levels.")
    return list(dict.fromkeys(found))


def make_controls(
    chosen: Mapping[str, Sequence[Lesson]], names: Iterable[str]
) -> dict[str, dict[str, str]]:
    """The text of every control by its name and problem id, from the lessons chosen to train on.

    A problem has a control where it has R1 and, for ``truncate-Rk``, level Rk. The answer is the
    one in which R1 ends, in a box, and counts among the words.
    """
    r1 = {lesson.problem_id: lesson for lesson in chosen[Level.R1.value]}
    return {
        name: {problem_id: _box(lesson) for problem_id, lesson in r1.items()}
        if name == ANSWER_ONLY
        else {
            lesson.problem_id: _truncated(r1[lesson.problem_id], lesson.words)
            for lesson in chosen[name.removeprefix(f"{TRUNCATE}-")]
            if lesson.problem_id in r1
        }
        for name in names
    }


def _truncated(lesson: Lesson, words: int) -> str:
    box = _box(lesson)
    kept = lesson.text.split()[: max(0, words - count_words(box))]
    return " ".join([*kept, box])


def _box(lesson: Lesson) -> str:
    values = boxed_values(lesson.text)
    answer = values[-1][0] if values else extract(lesson.text).text
    return f"\\boxed{{{answer}}}"
