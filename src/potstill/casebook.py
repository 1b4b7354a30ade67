"""The problems of a study one by one, each with what was said of it, for the report's browser."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from potstill.records import Level, Problem, Split
from potstill.report.cases import Case, CaseLesson, Said, solver_order

if TYPE_CHECKING:
    from potstill.pipeline import Made
    from potstill.stages import Answers

__all__ = ["make_cases"]

_SIDES = (Split.HELDOUT, Split.VALID, Split.TRAIN)


def make_cases(made: Made, problems: Sequence[Problem]) -> tuple[Case, ...]:
    """Each of the study's ``problems`` with what was said of it, the held-out ones first."""
    said: defaultdict[str, list[Said]] = defaultdict(list)
    for cell in (made.taught, *made.answers):
        for problem_id, answer in _said(cell):
            said[problem_id].append(answer)
    lessons: defaultdict[str, list[CaseLesson]] = defaultdict(list)
    for lesson in made.lessons:
        if lesson.level != Level.R0:
            case = CaseLesson(lesson.level, lesson.words, tuple(lesson.flags), lesson.text)
            lessons[lesson.problem_id].append(case)
    return tuple(
        Case(
            id=p.id,
            set=p.source,
            side=side.value,
            text=p.text,
            key=p.gold_text,
            kind=p.kind,
            groups=p.groups,
            said=tuple(sorted(said[p.id], key=lambda x: (solver_order(x.who), x.seed, x.sample))),
            lessons=tuple(sorted(lessons[p.id], key=lambda x: x.level)),
        )
        for side in _SIDES
        for p in problems
        if made.splits[p.id] is side
    )


def _said(cell: Answers) -> Iterator[tuple[str, Said]]:
    verdicts = {v.response_id: v for v in cell.verdicts}
    who = cell.level or cell.role.value
    for r in cell.responses:
        verdict = verdicts.get(r.response_id)
        yield (
            r.problem_id,
            Said(
                who=who,
                seed=cell.seed,
                sample=r.sample,
                outcome=verdict.outcome.value if verdict else "",
                read=verdict.extracted if verdict else "",
                why=verdict.why if verdict else "",
                finish=r.finish.value,
                reasoning=r.reasoning,
                text=r.text,
                tokens=r.tokens_out,
            ),
        )
