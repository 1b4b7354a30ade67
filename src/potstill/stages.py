"""The stages of a study, each a function of the stages before it.

What a stage makes is a cell named by its inputs: killed, it goes on where it was; a changed input
makes anew exactly what hangs on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, tee
from typing import TYPE_CHECKING, Any

from potstill.cells import Run, agent_identity, fingerprint
from potstill.errors import EndpointError, InputError
from potstill.lessons.condense import condense
from potstill.lessons.ladder import LADDER
from potstill.lessons.overlap import Pair
from potstill.lessons.recorded import Unmatched, read_recorded
from potstill.lessons.select import select
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
    hash_items,
)
from potstill.solvers import solve
from potstill.store import Cell, Filling
from potstill.study import Study
from potstill.tables import beside, in_batches, part

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
    "split": 2,
    "answers": 1,
    "verdicts": 1,
    "ratings": 1,
    "lessons": 1,
    "student": 1,
}
# so many go down the ladder together: enough to keep any endpoint busy, and few to hold in memory
_CONDENSED_TOGETHER = 4_096


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
    responses: Sequence[Response]
    not_asked: Sequence[NotAsked]
    verdicts: Sequence[Verdict] = ()
    split: Split = Split.HELDOUT

    def judged(self) -> Iterator[tuple[Response, Verdict]]:
        """Yield every response with its verdict, in the order of the study's problems."""
        return zip(self.responses, self.verdicts, strict=True)


UNASKED = Answers("", Role.TEACHER, "", 0, "", Condition("", "", "", Sampling(), ""), (), ())


def bring_in(run: Run) -> tuple[Sequence[Problem], Sequence[SetAside]]:
    """Every problem of every source: those that may be asked, and those set aside."""
    from potstill.problems import read_problems

    cell = problems_cell(run.study)
    tables = {"problems": Problem, "set_aside": SetAside}

    def make(out: Filling) -> None:
        with run.progress.stage("problems", None, "problems") as bar:
            for found in read_problems(run.study.problems):
                out.add("problems" if isinstance(found, Problem) else "set_aside", found)
                bar.advance()

    run.cell(cell, "problems", tables, make)
    problems = run.store.rows(cell, "problems", Problem)
    return problems, run.store.rows(cell, "set_aside", SetAside)


def problems_cell(study: Study) -> Cell:
    """The cell of a study's problems, named by the content of their files."""
    sources = [(s.source, s.label, fingerprint(s.options)) for s in study.problems]
    return Cell.of("problems", sources=sources, version=VERSION["problems"])


def split_up(run: Run, problems: Sequence[Problem]) -> tuple[dict[str, Split], Sequence[Pair]]:
    """The side of every problem, in their order, and the pairs that say the same, on one side."""
    from potstill.lessons.overlap import find_pairs
    from potstill.lessons.split import split

    study = run.study
    use = {source.label: source.use for source in study.problems}
    cell = Cell.of(
        "split",
        problems=content_hash(problems),
        options=study.split.model_dump(mode="json"),
        use=use,
        version=VERSION["split"],
    )

    def make(out: Filling) -> None:
        with run.progress.stage("overlap and split", len(problems), "problems") as bar:
            pairs = find_pairs(problems)
            sides = split(problems, study.split, pairs, use)
            bar.advance(len(problems))
        for problem in problems:
            out.add("sides", Side(problem.id, sides[problem.id]))
        for pair in pairs:
            out.add("pairs", pair)

    run.cell(cell, "overlap and split", {"sides": Side, "pairs": Pair}, make)
    rows = run.store.rows(cell, "sides", Side)
    run.store.check_same(cell, "sides", (x.problem_id for x in rows), (p.id for p in problems))
    sides = {side.problem_id: side.split for side in rows}
    pairs = run.store.rows(cell, "pairs", Pair)
    run.store.check_ids(cell, "pairs", (x for p in pairs for x in (p.a_id, p.b_id)), sides)
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
        responses=content_hash(answers.responses),
        problems=content_hash(problems),
        mode=study.verify,
        forms=study.forms,
        verifier=agent_identity(agent) if agent else "",
        rulings=rulings.digest,
        version=VERSION["verdicts"],
    )
    name = f"verify · {_short(answers)}"

    def make(out: Filling) -> None:
        pairs, again = tee(beside(problems, answers.responses))
        verdicts = verify(
            pairs,
            pool=run.pool(),
            judge=run.agent("verifier") if agent else None,
            mode=study.verify,
            stage="verify",
            rulings=rulings,
            forms=study.forms,
        )
        counted = run.counted(name, len(answers.responses), "verdicts", verdicts)
        for verdict, (problem, response) in zip(counted, again, strict=True):
            trace = f"{response.reasoning}\n\n{response.text}".strip()
            out.add("verdicts", with_cause(problem, trace, verdict))

    run.cell(cell, name, {"verdicts": Verdict}, make)
    verdicts = run.store.rows(cell, "verdicts", Verdict)
    run.store.check_same(
        cell,
        "verdicts",
        ((v.response_id, v.problem_id) for v in verdicts),
        ((r.response_id, r.problem_id) for r in answers.responses),
    )
    return replace(answers, verdicts=verdicts)


def make_lessons(
    run: Run, taught: Answers, problems: Sequence[Problem]
) -> tuple[Sequence[Lesson], Mapping[str, Sequence[Lesson]]]:
    """Every lesson with its flags, by problem and level, and those chosen to train on by level."""
    study = run.study
    parents = _verified(taught)
    source: Any = fingerprint(study.recorded.model_dump(mode="json")) if study.recorded else ""
    if study.condenser:
        source = {"who": agent_identity(study.condenser), "of": content_hash(parents)}
    cell = Cell.of(
        "lessons",
        source=source,
        problems=content_hash(problems),
        levels=list(study.levels),
        ladder=content_hash(list(LADDER)),
        gates=study.gates.model_dump(mode="json"),
        base=run.base_hash,
        version=VERSION["lessons"],
    )

    def make(out: Filling) -> None:
        for found in _lessons(run, parents, problems):
            out.add("lessons" if isinstance(found, Lesson) else "unmatched", found)

    run.cell(cell, "condense", {"lessons": Lesson, "unmatched": Unmatched}, make)
    lessons = run.store.rows(cell, "lessons", Lesson)
    run.store.check_ids(cell, "lessons", (x.problem_id for x in lessons), (p.id for p in problems))
    return lessons, select(lessons, study.levels, study.require).by_level


def _verified(taught: Answers) -> Sequence[Response]:
    """One right answer per problem: the first that nobody disputes, else the first."""
    places = []
    rows = enumerate(taught.judged())
    for _, samples in groupby(rows, key=lambda row: row[1][0].problem_id):
        right = [
            (verdict.disagreed, place)
            for place, (_, verdict) in samples
            if verdict.outcome is Outcome.CORRECT
        ]
        places += [min(right)[1]] if right else []
    return part(taught.responses, places)


def _lessons(
    run: Run, parents: Sequence[Response], problems: Sequence[Problem]
) -> Iterator[Lesson | Unmatched]:
    """Yield the lessons by problem and level."""
    study = run.study
    if study.recorded:
        recorded = read_recorded(
            study.recorded,
            problems,
            grade=run.pool().grade,
            count_tokens=run.count_tokens,
            gates=study.gates,
        )
        yield from run.counted("recorded levels", None, "lessons", recorded)
        return
    if study.condenser is None:
        raise InputError("the study has neither a condenser nor recorded levels; add one of them.")
    total = len(parents) * (1 + len(study.levels))
    yield from run.counted("condense", total, "lessons", _condensed(run, parents, problems))


def _condensed(
    run: Run, parents: Sequence[Response], problems: Sequence[Problem]
) -> Iterator[Lesson]:
    """Yield the lessons that a condenser makes, some thousands of problems at a time."""
    study = run.study
    assert study.condenser is not None
    for pairs in in_batches(beside(problems, parents), _CONDENSED_TOGETHER):
        lessons = condense(
            pairs,
            condenser=run.agent("condenser"),
            levels=study.levels,
            grade=run.pool().grade,
            count_tokens=run.count_tokens,
            stage="condense",
            sampling=study.condenser.sampling,
            options=study.gates,
        )
        order = {problem.id: i for i, (problem, _) in enumerate(pairs)}
        yield from sorted(lessons, key=lambda x: (order[x.problem_id], x.level))


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
        problems=content_hash(problems),
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
    def make(out: Filling) -> None:
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
        counted = run.counted(name, len(problems) * samples, "answers", stream)
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
        if first_failed and not counts["answered"] and not counts["not asked"]:
            raise EndpointError(
                f"{solver.id} answered none of {counts['errored']} problems "
                f"({first_failed.problem_id}: {first_failed.error}); mend that and run again: "
                "nothing was kept as an answer."
            )
        out.summary |= {"errored": counts["errored"], "asked past a cut": counts["again"]}

    if run.store.exists(cell) and run.store.manifest(cell).summary.get("errored") and not run.peek:
        run.progress.note(f"{name}: some calls failed before; they are asked again.")
        run.store.discard(cell)
    run.cell(cell, name, {"responses": Response, "not_asked": NotAsked}, make)
    responses = run.store.rows(cell, "responses", Response)
    run.store.check_ids(
        cell, "responses", (r.problem_id for r in responses), (p.id for p in problems)
    )
    not_asked = run.store.rows(cell, "not_asked", NotAsked)
    return replace(blank, responses=responses, not_asked=not_asked)


def in_order(
    results: Iterable[Response | NotAsked], problems: Iterable[Problem], samples: int = 1
) -> Iterator[Response | NotAsked]:
    """Yield the results of each problem, sample by sample, in the order of the problems.

    Those that come early wait: as many are in memory as are ahead of the slowest.
    """
    early: defaultdict[str, list[Response | NotAsked]] = defaultdict(list)
    coming = iter(results)
    for problem in problems:
        while len(early[problem.id]) < samples:
            result = next(coming)
            early[result.problem_id].append(result)
        yield from sorted(early.pop(problem.id), key=lambda x: getattr(x, "sample", 0))
    yield from coming  # none; but what is counted must end


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
    return hash_items([p.id, p.text] for p in problems)[:16]


def _short(answers: Answers) -> str:
    who = answers.level or answers.role.value
    seed = f" s{answers.seed}" if answers.role is Role.STUDENT else ""
    return f"{who}{seed} · {answers.set}"
