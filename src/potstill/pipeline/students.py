"""The grid: one student for every variant of the lessons and seed, each a cell of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING

from potstill.chat import render_asks, render_messages
from potstill.cluster.answers import Questions
from potstill.pipeline.asking import student_answers, student_condition
from potstill.pipeline.context import VERSION, Run, Unfinished
from potstill.pipeline.outputs import MIX, AskedLevel, StudentCell, Who
from potstill.records import Lesson, Level, Problem, Split, content_hash
from potstill.store.cells import Cell
from potstill.study.schema import Study
from potstill.training.examples import Example
from potstill.training.metrics import check_trackers
from potstill.training.student_folder import read_history, read_student
from potstill.training.validation import Validation, ValidationQuestion

if TYPE_CHECKING:
    from potstill.progress import Bar
    from potstill.training.grid import Job, OnStep
    from potstill.training.records import StepReport, TrainedCell

__all__ = ["answer_ahead", "examples", "levels_to_ask", "plan_grid", "train_students"]


BySplit = Mapping[Split, Sequence[Problem]]
_Sets = tuple[tuple[Example, ...], tuple[Example, ...]]


def train_students(
    run: Run, chosen: Mapping[str, Sequence[Lesson]], by_split: BySplit
) -> list[StudentCell]:
    """Return one student for every level, control and seed, those trained now that were not there.

    The mixed student, where the study has one, learns all its levels, each under its own prompt.
    Raises StoreError for a student that is no longer as it was trained.
    """
    grid = plan_grid(run, chosen, by_split)
    run.used += [cell for cell, _ in grid]
    missing = [(cell, job) for cell, job in grid if not run.store.exists(cell)]
    if missing and run.read_only:
        raise Unfinished(f"{len(missing)} of {len(grid)} students are not trained yet.")
    if len(missing) < len(grid):
        run.progress.up_to_date("train", f"{len(grid) - len(missing)} of {len(grid)} students")
    if not run.read_only:
        for cell in {cell for cell, _ in grid} - {cell for cell, _ in missing}:
            run.store.verify(cell)
    if missing:
        _train(run, missing, [job for _, job in grid])
    folders = [run.store.folder(cell) for cell, _ in grid]
    return [StudentCell(read_student(f), f, read_history(f)) for f in folders]


def plan_grid(
    run: Run, chosen: Mapping[str, Sequence[Lesson]], by_split: BySplit
) -> list[tuple[Cell, Job]]:
    """Return every cell of the grid with the job that trains it, variant by variant, seed by
    seed.
    """
    return [
        _plan(run, variant, seed, sets, validation)
        for variant, (sets, validation) in _variants(run, chosen, by_split)
        for seed in run.study.seeds
    ]


def levels_to_ask(
    chosen: Mapping[str, Sequence[Lesson]], levels: Iterable[Level]
) -> list[AskedLevel]:
    """Return each level as it is asked for: with the mean words of the lessons chosen for it."""
    return [
        AskedLevel(level.value, round(mean([x.words for x in chosen[level]] or [0])))
        for level in levels
    ]


def answer_ahead(run: Run, who: Sequence[Who], sets: Iterable[Sequence[Problem]]) -> None:
    """Have a cluster's workers answer all that base and students will be asked.

    All at once, so that no worker waits for the last answer of each student.
    """
    questions = []
    for problems in sets:
        for student, asked in who:
            cell, blank = student_answers(run, student, problems, "", asked)
            if problems and not run.store.exists(cell):
                asks = render_asks(problems, blank.condition)
                folder = student.folder if student else None
                questions.append(Questions(blank.name, folder, asks, len(problems)))
    if not questions:
        return
    total = sum(x.count for x in questions)
    with run.progress.stage(f"answer · {len(questions)} times", total, "answers") as bar:
        run.answering().fill(questions, "answer", bar.advance)


def examples(
    study: Study,
    lessons: Iterable[Lesson],
    problems: Iterable[Problem],
    asked: AskedLevel | None = None,
) -> Iterator[Example]:
    """Yield what a student learns of some problems: the prompt it will be asked with, and the
    lesson.
    """
    prompt = student_condition(study, "", asked)
    texts = {lesson.problem_id: lesson.text for lesson in lessons}
    for problem in problems:
        if problem.id in texts:
            yield Example(problem.id, render_messages(problem, prompt), texts[problem.id])


def _variants(
    run: Run, chosen: Mapping[str, Sequence[Lesson]], by_split: BySplit
) -> Iterator[tuple[str, tuple[_Sets, Validation | None]]]:
    study = run.study
    valid_problems = by_split[Split.VALID]
    validation = _validation(run, valid_problems, [None])
    for variant in study.variants:
        yield variant, (_sets(study, chosen[variant], by_split), validation)
    if study.mix:
        asked = levels_to_ask(chosen, study.mix)
        parts = [_sets(study, chosen[a.level], by_split, a) for a in asked]
        train, valid = (tuple(x for part in parts for x in part[side]) for side in (0, 1))
        yield MIX, ((train, valid), _validation(run, valid_problems, asked))


def _validation(
    run: Run, problems: Sequence[Problem], levels: Sequence[AskedLevel | None]
) -> Validation | None:
    """Return every validation problem asked as it would be in the evaluation, greedily."""
    if run.recipe.select_by != "accuracy":
        return None
    prompts = [student_condition(run.study, "", asked) for asked in levels]
    questions = [
        ValidationQuestion(p, render_messages(p, prompt)) for prompt in prompts for p in problems
    ]
    return Validation(tuple(questions), replace(run.study.evaluation.sampling, temperature=0.0))


def _sets(
    study: Study, lessons: Sequence[Lesson], by_split: BySplit, asked: AskedLevel | None = None
) -> _Sets:
    train, valid = (
        tuple(examples(study, lessons, by_split[split], asked))
        for split in (Split.TRAIN, Split.VALID)
    )
    return train, valid


def _plan(
    run: Run, variant: str, seed: int, sets: _Sets, validation: Validation | None
) -> tuple[Cell, Job]:
    from potstill.training.grid import Job
    from potstill.training.records import GridCell

    recipe = run.recipe
    kinds = run.study.kinds if validation else {}
    decides = [*sets, *([validation] if validation else []), *([kinds] if kinds else [])]
    data_hash = content_hash(decides)
    cell = Cell.of(
        "student",
        data=data_hash,
        recipe=recipe.recipe_hash,
        base=run.base_hash,
        backend=run.study.student.backend,
        variant=variant,
        seed=seed,
        version=VERSION["student"],
    )
    where = run.store.folder(cell)
    job = Job(
        GridCell(variant, seed),
        *sets,
        recipe,
        where,
        data_hash,
        run.study.levers,
        tuple(run.study.training_log),
        validation,
        kinds,
    )
    return cell, job


class _Told:
    """The bar of a grid: steps done, tokens a second of all cells under way, the latest loss."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._speeds: dict[object, float] = {}

    def step(self, report: StepReport) -> None:
        """Count one step of one cell."""
        point = report.point
        if point.train_loss is None:
            return
        self._speeds[report.cell] = point.tokens_per_s
        self._bar.tell(f"{sum(self._speeds.values()):,.0f} tok/s", f"loss {point.train_loss:.3f}")
        self._bar.advance()
        if point.step == report.iterations:
            del self._speeds[report.cell]


def _train(run: Run, missing: Sequence[tuple[Cell, Job]], grid: Sequence[Job]) -> None:
    """Train the missing cells of the grid, each kept as soon as it is done."""
    check_trackers(run.study.training_log)
    cell_of = {job.out: cell for cell, job in missing}
    steps = sum(job.recipe.steps for _, job in missing)
    name = f"train · {len(missing)} students"
    with run.progress.stage(name, steps, "steps") as bar:
        told = _Told(bar)
        jobs = [job for _, job in missing]
        for job, trained in _trained(run, jobs, grid, told.step):
            summary = {
                "chosen step": trained.student.chosen_step,
                "too long": len(trained.too_long),
            }
            run.store.adopt(cell_of[job.out], summary=summary)
            if trained.too_long:
                run.progress.note(
                    f"{job.cell}: {len(trained.too_long)} examples longer than "
                    f"{job.recipe.max_sequence_tokens} tokens were set aside"
                )


def _trained(
    run: Run, jobs: Sequence[Job], grid: Sequence[Job], on_step: OnStep
) -> Iterator[tuple[Job, TrainedCell]]:
    """Return each job of the grid with its trained cell: on the cluster that the run is on, or
    here.
    """
    if run.on:
        from potstill.cluster.grid import train_on

        return train_on(
            run.workers(),
            jobs,
            grid=grid,
            retries=run.study.cluster.retries,
            on_step=on_step,
            storage=run.storage,
        )
    from potstill.training.grid import train_cells

    return train_cells(run.base(), jobs, on_step=on_step, on_note=run.progress.note, grid=grid)
