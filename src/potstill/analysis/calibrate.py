"""Before the grid is trained: where a long run overfits, and how long the grid will take."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np

from potstill.errors import Diverged
from potstill.lessons.controls import OF_TRACES, compared_with
from potstill.lessons.ladder import count_words, spec_of
from potstill.lessons.teachers import MOST_SAMPLES
from potstill.models.model import is_small
from potstill.pipeline.context import Unfinished
from potstill.pipeline.outputs import Made
from potstill.pipeline.run import Run, open_run, read_lessons, with_controls
from potstill.pipeline.students import plan_grid
from potstill.planning.estimate import R1_CHARS
from potstill.planning.plan import splits_of
from potstill.problems.split import drop_keyless
from potstill.progress import Bar, Progress, quiet
from potstill.records import Lesson, Level, Split
from potstill.study.intake import problems_of_study
from potstill.study.schema import Study
from potstill.text import lasting, several
from potstill.training.batches import BatchStream, epoch_batches, validation_batches
from potstill.training.diagnosis import (
    FEWEST_POINTS,
    Diagnosis,
    RateLoss,
    best_rate,
    diagnose,
    write_diagnosis,
)
from potstill.training.grid import train_cells, usual_workers, with_one_thread
from potstill.training.loading import open_trainer
from potstill.training.loop import encode_sets

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.models.model import LanguageModel
    from potstill.training.batches import Batch
    from potstill.training.grid import Job
    from potstill.training.recipe import Recipe
    from potstill.training.records import TrainedCell, Trainer

__all__ = [
    "CellTime",
    "TorchSpeed",
    "diagnose_study",
    "print_diagnosis",
    "print_times",
    "time_grid",
]

_TIMED_STEPS = 3
_ENOUGH_S = 15.0
_MUCH_FASTER = 1.3
_ALIKE = 1.1
_STAND_IN_TOKENS = 2048
_FILLER = "so 12 + 30 = 42, and the answer follows; "
_VALIDATIONS = 40
_VALIDATIONS_OF_RATE = 5
_FEWEST_OF_RATE = 10


@dataclass(frozen=True, slots=True)
class CellTime:
    """How long one cell of a variant will take here, and the most memory it was seen to hold.

    ``step_s`` are seconds a step on the shortest, the median and the longest batch of an epoch;
    ``side_by_side`` is how many cells of the grid train at once; ``stand_in`` says that lessons of
    a usual length were timed, for the study has none yet.
    """

    variant: str
    cells: int
    steps: int
    step_s: tuple[float, float, float]
    validation_s: float
    seconds: float
    memory_bytes: int
    side_by_side: int = 1
    stand_in: bool = False
    speed: TorchSpeed | None = None


@dataclass(frozen=True, slots=True)
class TorchSpeed:
    """What the torch backend tells of a variant's steps.

    ``tokens_per_s`` of the median batch, padding included, and what of the time its products with
    the base's weights would take alone at this machine's measured speed (``matrix_flops``
    operations a second, ``bfloat16_flops`` in that precision) is its ``share``. The longest batch
    keeps about ``step_bytes``, and ``checkpointed_bytes`` where its activations are made again, as
    they were if ``checkpointed``.
    """

    tokens_per_s: float
    matrix_flops: float
    bfloat16_flops: float
    share: float
    step_bytes: int
    checkpointed_bytes: int
    checkpointed: bool


def diagnose_study(
    study: Study, directory: Path, iterations: int, progress: Progress = quiet
) -> tuple[Diagnosis, Path]:
    """Return where a long run of the first variant and seed overfits, and the file that says so.

    The run is the study's recipe over ``iterations`` without early stopping; ``iterations: auto``
    reads what is written. Three runs of a quarter of that, at a third of the study's learning rate,
    at it and at three times it, are told beside it. Raises Diverged for a run that is over before
    it shows anything, and what the stages raise.
    """
    recipe = study.training.model_copy(
        update={
            "iterations": iterations,
            "patience": 0,
            "validate_every": max(1, iterations // _VALIDATIONS),
        }
    )
    with ExitStack() as stack:
        run = open_run(study, directory, progress, stack)
        made = read_lessons(run)
        # the directory keeps the study's own settings: only the plan of this one cell is longer
        longer = replace(run.context, study=study.model_copy(update={"training": recipe}))
        _, job = plan_grid(longer, run.models, made.chosen, made.by_split())[0]
        long = replace(job, out=directory / "diagnosis" / job.cell.variant)
        with progress.stage(f"diagnose · {job.cell}", iterations, "steps") as bar:
            trained = _trained(run, long, bar)
        rates = _try_rates(run, long, max(_FEWEST_OF_RATE, iterations // 4), progress)
    steps, losses = zip(*_validated(trained), strict=True)
    diverged = steps[-1] < iterations
    if diverged and len(steps) < FEWEST_POINTS:
        raise Diverged(
            f"{job.cell} diverged after step {steps[-1]:,} of {iterations:,}, too soon for a "
            f"diagnosis; {_rates_sentence(rates)}"
        )
    found = replace(
        diagnose(steps, losses),
        variant=job.cell.variant,
        seed=job.cell.seed,
        rates=rates,
        diverged=diverged,
    )
    return found, write_diagnosis(found, directory)


def _trained(run: Run, job: Job, bar: Bar) -> TrainedCell:
    """Return the trained cell of one job, each of its steps counted on a bar."""
    ((_, trained),) = train_cells(
        run.models.base(), [job], on_step=lambda x: bar.advance() if x.point.step else None
    )
    return trained


def _validated(trained: TrainedCell) -> list[tuple[int, float]]:
    """Return the steps that were validated, each with its loss, as far as those are finite."""
    points = [(x.step, x.validation_loss) for x in trained.history]
    return [(step, loss) for step, loss in points if loss is not None and math.isfinite(loss)]


def _try_rates(run: Run, long: Job, steps: int, progress: Progress) -> tuple[RateLoss, ...]:
    """Return the least validation loss that a short run trains to at each of three learning
    rates.
    """
    found = []
    every = max(1, steps // _VALIDATIONS_OF_RATE)
    own = long.recipe.highest_rate
    rates = [float(f"{own / 3:.2g}"), own, float(f"{3 * own:.2g}")]
    with progress.stage(f"learning rates · {long.cell}", len(rates) * steps, "steps") as bar:
        for rate in rates:
            recipe = long.recipe.model_copy(
                update={"learning_rate": rate, "iterations": steps, "validate_every": every}
            )
            job = replace(long, recipe=recipe, out=long.out.with_name(f"rate-{rate:g}"))
            try:
                trained = _trained(run, job, bar)
            except Diverged:
                found.append(RateLoss(rate, steps, None))
                continue
            points = _validated(trained)
            least = min(loss for step, loss in points if step > 0)
            found.append(RateLoss(rate, steps, least if points[-1][0] == steps else None))
    return tuple(found)


def time_grid(study: Study, directory: Path, progress: Progress = quiet) -> list[CellTime]:
    """Return what each variant's cells will take, from three timed steps of each shape of batch.

    Shapes are the shortest, the median and the longest batch of one epoch. Nothing is asked, bought
    or kept: where the directory does not hold the lessons yet, stand-ins of a usual length are
    timed. Raises InputError for a base, a recipe or problems that cannot be used.
    """
    with ExitStack() as stack:
        found = _corpus(study, directory, stack)
        run, made = found or _stand_ins(study, stack)
        jobs = [job for _, job in plan_grid(run.context, run.models, made.chosen, made.by_split())]
        first = {job.cell.variant: job for job in reversed(jobs)}
        workers = min(len(jobs), usual_workers(run.models.base(), jobs))
        with progress.stage("time", len(first), "variants") as bar:
            times = []
            for variant in dict.fromkeys(job.cell.variant for job in jobs):
                cells = sum(job.cell.variant == variant for job in jobs)
                timed = _time_cell(run, first[variant], cells)
                times.append(replace(timed, side_by_side=workers, stand_in=found is None))
                bar.advance()
    return times


def print_diagnosis(found: Diagnosis, path: Path, console: Console) -> None:
    """Print what the long run showed and how to use it."""
    says = (
        f"it overfits: the loss has risen by {found.rise:.3f} at step {found.last_step:,}"
        if found.overfits
        else f"it does not overfit within {found.last_step:,} steps"
    )
    if found.diverged:
        says = f"it diverged after step {found.last_step:,}"
    console.print(
        f"{found.variant} seed {found.seed}: the smoothed validation loss is least "
        f"({found.lowest_loss:.4f}) at step {found.iterations:,}; {says}.",
        highlight=False,
    )
    if found.rates:
        told = _rates_sentence(found.rates)
        console.print(told[0].upper() + told[1:], highlight=False)
    console.print(f"Written: {path}. training: iterations: auto trains that far.", highlight=False)


def _rates_sentence(rates: Sequence[RateLoss]) -> str:
    told = ", ".join(
        f"{x.rate:g}: {'diverged' if x.loss is None else f'{x.loss:.4f}'}" for x in rates
    )
    best = best_rate(rates)
    if best == rates[1].rate:
        advice = "the study's own is the best of them"
    elif best is None:
        advice = f"set training.learning_rate far below {rates[0].rate:g} and diagnose again"
    else:
        advice = f"set training.learning_rate: {best:g} and diagnose again"
    return (
        f"the least validation loss of {rates[0].steps:,} steps by learning rate is {told}; "
        f"{advice}."
    )


def print_times(found: Sequence[CellTime], console: Console) -> None:
    """Print hours and memory for the grid, variant by variant."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("variant", no_wrap=True)
    heads = ("cells", "steps", "s a step", "longest", "tok/s", "validation s", "hours", "memory")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in found:
        table.add_row(
            row.variant,
            str(row.cells),
            f"{row.steps:,}",
            f"{row.step_s[0]:.3f}",
            f"{row.step_s[2]:.3f}",
            f"{row.speed.tokens_per_s:,.0f}" if row.speed else "",
            f"{row.validation_s:.1f}",
            _hours(row.cells * row.seconds),
            f"{row.memory_bytes / 1e9:.1f} GB",
        )
    console.print(table)
    workers = found[0].side_by_side
    seconds = sum(row.cells * row.seconds for row in found) / workers
    memory = workers * max(row.memory_bytes for row in found)
    how = f"{workers} side by side" if workers > 1 else "one after another"
    console.print(
        f"{several(sum(row.cells for row in found), 'cell')}, {how}: about {lasting(seconds)}, "
        f"{memory / 1e9:.1f} GB. Nothing was trained.",
        highlight=False,
    )
    for line in _speed_lines([row.speed for row in found if row.speed]):
        console.print(line, highlight=False)
    if any(row.stand_in for row in found):
        console.print(
            "The study has no lessons yet and nothing was asked for: lessons of a usual length "
            "(arXiv 2606.31048's files) stood in for them.",
            highlight=False,
        )


def _speed_lines(speeds: Sequence[TorchSpeed]) -> Iterator[str]:
    """Yield what stands beside the machine's matrix speed, and the memory of checkpointing."""
    if not speeds:
        return
    least, most = (of(speed.share for speed in speeds) for of in (min, max))
    shares = dict.fromkeys((f"{least:.0%}", f"{most:.0%}"))
    flops = median(speed.matrix_flops for speed in speeds)
    yield (
        f"A step's products with the base's weights would take {' to '.join(shares)} of its time "
        f"at the {flops / 1e9:,.0f} GFLOP/s that such a product alone reaches here."
    )
    halved = median(speed.bfloat16_flops for speed in speeds)
    if halved > _MUCH_FASTER * flops:
        yield (
            f"In bfloat16 it reaches {halved / 1e9:,.0f}: student.precision: bfloat16 would be "
            "faster here. Base and students then answer in that precision."
        )
    widest = max(speeds, key=lambda speed: speed.step_bytes)
    which = "is checkpointed" if widest.checkpointed else "is not checkpointed"
    yield (
        f"The longest batch keeps about {widest.step_bytes / 1e9:.1f} GB of activations, "
        f"{widest.checkpointed_bytes / 1e9:.1f} GB with checkpointing; it {which}."
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}" if seconds >= 36 else "<0.01"


def _corpus(study: Study, directory: Path, stack: ExitStack) -> tuple[Run, Made] | None:
    """Return what a directory holds up to its lessons, None where they are not there."""
    if not (directory / "ledger.sqlite").is_file():
        return None
    run = open_run(study, directory, quiet, stack, read_only=True)
    try:
        return run, read_lessons(run)
    except Unfinished:
        return None


def _stand_ins(study: Study, stack: ExitStack) -> tuple[Run, Made]:
    """Return a run in a folder of its own over lessons that nobody wrote, as long as lessons are.

    With half the tokens that a sequence may have at most, so that prompts find room beside them.
    """
    place = stack.enter_context(tempfile.TemporaryDirectory(prefix="potstill-dry-run-"))
    run = open_run(study, Path(place), quiet, stack)
    made = Made(study)
    found = problems_of_study(study).problems
    made.problems, made.splits, _ = drop_keyless(found, splits_of(study, found))
    taught = made.in_split(Split.TRAIN, Split.VALID)
    chosen = {}
    for level in study.levels:
        share = 1.0 if level is Level.R0 else spec_of(level).share
        text = (_FILLER * 200)[: round(R1_CHARS * share)]
        while (
            run.models.count_tokens(text)
            > run.context.recipe.sequence_tokens(_STAND_IN_TOKENS) // 2
        ):
            text = text[: len(text) * 3 // 4]
        words, tokens = count_words(text), run.models.count_tokens(text)
        chosen[str(level)] = [
            Lesson(p.id, level, "", text, words, tokens, "", sample=place * MOST_SAMPLES)
            for p in taught
            for place in range(max(1, len(study.teachers)))
        ]
    made.chosen = {
        **with_controls(run, made, chosen, taught),
        **{x: chosen[compared_with(x).value] for x in study.controls if x in OF_TRACES},
    }
    return run, made


def _time_cell(run: Run, job: Job, cells: int) -> CellTime:
    base = run.models.base()
    recipe = (with_one_thread(job) if is_small(base) else job).recipe
    train, valid = encode_sets(base, job.cell, job.train, job.valid, recipe)
    rng = np.random.default_rng([job.cell.seed, 1])
    count = len(epoch_batches(train.examples, recipe.batch_size, rng))
    stream = BatchStream(train.examples, recipe.batch_size, np.random.default_rng(0))
    epoch = sorted((next(stream) for _ in range(count)), key=lambda batch: batch.padded_tokens)
    held = validation_batches(valid.examples, 8192)
    with open_trainer(base, recipe, job.cell.seed) as trainer:
        shapes = (epoch[0], epoch[len(epoch) // 2], epoch[-1])
        seconds = _seconds_of_shapes(trainer, shapes, recipe.accumulation)
        some = held[:1]
        started = time.perf_counter()
        trainer.validate(some)
        validation_s = (time.perf_counter() - started) * _tokens(held) / _tokens(some)
        memory = trainer.memory_bytes()
        speed = _speed(base, recipe, trainer, shapes, seconds[1] / recipe.accumulation)
    validations = 1 + -(-recipe.steps // recipe.validate_every)
    return CellTime(
        variant=job.cell.variant,
        cells=cells,
        steps=recipe.steps,
        step_s=(seconds[0], seconds[1], seconds[2]),
        validation_s=validation_s,
        seconds=recipe.steps * mean(seconds) + validations * validation_s,
        memory_bytes=memory,
        speed=speed,
    )


def _speed(
    base: LanguageModel, recipe: Recipe, trainer: Trainer, shapes: Sequence[Batch], step_s: float
) -> TorchSpeed | None:
    from potstill.models.torch_base import Base
    from potstill.training.torch_trainer import TorchTrainer, step_bytes

    if not isinstance(base, Base) or not isinstance(trainer, TorchTrainer):
        return None
    if base.precision == "nf4":  # its products are of weights made whole on the way
        return None
    from torch import bfloat16

    from potstill.training.speed import matrix_flops, step_flop

    _, middle, longest = shapes
    flops = matrix_flops(base, middle.padded_tokens)
    halved = (
        flops
        if base.precision == "bfloat16"
        else matrix_flops(base, middle.padded_tokens, bfloat16)
    )
    least = step_flop(base, recipe, middle, checkpointed=trainer.checkpoints(middle))
    return TorchSpeed(
        middle.padded_tokens / step_s,
        flops,
        halved,
        least / flops / step_s,
        step_bytes(base, recipe, longest.padded_tokens),
        step_bytes(base, recipe, longest.padded_tokens, checkpointed=True),
        trainer.checkpoints(longest),
    )


def _tokens(batches: Sequence[Batch]) -> int:
    return sum(batch.padded_tokens for batch in batches)


def _seconds_of_shapes(trainer: Trainer, shapes: Sequence[Batch], accumulation: int) -> list[float]:
    """Return the seconds of a step on each batch, smallest first; one about as large as the last
    that was timed is reckoned from that.
    """
    found: list[float] = []
    tokens, per_token = 0, 0.0
    for batch in shapes:
        if batch.padded_tokens > _ALIKE * tokens:
            tokens = batch.padded_tokens
            per_token = _seconds(trainer, batch, accumulation) / tokens
        found.append(per_token * batch.padded_tokens)
    return found


def _seconds(trainer: Trainer, batch: Batch, accumulation: int) -> float:
    """Return the median of three steps at no learning rate, after one to warm up; of fewer where
    they are long.
    """
    found: list[float] = []
    while len(found) <= _TIMED_STEPS and sum(found) < _ENOUGH_S:
        started = time.perf_counter()
        trainer.step([batch] * accumulation, 0.0)
        found.append(time.perf_counter() - started)
    return median(found[1:] or found)
