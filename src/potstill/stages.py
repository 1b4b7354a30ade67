"""The stages of a study, each a function of the stages before it.

What a stage makes is a cell named by its inputs: killed, it goes on where it was; a changed input
makes anew exactly what hangs on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from potstill.cells import Run, agent_identity, fingerprint
from potstill.errors import EndpointError, InputError
from potstill.lessons.condense import condense
from potstill.lessons.ladder import LADDER
from potstill.lessons.overlap import Pair
from potstill.lessons.recorded import Unmatched, read_recorded
from potstill.lessons.select import LeftOut, select
from potstill.records import (
    Condition,
    Finish,
    Lesson,
    NotAsked,
    Outcome,
    Problem,
    Response,
    Role,
    Sampling,
    SetAside,
    Split,
    Verdict,
    content_hash,
)
from potstill.solvers import solve
from potstill.store import Cell
from potstill.study import Study

if TYPE_CHECKING:
    from potstill.students import StudentCell

__all__ = [
    "UNASKED",
    "VERSION",
    "Answers",
    "AskedLevel",
    "ask_student",
    "ask_teacher",
    "bring_in",
    "judge",
    "make_lessons",
    "problems_cell",
    "split_up",
    "student_answers",
    "student_condition",
    "teacher_condition",
]

# raised when a stage's code changes what it makes of the same inputs
VERSION = {
    "problems": 1,
    "split": 1,
    "answers": 1,
    "verdicts": 1,
    "ratings": 1,
    "lessons": 1,
    "student": 1,
}


@dataclass(frozen=True, slots=True)
class Side:
    """Where one problem stands."""

    problem_id: str
    split: Split


@dataclass(frozen=True, slots=True)
class AskedLevel:
    """A level that a solver is asked for by name, and the mean words of its lessons."""

    level: str
    words: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What one solver said under one condition, and the verdicts on it."""

    name: str
    role: Role
    level: str
    seed: int
    set: str
    condition: Condition
    responses: tuple[Response, ...]
    not_asked: tuple[NotAsked, ...]
    verdicts: tuple[Verdict, ...] = ()
    split: Split = Split.HELDOUT


UNASKED = Answers("", Role.TEACHER, "", 0, "", Condition("", "", "", Sampling(), ""), (), ())


def bring_in(run: Run) -> tuple[list[Problem], list[SetAside]]:
    """Every problem of every source: those that may be asked, and those set aside."""
    from potstill.problems import load_problems

    cell = problems_cell(run.study)

    def make() -> Any:
        sources = run.study.problems
        with run.progress.stage("problems", len(sources), "sources") as bar:
            imported = load_problems(sources)
            bar.advance(len(sources))
        tables = {
            "problems": (Problem, imported.problems),
            "set_aside": (SetAside, imported.set_aside),
        }
        return tables, {}

    run.cell(cell, "problems", make)
    problems = run.store.read(cell, "problems", Problem)
    return problems, run.store.read(cell, "set_aside", SetAside)


def problems_cell(study: Study) -> Cell:
    """The cell of a study's problems, named by the content of their files."""
    sources = [(s.source, s.label, fingerprint(s.options)) for s in study.problems]
    return Cell.of("problems", sources=sources, version=VERSION["problems"])


def split_up(run: Run, problems: Sequence[Problem]) -> tuple[dict[str, Split], list[Pair]]:
    """The side of every problem, and the pairs that say the same, kept on one side."""
    from potstill.lessons.overlap import find_pairs
    from potstill.lessons.split import split

    study = run.study
    use = {source.label: source.use for source in study.problems}
    cell = Cell.of(
        "split",
        problems=content_hash(list(problems)),
        options=study.split.model_dump(mode="json"),
        use=use,
        version=VERSION["split"],
    )

    def make() -> Any:
        with run.progress.stage("overlap and split", len(problems), "problems") as bar:
            pairs = find_pairs(problems)
            sides = split(problems, study.split, pairs, use)
            bar.advance(len(problems))
        tables = {
            "sides": (Side, [Side(p.id, sides[p.id]) for p in problems]),
            "pairs": (Pair, pairs),
        }
        return tables, {}

    run.cell(cell, "overlap and split", make)
    sides = {side.problem_id: side.split for side in run.store.read(cell, "sides", Side)}
    pairs = run.store.read(cell, "pairs", Pair)
    ids = [p.id for p in problems]
    run.store.check_ids(cell, "sides", sides, ids, every=True)
    run.store.check_ids(cell, "pairs", (x for p in pairs for x in (p.a_id, p.b_id)), ids)
    return sides, pairs


def ask_teacher(run: Run, problems: Sequence[Problem], which: str, *, samples: int = 1) -> Answers:
    """The teacher's answers to a set of problems, under the teacher's own condition."""
    agent = run.study.teacher
    condition = teacher_condition(run.study, problems)
    blank = Answers("teacher", Role.TEACHER, "", 0, which, condition, (), ())
    identity = {**agent_identity(agent), "samples": samples}
    cell = _answers_cell(blank, problems, identity)
    return _ask(run, cell, blank, problems, f"teacher · {which}", samples=samples)


def teacher_condition(study: Study, problems: Sequence[Problem]) -> Condition:
    """The condition under which the teacher answers these problems."""
    agent = study.teacher
    return Condition(
        problem_set=_set_hash(problems),
        system=agent.system,
        template=agent.prompt,
        sampling=agent.sampling,
        precision="api",
        when_cut=str(agent.past_cut or ""),
    )


def judge(run: Run, answers: Answers, problems: Sequence[Problem]) -> Answers:
    """The same answers with a verdict on each: the symbolic check, and the verifier model."""
    from potstill.grading import Rulings, verify
    from potstill.grading.causes import with_cause

    study = run.study
    agent = study.verifier if study.verify != "symbolic" else None
    rulings = Rulings.load(run.directory / "rulings.jsonl")
    cell = Cell.of(
        "verdicts",
        responses=content_hash(list(answers.responses)),
        problems=content_hash(list(problems)),
        mode=study.verify,
        forms=study.forms,
        verifier=agent_identity(agent) if agent else "",
        rulings=rulings.digest,
        version=VERSION["verdicts"],
    )
    name = f"verify · {_short(answers)}"

    def make() -> Any:
        by_id = {p.id: p for p in problems}
        pairs = [(by_id[r.problem_id], r) for r in answers.responses]
        verdicts = run.counted(
            name,
            len(pairs),
            "verdicts",
            verify(
                pairs,
                pool=run.pool(),
                judge=run.agent("verifier") if agent else None,
                mode=study.verify,
                stage="verify",
                rulings=rulings,
                forms=study.forms,
            ),
        )
        told = [
            with_cause(problem, f"{response.reasoning}\n\n{response.text}".strip(), verdict)
            for (problem, response), verdict in zip(pairs, verdicts, strict=True)
        ]
        return {"verdicts": (Verdict, told)}, {}

    run.cell(cell, name, make)
    verdicts = run.store.read(cell, "verdicts", Verdict)
    ids = (r.response_id for r in answers.responses)
    run.store.check_ids(cell, "verdicts", (v.response_id for v in verdicts), ids, every=True)
    run.store.check_ids(
        cell, "verdicts", (v.problem_id for v in verdicts), [p.id for p in problems]
    )
    return replace(answers, verdicts=tuple(verdicts))


def make_lessons(
    run: Run, taught: Answers, problems: Sequence[Problem]
) -> tuple[list[Lesson], Mapping[str, tuple[Lesson, ...]], tuple[LeftOut, ...]]:
    """Every lesson with its flags, those chosen to train on by level, and those left out."""
    study = run.study
    parents = _verified(taught)
    source: Any = fingerprint(study.recorded.model_dump(mode="json")) if study.recorded else ""
    if study.condenser:
        source = {"who": agent_identity(study.condenser), "of": content_hash(parents)}
    cell = Cell.of(
        "lessons",
        source=source,
        problems=content_hash(list(problems)),
        levels=list(study.levels),
        ladder=content_hash(list(LADDER)),
        gates=study.gates.model_dump(mode="json"),
        base=run.base_hash,
        version=VERSION["lessons"],
    )

    def make() -> Any:
        lessons, unmatched = _lessons(run, parents, problems)
        order = {p.id: i for i, p in enumerate(problems)}
        lessons.sort(key=lambda x: (order[x.problem_id], x.level))
        return {"lessons": (Lesson, lessons), "unmatched": (Unmatched, unmatched)}, {}

    run.cell(cell, "condense", make)
    lessons = run.store.read(cell, "lessons", Lesson)
    run.store.check_ids(cell, "lessons", (x.problem_id for x in lessons), [p.id for p in problems])
    compared = [lesson for lesson in lessons if lesson.level in study.levels]
    selected = select(compared, study.levels, study.require)
    return lessons, selected.by_level, selected.left_out


def _verified(taught: Answers) -> list[Response]:
    """One right answer per problem: the first that nobody disputes, else the first."""
    verdicts = {v.response_id: v for v in taught.verdicts}
    first: dict[str, Response] = {}
    for disputed in (False, True):
        for response in taught.responses:
            verdict = verdicts[response.response_id]
            if verdict.outcome is Outcome.CORRECT and verdict.disagreed is disputed:
                first.setdefault(response.problem_id, response)
    return [r for r in taught.responses if first.get(r.problem_id) is r]


def _lessons(
    run: Run, parents: Sequence[Response], problems: Sequence[Problem]
) -> tuple[list[Lesson], list[Unmatched]]:
    study = run.study
    by_id = {p.id: p for p in problems}
    if study.recorded:
        with run.progress.stage("recorded levels", len(problems), "problems") as bar:
            found = read_recorded(
                study.recorded,
                problems,
                grade=run.pool().grade,
                count_tokens=run.count_tokens,
                gates=study.gates,
            )
            bar.advance(len(problems))
        return list(found.lessons), list(found.unmatched)
    if study.condenser is None:
        raise InputError("the study has neither a condenser nor recorded levels; add one of them.")
    lessons = run.counted(
        "condense",
        len(parents) * (1 + len(study.levels)),
        "lessons",
        condense(
            [(by_id[r.problem_id], r) for r in parents],
            condenser=run.agent("condenser"),
            levels=study.levels,
            grade=run.pool().grade,
            count_tokens=run.count_tokens,
            stage="condense",
            sampling=study.condenser.sampling,
            options=study.gates,
        ),
    )
    return lessons, []


def ask_student(
    run: Run,
    student: StudentCell | None,
    problems: Sequence[Problem],
    label: str,
    asked: AskedLevel | None = None,
) -> Answers:
    """The answers of the base (no student) or a student: one condition for all of them.

    ``asked`` for a level, the mixed student and the base answer under a condition of their own.
    """
    cell, blank = student_answers(run, student, problems, label, asked)
    return _ask(run, cell, blank, problems, f"{_short(blank)}", student)


def student_answers(
    run: Run,
    student: StudentCell | None,
    problems: Sequence[Problem],
    label: str,
    asked: AskedLevel | None = None,
) -> tuple[Cell, Answers]:
    """The cell of what :func:`ask_student` asks, and the answers before there are any."""
    condition = student_condition(run.study, _set_hash(problems), asked)
    if student is None:
        level = f"base-{asked.level}" if asked else ""
        blank = Answers("base", Role.BASE, level, 0, label, condition, (), ())
        weights = {"base": run.base_hash, "backend": run.study.student.backend}
    else:
        trained = student.student
        variant = f"{trained.variant}-{asked.level}" if asked else trained.variant
        who = (trained.id, Role.STUDENT, variant, trained.seed)
        blank = Answers(*who, label, condition, (), ())
        backend = run.study.student.backend
        weights = {
            "base": trained.base_hash,
            "adapter": trained.adapter_hash,
            "backend": backend,
        }
    return _answers_cell(blank, problems, weights), blank


def _answers_cell(blank: Answers, problems: Sequence[Problem], identity: Mapping[str, Any]) -> Cell:
    return Cell.of(
        "answers",
        # two students with the same bits are still two
        name=blank.name,
        identity=identity,
        condition=blank.condition,
        problems=content_hash(list(problems)),
        version=VERSION["answers"],
    )


def _ask(
    run: Run,
    cell: Cell,
    blank: Answers,
    problems: Sequence[Problem],
    name: str,
    student: StudentCell | None = None,
    samples: int = 1,
) -> Answers:
    order = {p.id: i for i, p in enumerate(problems)}

    def make() -> Any:
        if blank.role is Role.TEACHER:
            solver = run.agent("teacher")
        else:
            solver = run.local_solver(student.folder if student else None, blank.name)
        stage = "teach" if blank.role is Role.TEACHER else "answer"
        past_cut = run.study.teacher.past_cut if blank.role is Role.TEACHER else None
        stream = solve(
            *(solver, problems, blank.condition),
            stage=stage,
            samples=samples,
            when_cut=past_cut,
        )
        results = run.counted(name, len(problems) * samples, "answers", stream)
        results.sort(key=lambda r: (order[r.problem_id], getattr(r, "sample", 0)))
        tables = {
            "responses": (Response, [r for r in results if isinstance(r, Response)]),
            "not_asked": (NotAsked, [r for r in results if isinstance(r, NotAsked)]),
        }
        failed = [r for r in results if isinstance(r, Response) and r.finish is Finish.ERROR]
        if failed and len(failed) == len(results):
            raise EndpointError(
                f"{solver.id} answered none of {len(failed)} problems ({failed[0].problem_id}: "
                f"{failed[0].error}); mend that and run again: nothing was kept as an answer."
            )
        again = sum(isinstance(r, Response) and r.attempt > 0 for r in results)
        return tables, {"errored": len(failed), "asked past a cut": again}

    if run.store.exists(cell) and run.store.manifest(cell).summary.get("errored") and not run.peek:
        run.progress.note(f"{name}: some calls failed before; they are asked again.")
        run.store.discard(cell)
    run.cell(cell, name, make)
    responses = run.store.read(cell, "responses", Response)
    run.store.check_ids(cell, "responses", (r.problem_id for r in responses), order)
    return replace(
        blank,
        responses=tuple(responses),
        not_asked=tuple(run.store.read(cell, "not_asked", NotAsked)),
    )


def student_condition(study: Study, problem_set: str, asked: AskedLevel | None = None) -> Condition:
    """The condition of base and students, for training prompts and for answers.

    One for all of them, and one for every level that the mixed student is ``asked`` for.
    """
    evaluation = study.evaluation
    template = evaluation.prompt
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
        sampling=evaluation.sampling,
        precision=study.student.precision,
    )


def _set_hash(problems: Iterable[Problem]) -> str:
    return content_hash([[p.id, p.text] for p in problems])[:16]


def _short(answers: Answers) -> str:
    who = answers.level or answers.role.value
    seed = f" s{answers.seed}" if answers.role is Role.STUDENT else ""
    return f"{who}{seed} · {answers.set}"
