"""The stages of a study, each a function of the stages before it.

What a stage makes is a cell named by its inputs: killed, it goes on where it was; a changed input
makes anew exactly what hangs on it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import TYPE_CHECKING, Any

from potstill.grading.rulings import Rulings
from potstill.lessons.ladder import LADDER
from potstill.lessons.recorded import RecordedTally, Unmatched, read_recorded
from potstill.lessons.select import select
from potstill.pipeline.context import VERSION, Context, agent_identity
from potstill.pipeline.outputs import AnswerSet
from potstill.pipeline.traces import parents_of
from potstill.problems.overlap.pairs import Pair
from potstill.problems.split import split
from potstill.records import (
    Excluded,
    Lesson,
    Level,
    Problem,
    Response,
    Role,
    Sampling,
    Split,
    Verdict,
    content_hash,
)
from potstill.store.cells import Cell, Filling
from potstill.store.fingerprint import fingerprint
from potstill.store.tables import beside, in_batches
from potstill.study.schema import Study

if TYPE_CHECKING:
    from potstill.grading.verdicts import CutRule
    from potstill.lessons.traces import RankedTrace
    from potstill.pipeline.services import Agents, ClusterWorkers, Graders, LocalModels

__all__ = ["grade_answers", "import_problems", "make_lessons", "problems_cell", "split_problems"]

# so many go down the ladder together: enough to keep any endpoint busy, and few to hold in memory
_CONDENSED_TOGETHER = 4_096


@dataclass(frozen=True, slots=True)
class SplitRow:
    """The split of one problem."""

    problem_id: str
    split: Split


def import_problems(context: Context) -> tuple[Sequence[Problem], Sequence[Excluded]]:
    """Return every problem of every source: those that may be asked, and those excluded."""
    cell = problems_cell(context.study)
    tables = {"problems": Problem, "set_aside": Excluded}

    def make(out: Filling) -> None:
        from potstill.study.intake import read_study_problems

        with context.progress.stage("problems", None, "problems") as bar:
            for found in read_study_problems(context.study, context.progress.note):
                out.add("problems" if isinstance(found, Problem) else "set_aside", found)
                bar.advance()

    context.cell(cell, "problems", tables, make)
    problems = context.store.rows(cell, "problems", Problem)
    return problems, context.store.rows(cell, "set_aside", Excluded)


def problems_cell(study: Study) -> Cell:
    """Return the cell of a study's problems, named by the content of their files."""
    sources = [(s.source, s.label, fingerprint(s.options)) for s in study.sources]
    keyless: Mapping[str, bool] = {"keyless": True} if study.keys else {}
    return Cell.of("problems", sources=sources, version=VERSION["problems"], **keyless)


def split_problems(
    context: Context, workers: ClusterWorkers, problems: Sequence[Problem]
) -> tuple[dict[str, Split], Sequence[Pair]]:
    """Return the split of every problem, in their order, and the pairs that say the same, in one
    split.
    """
    study = context.study
    use = study.uses
    cell = Cell.of(
        "split",
        problems=content_hash(problems),
        options=study.split.model_dump(mode="json"),
        use=use,
        version=VERSION["split"],
    )

    def make(out: Filling) -> None:
        from potstill.problems.overlap.find import find_pairs

        with context.progress.stage("overlap and split", len(problems), "problems") as bar:
            pairs = find_pairs(problems, sketchers=workers.sketchers(len(problems)))
            splits = split(problems, study.split, pairs, use)
            bar.advance(len(problems))
        for problem in problems:
            out.add("sides", SplitRow(problem.id, splits[problem.id]))
        for pair in pairs:
            out.add("pairs", pair)

    context.cell(cell, "overlap and split", {"sides": SplitRow, "pairs": Pair}, make)
    rows = context.store.rows(cell, "sides", SplitRow)
    context.store.check_same(cell, "sides", (x.problem_id for x in rows), (p.id for p in problems))
    splits = {row.problem_id: row.split for row in rows}
    pairs = context.store.rows(cell, "pairs", Pair)
    context.store.check_ids(cell, "pairs", (x for p in pairs for x in (p.a_id, p.b_id)), splits)
    return splits, pairs


def grade_answers(
    context: Context,
    agents: Agents,
    graders: Graders,
    answers: AnswerSet,
    problems: Sequence[Problem],
    solutions: Sequence[Response] | None = None,
) -> AnswerSet:
    """Return the same answers with a verdict on each: the symbolic check, and the verifier model.

    ``solutions``, one right answer a problem, tell only the cause of an answer that is wrong.
    """
    study = context.study
    agent = study.verifier if study.verify != "symbolic" else None
    # A teacher's trace that is cut is never whole, whatever it stated.
    cut: CutRule = "truncated" if answers.role is Role.TEACHER else study.evaluation.cut
    rulings = Rulings.load(context.directory / "rulings.jsonl")
    cell = Cell.of(
        "verdicts",
        responses=content_hash(answers.responses),
        problems=content_hash(problems),
        mode=study.verify,
        forms=study.forms,
        cut=cut,
        verifier=agent_identity(agent) if agent else "",
        rulings=rulings.digest,
        solutions="" if solutions is None else content_hash(solutions),
        version=VERSION["verdicts"],
        **({"kinds": study.kinds} if study.kinds else {}),
    )
    name = f"verify · {answers.label}"

    def make(out: Filling) -> None:
        from potstill.grading.causes import with_cause
        from potstill.grading.panel import verify

        pairs, again = tee(beside(problems, answers.responses))
        verdicts = verify(
            pairs,
            pool=graders.open(),
            judge=agents.open("verifier") if agent else None,
            mode=study.verify,
            stage="verify",
            rulings=rulings,
            forms=study.forms,
            cut=cut,
        )
        counted = context.counted(name, len(answers.responses), "verdicts", verdicts)
        right = _solution_of_each(again, problems, solutions or ())
        for verdict, (problem, response, solution) in zip(counted, right, strict=True):
            out.add("verdicts", with_cause(problem, _trace(response), verdict, solution))

    context.cell(cell, name, {"verdicts": Verdict}, make)
    verdicts = context.store.rows(cell, "verdicts", Verdict)
    context.store.check_same(
        cell,
        "verdicts",
        ((v.response_id, v.problem_id) for v in verdicts),
        ((r.response_id, r.problem_id) for r in answers.responses),
    )
    return replace(answers, verdicts=verdicts)


def _solution_of_each(
    pairs: Iterable[tuple[Problem, Response]],
    problems: Iterable[Problem],
    solutions: Iterable[Response],
) -> Iterator[tuple[Problem, Response, str]]:
    """Yield each answer with a right solution of its problem, empty where there is none."""
    following, ahead = iter(problems), iter(solutions)
    solution, current, text = next(ahead, None), "", ""
    for problem, response in pairs:
        while current != problem.id:
            current, text = next(following).id, ""
            if solution is not None and solution.problem_id == current:
                text, solution = _trace(solution), next(ahead, None)
        yield problem, response, text


def _trace(response: Response) -> str:
    return f"{response.reasoning}\n\n{response.text}".strip()


def make_lessons(
    context: Context,
    agents: Agents,
    graders: Graders,
    models: LocalModels,
    taught: AnswerSet,
    traces: Sequence[RankedTrace],
    problems: Sequence[Problem],
) -> tuple[Sequence[Lesson], Mapping[str, Sequence[Lesson]]]:
    """Return every lesson with its flags, by problem, trace and level, and those chosen to train on
    by level.
    """
    study = context.study
    parents = parents_of(context, taught, traces)
    source: Any = fingerprint(study.recorded.model_dump(mode="json")) if study.recorded else ""
    if study.condenser:
        source = {"who": agent_identity(study.condenser), "of": content_hash(parents)}
    form: dict[str, str] = {"thinking": study.student.thinking} if Level.R0 in study.levels else {}
    if form and not study.condenser:
        form["of"] = content_hash(parents)
    cell = Cell.of(
        "lessons",
        source=source,
        problems=content_hash(problems),
        levels=list(study.levels),
        ladder=content_hash(list(LADDER)),
        gates=study.gates.model_dump(mode="json"),
        base=context.base_hash,
        version=VERSION["lessons"],
        **form,
        **({"require": "own"} if study.require == "own" and study.condenser else {}),
    )

    def make(out: Filling) -> None:
        tally = RecordedTally()
        for found in _lessons(context, agents, graders, models, parents, problems):
            out.add("lessons" if isinstance(found, Lesson) else "unmatched", found)
            tally.add(found)
        if study.recorded:
            context.progress.note(tally.line())

    context.cell(cell, "condense", {"lessons": Lesson, "unmatched": Unmatched}, make)
    lessons = context.store.rows(cell, "lessons", Lesson)
    context.store.check_in_order(
        cell, "lessons", (x.problem_id for x in lessons), (p.id for p in problems)
    )
    taken = {trace.key for trace in traces if trace.taken} if traces else None
    return lessons, select(lessons, study.levels, study.require, taken)


def _lessons(
    context: Context,
    agents: Agents,
    graders: Graders,
    models: LocalModels,
    parents: Sequence[Response],
    problems: Sequence[Problem],
) -> Iterator[Lesson | Unmatched]:
    """Yield the lessons by problem, trace and level."""
    study = context.study
    raw = Level.R0 in study.levels
    if study.recorded:
        recorded: Iterable[Lesson | Unmatched] = read_recorded(
            study.recorded,
            problems,
            grade=graders.open().grade,
            count_tokens=models.count_tokens,
            gates=study.gates,
        )
        if raw and not any(Level.R0 in file.levels for file in study.recorded.files):
            raw_traces = _condensed(study, agents, graders, models, parents, problems)
            # what was recorded is of no draw, and stands with R0 as one trace
            traces = (replace(lesson, sample=0) for lesson in raw_traces)
            order = {problem.id: i for i, problem in enumerate(problems)}
            recorded = heapq.merge(recorded, traces, key=lambda x: _place(x, order))
        yield from context.counted("recorded levels", None, "lessons", recorded)
        return
    total = len(parents) * len({Level.R0, *study.levels})
    lessons = _condensed(study, agents, graders, models, parents, problems)
    yield from context.counted("condense", total, "lessons", lessons, free=len(parents))


def _place(found: Lesson | Unmatched, order: Mapping[str, int]) -> tuple[int, str]:
    """Return where a lesson stands among all: by problem and level, those of no problem first."""
    return (-1, "") if isinstance(found, Unmatched) else (order[found.problem_id], found.level)


def _condensed(
    study: Study,
    agents: Agents,
    graders: Graders,
    models: LocalModels,
    parents: Sequence[Response],
    problems: Sequence[Problem],
) -> Iterator[Lesson]:
    """Yield R0 of every answer and the lessons that a condenser, if there is one, makes of it, some
    thousands of problems at a time.
    """
    from potstill.lessons.condense import condense

    agent = study.condenser
    tags = models.teaches_tags()
    proven: set[str] = set()
    for pairs in in_batches(beside(problems, parents), _CONDENSED_TOGETHER):
        lessons = condense(
            pairs,
            condenser=agents.open("condenser") if agent else None,
            levels=study.levels if agent else (),
            grade=graders.open().grade,
            count_tokens=models.count_tokens,
            stage="condense",
            sampling=agent.sampling if agent else Sampling(),
            options=study.gates,
            tags=tags,
            whole=study.require == "all",
            proven=proven,
        )
        order = {problem.id: i for i, (problem, _) in enumerate(pairs)}
        yield from sorted(lessons, key=lambda x: (order[x.problem_id], x.sample, x.level))
