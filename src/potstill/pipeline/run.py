"""A study from problems to report, read top to bottom; the stages are in stages.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.evaluation import refuse_leaks
from potstill.grading.oddities import what_is_odd
from potstill.ledger.file import refuse_lost
from potstill.ledger.ledger import Ledger
from potstill.lessons.auto_level import auto_lessons
from potstill.lessons.controls import is_control, make_controls, one_trace, unverified_traces
from potstill.lessons.difficulty import refuse_none_worth, worth_teaching
from potstill.lessons.select import select
from potstill.lessons.teachers import lessons_of_each, right_of_each, taught_by_all
from potstill.pipeline.asking import ask_student, ask_teacher, ask_teachers
from potstill.pipeline.context import Context, Unfinished
from potstill.pipeline.declared import declare
from potstill.pipeline.lock import changed_base, is_up_to_date, kept_report, write_lock
from potstill.pipeline.majority import settle_keys
from potstill.pipeline.outputs import MIX, AnswerSet, AskedLevel, Made, StudentCell, Who
from potstill.pipeline.preflight import check_before_asking, check_diagnosis, check_study
from potstill.pipeline.rating import rate
from potstill.pipeline.services import Agents, ClusterWorkers, Graders, LocalModels
from potstill.pipeline.stages import grade_answers, import_problems, make_lessons, split_problems
from potstill.pipeline.students import (
    answer_ahead,
    levels_to_ask,
    settle_limits,
    tell_chosen,
    train_students,
)
from potstill.pipeline.traces import rank_taught, verified
from potstill.plugins import choose
from potstill.problems.split import draw_some, drop_keyless
from potstill.progress import Progress, quiet
from potstill.records import AUTO, Lesson, Problem, Role, Split, is_keyed
from potstill.store.atomic import Writing, write_atomically
from potstill.store.cells import Store
from potstill.store.last_run import noting_its_end
from potstill.store.tables import part
from potstill.store.untrusted import read_json
from potstill.study.checks import refuse_shared
from potstill.study.schema import Study
from potstill.study.unused_settings import unused_settings
from potstill.text import several

__all__ = [
    "STAGES",
    "Run",
    "open_run",
    "read_lessons",
    "read_stages",
    "refuse_other_study",
    "run_stages",
    "run_study",
    "run_to_report",
    "with_controls",
]

STAGES = ("problems", "split", "rate", "teach", "verify", "condense", "train", "answer", "report")


@dataclass(frozen=True, slots=True)
class Run:
    """One pass over a study: what its stages stand on, and the services they take."""

    context: Context
    agents: Agents
    graders: Graders
    models: LocalModels
    workers: ClusterWorkers


def run_study(
    study: Study, directory: Path, *, progress: Progress = quiet, until: str = "", on: str = ""
) -> dict[str, Any] | None:
    """Return the report of a study as plain data, once every stage is done; None if stopped
    before.

    ``on`` names the cluster that trains, answers and grades (``ray``, ``ray://HOST:PORT``); empty,
    this process does. Raises InputError for a stage that does not exist, and what the stages raise.
    """
    until = until and choose("stage", until, STAGES)
    check_study(study, on=on)
    if not until or until in STAGES[STAGES.index("train") :]:
        check_diagnosis(study, directory)
    with ExitStack() as stack:
        opened = open_run(study, directory, progress, stack, on=on)
        stack.enter_context(noting_its_end(directory, until))
        for told in unused_settings(study):
            progress.note(told)
        return run_to_report(opened, until)


def run_to_report(run: Run, until: str = "") -> dict[str, Any] | None:
    """Return the report of an opened run, and its lock, once every stage is done; None if
    stopped.
    """
    made = Made(run.context.study)
    if told := changed_base(run.context):
        run.context.progress.note(told)
    for stage in run_stages(run, made):
        if stage == until:
            return None
    run.graders.close()
    context = run.context
    if (kept := kept_report(context)) and is_up_to_date(context):
        context.progress.up_to_date("report", several(len(kept["scores"]), "score"))
        return kept
    from potstill.pipeline.assemble import write_report

    report = write_report(context, run.workers, made)
    write_lock(context)
    return report


def open_run(
    study: Study,
    directory: Path,
    progress: Progress,
    stack: ExitStack,
    *,
    read_only: bool = False,
    only_ledger: bool = False,
    base_at: str = "",
    on: str = "",
) -> Run:
    """Return a run over a study's directory, its only writer unless ``read_only``.

    It is closed with the stack. ``only_ledger`` and ``base_at`` are the context's.
    """
    if on:
        from potstill.cluster.session import check_place
        from potstill.cluster.storage import check_storage

        check_place(on)
        check_storage(study.cluster)
    if not read_only:
        refuse_other_study(study, directory)
        if (report := directory / "report").exists() and not report.is_dir():
            raise InputError(
                f"{report} is a file, and a folder of that name is to hold the report; move it."
            )
    store = Store(directory, create=not read_only)
    path = directory / "ledger.sqlite"
    refuse_lost(path)
    ledger = stack.enter_context(Ledger.open(path, readonly=read_only))
    storage = None
    if not read_only:
        from potstill.cluster.storage import open_storage

        storage = open_storage(study.cluster, directory) if on else None
        _write_snapshot(study, directory)
    context = Context(
        study, directory, store, ledger, progress, read_only, only_ledger, base_at, on, storage
    )
    workers = ClusterWorkers(context, stack)
    graders = Graders(context, stack, workers)
    return Run(context, Agents(context, stack), graders, LocalModels(context, workers), workers)


def read_lessons(run: Run) -> Made:
    """Return what the stages up to the lessons make, made now where it is not there."""
    return read_stages(run, "condense")


def read_stages(run: Run, until: str) -> Made:
    """Return what the stages up to one make, made now where it is not there."""
    made = Made(run.context.study)
    for stage in run_stages(run, made):
        if stage == until:
            break
    return made


def run_stages(run: Run, made: Made) -> Iterator[str]:
    """Yield each stage of STAGES but the report, in order, once ``made`` holds what it made."""
    context, agents, graders = run.context, run.agents, run.graders
    study = context.study
    made.problems, made.excluded = import_problems(context)
    refuse_shared(study, made.problems, made.excluded)
    yield "problems"
    made.splits, made.pairs = split_problems(context, run.workers, made.problems)
    if study.keys:
        made.problems, made.splits, away = drop_keyless(made.problems, made.splits)
        made.excluded = [*made.excluded, *away]
    yield "split"
    agents.check_first(partial(check_before_asking, context, made.problems, made.splits))
    made.problems, made.pass_rates = rate(
        *(context, agents, graders, run.models),
        made.problems,
        made.in_split(Split.TRAIN, Split.VALID),
    )
    yield "rate"
    if not context.read_only:
        learnt = {x.value: made.in_split(x) for x in (Split.TRAIN, Split.VALID)}
        refuse_none_worth(study.difficulty, learnt)
    asked = worth_teaching(study.difficulty, made.in_split(Split.TRAIN, Split.VALID))
    made.taught = ask_teachers(context, agents, asked)
    yield "teach"
    asked = settle_keys(context, graders, made, asked)
    made.taught = grade_answers(context, agents, graders, made.taught, asked)
    for odd in () if context.read_only else what_is_odd(made.taught.verdicts):
        context.progress.note(odd)
    yield "verify"
    made.traces = rank_taught(context, run.models, made.taught, asked)
    made.lessons, chosen = make_lessons(
        context, agents, graders, run.models, made.taught, made.traces, asked
    )
    if study.teachers:
        right = right_of_each(made.taught.judged(), len(study.teachers))
        chosen, made.fell = taught_by_all(chosen, right)
    made.chosen = with_controls(run, made, chosen, asked)
    tell_chosen(context, made)
    settle_limits(context, run.models, made)
    yield "condense"
    made.students = train(run, made)
    yield "train"
    declare(context)
    at = [x for x in study.levels if x in (*study.mix, *study.evaluation.base_at)]
    levels = levels_to_ask(made.chosen, at)
    try:
        made.answers = evaluate(run, made.students, levels, made.in_split(Split.HELDOUT))
    except Unfinished as exc:
        made.answers = list(exc.answers)
        raise
    if study.evaluation.keep:
        kept = evaluate(run, made.students, (), made.in_split(Split.KEPT), Split.KEPT)
        made.answers = [*made.answers, *kept]
    if study.evaluation.seen == "report":
        trained = made.trained_ids()
        seen = [p for p in made.in_split(Split.TRAIN) if p.id in trained and is_keyed(p)]
        again = evaluate(run, made.students, levels, seen, Split.TRAIN)
        made.answers = [*made.answers, *again]
    yield "answer"


def with_controls(
    run: Run, made: Made, chosen: Mapping[str, Sequence[Lesson]], problems: Sequence[Problem]
) -> Mapping[str, Sequence[Lesson]]:
    """Return the lessons chosen by level, and beside them those of auto, by how often the base is
    right, of each teacher, where there are several, and of the study's controls.
    """
    study = run.context.study
    own = lessons_of_each(chosen, study.teacher_names, study.levels)
    controls = [x for x in study.variants if is_control(x)]
    if study.auto_levels:
        chosen = {**chosen, AUTO: auto_lessons(chosen, study.levels, made.pass_rates)}
    if not controls:
        return {**chosen, **own}
    count = run.models.count_tokens
    tags = run.models.teaches_tags()
    first = {trace.key for trace in made.traces if trace.first}
    alone = partial(select, made.lessons, study.levels, study.require, first)
    return {
        **chosen,
        **own,
        **make_controls(chosen, controls, problems, count),
        **unverified_traces(controls, made.taught.judged(), count, tags=tags),
        **one_trace(controls, chosen, alone),
    }


def train(run: Run, made: Made) -> list[StudentCell]:
    """Return one student for every level and seed: the grid."""
    apart = (Split.HELDOUT, Split.KEPT)
    heldout = (i for i, split in made.splits.items() if split in apart)
    leaks = (xy for p in made.pairs if p.leaks for xy in ((p.a_id, p.b_id), (p.b_id, p.a_id)))
    refuse_leaks(heldout, made.trained_ids(), leaks)
    return train_students(run.context, run.models, run.workers, made.chosen, made.by_split())


def evaluate(
    run: Run,
    students: Sequence[StudentCell],
    levels: Sequence[AskedLevel],
    asked: Sequence[Problem],
    split: Split = Split.HELDOUT,
) -> list[AnswerSet]:
    """Return teacher, base and every student on every set of one split, with verdicts.

    The base answers once for each of ``levels``, and the mixed student beside it at its own. The
    teacher is not asked what is kept to see what was lost, nor anybody at a level.
    """
    context, agents = run.context, run.agents
    study = context.study
    kept = split is Split.KEPT
    single = [x for x in students if kept or x.student.variant != MIX]
    mixed = [x for x in students if x.student.variant == MIX]
    found: list[AnswerSet] = []
    missing = 0
    who: list[Who] = [(x, None) for x in (None, *single)]
    who += [
        (x, level)
        for level in (() if kept else levels)
        for x in (None, *(mixed if level.level in study.mix else ()))
    ]
    labels = [p.source for p in asked]
    sets = {
        s.label: part(asked, [i for i, label in enumerate(labels) if label == s.label])
        for s in study.sources
    }
    if context.on and not context.read_only:
        answer_ahead(context, run.workers, who, sets.values(), kept=kept)
    for name, problems in sets.items():
        if not problems:
            continue
        label = f"{name} ({split.value})" if split is Split.TRAIN else name
        asking: list[tuple[Sequence[Problem], Callable[[], AnswerSet]]] = []
        of_teacher = _for_the_teacher(study, problems) if split is Split.HELDOUT else problems
        if of_teacher and not kept:
            asking.append((of_teacher, partial(ask_teacher, context, agents, of_teacher, label)))
        asking += [
            (
                problems,
                partial(ask_student, context, run.models, x, problems, label, level, kept=kept),
            )
            for x, level in who
        ]
        solutions = None  # the teacher comes first
        for answered, make in asking:
            try:
                made = grade_answers(context, agents, run.graders, make(), answered, solutions)
                if made.role is Role.TEACHER:
                    solutions = verified(made)
                found.append(replace(made, set=name, split=split))
            except Unfinished:
                missing += 1
    if missing:
        raise Unfinished(f"{missing} solvers have not answered yet.", found)
    return found


def _for_the_teacher(study: Study, problems: Sequence[Problem]) -> Sequence[Problem]:
    """Return those of a held-out set that the teacher is asked too."""
    count = study.evaluation.asked_of_teacher(len(problems))
    if count == len(problems):
        return problems
    return part(problems, draw_some(problems, count, study.split.seed, "some"))


def refuse_other_study(study: Study, directory: Path) -> None:
    """Raise InputError where a directory holds a study of another name, which a run would replace.

    One of the same name may have changed; what cannot be read is written anew.
    """
    try:
        kept = read_json(directory / "study.json")
    except (OSError, ValueError):
        return
    name = kept.get("name") if isinstance(kept, dict) else None
    if isinstance(name, str) and name != study.name:
        raise InputError(
            f"{directory} holds the study {name!r} and not {study.name!r}, which would take its "
            "place; give another directory with --out, or the name that it had."
        )


def _write_snapshot(study: Study, directory: Path) -> None:
    text = json.dumps(study.model_dump(mode="json"), indent=1, ensure_ascii=False)
    with Writing(str(directory)):
        write_atomically(directory / "study.json", text.encode())
