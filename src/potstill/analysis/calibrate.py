"""Before the grid is trained: where a long run overfits, and how long the grid will take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np

from potstill.lessons.ladder import count_words, spec_of
from potstill.pipeline.context import Unfinished
from potstill.pipeline.estimate import R1_CHARS
from potstill.pipeline.intake import problems_of_study
from potstill.pipeline.outputs import Made
from potstill.pipeline.run import Run, open_run, read_lessons, with_controls
from potstill.pipeline.students import plan_grid
from potstill.planning.plan import splits_of
from potstill.progress import Progress, quiet
from potstill.records import Lesson, Split
from potstill.study.schema import Study
from potstill.text import several
from potstill.training.batches import BatchStream, epoch_batches, validation_batches
from potstill.training.diagnosis import Diagnosis, diagnose, write_diagnosis
from potstill.training.grid import is_small, train_cells, with_one_thread
from potstill.training.loop import encode_sets
from potstill.training.opening import open_trainee

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.training.batches import Batch
    from potstill.training.grid import Job
    from potstill.training.records import Trainee

__all__ = ["CellTime", "diagnose_study", "print_diagnosis", "print_times", "time_grid"]

_TIMED_STEPS = 3
_FILLER = "so 12 + 30 = 42, and the answer follows; "
_VALIDATIONS = 40


@dataclass(frozen=True, slots=True)
class CellTime:
    """How long one cell of a variant will take here, and the most memory it was seen to hold.

    ``step_s`` are seconds a step on the shortest, the median and the longest batch of an epoch;
    ``stand_in`` says that lessons of a usual length were timed, for the study has none yet.
    """

    variant: str
    cells: int
    steps: int
    step_s: tuple[float, float, float]
    validation_s: float
    seconds: float
    memory_bytes: int
    stand_in: bool = False


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
    with ExitStack() as stack:
        run = open_run(study, directory, progress, stack)
        made = read_lessons(run)
        # the directory keeps the study's own settings: only the plan of this one cell is longer
        longer = replace(run.context, study=study.model_copy(update={"training": recipe}))
        _, job = plan_grid(longer, made.chosen, made.by_split())[0]
        long = replace(job, out=directory / "diagnosis" / job.cell.variant)
        with progress.stage(f"diagnose · {job.cell}", iterations, "steps") as bar:
            ((_, trained),) = train_cells(
                run.models.base(), [long], on_step=lambda x: bar.advance() if x.point.step else None
            )
    points = [(x.step, x.validation_loss) for x in trained.history if x.validation_loss is not None]
    steps, losses = zip(*points, strict=True)
    found = replace(diagnose(steps, losses), variant=job.cell.variant, seed=job.cell.seed)
    return found, write_diagnosis(found, directory)


def time_grid(study: Study, directory: Path, progress: Progress = quiet) -> list[CellTime]:
    """Return what each variant's cells will take, from three timed steps of each shape of batch.

    Shapes are the shortest, the median and the longest batch of one epoch. Nothing is asked, bought
    or kept: where the directory does not hold the lessons yet, stand-ins of a usual length are
    timed. Raises InputError for a base, a recipe or problems that cannot be used.
    """
    with ExitStack() as stack:
        found = _corpus(study, directory, stack)
        run, made = found or _stand_ins(study, stack)
        jobs = [job for _, job in plan_grid(run.context, made.chosen, made.by_split())]
        first = {job.cell.variant: job for job in reversed(jobs)}
        with progress.stage("time", len(first), "variants") as bar:
            times = []
            for variant in dict.fromkeys(job.cell.variant for job in jobs):
                cells = sum(job.cell.variant == variant for job in jobs)
                timed = _time_cell(run, first[variant], cells)
                times.append(replace(timed, stand_in=found is None))
                bar.advance()
    return times


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
            _hours(row.cells * row.seconds),
            f"{row.memory_bytes / 1e9:.1f} GB",
        )
    console.print(table)
    seconds = sum(row.cells * row.seconds for row in found)
    console.print(
        f"{sum(row.cells for row in found)} cells one after another: about {_lasting(seconds)}, "
        f"{max(row.memory_bytes for row in found) / 1e9:.1f} GB. Nothing was trained.",
        highlight=False,
    )
    if any(row.stand_in for row in found):
        console.print(
            "The study has no lessons yet and nothing was asked for: lessons of a usual length "
            "(arXiv 2606.31048's files) stood in for them.",
            highlight=False,
        )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}" if seconds >= 36 else "<0.01"


def _lasting(seconds: float) -> str:
    """Return how long something takes, in a unit that says it: 2.5 hours, 7 minutes, 20 seconds."""
    if seconds < 90:
        return several(max(1, round(seconds)), "second")
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"


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
    made.problems = problems_of_study(study).problems
    made.splits = splits_of(study, made.problems)
    taught = made.in_split(Split.TRAIN, Split.VALID)
    chosen = {}
    for level in study.levels:
        text = (_FILLER * 200)[: round(R1_CHARS * spec_of(level).share)]
        while run.models.count_tokens(text) > run.context.recipe.max_sequence_tokens // 2:
            text = text[: len(text) * 3 // 4]
        words, tokens = count_words(text), run.models.count_tokens(text)
        chosen[str(level)] = [Lesson(p.id, level, "", text, words, tokens, "") for p in taught]
    made.chosen = with_controls(run, chosen, taught)
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
