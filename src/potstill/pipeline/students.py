"""The grid: one student for every variant of the lessons and seed, each a cell of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING, TypeAlias

from potstill.chat import render_asks, render_messages
from potstill.lessons.alike import alike_levels
from potstill.lessons.auto_level import auto_sentence
from potstill.lessons.controls import compared_with, has_equal_epochs
from potstill.lessons.mixture import examples_by_level, mixture_sentence, places_of
from potstill.lessons.replay import count_replayed
from potstill.lessons.teachers import refuse_none_taught, teachers_sentence
from potstill.pipeline.asking import student_answers, student_condition
from potstill.pipeline.context import VERSION, Context, Unfinished
from potstill.pipeline.outputs import MIX, AskedLevel, Made, StudentCell, Who
from potstill.pipeline.replay import open_replay, replay_identity, with_chats
from potstill.records import AUTO, Lesson, Level, Problem, Split, content_hash
from potstill.store.cells import Cell
from potstill.study.schema import Study
from potstill.text import several
from potstill.training.examples import Example
from potstill.training.limits import (
    LIMITS_FILE,
    answer_tokens,
    limits_of,
    read_limits,
    write_limits,
)
from potstill.training.metrics import check_trackers
from potstill.training.student_folder import read_history, read_student
from potstill.training.validation import Validation, ValidationQuestion

if TYPE_CHECKING:
    from potstill.pipeline.services import ClusterWorkers, LocalModels
    from potstill.progress import Bar
    from potstill.training.grid import Job
    from potstill.training.recipe import Recipe
    from potstill.training.records import StepReport, TrainedCell

__all__ = [
    "answer_ahead",
    "chosen_sentences",
    "examples",
    "levels_to_ask",
    "plan_grid",
    "settle_limits",
    "tell_chosen",
    "train_students",
]

BySplit = Mapping[Split, Sequence[Problem]]
_Sets = tuple[tuple[Example, ...], tuple[Example, ...]]
_Planned: TypeAlias = "tuple[_Sets, Validation | None]"


def train_students(
    context: Context,
    models: LocalModels,
    workers: ClusterWorkers,
    chosen: Mapping[str, Sequence[Lesson]],
    by_split: BySplit,
) -> list[StudentCell]:
    """Return one student for every level, control and seed, those trained now that were not there.

    The mixed student, where the study has one, learns all its levels, each under its own prompt.
    Raises StoreError for a student that is no longer as it was trained, InputError where several
    teachers have no problem in common.
    """
    grid = plan_grid(context, models, chosen, by_split)
    context.used.extend(cell for cell, _ in grid)
    missing = [(cell, job) for cell, job in grid if not context.store.exists(cell)]
    if missing and context.read_only:
        if context.recipe.max_sequence_tokens == "auto":
            where = context.directory / LIMITS_FILE
            raise Unfinished(f"{where} is missing; the next potstill run writes it anew.")
        are = "student is" if len(grid) == 1 else "students are"
        raise Unfinished(f"{len(missing)} of {len(grid)} {are} not trained yet.")
    if len(missing) < len(grid):
        context.progress.up_to_date(
            "train", f"{len(grid) - len(missing)} of {several(len(grid), 'student')}"
        )
    if not context.read_only:
        for cell in {cell for cell, _ in grid} - {cell for cell, _ in missing}:
            context.store.verify(cell)
    if missing:
        refuse_none_taught(context.study.teacher_names, chosen)
        if context.study.training.learning_rate == "auto":
            rate = f"learning rate {context.recipe.highest_rate:g}"
            context.progress.note(f"{rate}, of the base's family and width")
        _train(context, models, workers, missing, [job for _, job in grid])
    folders = [context.store.folder(cell) for cell, _ in grid]
    return [StudentCell(read_student(f), f, read_history(f)) for f in folders]


def plan_grid(
    context: Context, models: LocalModels, chosen: Mapping[str, Sequence[Lesson]], by_split: BySplit
) -> list[tuple[Cell, Job]]:
    """Return every cell of the grid with the job that trains it, variant by variant, seed by
    seed.
    """
    variants = dict(_variants(context, chosen, by_split))
    replay = open_replay(context, models, by_split)
    grid = [
        _plan(
            context,
            variant,
            seed,
            with_chats(replay, sets, seed),
            validation,
            _recipe(context, variant, variants),
        )
        for variant, (sets, validation) in variants.items()
        for seed in context.study.seeds
    ]
    if replay and not (context.read_only or all(context.store.exists(cell) for cell, _ in grid)):
        context.progress.note(replay.told)
    return grid


def _recipe(context: Context, variant: str, variants: Mapping[str, _Planned]) -> Recipe:
    """Return the recipe that a variant trains by: the study's, shortened where it is to see its
    fewer lessons as often as its level's student sees its own.
    """
    recipe = context.recipe
    if not has_equal_epochs(variant):
        return recipe
    own, level = (variants[x][0][0] for x in (variant, compared_with(variant).value))
    share = len(own) / max(1, len(level))
    least = min(recipe.steps, recipe.validate_every)
    return recipe.model_copy(
        update={
            "iterations": max(least, round(share * recipe.steps)),
            "warmup_steps": round(share * recipe.warmup_steps),
        }
    )


def settle_limits(context: Context, models: LocalModels, made: Made) -> None:
    """Take from the lessons the limits that the study leaves to them, and write them down."""
    study = context.study
    in_sequence = study.training.max_sequence_tokens == "auto"
    in_answer = study.evaluation.max_tokens == "auto"
    if context.read_only or not (in_sequence or in_answer):
        return
    variants = _variants(context, made.chosen, made.by_split())
    sets = [train for _, ((train, _), _) in variants]
    taken_from = content_hash([context.base_hash, study.student.template, sets])
    known = read_limits(context.directory)
    if known is not None and known.taken_from == taken_from:
        return
    holds = models.context_tokens()
    found = limits_of(models.tokenizer(), sets, holds, taken_from)
    write_limits(found, context.directory)
    told = [f"training.max_sequence_tokens {found.max_sequence_tokens:,}"] * in_sequence
    told += [f"evaluation.max_tokens {found.max_tokens:,}"] * in_answer
    fit = "of which 99 in 100 fit"
    if found.max_sequence_tokens == holds:
        fit = "as far as the context of the base goes"
    context.progress.note(f"limits from the lessons, {fit}: {', '.join(told)}")


def tell_chosen(context: Context, made: Made) -> None:
    """Note what several teachers, auto and the mixed student have, where the study has them."""
    if not (context.read_only or any(made.chosen.values())):
        where = f"potstill inspect {context.directory} --gates"
        context.progress.note(f"no lesson is left to train on; {where} says what left them out")
    for told in () if context.read_only else chosen_sentences(made):
        context.progress.note(told)


def chosen_sentences(made: Made) -> Iterator[str]:
    """Yield what each teacher teaches, auto by level, and the mixed student by its shares."""
    study = made.study
    fullest = min(study.levels).value
    if told := teachers_sentence(study.teacher_names, fullest, made.chosen, made.fell):
        yield told
    yield from alike_levels(made.chosen, study.levels)
    if study.auto_levels:
        yield auto_sentence(made.chosen[AUTO])
    if isinstance(study.mix, dict) and study.mix:
        there = {p.id for p in made.in_split(Split.TRAIN)}
        lessons = {
            level: sum(x.problem_id in there for x in made.chosen[level])
            for level in study.mix_shares
        }
        yield mixture_sentence(study.mix_shares, lessons)


def levels_to_ask(
    chosen: Mapping[str, Sequence[Lesson]], levels: Iterable[Level]
) -> list[AskedLevel]:
    """Return each level as it is asked for: with the mean words of the lessons chosen for it."""
    return [
        AskedLevel(level.value, round(mean([x.words for x in chosen[level]] or [0])))
        for level in levels
    ]


def answer_ahead(
    context: Context,
    workers: ClusterWorkers,
    who: Sequence[Who],
    sets: Iterable[Sequence[Problem]],
    *,
    kept: bool = False,
) -> None:
    """Have a cluster's workers answer all that base and students will be asked.

    All at once, so that no worker waits for the last answer of each student.
    """
    from potstill.cluster.answers import Questions

    questions = []
    samples = context.study.evaluation.samples
    for problems in sets:
        for student, asked in who:
            cell, blank = student_answers(context, student, problems, "", asked, kept=kept)
            if problems and not context.store.exists(cell):
                asks = render_asks(problems, blank.condition, samples)
                folder = student.folder if student else None
                count = len(problems) * samples
                questions.append(Questions(blank.name, folder, asks, count))
    if not questions:
        return
    total = sum(x.count for x in questions)
    with context.progress.stage(
        f"answer · {several(len(questions), 'time')}", total, "answers"
    ) as bar:
        workers.answering().fill(questions, "answer", bar.advance)


def examples(
    study: Study,
    lessons: Iterable[Lesson],
    problems: Iterable[Problem],
    asked: AskedLevel | None = None,
) -> Iterator[Example]:
    """Yield what a student learns of some problems: the prompt it will be asked with, and a
    lesson.

    They come in the order of the problems, and those of one problem in that of its lessons.
    """
    prompt = student_condition(study, "", asked)
    texts: dict[str, list[str]] = {}
    for lesson in lessons:
        texts.setdefault(lesson.problem_id, []).append(lesson.text)
    for problem in problems:
        for text in texts.get(problem.id, ()):
            yield Example(problem.id, render_messages(problem, prompt), text)


def _variants(
    context: Context, chosen: Mapping[str, Sequence[Lesson]], by_split: BySplit
) -> Iterator[tuple[str, _Planned]]:
    study = context.study
    valid_problems = by_split[Split.VALID]
    validation = _validation(context, valid_problems, [None])
    for variant in study.variants:
        yield variant, (_sets(study, chosen[variant], by_split), validation)
    if study.mix:
        asked = levels_to_ask(chosen, study.mix)
        parts = {a.level: _sets(study, chosen[a.level], by_split, a) for a in asked}
        train = _mixed(study, {level: part[0] for level, part in parts.items()})
        valid = tuple(x for part in parts.values() for x in part[1])
        yield MIX, ((train, valid), _validation(context, valid_problems, asked))


def _mixed(study: Study, sets: Mapping[str, Sequence[Example]]) -> tuple[Example, ...]:
    """Return the training examples of the mixed student, level by level, in their shares."""
    counts = examples_by_level(study.mix_shares, {x: len(found) for x, found in sets.items()})
    return tuple(
        found[i]
        for level, found in sets.items()
        for i in places_of([x.problem_id for x in found], counts[level], study.split.seed, level)
    )


def _validation(
    context: Context, problems: Sequence[Problem], levels: Sequence[AskedLevel | None]
) -> Validation | None:
    """Return every validation problem asked as it would be in the evaluation, greedily."""
    if context.recipe.select_by != "accuracy":
        return None
    prompts = [student_condition(context.study, "", asked) for asked in levels]
    sampling = context.study.evaluation.sampling(answer_tokens(context.directory))
    questions = [
        ValidationQuestion(p, render_messages(p, prompt)) for prompt in prompts for p in problems
    ]
    return Validation(tuple(questions), replace(sampling, temperature=0.0))


def _sets(
    study: Study, lessons: Sequence[Lesson], by_split: BySplit, asked: AskedLevel | None = None
) -> _Sets:
    train, valid = (
        tuple(examples(study, lessons, by_split[split], asked))
        for split in (Split.TRAIN, Split.VALID)
    )
    return train, valid


def _plan(
    context: Context,
    variant: str,
    seed: int,
    sets: _Sets,
    validation: Validation | None,
    recipe: Recipe,
) -> tuple[Cell, Job]:
    from potstill.training.grid import Job
    from potstill.training.records import GridCell

    # what is replayed is data by now, and no path of this machine belongs into a student
    recipe = recipe.model_copy(update={"replay": None})
    kinds = context.study.kinds if validation else {}
    decides = [*sets, *([validation] if validation else []), *([kinds] if kinds else [])]
    data_hash = content_hash(decides)
    cell = Cell.of(
        "student",
        data=data_hash,
        recipe=recipe.recipe_hash,
        base=context.base_hash,
        backend=context.study.student.backend,
        variant=variant,
        seed=seed,
        version=VERSION["student"],
        **replay_identity(context.study),
    )
    where = context.store.folder(cell)
    job = Job(
        GridCell(variant, seed),
        *sets,
        recipe,
        where,
        data_hash,
        context.study.optimizations,
        tuple(context.study.training_log),
        validation,
        kinds,
    )
    return cell, job


class _GridBar:
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

    def cached(self, tokens: int, of: int) -> None:
        """Tell how much of the activation cache is there."""
        self._bar.tell(f"cache {tokens / of:.0%}", "")


def _train(
    context: Context,
    models: LocalModels,
    workers: ClusterWorkers,
    missing: Sequence[tuple[Cell, Job]],
    grid: Sequence[Job],
) -> None:
    """Train the missing cells of the grid, each kept as soon as it is done."""
    check_trackers(context.study.training_log)
    cell_of = {job.out: cell for cell, job in missing}
    steps = sum(job.recipe.steps for _, job in missing)
    name = f"train · {several(len(missing), 'student')}"
    with context.progress.stage(name, steps, "steps") as bar:
        told = _GridBar(bar)
        padding: list[float] = []
        jobs = [job for _, job in missing]
        for job, trained in _trained(context, models, workers, jobs, grid, told):
            replayed = count_replayed(x.problem_id for x in job.train)
            summary = {
                "chosen step": trained.student.chosen_step,
                "too long": len(trained.too_long),
                **({"replayed": replayed} if replayed else {}),
            }
            context.store.adopt(cell_of[job.out], summary=summary)
            padding.append(trained.padding)
            if trained.too_long:
                most = job.recipe.sequence_tokens(models.context_tokens())
                context.progress.note(
                    f"{job.cell}: excluded: {several(len(trained.too_long), 'example')} longer "
                    f"than {most} tokens"
                )
    context.progress.note(f"padding was {mean(padding):.1%} of the tokens computed")


def _trained(
    context: Context,
    models: LocalModels,
    workers: ClusterWorkers,
    jobs: Sequence[Job],
    grid: Sequence[Job],
    told: _GridBar,
) -> Iterator[tuple[Job, TrainedCell]]:
    """Return each job of the grid with its trained cell: on the cluster that the run is on, or
    here.
    """
    if context.on:
        from potstill.cluster.grid import train_on

        return train_on(
            workers.open(),
            jobs,
            grid=grid,
            retries=context.study.cluster.retries,
            on_step=told.step,
            storage=context.storage,
        )
    from potstill.training.grid import train_cells

    return train_cells(
        models.base(),
        jobs,
        on_step=told.step,
        on_note=context.progress.note,
        on_cached=told.cached,
        grid=grid,
    )
