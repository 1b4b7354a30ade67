"""What every gate saw, text by text: all that was set aside between reply and lesson, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from potstill.lessons.quality import Finding, GateOptions, findings
from potstill.records import Lesson, Level, Problem, Response, Verdict

__all__ = ["GateRow", "GateTotal", "gate_rows", "gate_totals"]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate that fired on one text: a teacher's reply (R0) or a lesson.

    ``detail`` is what it saw. ``excludes`` is False for a gate that only advises.
    """

    problem_id: str
    level: str
    gate: str
    detail: str
    excludes: bool


@dataclass(frozen=True, slots=True)
class GateTotal:
    """How many of a level's ``texts`` a gate set aside, and on how many it only advised."""

    level: str
    gate: str
    excluded: int
    advised: int
    texts: int


def gate_rows(
    problems: Iterable[Problem],
    responses: Sequence[Response],
    verdicts: Sequence[Verdict],
    lessons: Sequence[Lesson],
    options: GateOptions,
) -> list[GateRow]:
    """A row for every gate that fires on a teacher's reply or a lesson, by problem and level.

    A reply is looked at with its verdict, so that wrong, cut and blank ones are listed too. A
    lesson's flags are those it was given; the details are looked at again.
    """
    by_id = {p.id: p for p in problems}
    judged = {v.response_id: v for v in verdicts}
    rows = [
        _row(response.problem_id, Level.R0.value, found)
        for response in responses
        for found in findings(
            by_id[response.problem_id],
            response,
            judged.get(response.response_id),
            level=Level.R0,
            options=options,
        )
    ]
    own: dict[str, dict[str, Lesson]] = {}
    for lesson in lessons:
        if lesson.level != Level.R0:
            own.setdefault(lesson.problem_id, {})[lesson.level] = lesson
    for problem_id, levels in own.items():
        for lesson in levels.values():
            rows += _of_lesson(by_id[problem_id], lesson, levels, options)
    order = {problem_id: i for i, problem_id in enumerate(by_id)}
    return sorted(rows, key=lambda row: (order[row.problem_id], row.level))


def gate_totals(
    rows: Iterable[GateRow], responses: Sequence[Response], lessons: Sequence[Lesson]
) -> list[GateTotal]:
    """One total per level and gate that fired, by level, the commonest first."""
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
        yield GateRow(problem.id, lesson.level, flag, details.get(flag, ""), True)
    for found in seen:
        if not found.excludes:
            yield _row(problem.id, lesson.level, found)


def _row(problem_id: str, level: str, found: Finding) -> GateRow:
    return GateRow(problem_id, level, found.gate.value, found.detail, found.excludes)
