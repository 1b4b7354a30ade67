"""Before the grid is trained: where a long run overfits, and how long the grid will take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np

from potstill.pipeline.context import Run
from potstill.pipeline.run import open_run, read_lessons
from potstill.pipeline.students import plan_grid
from potstill.progress import Progress, quiet
from potstill.study.schema import Study
from potstill.training.batches import BatchStream, epoch_batches, validation_batches
from potstill.training.diagnosis import Diagnosis, diagnose, write_diagnosis
from potstill.training.grid import is_small, train_cells, with_one_thread
from potstill.training.loop import encode_sets
from potstill.training.opening import open_trainee

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.training.batches import Batch
    from potstill.training.grid import Job
    from potstill.training.recipe import Recipe
    from potstill.training.records import Trainee

__all__ = ["CellTime", "diagnose_study", "print_diagnosis", "print_times", "time_grid"]

_TIMED_STEPS = 3
_VALIDATIONS = 40


@dataclass(frozen=True, slots=True)
class CellTime:
    """How long one cell of a variant will take here, and the most memory it was seen to hold.

    ``step_s`` are seconds a step on the shortest, the median and the longest batch of an epoch.
    """

    variant: str
    cells: int
    steps: int
    step_s: tuple[float, float, float]
    validation_s: float
    seconds: float
    memory_bytes: int


def diagnose_study(
    study: Study, directory: Path, iterations: int, progress: Progress = quiet
) -> tuple[Diagnosis, Path]:
    """Return where a long run of the first variant and seed overfits, and the file that says so.

    The run is the study's recipe over ``iterations`` without early stopping; ``iterations: auto``
    reads what is written. Raises what the stages raise.
    """
    recipe = study.training.model_copy(
        update={
            "iterations": iterations,
            "patience": 0,
            "validate_every": max(1, iterations // _VALIDATIONS),
        }
    )
    # the directory keeps the study's own settings: only the plan of this one cell is longer
    with _jobs(study, directory, progress, recipe) as (run, jobs):
        job = jobs[0]
        long = replace(job, out=directory / "diagnosis" / job.cell.variant)
        with progress.stage(f"diagnose · {job.cell}", iterations, "steps") as bar:
            ((_, trained),) = train_cells(
                run.base(), [long], on_step=lambda x: bar.advance() if x.point.step else None
            )
    points = [(x.step, x.validation_loss) for x in trained.history if x.validation_loss is not None]
    steps, losses = zip(*points, strict=True)
    found = replace(diagnose(steps, losses), variant=job.cell.variant, seed=job.cell.seed)
    return found, write_diagnosis(found, directory)


def time_grid(study: Study, directory: Path, progress: Progress = quiet) -> list[CellTime]:
    """Return what each variant's cells will take, from three timed steps of each shape of batch.

    Shapes are the shortest, the median and the longest batch of one epoch. Raises what the stages
    raise; nothing is kept.
    """
    with _jobs(study, directory, progress) as (run, jobs):
        first = {job.cell.variant: job for job in reversed(jobs)}
        with progress.stage("time", len(first), "variants") as bar:
            found = []
            for variant in dict.fromkeys(job.cell.variant for job in jobs):
                cells = sum(job.cell.variant == variant for job in jobs)
                found.append(_time_cell(run, first[variant], cells))
                bar.advance()
    return found


def print_diagnosis(found: Diagnosis, path: Path, console: Console) -> None:
    """Print what the long run showed and how to use it."""
    says = (
        f"it overfits: the loss has risen by {found.rise:.3f} at step {found.last_step:,}"
        if found.overfits
        else f"it does not overfit within {found.last_step:,} steps"
    )
    console.print(
        f"{found.variant} seed {found.seed}: the smoothed validation loss is least "
        f"({found.lowest_loss:.4f}) at step {found.iterations:,}; {says}.",
        highlight=False,
    )
    console.print(f"Written: {path}. training: iterations: auto trains that far.", highlight=False)


def print_times(found: Sequence[CellTime], console: Console) -> None:
    """Print hours and memory for the grid, variant by variant."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for head in ("cells", "steps", "s a step", "longest", "validation s", "hours", "memory"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in found:
        table.add_row(
            row.variant,
            str(row.cells),
            f"{row.steps:,}",
            f"{row.step_s[0]:.3f}",
            f"{row.step_s[2]:.3f}",
            f"{row.validation_s:.1f}",
            f"{row.cells * row.seconds / 3600:.2f}",
            f"{row.memory_bytes / 1e9:.1f} GB",
        )
    console.print(table)
    hours = sum(row.cells * row.seconds for row in found) / 3600
    console.print(
        f"{sum(row.cells for row in found)} cells one after another: about {hours:.1f} hours, "
        f"{max(row.memory_bytes for row in found) / 1e9:.1f} GB. Nothing was trained.",
        highlight=False,
    )


@contextmanager
def _jobs(
    study: Study, directory: Path, progress: Progress, recipe: Recipe | None = None
) -> Iterator[tuple[Run, list[Job]]]:
    with ExitStack() as stack:
        run = open_run(study, directory, progress, stack)
        made = read_lessons(run)
        if recipe is not None:
            run.study = study.model_copy(update={"training": recipe})
        yield run, [job for _, job in plan_grid(run, made.chosen, made.by_split())]


def _time_cell(run: Run, job: Job, cells: int) -> CellTime:
    base = run.base()
    recipe = (with_one_thread(job) if is_small(base) else job).recipe
    train, valid = encode_sets(base, job.cell, job.train, job.valid, recipe)
    rng = np.random.default_rng([job.cell.seed, 1])
    count = len(epoch_batches(train.examples, recipe.batch_size, rng))
    stream = BatchStream(train.examples, recipe.batch_size, np.random.default_rng(0))
    epoch = sorted((next(stream) for _ in range(count)), key=lambda batch: batch.padded_tokens)
    held = validation_batches(valid.examples, 8192)
    with open_trainee(base, recipe, job.cell.seed) as trainee:
        shapes = (epoch[0], epoch[len(epoch) // 2], epoch[-1])
        seconds = [_seconds(trainee, batch, recipe.accumulation) for batch in shapes]
        started = time.perf_counter()
        trainee.validate(held)
        validation_s = time.perf_counter() - started
        memory = trainee.memory_bytes()
    validations = 1 + -(-recipe.steps // recipe.validate_every)
    return CellTime(
        variant=job.cell.variant,
        cells=cells,
        steps=recipe.steps,
        step_s=(seconds[0], seconds[1], seconds[2]),
        validation_s=validation_s,
        seconds=recipe.steps * mean(seconds) + validations * validation_s,
        memory_bytes=memory,
    )


def _seconds(trainee: Trainee, batch: Batch, accumulation: int) -> float:
    """Return the median of three steps at no learning rate, after one to warm up."""
    found = []
    for _ in range(1 + _TIMED_STEPS):
        started = time.perf_counter()
        trainee.step([batch] * accumulation, 0.0)
        found.append(time.perf_counter() - started)
    return median(found[1:])
