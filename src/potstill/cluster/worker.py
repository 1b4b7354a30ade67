"""What runs on a worker: one base, loaded once, to answer shards and train cells; work without it.

Nothing here imports Ray: it makes an actor of :class:`Worker`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from potstill.cluster.shards import Shard, ShardDone
from potstill.cluster.spec import BaseSpec
from potstill.errors import InputError
from potstill.grading import GradingPool
from potstill.grading.plugins import kind_settings
from potstill.models.opening import load_language_model
from potstill.problems.overlap.lsh_forest import partners
from potstill.problems.overlap.minhash import sketched
from potstill.solvers.local import LocalSolver

if TYPE_CHECKING:
    from potstill.cluster.chunks import Chunk, Graded
    from potstill.cluster.handover import WorkerPlace
    from potstill.models.model import LanguageModel
    from potstill.problems.overlap.lsh_forest import Partners, Seeking
    from potstill.problems.overlap.minhash import Sketched
    from potstill.training.grid import Job, OnStep
    from potstill.training.records import StepReport, TrainedCell

__all__ = ["Worker"]


class Worker:
    """A base in a process of its own."""

    def __init__(self) -> None:
        self._reports: list[StepReport] = []
        self._reporting = threading.Lock()
        self._pool: GradingPool | None = None
        self._place: WorkerPlace

    def join(self, spec: BaseSpec) -> str:
        """Return the machine's name.

        Raises StoreError where it does not see the study's directory or storage.
        """
        from potstill.cluster.handover import open_place

        self._spec = spec
        self._place = open_place(spec)
        self._place.check()
        return socket.gethostname()

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

    def answer(self, shard: Shard) -> ShardDone:
        """Return how a shard went, after every reply is in its file or the storage."""
        started = time.monotonic()
        adapter = shard.adapter and self._place.adapter(shard.adapter)
        with self._place.replies(shard.replies) as replies:
            solver = LocalSolver(
                self._base,
                adapter,
                replies,
                solver_id=shard.solver_id,
                batch_size=shard.batch_size,
            )
            refused = [
                result
                for result in solver.complete((x.ask for x in shard.asked), shard.stage)
                if result.error
            ]
        return ShardDone(time.monotonic() - started, tuple(refused))

    def train(self, job: Job, grid: Sequence[Job]) -> TrainedCell:
        """Return the trained cell, after its student is in its place; it goes on from a checkpoint.

        Trained as :func:`~potstill.training.grid.train_cells` would train it among its ``grid``.
        """
        with self._place.training(job) as (here, keep):

            def told(step: StepReport) -> None:
                self._report(step)
                keep()

            return self._train(here, grid, told)

    def _train(self, job: Job, grid: Sequence[Job], on_step: OnStep) -> TrainedCell:
        from potstill.training.grid import is_small, train_cells, train_job, with_one_thread

        if is_small(self._base):
            return train_job(self._base, with_one_thread(job), on_step)
        if not job.recipe.threads:
            job = replace(job, recipe=job.recipe.model_copy(update={"threads": self._spec.cpus}))
        [(_, trained)] = train_cells(self._base, [job], on_step=on_step, grid=grid)
        return trained

    def grade(self, chunk: Chunk) -> Graded:
        """Return the verdicts on a chunk of answers, from a pool of as many processes as it has
        cores.
        """
        from potstill.cluster.chunks import graded

        if self._pool is None:
            self._pool = GradingPool(workers=self._spec.cpus, kinds=kind_settings(self._spec.kinds))
            self._pool.start()
        return graded(self._pool, chunk)

    def sketch(self, texts: Sequence[str]) -> Sketched:
        """Return a batch of problems' texts for the overlap audit."""
        return sketched(texts)

    def partners(self, number: int, seeking: Seeking) -> Partners:
        """Return the partners that the overlap audit finds in one order."""
        return partners(number, seeking)

    def reports(self) -> list[StepReport]:
        """Return the steps trained since the last call."""
        with self._reporting:
            told, self._reports = self._reports, []
        return told

    def _report(self, step: StepReport) -> None:
        with self._reporting:
            self._reports.append(step)
