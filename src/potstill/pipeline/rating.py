"""The stage that rates problems: how hard each is, and which are worth teaching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from potstill.errors import StudyError
from potstill.lessons.difficulty import (
    DifficultyOptions,
    PassRate,
    Rating,
    pass_rate_sentence,
    pass_rates,
    rate_by_failures,
    rate_by_model,
    rate_by_passes,
)
from potstill.pipeline.asking import ask_base, ask_teacher
from potstill.pipeline.context import VERSION, Context, agent_identity
from potstill.pipeline.stages import grade_answers
from potstill.records import Problem, content_hash, is_keyed
from potstill.store.cells import Cell, Filling
from potstill.training.limits import BEFORE_LESSONS

if TYPE_CHECKING:
    from potstill.chat import Solver
    from potstill.pipeline.outputs import AnswerSet
    from potstill.pipeline.services import Agents, Graders, LocalModels

__all__ = ["rate"]


def rate(
    context: Context,
    agents: Agents,
    graders: Graders,
    models: LocalModels,
    problems: Sequence[Problem],
    taught: Sequence[Problem],
) -> tuple[Sequence[Problem], Mapping[str, PassRate]]:
    """Return the problems with their difficulty as a group, where the study has them rated, and how
    often the base is right, where that rates them: those alone that are to be ``taught``.

    What is kept to see what was lost stays as it is, and what has no key that answers are right by.
    """
    study = context.study
    options = study.difficulty
    if options is None:
        return problems, {}
    every, (problems, _) = problems, study.apart(problems)
    own = next((p.id for p in problems if "difficulty" in p.groups), "")
    if own:
        raise StudyError(
            f"difficulty: {own} brings a group of that name with it; rename the group in its "
            "source, or take the section out."
        )
    if study.keys and options.by != "model":
        problems, taught = (list(filter(is_keyed, x)) for x in (problems, taught))
    asked = taught if options.by == "student" else problems
    answers = _answers(context, agents, models, options, asked)
    if answers is not None:
        answers = grade_answers(context, agents, graders, answers, asked)
    rates = pass_rates(asked, answers.verdicts) if answers and options.by == "student" else {}
    cell = Cell.of(
        "ratings",
        by=options.by,
        problems=content_hash([[p.id, p.text] for p in asked]),
        rater=agent_identity(study.rater) if study.rater else "",
        verdicts=content_hash(answers.verdicts) if answers else "",
        version=VERSION["ratings"],
    )

    def make(out: Filling) -> None:
        if options.by == "student":
            ratings = rate_by_passes(rates)
        elif answers is not None:
            ratings = rate_by_failures(problems, answers.verdicts)
        else:
            stream = rate_by_model(agents.open("rater"), problems, "rate")
            ratings = list(context.counted("rate", len(problems), "ratings", stream))
        order = {p.id: i for i, p in enumerate(problems)}
        for rating in sorted(ratings, key=lambda x: order[x.problem_id]):
            out.add("ratings", rating)
        out.summary["errored"] = sum(x.failed for x in ratings)

    if (
        context.store.exists(cell)
        and context.store.manifest(cell).summary.get("errored")
        and not context.read_only
    ):
        context.progress.note("rate: some calls failed before; they are asked again.")
        context.store.discard(cell)
    context.cell(cell, "rate", {"ratings": Rating}, make)
    rated = {x.problem_id: x.group for x in context.store.read(cell, "ratings", Rating)}
    context.store.check_same(cell, "ratings", rated, (p.id for p in asked))
    if rates and not context.read_only:
        context.progress.note(pass_rate_sentence(rates, options.samples))
    made = [
        replace(p, groups={**p.groups, "difficulty": rated[p.id]}) if p.id in rated else p
        for p in every
    ]
    return made, rates


def _answers(
    context: Context,
    agents: Agents,
    models: LocalModels,
    options: DifficultyOptions,
    problems: Sequence[Problem],
) -> AnswerSet | None:
    """Return the answers that problems are rated by, None where a rater says it."""
    study = context.study
    if options.by == "failures":
        samples = study.teacher.samples
        return ask_teacher(context, agents, problems, "difficulty", samples=samples)
    if options.by == "model":
        return None

    def open_base() -> Solver:
        agents.check_now()  # before hours of drawing, not after them
        return models.solver(None, "base")

    tokens = study.evaluation.sampling(BEFORE_LESSONS).max_tokens
    sampling, samples = options.sampling(tokens), options.samples
    return ask_base(context, open_base, problems, "difficulty", sampling, samples)
