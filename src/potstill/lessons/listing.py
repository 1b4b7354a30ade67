"""What every gate saw, text by text: all that was excluded between reply and lesson, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import TypeVar

from potstill.lessons.quality import Finding, GateOptions, findings
from potstill.records import Lesson, Level, Problem, Response, Verdict

T = TypeVar("T")

__all__ = ["GateRow", "GateTotal", "gate_rows", "gate_totals"]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate that fired on one text: a teacher's reply (R0) or a lesson.

    ``detail`` is what it saw. ``excludes`` is False for a gate that only advises. ``sample`` is the
    draw that it is of.
    """

    problem_id: str
    level: str
    gate: str
    detail: str
    excludes: bool
    sample: int = 0


@dataclass(frozen=True, slots=True)
class GateTotal:
    """How many of a level's ``texts`` a gate excluded, and on how many it only advised."""

    level: str
    gate: str
    excluded: int
    advised: int
    texts: int


def gate_rows(
    problems: Iterable[Problem],
    responses: Iterable[Response],
    verdicts: Iterable[Verdict],
    lessons: Iterable[Lesson],
    options: GateOptions,
) -> Iterator[GateRow]:
    """Yield a row for every gate that fires on a teacher's reply or a lesson, by problem, trace and
    level.

    A reply is looked at with its verdict (where there are verdicts yet), so that wrong, cut and
    blank ones are listed too. A lesson's flags are those it was given; the details are looked at
    again. All come in the order of the problems, and verdicts in that of the responses.
    """
    replies = _by_problem(zip_longest(responses, verdicts), lambda row: row[0].problem_id)
    ladders = _by_problem(lessons, lambda lesson: lesson.problem_id)
    for problem in problems:
        for response, verdict in replies(problem.id):
            found = findings(problem, response, verdict, level=Level.R0, options=options)
            sample = response.sample
            yield from (_row(problem.id, Level.R0.value, x, sample) for x in found)
        for _, ladder in groupby(ladders(problem.id), key=lambda lesson: lesson.sample):
            levels = {x.level: x for x in ladder if x.level != Level.R0}
            for level in sorted(levels):
                yield from _of_lesson(problem, levels[level], levels, options)


def _by_problem(rows: Iterable[T], id_of: Callable[[T], str]) -> Callable[[str], list[T]]:
    """Return what gives the rows of one problem after the other, in their order; none of one
    without.
    """
    groups = groupby(rows, key=id_of)
    held = next(groups, None)

    def of(problem_id: str) -> list[T]:
        nonlocal held
        if held is None or held[0] != problem_id:
            return []
        found = list(held[1])
        held = next(groups, None)
        return found

    return of


def gate_totals(
    rows: Iterable[GateRow], responses: Sequence[Response], lessons: Iterable[Lesson]
) -> list[GateTotal]:
    """Return one total per level and gate that fired, by level, the commonest first."""
    texts = Counter(x.level for x in lessons if x.level != Level.R0)
    texts[Level.R0.value] = len(responses)
    counts = Counter((row.level, row.gate, row.excludes) for row in rows)
    names = {(level, gate) for level, gate, _ in counts}
    totals = [
        GateTotal(*name, counts[*name, True], counts[*name, False], texts[name[0]])
        for name in names
    ]
    return sorted(totals, key=lambda x: (x.level, -x.excluded - x.advised, x.gate))


def _of_lesson(
    problem: Problem, lesson: Lesson, levels: Mapping[str, Lesson], options: GateOptions
) -> Iterator[GateRow]:
    above = levels.get(lesson.parent)
    r1 = levels.get(Level.R1.value)
    seen = findings(
        problem,
        lesson.text,
        level=lesson.level,
        options=options,
        words_above=above.words if above else None,
        words_r1=r1.words if r1 and not r1.flags else None,
    )
    details = {found.gate.value: found.detail for found in seen}
    for flag in lesson.flags:
        yield GateRow(problem.id, lesson.level, flag, details.get(flag, ""), True, lesson.sample)
    for found in seen:
        if not found.excludes:
            yield _row(problem.id, lesson.level, found, lesson.sample)


def _row(problem_id: str, level: str, found: Finding, sample: int) -> GateRow:
    return GateRow(problem_id, level, found.gate.value, found.detail, found.excludes, sample)
