"""Asking: what the teacher, the base and the students say to a set of problems, in its order.

Answers are a cell named by who is asked what, how; killed, a stage goes on from the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from potstill.ledger.names import other_names
from potstill.lessons.teachers import PooledResponses
from potstill.pipeline.context import VERSION, Context, agent_identity
from potstill.pipeline.outputs import AnswerSet, AskedLevel
from potstill.records import (
    Condition,
    Finish,
    NotAsked,
    Problem,
    Response,
    Role,
    Sampling,
    content_hash,
    hash_items,
)
from potstill.solvers.solve import in_order, solve, unless_all_failed, unless_useless
from potstill.store.cells import Cell, Filling
from potstill.text import several
from potstill.training.limits import answer_tokens

if TYPE_CHECKING:
    from potstill.chat import Solver
    from potstill.pipeline.outputs import StudentCell
    from potstill.pipeline.services import Agents, LocalModels
    from potstill.solvers.truncation import WhenCut
    from potstill.study.schema import Agent, Study

__all__ = [
    "ask_base",
    "ask_student",
    "ask_teacher",
    "ask_teachers",
    "student_answers",
    "student_condition",
    "teacher_condition",
]


def ask_teachers(context: Context, agents: Agents, problems: Sequence[Problem]) -> AnswerSet:
    """Return every teacher's answers to the problems to be taught, several teachers' together."""
    asked = [
        ask_teacher(context, agents, problems, "train", role=role, samples=agent.samples)
        for role, agent in context.study.teaching().items()
    ]
    if len(asked) == 1:
        return asked[0]
    responses = PooledResponses([x.responses for x in asked], problems)
    return replace(
        asked[0],
        responses=responses,
        not_asked=[y for x in asked for y in x.not_asked],
        further=tuple(x.condition for x in asked[1:]),
    )


def ask_teacher(
    context: Context,
    agents: Agents,
    problems: Sequence[Problem],
    which: str,
    *,
    role: str = "",
    samples: int = 1,
) -> AnswerSet:
    """Return a teacher's answers to a set of problems, under the teacher's own condition; the
    first's where no ``role`` says whose.
    """
    role = role or next(iter(context.study.teaching()))
    agent = context.study.agents()[role]
    condition = teacher_condition(agent, problems)
    blank = AnswerSet("teacher", Role.TEACHER, "", 0, which, condition, (), ())
    identity = {**agent_identity(agent), "samples": samples}
    cell = _answers_cell(blank, problems, identity)
    opened, past_cut = partial(agents.open, role), agent.past_cut
    name = f"{role} · {which}"
    return _ask(context, opened, cell, blank, problems, name, samples, "teach", past_cut)


def teacher_condition(agent: Agent, problems: Sequence[Problem]) -> Condition:
    """Return the condition under which a teacher answers these problems."""
    return Condition(
        problem_set=_set_hash(problems),
        system=agent.system,
        template=agent.prompt,
        sampling=agent.sampling,
        precision="api",
        when_cut=str(agent.past_cut or ""),
    )


def ask_student(
    context: Context,
    models: LocalModels,
    student: StudentCell | None,
    problems: Sequence[Problem],
    label: str,
    asked: AskedLevel | None = None,
    *,
    kept: bool = False,
) -> AnswerSet:
    """Return the answers of the base (no student) or a student: one condition for all of them.

    ``asked`` for a level, the mixed student and the base answer under a condition of their own, and
    all of them under another where the problems are ``kept`` to see what was lost.
    """
    cell, blank = student_answers(context, student, problems, label, asked, kept=kept)
    opened = partial(models.solver, student.folder if student else None, blank.name)
    samples = context.study.evaluation.samples
    return _ask(context, opened, cell, blank, problems, blank.label, samples)


def ask_base(
    context: Context,
    open_base: Callable[[], Solver],
    problems: Sequence[Problem],
    which: str,
    sampling: Sampling,
    samples: int,
) -> AnswerSet:
    """Return draws of the base that rate problems: the students' condition but for the sampling."""
    condition = student_condition(context.study, _set_hash(problems), None, sampling.max_tokens)
    condition = replace(condition, sampling=sampling)
    blank = AnswerSet("base", Role.BASE, "", 0, which, condition, (), ())
    backend = context.study.student.backend
    weights = {"base": context.base_hash, "backend": backend, "samples": samples}
    cell = _answers_cell(blank, problems, weights)
    return _ask(context, open_base, cell, blank, problems, blank.label, samples, "rate")


def student_answers(
    context: Context,
    student: StudentCell | None,
    problems: Sequence[Problem],
    label: str,
    asked: AskedLevel | None = None,
    *,
    kept: bool = False,
) -> tuple[Cell, AnswerSet]:
    """Return the cell of what :func:`ask_student` asks, and the answers before there are any."""
    condition = student_condition(
        context.study, _set_hash(problems), asked, answer_tokens(context.directory), kept=kept
    )
    if student is None:
        level = f"base-{asked.level}" if asked else ""
        blank = AnswerSet("base", Role.BASE, level, 0, label, condition, (), ())
        weights: dict[str, Any] = {
            "base": context.base_hash,
            "backend": context.study.student.backend,
        }
    else:
        trained = student.student
        variant = f"{trained.variant}-{asked.level}" if asked else trained.variant
        who = (trained.id, Role.STUDENT, variant, trained.seed)
        blank = AnswerSet(*who, label, condition, (), ())
        backend = context.study.student.backend
        weights = {"base": trained.base_hash, "adapter": trained.adapter_hash, "backend": backend}
    if (samples := context.study.evaluation.samples) > 1:
        weights["samples"] = samples
    return _answers_cell(blank, problems, weights), blank


def _answers_cell(
    blank: AnswerSet, problems: Sequence[Problem], identity: Mapping[str, Any]
) -> Cell:
    return Cell.of(
        "answers",
        # two students with the same bits are still two
        name=blank.name,
        identity=identity,
        condition=blank.condition,
        problems=content_hash(problems),
        version=VERSION["answers"],
    )


def _ask(
    context: Context,
    open_solver: Callable[[], Solver],
    cell: Cell,
    blank: AnswerSet,
    problems: Sequence[Problem],
    name: str,
    samples: int = 1,
    stage: str = "answer",
    past_cut: WhenCut | None = None,
) -> AnswerSet:
    def make(out: Filling) -> None:
        solver = open_solver()
        stream = solve(
            *(solver, problems, blank.condition), stage=stage, samples=samples, when_cut=past_cut
        )
        answered = unless_all_failed(solver.id, stream)
        if blank.set == "train":
            limit = blank.condition.sampling.max_tokens
            answered = unless_useless(name, answered, problems, limit)
        counted = context.counted(name, len(problems) * samples, "answers", answered)
        counts: Counter[str] = Counter()
        first_failed = None
        for result in in_order(counted, problems, samples):
            if isinstance(result, NotAsked):
                out.add("not_asked", result)
                counts["not asked"] += 1
                continue
            out.add("responses", result)
            failed = result.finish is Finish.ERROR
            counts.update(answered=not failed, errored=failed, again=result.attempt > 0)
            first_failed = first_failed or (result if failed else None)
        if first_failed:
            context.progress.note(
                f"{name}: {several(counts['errored'], 'call')} of them failed "
                f"({first_failed.problem_id}: {first_failed.error}); run again, and what failed is "
                "asked again."
            )
        for told in other_names(context.ledger, stage):
            context.progress.note(told)
        out.summary |= {"errored": counts["errored"], "asked past a cut": counts["again"]}

    if (
        context.store.exists(cell)
        and context.store.manifest(cell).summary.get("errored")
        and not context.read_only
    ):
        context.progress.note(f"{name}: some calls failed before; they are asked again.")
        context.store.discard(cell)
    context.cell(cell, name, {"responses": Response, "not_asked": NotAsked}, make)
    responses = context.store.rows(cell, "responses", Response)
    context.store.check_in_order(
        cell, "responses", (r.problem_id for r in responses), (p.id for p in problems)
    )
    not_asked = context.store.rows(cell, "not_asked", NotAsked)
    return replace(blank, responses=responses, not_asked=not_asked)


def student_condition(
    study: Study,
    problem_set: str,
    asked: AskedLevel | None = None,
    auto_tokens: int = 0,
    *,
    kept: bool = False,
) -> Condition:
    """Return the condition of base and students, for training prompts and for answers.

    One for all of them, and one for every level that the mixed student is ``asked`` for; of
    problems that are ``kept``, the one that asks them.
    ``auto_tokens`` is the limit of an answer where the study leaves it to its lessons.
    """
    evaluation = study.evaluation
    template = evaluation.keep_prompt if kept else evaluation.prompt
    if asked is not None:
        template = (
            evaluation.level_prompt.replace("{prompt}", template)
            .replace("{level}", asked.level)
            .replace("{words}", str(asked.words))
        )
    return Condition(
        problem_set=problem_set,
        system=evaluation.system,
        template=template,
        sampling=evaluation.sampling(auto_tokens),
        precision=study.student.precision,
    )


def _set_hash(problems: Iterable[Problem]) -> str:
    return hash_items([p.id, p.text] for p in problems)[:16]
