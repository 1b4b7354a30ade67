"""What runs on a worker: one base, loaded once, to answer shards and train cells; work without it.

Nothing here imports Ray: it makes an actor of :class:`Worker`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from potstill.chat import Completion
from potstill.cluster.shards import Shard
from potstill.cluster.spec import BaseSpec
from potstill.errors import InputError
from potstill.grading import GradingPool
from potstill.grading.plugins import kind_settings
from potstill.ledger.entries import Entry
from potstill.models.loading import load_language_model
from potstill.problems.overlap.lsh_forest import partners
from potstill.problems.overlap.minhash import sketched
from potstill.records import Problem, Response, Verdict
from potstill.solvers.local import LocalSolver

if TYPE_CHECKING:
    from potstill.cluster.handover import WorkerPlace
    from potstill.models.model import LanguageModel
    from potstill.problems.overlap.lsh_forest import Partners, Seeking
    from potstill.problems.overlap.minhash import Sketched
    from potstill.training.grid import Job, OnStep
    from potstill.training.records import StepReport, TrainedCell

__all__ = ["Chunk", "Worker", "graded"]

Chunk = tuple[tuple[Problem, Response], ...]  # that one worker grades


class Worker:
    """A base in a process of its own; what it is given to do, it yields as it makes it."""

    def __init__(self) -> None:
        self._pool: GradingPool | None = None
        self._place: WorkerPlace

    def join(self, spec: BaseSpec) -> None:
        """Raise StoreError where this machine does not see the study's directory or storage."""
        from potstill.cluster.handover import open_place

        self._spec = spec
        self._place = open_place(spec)
        self._place.check()

    def load(self) -> None:
        """Load the base. Raises InputError where it is another one."""
        spec, here = self._spec, socket.gethostname()
        base = load_language_model(
            spec.path, spec.precision, spec.device, spec.backend, spec.template
        )
        if base.base_hash != spec.base_hash:
            raise InputError(
                f"The base {spec.path} on the machine {here} is another one than on the machine "
                "that runs the study; copy the same files to both."
            )
        if base.precision != spec.precision:
            raise InputError(
                f"The base {spec.path} is held as {base.precision}, not {spec.precision}; a "
                "quantised base runs without --on ray."
            )
        self._base: LanguageModel = base

    def answer(self, shard: Shard) -> Iterator[tuple[Entry, ...] | Completion]:
        """Yield a shard's replies, some at a time, and each ask that the model cannot be put."""
        adapter = shard.adapter and self._place.adapter(shard.adapter)
        made = _Made()
        solver = LocalSolver(
            self._base, adapter, made, solver_id=shard.solver_id, batch_size=shard.batch_size
        )
        for result in solver.complete((x.ask for x in shard.asked), shard.stage):
            if result.error:
                yield result
            elif made.entries:
                yield made.taken()

    def train(self, job: Job, grid: Sequence[Job]) -> Iterator[StepReport | TrainedCell]:
        """Yield a cell's steps, then the trained cell, after its student is in its place; it goes
        on from a checkpoint.

        Trained as :func:`~potstill.training.grid.train_cells` would train it among its ``grid``.
        """
        told: SimpleQueue[StepReport | Future[TrainedCell]] = SimpleQueue()
        with self._place.training(job) as (here, keep):

            def on_step(step: StepReport) -> None:
                told.put(step)
                keep()

            with ThreadPoolExecutor(1) as thread:
                trained = thread.submit(self._train, here, grid, on_step)
                trained.add_done_callback(told.put)
                while not isinstance(step := told.get(), Future):
                    yield step
            cell = trained.result()
        yield cell

    def _train(self, job: Job, grid: Sequence[Job], on_step: OnStep) -> TrainedCell:
        from potstill.models.model import is_small
        from potstill.training.grid import train_cells

        if not job.recipe.threads and not is_small(self._base):
            job = replace(job, recipe=job.recipe.model_copy(update={"threads": self._spec.cpus}))
        [(_, trained)] = train_cells(self._base, [job], workers=1, on_step=on_step, grid=grid)
        return trained

    def grade(self, chunk: Chunk) -> Iterator[tuple[Verdict, ...]]:
        """Yield the verdicts on a chunk of answers, from a pool of as many processes as it has
        cores.
        """
        if self._pool is None:
            self._pool = GradingPool(workers=self._spec.cpus, kinds=kind_settings(self._spec.kinds))
            self._pool.start()
        yield graded(self._pool, chunk)

    def sketch(self, texts: Sequence[str]) -> Iterator[Sketched]:
        """Yield a batch of problems' texts as the overlap audit takes them."""
        yield sketched(texts)

    def partners(self, number: int, seeking: Seeking) -> Iterator[Partners]:
        """Yield the partners that the overlap audit finds in one order."""
        yield partners(number, seeking)


class _Made:
    """Where a worker's solver commits to: it stands in for the ledger, whose one writer is the
    process that runs the study.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def get(self, key: str) -> None:
        """Return None: what the ledger holds was not handed out."""

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def taken(self) -> tuple[Entry, ...]:
        entries, self.entries = tuple(self.entries), []
        return entries


def graded(pool: GradingPool, chunk: Chunk) -> tuple[Verdict, ...]:
    """Return the verdicts on a chunk, from the processes of a pool on this machine."""
    return tuple(GradingPool.grade(pool, chunk, cut="stated"))
