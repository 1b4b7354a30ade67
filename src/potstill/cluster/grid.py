"""The cells of a grid trained by the workers, each into its folder of the study's directory.

Or into the study's storage, from where it is fetched into that folder.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cluster.storage import STUDENTS, Storage
from potstill.cluster.worker_pool import Lost, WorkerPool
from potstill.errors import InputError, PotstillError
from potstill.training.records import StepReport, TrainedCell
from potstill.training.student_folder import read_trained

if TYPE_CHECKING:
    from potstill.training.grid import Job
    from potstill.training.records import GridCell

__all__ = ["train_on"]


def train_on(
    workers: WorkerPool,
    jobs: Sequence[Job],
    *,
    retries: int,
    on_step: Callable[[StepReport], None],
    grid: Sequence[Job] = (),
    storage: Storage | None = None,
) -> Iterator[tuple[Job, TrainedCell]]:
    """Yield each job with its trained cell, in the order they finish, to the bits of
    ``train_cells``.

    A cell whose worker was lost goes on from its checkpoint on another one; one that lies finished
    in the storage is not trained again. Raises PotstillError, after all the others are trained, for
    those whose workers were lost more than ``retries`` times, and what a worker raises of ours at
    once.
    """
    waiting: deque[Job] = deque()
    for job in jobs:
        found = storage and _fetched(storage, job)
        if found:
            yield from _handed_over(job, found, storage)
        else:
            waiting.append(job)
    yield from _train(workers, waiting, retries, on_step, grid or jobs, storage)


def _train(
    workers: WorkerPool,
    waiting: deque[Job],
    retries: int,
    on_step: Callable[[StepReport], None],
    grid: Sequence[Job],
    storage: Storage | None,
) -> Iterator[tuple[Job, TrainedCell]]:
    place = {job.out.name: job for job in waiting}
    losses: Counter[Path] = Counter()
    told: dict[GridCell, int] = {}
    given_up: list[str] = []

    def take() -> Job | None:
        return sent(waiting.popleft()) if waiting else None

    def sent(job: Job) -> Job:
        # workers that put students into a storage are told no path of the study
        return replace(job, out=Path(job.out.name)) if storage else job

    shared = tuple(sent(job) for job in grid)
    for task, outcome in workers.work("train", take, shared=shared):
        job = place.get(task.out.name)
        if job is None:  # it was handed over before its worker ended
            continue
        if isinstance(outcome, StepReport):
            # A cell that goes on elsewhere tells its steps from the start.
            if outcome.point.step > told.get(outcome.cell, -1):
                told[outcome.cell] = outcome.point.step
                on_step(outcome)
            continue
        if isinstance(outcome, TrainedCell):
            trained = _fetched(storage, job) if storage else outcome
            if trained:
                del place[task.out.name]
                yield from _handed_over(job, trained, storage)
            continue
        losses[job.out] += 1
        if losses[job.out] <= retries:
            waiting.append(job)
        else:
            why = outcome.why if isinstance(outcome, Lost) else "its student did not arrive whole"
            given_up.append(f"{job.cell} ({why})")
    if given_up:
        raise PotstillError(
            f"Training was given up after {retries + 1} workers failed on it: "
            f"{'; '.join(given_up)}. The other students are kept; raise cluster.memory_gb, or look "
            "at the machines, and run again."
        )


def _handed_over(
    job: Job, trained: TrainedCell, storage: Storage | None
) -> Iterator[tuple[Job, TrainedCell]]:
    yield job, trained  # and whoever took it has kept it
    if storage:
        storage.remove(f"{STUDENTS}/{job.out.name}")


def _fetched(storage: Storage, job: Job) -> TrainedCell | None:
    """Return the trained cell, its student from the storage in its folder; None where it is not
    there.
    """
    from potstill.models.adapters import hash_adapter

    if not storage.pull(f"{STUDENTS}/{job.out.name}", job.out):
        return None
    try:
        trained = read_trained(job.out)
    except InputError:  # of another Potstill
        return None
    student = trained.student
    is_this = (student.variant, student.seed, student.data_hash, student.adapter_hash) == (
        job.cell.variant,
        job.cell.seed,
        job.data_hash,
        hash_adapter(job.out),
    )
    return trained if is_this else None
