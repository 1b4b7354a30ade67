"""Answers of base and students, made by the workers; the ledger gets them all, from here alone.

What the ledger holds is not made again. Replies come back in files of the study's directory, or of
its storage, and those that a lost worker had finished count.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.chat import Ask, Completion
from potstill.cluster.options import ClusterOptions
from potstill.cluster.shards import (
    FOLDER,
    Pace,
    Shard,
    ShardDone,
    ShardRequest,
    commit_replies,
    commit_stored,
)
from potstill.cluster.storage import ADAPTERS, Storage
from potstill.cluster.worker_pool import Lost, WorkerPool
from potstill.errors import PotstillError
from potstill.ledger.ledger import key_of
from potstill.solvers.local import PROVIDER, local_model
from potstill.solvers.parse import completion_from
from potstill.store.tables import in_batches

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger

__all__ = ["ClusterAnswering", "ClusterSolver", "Questions"]

# Asks looked up in the ledger, and made where they are not there, at a time.
_BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Questions:
    """What one solver (the base, or an adapter on it) is to be asked: ``count`` asks."""

    solver_id: str
    adapter: Path | None
    asks: Iterable[Ask]
    count: int


@dataclass(slots=True)
class _Queue:
    """What is still to be handed out of one solver's questions; ``left`` of them are not drawn."""

    questions: Questions
    missing: Iterator[ShardRequest]
    left: int
    _adapter: Path | None = None

    def adapter(self, storage: Storage | None) -> Path | None:
        """Return where workers find the adapter: its folder, or its hash, under which it is stored
        now.
        """
        from potstill.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, hash_adapter

        folder = self.questions.adapter
        if folder is None or storage is None:
            return folder and folder.resolve()
        if self._adapter is None:
            self._adapter = Path(hash_adapter(folder))
            files = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
            storage.push(f"{ADAPTERS}/{self._adapter}", folder, files)
        return self._adapter


class ClusterAnswering:
    """A run's answers on its workers, which are called for when the first is missing."""

    def __init__(
        self,
        ledger: Ledger,
        directory: Path,
        workers: Callable[[], WorkerPool],
        options: ClusterOptions,
        *,
        base_hash: str,
        precision: str,
        batch_size: int,
        note: Callable[[str], None],
        storage: Storage | None = None,
    ) -> None:
        self.precision = precision
        self._ledger = ledger
        self._storage = storage
        # workers that put their replies into a storage are told no path of the study
        self._folder = Path() if storage else (directory / FOLDER).resolve()
        self._workers = workers
        self._options = options
        self._base_hash = base_hash
        self._batch_size = batch_size
        self._note = note
        self._settled: dict[str, Completion] = {}
        self._run = secrets.token_hex(4)
        self._shards = 0

    def model(self, adapter: Path | None) -> str:
        """Return the name under which a solver's replies stand in the ledger."""
        return local_model(self._base_hash, adapter, self.precision)

    def find(self, ask: Ask, key: str) -> Completion | None:
        """Return what is known of an ask: its reply, or that it has none; None where it was not
        made.
        """
        raw = self._ledger.get(key)
        if raw is not None:
            return completion_from(ask, key, raw)
        settled = self._settled.get(key)
        return settled and replace(settled, tag=ask.tag)

    def fill(
        self, asked: Sequence[Questions], stage: str, on_done: Callable[[int], None] | None = None
    ) -> None:
        """Bring a reply into the ledger for every question that has none, or settle it without.

        An ask that ends worker after worker is found by bisection and settled as an ERROR. Raises
        PotstillError as the workers do.
        """
        told = on_done or (lambda number: None)
        queues = deque(self._queue(questions, told) for questions in asked)
        again: deque[Shard] = deque()
        pace = Pace(self._options.shard_s)
        first = self._cut(queues, stage, pace, {})
        if first is None:
            return
        again.append(first)
        workers = self._workers()
        pace.workers = workers.size
        under_way: dict[Path, int] = {}

        def take() -> Shard | None:
            shard = again.popleft() if again else self._cut(queues, stage, pace, under_way)
            if shard is not None:
                under_way[shard.replies] = len(shard.asked)
            return shard

        for shard, outcome in workers.work("answer", take):
            del under_way[shard.replies]
            rest = self._unanswered(shard, outcome)
            told(len(shard.asked) - len(rest))
            if rest:
                lost = outcome if isinstance(outcome, Lost) else Lost("its replies did not arrive")
                again.extendleft(self._lose(shard, rest, lost))
            elif isinstance(outcome, ShardDone):  # not of a worker that ended after its last reply
                pace.learn(shard.solver_id, len(shard.asked), outcome.seconds)
        if self._storage is not None:
            self._storage.remove(ADAPTERS)
            return
        with suppress(OSError):  # not empty, or never made
            self._folder.rmdir()

    def _unanswered(self, shard: Shard, outcome: ShardDone | Lost) -> tuple[ShardRequest, ...]:
        """Return what a shard leaves open, after its replies are in the ledger."""
        if self._storage is not None:
            keys = commit_stored(self._storage, shard.replies.stem, self._ledger)
        else:
            keys = commit_replies(shard.replies, self._ledger)
        if isinstance(outcome, ShardDone):
            self._settled |= {x.ledger_key: x for x in outcome.refused}
        return tuple(x for x in shard.asked if x.key not in keys and x.key not in self._settled)

    def _queue(self, questions: Questions, told: Callable[[int], None]) -> _Queue:
        model = self.model(questions.adapter)

        def missing() -> Iterator[ShardRequest]:
            for ask in questions.asks:
                queue.left -= 1
                key = key_of(PROVIDER, model, ask.messages, ask.sampling, ask.sample, ask.attempt)
                if self.find(ask, key) is None:
                    yield ShardRequest(ask, key)
                else:
                    told(1)

        queue = _Queue(questions, missing(), questions.count)
        return queue

    def _cut(
        self, queues: deque[_Queue], stage: str, pace: Pace, under_way: Mapping[Path, int]
    ) -> Shard | None:
        """Return the next piece of what is left, all of one solver; None where nothing is left."""
        while queues:
            queue = queues[0]
            name = queue.questions.solver_id
            size = pace.size(name, sum(q.left for q in queues), sum(under_way.values()))
            asked = tuple(islice(queue.missing, size))
            if asked:
                return self._shard(asked, queue.adapter(self._storage), name, stage)
            queues.popleft()
        return None

    def _shard(
        self,
        asked: tuple[ShardRequest, ...],
        adapter: Path | None,
        name: str,
        stage: str,
        losses: int = 0,
    ) -> Shard:
        self._shards += 1
        replies = self._folder / f"{self._run}-{self._shards:06}.jsonl"
        return Shard(asked, adapter, name, stage, self._batch_size, replies, losses)

    def _lose(self, shard: Shard, rest: tuple[ShardRequest, ...], lost: Lost) -> Iterator[Shard]:
        """Yield what is to be done with the rest of a lost shard: again, in halves, or given up."""
        got_on = len(rest) < len(shard.asked)
        losses = 1 if got_on else shard.losses + 1
        parts = [(rest, losses)]
        if losses > self._options.retries:
            if len(rest) == 1:
                self._give_up(rest[0], shard, losses, lost)
                return
            half = len(rest) // 2
            # A half is tried once more before it is halved; one ask alone as often as any shard.
            parts = [
                (part, 0 if len(part) == 1 else self._options.retries)
                for part in (rest[:half], rest[half:])
            ]
        for part, count in parts:
            yield self._shard(part, shard.adapter, shard.solver_id, shard.stage, count)

    def _give_up(self, asked: ShardRequest, shard: Shard, losses: int, lost: Lost) -> None:
        ask = asked.ask
        error = f"Given up after {losses} workers failed on this question alone: {lost.why}."
        self._note(f"{shard.solver_id}, {ask.tag}: {error}")
        self._settled[asked.key] = Completion.failed(ask, asked.key, error)


class ClusterSolver:
    """The base or a student as a solver whose answers the workers make."""

    def __init__(self, answering: ClusterAnswering, adapter: Path | None, solver_id: str) -> None:
        self._answering = answering
        self._adapter = adapter
        self._id = solver_id

    @property
    def id(self) -> str:
        """The solver's name in tables."""
        return self._id

    @property
    def precision(self) -> str:
        """The weights' precision."""
        return self._answering.precision

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield one completion per ask, in their order, each from the ledger.

        Raises as ``fill`` does.
        """
        model = self._answering.model(self._adapter)
        for block in in_batches(asks, _BLOCK):
            self._answering.fill([Questions(self._id, self._adapter, block, len(block))], stage)
            for ask in block:
                key = key_of(PROVIDER, model, ask.messages, ask.sampling, ask.sample, ask.attempt)
                found = self._answering.find(ask, key)
                if found is None:
                    raise PotstillError(f"{self._id} has no answer to {ask.tag}; run again.")
                yield found
