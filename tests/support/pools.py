"""What the cluster's tests share: questions, a pool that loses shards, workers that end."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from potstill.chat import Ask, Completion, Message
from potstill.cluster.options import ClusterOptions
from potstill.cluster.shards import Shard
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker import Worker
from potstill.cluster.worker_pool import Done, Lost
from potstill.ledger.entries import Entry
from potstill.problems.overlap.lsh_forest import Partners, Seeking
from potstill.problems.overlap.minhash import Sketched
from potstill.records import Sampling
from potstill.training.examples import Example
from potstill.training.grid import Job
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell

POISON = "poison"
OPTIONS = ClusterOptions(workers=2, shard_s=2.0)
RECIPE = Recipe(rank=4, alpha=8, learning_rate=1e-2, iterations=40, validate_every=4, batch_size=4)


def asks(count: int, max_tokens: int = 12) -> list[Ask]:
    """Make questions of varied length, none twice."""
    return [
        Ask(
            f"p{number}",
            (Message("user", f"What is {number}" + " and then some" * (number % 6) + "?"),),
            Sampling(max_tokens=max_tokens),
        )
        for number in range(count)
    ]


def poisoned(count: int) -> list[Ask]:
    """Make the same, with one in the middle that ends every worker."""
    found = asks(count)
    found[count // 2] = replace(found[count // 2], tag=POISON)
    return found


def jobs_in(directory: Path, count: int = 1) -> list[Job]:
    """Make jobs whose cells are trained beneath a directory, of the same few lessons."""
    lessons = tuple(
        Example(x.tag, x.messages, f"It is {k * k % 91}.") for k, x in enumerate(asks(24))
    )
    return [
        Job(GridCell("R1", k), lessons[:18], lessons[18:], RECIPE, directory / f"R1-{k}", "data")
        for k in range(count)
    ]


class Fragile(Worker):
    """A worker whose process ends at a poisoned question."""

    def answer(self, shard: Shard) -> Iterator[tuple[Entry, ...] | Completion]:
        if any(asked.ask.tag == POISON for asked in shard.asked):
            os._exit(1)
        yield from super().answer(shard)


class Mortal(Worker):
    """A worker whose process ends at the study's first batch to sketch, and at its first order."""

    def sketch(self, texts: Sequence[str]) -> Iterator[Sketched]:
        self._end_at_first("sketch")
        yield from super().sketch(texts)

    def partners(self, number: int, seeking: Seeking) -> Iterator[Partners]:
        self._end_at_first("partners")
        yield from super().partners(number, seeking)

    def _end_at_first(self, work: str) -> None:
        with suppress(FileExistsError):
            (self._spec.directory / work).touch(exist_ok=False)
            os._exit(1)


class LossyPool:
    """A pool of one worker in this process, which seeded chance ends within its shards.

    The first shard is always lost, unless ``loss`` is 0.
    """

    size = 3

    def __init__(self, spec: BaseSpec, seed: int, loss: float) -> None:
        self._worker = Worker()
        self._worker.join(spec)
        self._worker.load()
        self._draw = random.Random(seed)
        self._loss = loss
        self.losses = 0
        self.sizes: list[int] = []

    def work(self, method: str, take: Callable[[], Shard | None]) -> Iterator[tuple[Shard, Any]]:
        while (shard := take()) is not None:
            self.sizes.append(len(shard.asked))
            poisoned = [k for k, asked in enumerate(shard.asked) if asked.ask.tag == POISON]
            spared = self._draw.random() >= self._loss and (self.losses or not self._loss)
            if spared and not poisoned:
                for made in getattr(self._worker, method)(shard):
                    yield shard, made
                yield shard, Done()
                continue
            self.losses += 1
            reached = poisoned[0] if poisoned else self._draw.randint(0, len(shard.asked))
            for made in self._worker.answer(replace(shard, asked=shard.asked[:reached])):
                yield shard, made
            yield shard, Lost("its worker was lost")


class LosingPool:
    """A pool of three in this process, ended by seeded chance; its parts end in any order."""

    size = 3

    def __init__(self, spec: BaseSpec, loss: float) -> None:
        self._worker = Worker()
        self._worker.join(spec)
        self._draw = random.Random(7)
        self._loss = loss
        self.parts = 0
        self.losses = 0

    def work(
        self, method: str, take: Callable[[], Any], shared: Any = None, base: bool = True
    ) -> Iterator[tuple[Any, Any]]:
        assert not base, "none of this work needs one"
        beside = () if shared is None else (shared,)
        under_way: list[Any] = []
        while True:
            while len(under_way) < self.size and (task := take()) is not None:
                under_way.append(task)
            if not under_way:
                return
            task = under_way.pop(self._draw.randrange(len(under_way)))
            self.parts += 1
            if self._draw.random() < self._loss:
                self.losses += 1
                yield task, Lost("its worker was lost")
                continue
            for made in getattr(self._worker, method)(task, *beside):
                yield task, made
            # a worker may end after all that it was to make, too
            yield task, Lost("its worker was lost") if self._draw.random() < 0.1 else Done()


def workers_here() -> list[psutil.Process]:
    """Find the processes of this test's Ray workers, busy or idle."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if _title(process).startswith(("ray::W", "ray::F"))]


def _title(process: psutil.Process) -> str:
    try:
        return str(process.cmdline()[0])
    except (psutil.Error, IndexError):
        return ""


def _computes(process: psutil.Process) -> bool:
    try:
        return bool(process.cpu_percent(0.05) > 30)
    except psutil.Error:
        return False


class Killer:
    """Ends a worker at its work once ``ready``, up to ``times``, ``every_s``; a context manager."""

    def __init__(
        self, methods: str, ready: Callable[[], bool], times: int = 1, every_s: float = 0.02
    ) -> None:
        self._methods, self._ready = methods.split(), ready
        self._times, self._every_s = times, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill)
        self.killed = 0

    def _busy(self) -> list[psutil.Process]:
        workers = workers_here()
        busy = [x for x in workers if _title(x).rpartition(".")[2] in self._methods]
        if busy or "train" not in self._methods:
            return busy
        # whoever reports steps while it trains has lost the method in its title
        return [x for x in workers if _computes(x)]

    def _kill(self) -> None:
        while self.killed < self._times and not self._over.wait(self._every_s):
            busy = self._busy() if self._ready() else []
            if busy:
                busy[self.killed % len(busy)].kill()
                self.killed += 1

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
