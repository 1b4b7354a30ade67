"""Which lessons are trained on: by default of problems that passed at every level compared."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from potstill.records import Lesson
from potstill.store.tables import part

__all__ = ["Selected", "select"]


@dataclass(frozen=True, slots=True)
class Selected:
    """The lessons to train on by level, and how many were left out by level and flag."""

    by_level: Mapping[str, Sequence[Lesson]]
    left_out: Mapping[tuple[str, str], int]


def select(
    lessons: Sequence[Lesson],
    levels: Sequence[str],
    require: Literal["all", "own"] = "all",
) -> Selected:
    """Return the lessons to train on, each level in the order of problem ids.

    ``lessons`` of one problem stand together. ``all``: a problem trains at a level only if all
    ``levels`` of it passed, so that students differ in length alone; ``own``: where that level
    itself passed. A level that a problem has no lesson for is left out as "missing".
    """
    names = [str(level) for level in levels]
    ids: list[str] = []
    places: dict[str, array[int]] = {name: array("q") for name in names}
    left_out: Counter[tuple[str, str]] = Counter()
    numbered = enumerate(lessons)
    for problem_id, rows in groupby(numbered, key=lambda row: row[1].problem_id):
        own = {str(lesson.level): (place, lesson) for place, lesson in rows}
        faults = {x: own[x][1].flags if x in own else ("missing",) for x in names}
        spoiled = tuple(f"{level} did not pass" for level, found in faults.items() if found)
        for level, found in faults.items():
            flags = found or (spoiled if require == "all" else ())
            left_out.update((level, flag) for flag in flags)
            places[level].append(-1 if flags else own[level][0])
        ids.append(problem_id)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return Selected(
        {
            level: part(lessons, [at for i in order if (at := found[i]) >= 0])
            for level, found in places.items()
        },
        left_out,
    )
