"""The cells of a grid side by side: processes of one thread each for a small base on a CPU.

A small model's matrices are too small to share among threads, and a busy machine makes threads wait
for one another: three processes of one thread train about twice as many tokens a second of a model
of 1.8M parameters as one process of three threads, and six times as many beside other work; two of
one thread train 1.6 times as many of one of 135M (docs/log.md). A larger base, or one on a GPU,
trains its cells one after another in this process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.cores import core_count
from potstill.errors import PotstillError
from potstill.models.model import is_small
from potstill.training.examples import EncodedExample, Example, encode_examples
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, StepReport, TrainedCell
from potstill.training.validation import Validation

if TYPE_CHECKING:
    from potstill.models.model import LanguageModel
    from potstill.training.activation_cache import ActivationCache, CacheFile

__all__ = ["Job", "train_cells", "train_job", "usual_workers", "with_one_thread"]

# What of the free memory processes beside this one may take, each with the base of its own.
_MEMORY_SHARE = 0.8

OnStep = Callable[[StepReport], None]
OnNote = Callable[[str], None]
OnCached = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One call of ``train_cell``: a cell, its examples, its recipe, its folder."""

    cell: GridCell
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    recipe: Recipe
    out: Path
    data_hash: str
    optimizations: Optimizations = field(default_factory=Optimizations)
    trackers: tuple[str, ...] = ()
    validation: Validation | None = None
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)


def train_cells(
    base: LanguageModel,
    jobs: Sequence[Job],
    *,
    workers: int = 0,
    on_step: OnStep | None = None,
    on_note: OnNote | None = None,
    on_cached: OnCached | None = None,
    grid: Sequence[Job] = (),
) -> Iterator[tuple[Job, TrainedCell]]:
    """Yield each job with its trained cell, in the order they finish.

    ``workers`` 0 takes :func:`usual_workers`.
    With a small base a recipe's ``threads: 0`` means 1, however many workers there are, so that a
    student's bits do not depend on how many cells were left to train. All cells share an activation
    cache where the jobs' settings allow it and it pays; ``on_note`` is told its size, or why there
    is none, ``on_cached`` how many tokens of how many are in it. Whether it pays goes by the whole
    ``grid``, of which ``jobs`` are what is left, so that a grid that was cut off goes on to the
    same bits. ``on_step`` is called in this process, from another thread where there are workers.
    The first job that fails ends the others and raises as ``train_cell`` does.
    """
    workers = min(len(jobs), workers or usual_workers(base, jobs))
    grid = grid or jobs
    if is_small(base):
        jobs, grid = ([with_one_thread(job) for job in some] for some in (jobs, grid))
    with _shared_cache(base, jobs, grid, on_note or _ignore, on_cached) as cache:
        if workers > 1:
            yield from _side_by_side(base, jobs, workers, on_step or _ignore, cache)
            return
        for job in jobs:
            yield job, train_job(base, job, on_step, cache)


@contextmanager
def _shared_cache(
    base: LanguageModel,
    jobs: Sequence[Job],
    grid: Sequence[Job],
    on_note: OnNote,
    on_cached: OnCached | None,
) -> Iterator[ActivationCache | None]:
    """Yield the lower layers' outputs computed once for all jobs, where that is possible and
    pays.
    """
    from potstill.models.torch_base import Base, cpu_threads
    from potstill.training.activation_cache import (
        ActivationCache,
        CachePlan,
        lowest_adapted_layer,
        open_cache,
        plan_cache,
    )

    jobs, grid = ([job for job in some if job.optimizations.caches] for some in (jobs, grid))
    if not isinstance(base, Base) or not jobs:
        yield None
        return
    depth = base.model.config.num_hidden_layers
    # Of several recipes the one that adapts most layers decides: the others may start there too.
    recipe = min((job.recipe for job in grid), key=lambda r: lowest_adapted_layer(depth, r))
    if is_small(base) and lowest_adapted_layer(depth, recipe) == 0:
        yield None  # most small bases are adapted whole, and a note of it would tell nothing
        return
    examples, runs = _uses(base, grid)
    left = {example.tokens for example in _uses(base, jobs)[0]}
    with ExitStack() as stack:
        with base.lease("the activation cache"), cpu_threads(recipe.threads):
            plan = plan_cache(base.model, recipe, examples, runs)
            if isinstance(plan, CachePlan):
                plan = replace(plan, examples=tuple(x for x in plan.examples if x.tokens in left))
            cache = stack.enter_context(open_cache(base.body, plan, on_note, on_cached=on_cached))
        yield cache if isinstance(cache, ActivationCache) else None


def _uses(base: LanguageModel, jobs: Sequence[Job]) -> tuple[list[EncodedExample], int]:
    """Return the examples of all jobs, and how many of them all the jobs run, with repetition."""
    encoded: dict[tuple[int, int], Sequence[EncodedExample]] = {}
    runs = 0
    for job in jobs:
        recipe = job.recipe
        limit = recipe.sequence_tokens(base.context_tokens)
        for examples in (job.train, job.valid):
            # Cells of one level hold the very same examples.
            if (id(examples), limit) not in encoded:
                found = encode_examples(base.tokenizer, examples, limit)
                encoded[id(examples), limit] = found.examples
        validations = recipe.steps // recipe.validate_every + 1
        runs += recipe.steps * recipe.batch_size * recipe.accumulation
        runs += validations * len(encoded[id(job.valid), limit])
    return [example for found in encoded.values() for example in found], runs


def usual_workers(base: LanguageModel, jobs: Sequence[Job]) -> int:
    """Return how many cells are trained at once: 1, or for a small base on a CPU as many as there
    are cores, and free memory for.
    """
    if not is_small(base):
        return 1
    from potstill.models.torch_base import Base, free_bytes

    if not isinstance(base, Base):
        return core_count()
    from potstill.training.torch_trainer import step_bytes

    step = max(
        step_bytes(
            base,
            job.recipe,
            job.recipe.batch_size * job.recipe.sequence_tokens(base.context_tokens),
            checkpointed=job.recipe.checkpointing == "on",
        )
        for job in jobs
    )
    one = base.model.get_memory_footprint() + step
    return max(1, min(core_count(), int(_MEMORY_SHARE * free_bytes(base.device) / one)))


def train_job(
    base: LanguageModel, job: Job, on_step: OnStep | None, cache: ActivationCache | None = None
) -> TrainedCell:
    """Return the trained cell of one job, on the lower layers' outputs where they are shared."""
    from potstill.training.loop import train_cell

    return train_cell(
        base,
        job.cell,
        job.train,
        job.valid,
        job.recipe,
        job.out,
        data_hash=job.data_hash,
        on_step=on_step,
        optimizations=job.optimizations,
        trackers=job.trackers,
        validation=job.validation,
        kinds=job.kinds,
        cache=cache,
    )


def _side_by_side(
    base: LanguageModel,
    jobs: Sequence[Job],
    workers: int,
    on_step: OnStep,
    cache: ActivationCache | None,
) -> Iterator[tuple[Job, TrainedCell]]:
    # Not fork: torch's threads do not survive one.
    context = multiprocessing.get_context("spawn")
    # No lock is shared with the workers: one that is killed while it holds it would hold it for
    # ever. A report is shorter than any PIPE_BUF (512 bytes), so a pipe takes it in one piece.
    reader, reports = context.Pipe(duplex=False)
    listener = threading.Thread(target=_listen, args=(reader, on_step), daemon=True)
    listener.start()
    held = cache.file if cache else None
    arguments = (base.path, base.precision, base.template, reports, held)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, initializer=_open_worker, initargs=arguments)
    try:
        running = _submitted(pool, jobs)
        for future in as_completed(running):
            yield running[future], future.result()
    except BaseException as exc:
        # Ctrl-C, say: what they would do yet is lost either way, each goes on from its checkpoint,
        # and a base takes its time to load. The pool may also overlook one that it was just
        # starting when it broke, which waits for a lock for ever.
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        if isinstance(exc, BrokenProcessPool):
            early = f"A training process of {workers} ended early: {_why_ended()}"
            raise PotstillError(early) from exc
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        reports.send(None)
        listener.join()
        reader.close()
        reports.close()


def _why_ended() -> str:
    """Return what most likely ended a training process, and what to do."""
    memory = "for want of memory, most likely; run again with fewer workers."
    if "potstill.cli.main" in sys.modules:
        return memory
    return (
        'where a script calls potstill.run, put the call beneath if __name__ == "__main__":, for '
        f"every such process imports the script. Where it is so, {memory}"
    )


def _submitted(pool: ProcessPoolExecutor, jobs: Sequence[Job]) -> dict[Future[TrainedCell], Job]:
    try:
        running = {pool.submit(_work, job): job for job in jobs}
        # A pool looks after the processes that were there when something was last submitted, or
        # done: it would not notice the end of the one it started for the last job.
        pool.submit(_nothing)
    except (OSError, ValueError) as exc:  # it broke while it started one, or could start none
        raise BrokenProcessPool(str(exc)) from exc
    return running


def _listen(reports: Any, on_step: OnStep) -> None:
    while (report := reports.recv()) is not None:
        on_step(report)


class _Worker:
    """What a worker process holds between jobs."""

    base: LanguageModel
    reports: Any
    cache: ActivationCache | None


def _open_worker(
    path: str, precision: str, template: Mapping[str, Any], reports: Any, cache: CacheFile | None
) -> None:
    # Ctrl-C reaches every process of the terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from potstill.models.torch_base import load_base

    _Worker.base = load_base(path, precision, "cpu", template)
    _Worker.reports = reports
    _Worker.cache = cache.open() if cache else None


def _end_with_parent() -> None:
    """End this process when its parent is gone, killed ones included."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(job: Job) -> TrainedCell:
    return train_job(_Worker.base, job, _Worker.reports.send, _Worker.cache)


def _nothing() -> None:
    return


def with_one_thread(job: Job) -> Job:
    """Return the job with one thread, unless its recipe says how many."""
    recipe = job.recipe.model_copy(update={"threads": job.recipe.threads or 1})
    return replace(job, recipe=recipe)


def _ignore(_: object) -> None:
    return
