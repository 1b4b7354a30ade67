"""A study from problems to report, read top to bottom; the stages themselves are next door."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from potstill.cells import NotFresh, Run
from potstill.errors import InputError
from potstill.evaluation import refuse_seen
from potstill.lessons.overlap import Pair
from potstill.lessons.select import LeftOut
from potstill.progress import Progress, quiet
from potstill.rating import rate, worth_teaching
from potstill.records import Lesson, Problem, SetAside, Split
from potstill.stages import (
    Answers,
    AskedLevel,
    ask_student,
    ask_teacher,
    bring_in,
    judge,
    make_lessons,
    split_up,
)
from potstill.store import Store
from potstill.students import MIX, StudentCell, levels_to_ask, train_students
from potstill.study import Study

__all__ = ["STAGES", "Result", "run_study"]

STAGES = ("problems", "split", "rate", "teach", "verify", "condense", "train", "answer", "report")


@dataclass(frozen=True, slots=True)
class Result:
    """Everything the stages made, for the report."""

    study: Study
    problems: tuple[Problem, ...]
    set_aside: tuple[SetAside, ...]
    splits: Mapping[str, Split]
    pairs: tuple[Pair, ...]
    taught: Answers
    lessons: tuple[Lesson, ...]
    chosen: Mapping[str, tuple[Lesson, ...]]
    left_out: tuple[LeftOut, ...]
    students: tuple[StudentCell, ...]
    answers: tuple[Answers, ...]


def run_study(
    study: Study,
    directory: Path,
    *,
    progress: Progress = quiet,
    until: str = "",
    peek: bool = False,
) -> dict[str, Any] | None:
    """The report of a study as plain data, once every stage is fresh; None if stopped before.

    Raises InputError for a stage that does not exist, and what the stages raise.
    """
    from potstill.ledger import Ledger

    if until and until not in STAGES:
        raise InputError(f"there is no stage {until!r}; the stages are {', '.join(STAGES)}.")
    with ExitStack() as stack:
        store = Store(directory, create=not peek)
        ledger = stack.enter_context(Ledger.open(directory / "ledger.sqlite", readonly=peek))
        run = Run(study, directory, store, ledger, progress, stack, peek)
        if not peek:
            _write_snapshot(study, store, directory)
        result = _stages(run, until)
        if result is None or until == "answer":
            return None
        from potstill.assemble import write_report

        return write_report(run, result)


def _stages(run: Run, until: str) -> Result | None:
    problems, set_aside = bring_in(run)
    if until == "problems":
        return None
    splits, pairs = split_up(run, problems)
    if until == "split":
        return None
    problems = rate(run, problems)
    if until == "rate":
        return None
    by_split = {s: [p for p in problems if splits[p.id] is s] for s in Split}
    lesson_problems = worth_teaching(run.study, by_split[Split.TRAIN] + by_split[Split.VALID])
    taught = ask_teacher(run, lesson_problems, "train", samples=run.study.teacher.samples)
    if until == "teach":
        return None
    taught = judge(run, taught, lesson_problems)
    if until == "verify":
        return None
    lessons, chosen, left_out = make_lessons(run, taught, lesson_problems)
    if until == "condense":
        return None
    students = train(run, chosen, by_split, pairs)
    if until == "train":
        return None
    asked = levels_to_ask(run, chosen)
    answers = evaluate(run, students, asked, by_split[Split.HELDOUT])
    if run.study.evaluation.seen == "report":
        trained = {lesson.problem_id for lessons in chosen.values() for lesson in lessons}
        seen = [p for p in by_split[Split.TRAIN] if p.id in trained]
        answers += evaluate(run, students, asked, seen, Split.TRAIN)
    return Result(
        run.study,
        tuple(problems),
        tuple(set_aside),
        splits,
        tuple(pairs),
        taught,
        tuple(lessons),
        chosen,
        tuple(left_out),
        tuple(students),
        tuple(answers),
    )


def train(
    run: Run,
    chosen: Mapping[str, Sequence[Lesson]],
    by_split: Mapping[Split, Sequence[Problem]],
    pairs: Sequence[Pair],
) -> list[StudentCell]:
    """One student for every level and seed: the grid."""
    heldout = {p.id for p in by_split[Split.HELDOUT]}
    lesson_ids = {lesson.problem_id for lessons in chosen.values() for lesson in lessons}
    leaks = [xy for p in pairs if p.leaks for xy in ((p.a_id, p.b_id), (p.b_id, p.a_id))]
    refuse_seen(heldout, lesson_ids, leaks)
    return train_students(run, chosen, by_split)


def evaluate(
    run: Run,
    students: Sequence[StudentCell],
    levels: Sequence[AskedLevel],
    asked: Sequence[Problem],
    split: Split = Split.HELDOUT,
) -> list[Answers]:
    """Teacher, base and every student on every set of one side, with verdicts.

    The mixed student answers once for each of its ``levels``, and the base beside it.
    """
    single = [x for x in students if x.student.variant != MIX]
    mixed = [x for x in students if x.student.variant == MIX]
    found: list[Answers] = []
    missing = 0
    for source in run.study.problems:
        problems = [p for p in asked if p.source == source.label]
        if not problems:
            continue
        label = source.label if split is Split.HELDOUT else f"{source.label} ({split.value})"
        makers: list[Callable[[], Answers]] = [partial(ask_teacher, run, problems, label)]
        makers += [partial(ask_student, run, x, problems, label) for x in (None, *single)]
        makers += [
            partial(ask_student, run, x, problems, label, level)
            for level in levels
            for x in (None, *mixed)
        ]
        for make in makers:
            try:
                made = judge(run, make(), problems)
                found.append(replace(made, set=source.label, split=split))
            except NotFresh:
                missing += 1
    if missing:
        raise NotFresh(f"{missing} solvers have not answered yet.")
    return found


def _write_snapshot(study: Study, store: Store, directory: Path) -> None:
    from potstill.store import write_atomically

    text = json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_atomically(directory / "study.json", text.encode())
