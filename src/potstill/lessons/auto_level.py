"""The student ``auto``: each problem taught at the shortest level that the base's own draws allow.

Long where the base fails, short where it succeeds: a problem that the base answers anyway needs no
long lesson, and a small student learns worse from long ones alone (arXiv 2502.12143).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from potstill.lessons.difficulty import PassRate
from potstill.records import Lesson, Level

__all__ = ["auto_lessons", "auto_sentence", "level_place"]


def level_place(rate: PassRate, levels: int) -> int:
    """Return which of so many levels, the longest first, a pass rate asks for.

    0 of its draws right is the longest, all of them the shortest, and between them the nearest to
    the share of them, of two as near the longer. Without a draw it is the longest.
    """
    if not rate.draws:
        return 0
    return (2 * rate.right * (levels - 1) + rate.draws - 1) // (2 * rate.draws)


def auto_lessons(
    chosen: Mapping[str, Sequence[Lesson]], levels: Iterable[Level], rates: Mapping[str, PassRate]
) -> list[Lesson]:
    """Return the lessons ``chosen`` to train on at each problem's own level, by problem id.

    A problem without one at its level is taught at the next longer that it has, then at the next
    shorter. One that is not in ``rates`` is taught at the longest.
    """
    ladder = [level.value for level in sorted(levels, key=list(Level).index)]
    has = {level: {x.problem_id for x in chosen[level]} for level in ladder}
    own: dict[str, str] = {}
    for problem_id in set().union(*has.values()):
        place = level_place(rates.get(problem_id, PassRate(0, 0)), len(ladder))
        nearest = (*reversed(ladder[: place + 1]), *ladder[place + 1 :])
        own[problem_id] = next(level for level in nearest if problem_id in has[level])
    found = [x for level in ladder for x in chosen[level] if own[x.problem_id] == level]
    return sorted(found, key=lambda lesson: lesson.problem_id)


def auto_sentence(lessons: Iterable[Lesson]) -> str:
    """Return how many problems the student auto is taught at each level."""
    counts = Counter(level for _, level in {(x.problem_id, x.level) for x in lessons})
    told = ", ".join(f"{level} {n:,}" for level, n in sorted(counts.items()))
    return (
        "Problems by the level that auto is taught them at, longest where the base is never right: "
        f"{told or 'none'}."
    )
