"""A study from problems to report, read top to bottom; the stages themselves are next door."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from potstill.cells import NotFresh, Run
from potstill.errors import InputError
from potstill.evaluation import refuse_seen
from potstill.lessons.controls import is_control, make_controls
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

__all__ = [
    "STAGES",
    "Curriculum",
    "Result",
    "open_run",
    "read_curriculum",
    "read_lessons",
    "run_study",
]

STAGES = ("problems", "split", "rate", "teach", "verify", "condense", "train", "answer", "report")


@dataclass(frozen=True, slots=True)
class Curriculum:
    """What the stages up to the lessons made. ``chosen`` holds the controls too."""

    problems: tuple[Problem, ...]
    set_aside: tuple[SetAside, ...]
    splits: Mapping[str, Split]
    pairs: tuple[Pair, ...]
    taught: Answers
    lessons: tuple[Lesson, ...]
    chosen: Mapping[str, tuple[Lesson, ...]]
    left_out: tuple[LeftOut, ...]

    def on_side(self, side: Split) -> list[Problem]:
        """The problems that stand on one side."""
        return [p for p in self.problems if self.splits[p.id] is side]

    def by_split(self) -> dict[Split, list[Problem]]:
        """The problems of every side."""
        return {side: self.on_side(side) for side in Split}


@dataclass(frozen=True, slots=True)
class Result(Curriculum):
    """Everything the stages made, for the report."""

    study: Study
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
    if until and until not in STAGES:
        raise InputError(f"there is no stage {until!r}; the stages are {', '.join(STAGES)}.")
    with ExitStack() as stack:
        run = open_run(study, directory, progress, stack, peek=peek)
        result = _stages(run, until)
        if result is None or until == "answer":
            return None
        from potstill.assemble import write_report

        return write_report(run, result)


def open_run(
    study: Study, directory: Path, progress: Progress, stack: ExitStack, *, peek: bool = False
) -> Run:
    """A run over a study's directory, closed with the stack; its only writer unless it peeks."""
    from potstill.ledger import Ledger

    store = Store(directory, create=not peek)
    ledger = stack.enter_context(Ledger.open(directory / "ledger.sqlite", readonly=peek))
    if not peek:
        _write_snapshot(study, store, directory)
    return Run(study, directory, store, ledger, progress, stack, peek)


def read_lessons(run: Run) -> Curriculum:
    """What the stages up to the lessons make, made now where it is not there."""
    made = _curriculum(run)
    if made is None:
        raise RuntimeError("the stages stopped without being told to")
    return made


def read_curriculum(study: Study, directory: Path) -> Curriculum:
    """What a study directory holds up to its lessons; nothing is made and nothing bought.

    Raises NotFresh where a stage up to the lessons is not finished.
    """
    with ExitStack() as stack:
        return read_lessons(open_run(study, directory, quiet, stack, peek=True))


def _stages(run: Run, until: str) -> Result | None:
    made = _curriculum(run, until)
    if made is None:
        return None
    by_split = made.by_split()
    students = train(run, made.chosen, by_split, made.pairs)
    if until == "train":
        return None
    asked = levels_to_ask(run, made.chosen)
    answers = evaluate(run, students, asked, by_split[Split.HELDOUT])
    if run.study.evaluation.seen == "report":
        trained = {lesson.problem_id for lessons in made.chosen.values() for lesson in lessons}
        seen = [p for p in by_split[Split.TRAIN] if p.id in trained]
        answers += evaluate(run, students, asked, seen, Split.TRAIN)
    parts = {f.name: getattr(made, f.name) for f in fields(made)}
    return Result(**parts, study=run.study, students=tuple(students), answers=tuple(answers))


def _curriculum(run: Run, until: str = "") -> Curriculum | None:
    problems, set_aside = bring_in(run)
    if until == "problems":
        return None
    splits, pairs = split_up(run, problems)
    if until == "split":
        return None
    problems = rate(run, problems)
    if until == "rate":
        return None
    lesson_problems = worth_teaching(
        run.study, [p for s in (Split.TRAIN, Split.VALID) for p in problems if splits[p.id] is s]
    )
    taught = ask_teacher(run, lesson_problems, "train", samples=run.study.teacher.samples)
    if until == "teach":
        return None
    taught = judge(run, taught, lesson_problems)
    if until == "verify":
        return None
    lessons, chosen, left_out = make_lessons(run, taught, lesson_problems)
    if until == "condense":
        return None
    controls = [x for x in run.study.variants if is_control(x)]
    return Curriculum(
        tuple(problems),
        tuple(set_aside),
        splits,
        tuple(pairs),
        taught,
        tuple(lessons),
        {**chosen, **make_controls(chosen, controls, lesson_problems, run.count_tokens)},
        tuple(left_out),
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
