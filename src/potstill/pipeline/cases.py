"""The problems of a study one by one, each with what was said of it, for the report's browser."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from potstill.lessons.teachers import own_draw, reply_name, teacher_place
from potstill.records import Level, Problem, Role, Split
from potstill.report.cases import Case, CaseLesson, Said, solver_order

if TYPE_CHECKING:
    from potstill.pipeline.outputs import AnswerSet, Made

__all__ = ["make_cases"]

# a page takes some thousands, and people look at fewer
_MOST = 10_000
_SPLITS = (Split.HELDOUT, Split.KEPT, Split.VALID, Split.TRAIN)


def make_cases(made: Made, problems: Sequence[Problem]) -> tuple[Case, ...]:
    """Return up to 10,000 of the ``problems``, each with what was said of it, the held-out ones
    first.

    ``problems`` are the study's, in their order.
    """
    chosen, teachers = _chosen(made), made.study.teacher_names
    said: defaultdict[str, list[Said]] = defaultdict(list)
    for cell in (made.taught, *made.answers):
        for problem_id, answer in _said(cell, chosen, teachers):
            said[problem_id].append(answer)
    lessons: defaultdict[str, list[CaseLesson]] = defaultdict(list)
    several = made.study.lessons.take != "first" or teachers
    for lesson in made.lessons:
        if lesson.level != Level.R0 and lesson.problem_id in chosen:
            draw = reply_name(lesson.sample, teachers) if teachers else f"draw {lesson.sample + 1}"
            level = f"{lesson.level}, {draw}" if several else lesson.level
            case = CaseLesson(level, lesson.words, tuple(lesson.flags), lesson.text)
            lessons[lesson.problem_id].append(case)
    cases = {
        p.id: Case(
            id=p.id,
            set=p.source,
            split=made.splits[p.id].value,
            text=p.text,
            key=p.key_shown,
            kind=p.kind,
            groups=p.groups,
            said=tuple(sorted(said[p.id], key=lambda x: (solver_order(x.who), x.seed, x.sample))),
            lessons=tuple(sorted(lessons[p.id], key=lambda x: x.level)),
        )
        for p in problems
        if p.id in chosen
    }
    return tuple(cases[problem_id] for problem_id in chosen)


def _chosen(made: Made) -> dict[str, None]:
    """Return the ids of the first problems, split by split, in order."""
    by_split = (i for split in _SPLITS for i, x in made.splits.items() if x is split)
    return dict.fromkeys(islice(by_split, _MOST))


def _said(
    cell: AnswerSet, chosen: Container[str], teachers: Sequence[str]
) -> Iterator[tuple[str, Said]]:
    who = cell.level or cell.role.value
    several = teachers if cell.role is Role.TEACHER else ()
    for r, verdict in cell.judged():
        if r.problem_id in chosen:
            who = f"teacher {several[teacher_place(r.sample)]}" if several else who
            yield (
                r.problem_id,
                Said(
                    who=who,
                    seed=cell.seed,
                    sample=own_draw(r.sample),
                    outcome=verdict.outcome.value,
                    read=verdict.extracted,
                    why=verdict.why,
                    finish=r.finish.value,
                    reasoning=r.reasoning,
                    text=r.text,
                    tokens=r.tokens_out,
                ),
            )
