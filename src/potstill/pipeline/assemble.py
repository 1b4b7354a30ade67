"""What the stages made, put together into the numbers of a report."""

from __future__ import annotations

import platform
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from potstill.errors import one_line
from potstill.evaluation import Answered, evaluate, join
from potstill.evaluation.near_duplicates import near_duplicates
from potstill.evaluation.published import Published
from potstill.evaluation.samples import AtK, at_k
from potstill.ledger.names import other_names
from potstill.lessons.difficulty import outside_difficulty, pass_rate_sentence
from potstill.lessons.listing import gate_rows, gate_totals
from potstill.lessons.majority import majority_sentence
from potstill.lessons.recorded import inversions
from potstill.lessons.traces import lessons_sentence
from potstill.pipeline.cases import make_cases
from potstill.pipeline.context import base_title
from potstill.pipeline.declared import is_declared, primary_of
from potstill.pipeline.lock import study_hash
from potstill.pipeline.students import chosen_sentences
from potstill.pipeline.unread import unread_solvers
from potstill.records import (
    Cause,
    DecidedBy,
    Finish,
    Lesson,
    Level,
    Opinion,
    Outcome,
    Problem,
    Role,
    Split,
    content_hash,
)
from potstill.report.data import (
    CallCount,
    CauseCount,
    Corpus,
    Disagreement,
    Grader,
    LessonCount,
    LossCurve,
    LossPoint,
    OverlapPair,
    ReportData,
    Reproduction,
)
from potstill.store.tables import beside
from potstill.study.teachers import teachers_notes
from potstill.text import first_of, several

if TYPE_CHECKING:
    from pathlib import Path

    from potstill.ledger.ledger import Ledger
    from potstill.pipeline.context import Context
    from potstill.pipeline.outputs import AnswerSet, Made, StudentCell
    from potstill.pipeline.services import ClusterWorkers
    from potstill.study.schema import PublishedFigure, Study

__all__ = [
    "answered",
    "call_counts",
    "lesson_counts",
    "report_data",
    "scored_groups",
    "write_report",
]

NO_NAMES: Mapping[str, str] = MappingProxyType({})
_LEVELS = frozenset(Level)
_LOCAL_MODEL = re.compile(r"([0-9a-f]{16}(\+[0-9a-f]{16})?)@")


def write_report(context: Context, workers: ClusterWorkers, result: Made) -> dict[str, Any]:
    """Return the report as plain data, after it was written beneath the study's directory."""
    import json

    from potstill.report.build import build_report

    with context.progress.stage("report", 1, "page") as bar:
        page = build_report(report_data(context, workers, result), context.directory)
        bar.advance()
    report: dict[str, Any] = json.loads((page.parent / "report.json").read_text("utf-8"))
    return report


def report_data(context: Context, workers: ClusterWorkers, result: Made) -> ReportData:
    """Return every number and sentence of the report."""
    overlap = _overlap(workers, result)
    problems = scored_groups(context.study, result.problems)
    answers = answered(result.answers, problems)
    taught = result.taught
    gates = tuple(
        gate_rows(
            result.problems, taught.responses, taught.verdicts, result.lessons, context.study.gates
        )
    )
    under = [a.condition for a in (result.taught, *result.answers)]
    conditions = {x.condition_id: x for x in (*under, *result.taught.further)}
    evaluation = evaluate(answers, conditions, primary=primary_of(context.study))
    alike = {pair.heldout_id for pair in overlap}
    return ReportData.of(
        context.study.name,
        evaluation,
        conditions=tuple(conditions.values()),
        corpus=_corpus(result),
        reproduction=_reproduction(context, result),
        training=tuple(_curve(cell) for cell in result.students),
        calls=call_counts(context.ledger, _local_names(context, result)),
        causes=tuple(_causes(result, problems)),
        unread=unread_solvers(result.answers),
        grader=_grader(result),
        overlap=overlap,
        near_duplicates=near_duplicates(answers, alike, conditions, evaluation.comparisons),
        base=base_title(context.study),
        declared=is_declared(context),
        gates=tuple(gate_totals(gates, taught.responses, result.lessons)),
        gate_rows=gates,
        notes=(
            *_origin(context),
            *_notes(result),
            *teachers_notes(context.study.teachers, context.ledger),
            *other_names(context.ledger),
        ),
        description=context.study.about,
        published=tuple((x.who, _published(x)) for x in context.study.published),
        cases=make_cases(result, problems),
        cases_of=len(result.problems),
    )


def _published(x: PublishedFigure) -> Published:
    return Published(x.table, x.label, x.correct, x.n, x.seen, x.chosen, x.spread)


def scored_groups(study: Study, problems: Sequence[Problem]) -> Sequence[Problem]:
    """Return the problems without the group that only says on which side they stand."""
    options = study.split
    if options.by != "given":
        return problems
    return [
        replace(p, groups={k: v for k, v in p.groups.items() if k != options.group})
        for p in problems
    ]


def answered(cells: Iterable[AnswerSet], problems: Sequence[Problem]) -> list[Answered]:
    """Return every answer of the cells with its verdict, under the groups of these problems."""
    groups: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    texts: dict[str, str] = {}
    # a row of every solver and problem: what rows have in common is there once
    return [
        replace(
            row,
            problem_id=texts.setdefault(row.problem_id, row.problem_id),
            condition_id=texts.setdefault(row.condition_id, row.condition_id),
            groups=groups.setdefault(tuple(row.groups.items()), row.groups),
        )
        for cell in cells
        for row in join(
            cell.responses,
            cell.verdicts,
            problems,
            role=cell.role,
            set=cell.set,
            split=cell.split,
            level=cell.level,
            seed=cell.seed,
        )
    ]


def _corpus(result: Made) -> Corpus:
    not_asked = Counter(
        x.solver for cell in (result.taught, *result.answers) for x in cell.not_asked
    )
    return Corpus(
        problems=len(result.problems) + len(result.excluded),
        set_aside=_counts(item.reason.value for item in result.excluded),
        splits=_counts(side.value for side in result.splits.values()),
        teacher_outcomes=_counts(v.outcome.value for v in result.keyed().verdicts),
        not_asked=dict(not_asked),
        lessons=lesson_counts(result),
        trained=len(_ids(result, Split.TRAIN)),
        validated=len(_ids(result, Split.VALID)),
        require=result.study.require,
        samples=_samples(result.study, result.keyed()),
    )


def _ids(result: Made, split: Split) -> set[str]:
    """Return the problems of one split that some lesson chosen to train on is of."""
    return {p.id for p in result.in_split(split)} & result.trained_ids()


def _samples(study: Study, taught: AnswerSet) -> tuple[AtK, ...]:
    """Return pass@k and majority@k of the teacher's replies, where each problem got several."""
    if study.teachers or all(response.sample == 0 for response in taught.responses):
        return ()  # of several teachers, each has draws of its own
    read: dict[str, list[str]] = {}
    right: dict[str, list[bool]] = {}
    for response, verdict in taught.judged():
        if verdict.outcome is not Outcome.BAD_KEY and response.attempt == 0:
            read.setdefault(response.problem_id, []).append(verdict.extracted)
            right.setdefault(response.problem_id, []).append(verdict.outcome is Outcome.CORRECT)
    return at_k([list(read.values())], [list(right.values())])


def lesson_counts(made: Made) -> tuple[LessonCount, ...]:
    """Return the lessons of every level of the ladder, R0 too, and then of every control."""
    return (*_lesson_counts(made.lessons), *_control_counts(made.chosen))


def _control_counts(chosen: Mapping[str, Sequence[Lesson]]) -> Iterable[LessonCount]:
    """Yield the lessons of auto, of each teacher and of the controls: none of them can fail a gate
    any more, and none is of the ladder.
    """
    for name, lessons in chosen.items():
        if name not in _LEVELS:
            yield _LevelCount.of(lessons).counted(name, 0)


def _lesson_counts(lessons: Iterable[Lesson]) -> Iterable[LessonCount]:
    longer = {row.level: row.longer for row in inversions(lessons)}
    levels: defaultdict[str, _LevelCount] = defaultdict(_LevelCount)
    for lesson in lessons:
        levels[lesson.level].add(lesson)
    return [levels[level].counted(level, longer.get(level, 0)) for level in sorted(levels)]


@dataclass(slots=True)
class _LevelCount:
    """The lessons of one level, counted one by one."""

    kept: int = 0
    words: int = 0
    tokens: int = 0
    flagged: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def of(lessons: Iterable[Lesson]) -> _LevelCount:
        count = _LevelCount()
        for lesson in lessons:
            count.add(lesson)
        return count

    def add(self, lesson: Lesson) -> None:
        self.flagged.update(lesson.flags)
        if not lesson.flags:
            self.kept += 1
            self.words += lesson.words
            self.tokens += lesson.tokens

    def counted(self, level: str, inverted: int) -> LessonCount:
        return LessonCount(
            level=level,
            kept=self.kept,
            flagged=dict(sorted(self.flagged.items())),
            mean_words=self.words / self.kept if self.kept else 0.0,
            mean_tokens=self.tokens / self.kept if self.kept else 0.0,
            inversions=inverted,
        )


def _curve(cell: StudentCell) -> LossCurve:
    return LossCurve(
        variant=cell.student.variant,
        seed=cell.student.seed,
        history=tuple(LossPoint(x.step, x.train_loss, x.validation_loss) for x in cell.history),
        chosen_step=cell.student.chosen_step,
        chosen_why=cell.student.chosen_why,
    )


def _local_names(context: Context, result: Made) -> dict[str, str]:
    """Return what a reader calls the base and every student, by what the ledger calls them.

    A local model stands there as the hashes of base and adapter; its precision is left off.
    """
    base = context.base_hash[:16]
    students = {
        f"{base}+{x.adapter_hash[:16]}": _student_name(x.variant, x.seed, context.study)
        for x in (cell.student for cell in result.students)
    }
    return {base: "base"} | students


def _who(model: str, names: Mapping[str, str]) -> str:
    """Return what a reader calls a model of the ledger; "" where the name there says it."""
    found = _LOCAL_MODEL.match(model)
    if not names or found is None:
        return ""
    return names.get(found[1], "a student of an earlier run" if found[2] else "another base")


def call_counts(ledger: Ledger, names: Mapping[str, str] = NO_NAMES) -> tuple[CallCount, ...]:
    """Return the calls and the spend of a study so far, by stage and model.

    ``names`` are what readers call local models, by their hashes.
    """
    return tuple(
        CallCount(
            stage=spend.group[0],
            model=spend.group[1],
            calls=spend.calls,
            retries=spend.retries,
            tokens_in=spend.tokens_in,
            tokens_out=spend.tokens_out,
            cost_usd=None if spend.unpriced else spend.cost_usd,
            who=_who(spend.group[1], names),
        )
        for spend in ledger.spend(("stage", "model"))
    )


def _causes(result: Made, problems: Sequence[Problem]) -> Iterable[CauseCount]:
    """Yield why answers were not right, by solver and group."""
    answers: Counter[tuple[str, Split, str, str]] = Counter()
    causes: defaultdict[tuple[str, Split, str, str], Counter[str]] = defaultdict(Counter)
    for cell in result.answers:
        who = cell.level or cell.role.value
        for problem, verdict in beside(problems, cell.verdicts):
            for group in ("all", *(f"{k}={v}" for k, v in problem.groups.items())):
                of = (cell.set, cell.split, who, group)
                answers[of] += 1
                if verdict.cause is not Cause.NONE:
                    causes[of][verdict.cause.value] += 1
    for of, count in answers.items():
        yield CauseCount(*of, count, dict(sorted(causes[of].items())))


def _grader(result: Made) -> Grader:
    decided: Counter[str] = Counter()
    disagreements: list[Disagreement] = []
    unparseable = undecided = asked = 0
    for cell in (result.taught, *result.answers):
        for problem, verdict in beside(result.problems, cell.verdicts):
            decided[verdict.decided_by.value] += 1
            undecided += verdict.outcome is Outcome.UNDECIDED
            asked += verdict.judge is not Opinion.NOT_ASKED
            unparseable += verdict.judge is Opinion.UNDECIDED
            if verdict.disagreed:
                disagreements.append(
                    Disagreement(
                        problem_id=problem.id,
                        key=problem.key_shown,
                        answer=verdict.extracted,
                        symbolic=verdict.symbolic.value,
                        symbolic_why=verdict.symbolic_why,
                        judge=verdict.judge.value,
                        judge_why=verdict.judge_why,
                        solver=_called(cell, result.study),
                        outcome=verdict.outcome.value,
                    )
                )
    ordered = {who.value: decided[who.value] for who in DecidedBy if decided[who.value]}
    return Grader(ordered, tuple(disagreements), unparseable, undecided, asked)


def _overlap(workers: ClusterWorkers, result: Made) -> tuple[OverlapPair, ...]:
    """Return every held-out problem that some problem of the training side resembles, with it.

    The pairs that the split was made by do not tell: of those alike but for their numbers each
    problem has one alone there, and that may stand on its own side.
    """
    from potstill.problems.overlap.find import find_pairs

    heldout = result.in_split(Split.HELDOUT)
    training = result.in_split(Split.TRAIN, Split.VALID)
    if not heldout or not training:
        return ()
    pairs = find_pairs(training, heldout, sketchers=workers.sketchers(len(result.problems)))
    return tuple(
        OverlapPair(
            heldout_id=pair.b_id,
            training_id=pair.a_id,
            kind=pair.how,
            similarity=pair.score,
            action="same problem" if pair.leaks else "other numbers: counted, both kept",
        )
        for pair in pairs
    )


def _reproduction(context: Context, result: Made) -> Reproduction:
    backend = ("mlx", "mlx-lm") if context.study.student.backend == "mlx" else ("torch", "peft")
    names = ("potstill", *backend, "transformers", "math-verify")
    return Reproduction(
        command=f"potstill reproduce {shlex.quote(_shown(context.directory))}",
        versions={"python": platform.python_version()} | {name: version(name) for name in names},
        hashes={
            "study": study_hash(context.study),
            "problems": content_hash(result.problems),
            "base": context.base_hash,
        },
        seeds=tuple(context.study.seeds),
    )


def _shown(directory: Path) -> str:
    """Return a study's directory as it is usually named; never where it lies on a machine."""
    usual = directory.absolute().parent.name == "runs"
    return f"runs/{directory.name}" if usual else directory.name


def _origin(context: Context) -> Iterator[str]:
    """Yield that the base was a GGUF file, and how its weights had been rounded."""
    from potstill.models.gguf_base import origin_of

    origin = origin_of(context.base_path)
    if origin is not None:
        yield origin.sentence


def _notes(result: Made) -> tuple[str, ...]:
    study = result.study
    notes = []
    if study.student.is_shipped and any(p.source == "pocket" for p in study.problems):
        notes.append(
            "The pocket base has seen worked multi-step text of the same problem families in "
            "another format, with the sentences that R1's teacher uses: LoRA here mostly elicits "
            "skills that the base already has, in line with what is known of small-data "
            "distillation."
        )
    notes += _keys_as_text(result)
    told = lessons_sentence(study.lessons, result.traces, result.chosen, study.levels)
    notes += [told] if told else []
    if study.keys:
        notes += [majority_sentence(result.problems, result.excluded, result.chosen.values())]
    for cell in (result.taught, *result.answers):
        who = _called(cell, study)
        if cell.not_asked:
            notes.append(
                f"{who} was not asked {len(cell.not_asked)} of "
                f"{several(len(cell.not_asked) + len(cell.responses), 'problem')} of {cell.set} "
                "(no record); they are counted apart and in no accuracy."
            )
        again: Counter[Finish] = Counter()
        errored = 0
        for response in cell.responses:
            errored += response.finish is Finish.ERROR
            again[response.finish] += response.attempt > 0
        if again.total():
            notes.append(
                f"{who} on {cell.set}: {several(again.total(), 'answer')} reached the token limit "
                f"and went past it ({cell.condition.when_cut}); cut again: {again[Finish.LENGTH]}."
            )
        if errored:
            notes.append(
                f"{several(errored, 'call')} to {who} on {cell.set} failed; run the study again "
                "and they are asked again."
            )
    notes += chosen_sentences(result)
    if study.difficulty is not None:
        if result.pass_rates:
            notes.append(pass_rate_sentence(result.pass_rates, study.difficulty.samples))
        low, high = study.difficulty.train
        outside = outside_difficulty(study.difficulty, result.problems, result.splits)
        if outside:
            notes.append(
                f"Of a difficulty outside {low} to {high}, and so not trained on: "
                f"{several(outside, 'problem')}."
            )
    if replay := study.training.replay:
        notes.append(
            f"Of every student's examples {replay.share:.0%} are ordinary chats of "
            f"{replay.path.name} and no lessons (training.replay); checkpoints are chosen without."
        )
    if study.require == "own":
        notes.append(
            "Each level trains on the problems whose lesson passed at that level (require: own), "
            "so the students differ in their problems as well as in length."
        )
    return tuple(notes)


def _keys_as_text(result: Made) -> list[str]:
    """Return a note where keys of held-out problems can be compared as text alone."""
    from potstill.grading.key_reading import KeyReader
    from potstill.grading.plugins import kind_settings

    keys = KeyReader(kind_settings(result.study.kinds))
    heldout = result.in_split(Split.HELDOUT)
    found = [f"{one_line(p.gold_text, 60)} of {p.id}" for p in heldout if keys.only_text(p)]
    if not found:
        return []
    shown = first_of(found, 3)
    return [
        f"{len(found):,} of {several(len(heldout), 'held-out key')} cannot be read as mathematics "
        f"and {'is' if len(found) == 1 else 'are'} compared as text ({shown}): the same answer in "
        "other words is not taken for right."
    ]


def _called(cell: AnswerSet, study: Study) -> str:
    """Return what a reader calls who answered: a student's name in the store is a hash."""
    if cell.role is not Role.STUDENT:
        return cell.name
    return _student_name(cell.level, cell.seed, study)


def _student_name(level: str, seed: int, study: Study) -> str:
    """Return what a reader calls a student: its level, and its seed where there are several."""
    return f"{level}, seed {seed}" if len(study.seeds) > 1 else level


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
