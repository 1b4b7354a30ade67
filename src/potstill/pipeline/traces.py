"""Which right traces of the teacher become lessons, ranked by the base where the study asks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from potstill.chat import render_messages
from potstill.lessons.condense import in_tags, trace_text
from potstill.lessons.controls import is_one_trace
from potstill.lessons.likelihood import Prompted, kept_likelihoods
from potstill.lessons.teachers import of_all_teachers, whose
from potstill.lessons.traces import (
    Likelihood,
    RankedTrace,
    RightTrace,
    copies_sentence,
    first_right,
    rank_traces,
)
from potstill.pipeline.asking import student_condition
from potstill.pipeline.context import Context
from potstill.pipeline.outputs import AnswerSet
from potstill.records import Outcome, Problem, Response, content_hash
from potstill.store.cells import Cell, Filling
from potstill.store.tables import beside, part
from potstill.training.examples import Example

if TYPE_CHECKING:
    from potstill.pipeline.services import LocalModels

__all__ = ["parents_of", "rank_taught", "verified"]

_VERSION = 1


def verified(taught: AnswerSet) -> Sequence[Response]:
    """Return one right answer per problem: the first that nobody disputes, else the first."""
    return part(taught.responses, first_right(taught.judged()))


def parents_of(
    context: Context, taught: AnswerSet, traces: Sequence[RankedTrace]
) -> Sequence[Response]:
    """Return the right answers that go down the ladder, in their order: those taken, and the first
    of every problem where a control trains on it alone; of several teachers, what all have right.
    """
    study = context.study
    if study.lessons.take == "first":
        return of_all_teachers(verified(taught), len(study.teachers))
    control = any(is_one_trace(name) for name in study.variants)
    taken = part(taught.responses, [x.place for x in traces if x.taken or (x.first and control)])
    return of_all_teachers(taken, len(study.teachers))


def rank_taught(
    context: Context, models: LocalModels, taught: AnswerSet, problems: Sequence[Problem]
) -> Sequence[RankedTrace]:
    """Return every right trace with its rank among its problem's; none where the first is taken."""
    study, options = context.study, context.study.lessons
    if options.take == "first":
        return ()
    tags = models.teaches_tags()
    prompt = student_condition(study, "")
    scored = options.take == "most_likely"
    scorer: dict[str, Any] = {
        "base": context.base_hash,
        "backend": study.student.backend,
        "precision": study.student.precision,
    }
    asked = {
        "scorer": scorer,
        "prompt": [prompt.system, prompt.template],
        "problems": content_hash(problems),
    }
    cell = Cell.of(
        "traces",
        responses=content_hash(taught.responses),
        verdicts=content_hash(taught.verdicts),
        options=options.model_dump(mode="json"),
        tags=tags,
        version=_VERSION,
        **(asked if scored else {}),
    )

    def likelihoods() -> Iterator[Likelihood]:
        from potstill.training.likelihood import mean_logprobs

        def score(traces: Sequence[Prompted]) -> list[tuple[int, float]]:
            examples = [Example(x.problem_id, x.messages, x.text) for x in traces]
            return mean_logprobs(models.base(), examples)

        traces = (
            Prompted(problem.id, trace.sample, render_messages(problem, prompt), trace.text)
            for problem, trace in beside(problems, _right(taught, tags))
        )
        total = sum(verdict.outcome is Outcome.CORRECT for verdict in taught.verdicts)
        found = kept_likelihoods(context.store, traces, score, **scorer)
        yield from context.counted("likelihood of traces", total, "traces", found)

    def make(out: Filling) -> None:
        likely = {(x.problem_id, x.sample): x for x in (likelihoods() if scored else ())}
        for _, own in groupby(_right(taught, tags), key=whose):
            for ranked in rank_traces(list(own), options, likely):
                out.add("traces", ranked)

    made = context.store.exists(cell)
    context.cell(cell, "traces", {"traces": RankedTrace}, make)
    traces = context.store.rows(cell, "traces", RankedTrace)
    if not made and (told := copies_sentence(traces)):
        context.progress.note(f"traces: {told}")
    return traces


def _right(taught: AnswerSet, tags: bool) -> Iterator[RightTrace]:
    form = in_tags if tags else trace_text
    for place, (response, verdict) in enumerate(taught.judged()):
        if verdict.outcome is Outcome.CORRECT:
            who = (place, response.problem_id, response.sample)
            yield RightTrace(*who, verdict.disagreed, form(response))
