"""Which lessons are trained on: by default of traces that passed at every level compared."""

from __future__ import annotations

from array import array
from collections.abc import Container, Sequence
from itertools import groupby
from typing import Literal

from potstill.records import Lesson
from potstill.store.tables import part

__all__ = ["select"]


def select(
    lessons: Sequence[Lesson],
    levels: Sequence[str],
    require: Literal["all", "own"] = "all",
    traces: Container[tuple[str, int]] | None = None,
) -> dict[str, Sequence[Lesson]]:
    """Return the lessons to train on by level, each level in the order of problem ids and draws.

    ``lessons`` of one trace (problem and draw) stand together. ``all``: a trace trains at a level
    only if all ``levels`` of it passed, so that students differ in length alone; ``own``: where
    that level itself passed. A trace without a lesson at a level is left out of it, and so is one
    that is not among ``traces``, where those are given.
    """
    names = [str(level) for level in levels]
    ids: list[tuple[str, int]] = []
    places: dict[str, array[int]] = {name: array("q") for name in names}
    numbered = enumerate(lessons)
    for trace, rows in groupby(numbered, key=lambda row: (row[1].problem_id, row[1].sample)):
        if traces is not None and trace not in traces:
            continue
        own = {str(lesson.level): (place, lesson) for place, lesson in rows}
        passed = {x: x in own and not own[x][1].flags for x in names}
        whole = require == "own" or all(passed.values())
        for level in names:
            places[level].append(own[level][0] if passed[level] and whole else -1)
        ids.append(trace)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return {
        level: part(lessons, [at for i in order if (at := found[i]) >= 0])
        for level, found in places.items()
    }
