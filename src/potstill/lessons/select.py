"""Which lessons are trained on: by default of problems that passed at every level compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from potstill.records import Lesson

__all__ = ["LeftOut", "Selected", "select"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A lesson that is not trained on. ``flags`` are its own faults, or name the level at fault."""

    problem_id: str
    level: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """The lessons to train on by level, and everything that was left out."""

    by_level: Mapping[str, tuple[Lesson, ...]]
    left_out: tuple[LeftOut, ...]


def select(
    lessons: Iterable[Lesson],
    levels: Sequence[str],
    require: Literal["all", "own"] = "all",
) -> Selected:
    """The lessons to train on, each level in the order of problem ids.

    ``all``: a problem trains at a level only if all ``levels`` of it passed, so that students
    differ in length alone; ``own``: where that level itself passed. A level that a problem has no
    lesson for is left out as "missing".
    """
    table: dict[str, dict[str, Lesson]] = {}
    for lesson in lessons:
        table.setdefault(lesson.problem_id, {})[str(lesson.level)] = lesson
    chosen: dict[str, list[Lesson]] = {str(level): [] for level in levels}
    left_out: list[LeftOut] = []
    for problem_id in sorted(table):
        own = table[problem_id]
        faults = {level: _faults(own.get(level)) for level in chosen}
        spoiled = tuple(f"{level} did not pass" for level, found in faults.items() if found)
        for level, found in faults.items():
            flags = found or (spoiled if require == "all" else ())
            if flags:
                left_out.append(LeftOut(problem_id, level, flags))
            else:
                chosen[level].append(own[level])
    return Selected({level: tuple(found) for level, found in chosen.items()}, tuple(left_out))


def _faults(lesson: Lesson | None) -> tuple[str, ...]:
    return ("missing",) if lesson is None else lesson.flags
