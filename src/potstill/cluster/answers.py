"""Answers of base and students, made by the workers; the ledger gets them all, from here alone.

What the ledger holds is not made again. Replies come back as they are made, and those that a lost
worker had finished count.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.chat import Ask, Completion
from potstill.cluster.options import ClusterOptions
from potstill.cluster.shards import Pace, Shard, ShardRequest
from potstill.cluster.storage import ADAPTERS, Storage
from potstill.cluster.worker_pool import Done, Lost, WorkerPool
from potstill.errors import PotstillError
from potstill.ledger.ledger import key_of_request, request_json
from potstill.protocol.parse import completion_from
from potstill.solvers.local import PROVIDER, local_model
from potstill.store.tables import in_batches

if TYPE_CHECKING:
    from potstill.ledger.entries import Entry
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
        self._workers = workers
        self._options = options
        self._base_hash = base_hash
        self._batch_size = batch_size
        self._note = note
        self._settled: dict[str, Completion] = {}

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
        first = self._cut(queues, stage, pace, 0)
        if first is None:
            return
        again.append(first)
        workers = self._workers()
        pace.workers = workers.size
        begun: dict[Shard, float] = {}

        def take() -> Shard | None:
            under_way = sum(len(shard.asked) for shard in begun)
            shard = again.popleft() if again else self._cut(queues, stage, pace, under_way)
            if shard is not None:
                begun[shard] = time.monotonic()
            return shard

        for shard, outcome in workers.work("answer", take):
            if not isinstance(outcome, Done | Lost):
                self._settle(outcome)
                continue
            seconds = time.monotonic() - begun.pop(shard)
            rest = tuple(x for x in shard.asked if not self._is_settled(x.key))
            told(len(shard.asked) - len(rest))
            if isinstance(outcome, Lost):
                again.extendleft(self._lose(shard, rest, outcome))
            else:
                pace.learn(shard.solver_id, len(shard.asked), seconds)
        if self._storage is not None:
            self._storage.remove(ADAPTERS)

    def _settle(self, made: tuple[Entry, ...] | Completion) -> None:
        """Bring replies into the ledger, or note that a question cannot be put to the model."""
        if isinstance(made, Completion):
            self._settled[made.ledger_key] = made
        else:
            self._ledger.put_many([x for x in made if self._ledger.get(x.key) is None])

    def _is_settled(self, key: str) -> bool:
        return key in self._settled or self._ledger.get(key) is not None

    def _queue(self, questions: Questions, told: Callable[[int], None]) -> _Queue:
        model = self.model(questions.adapter)

        def missing() -> Iterator[ShardRequest]:
            for ask in questions.asks:
                queue.left -= 1
                key = _key_of(ask, model)
                if self.find(ask, key) is None:
                    yield ShardRequest(ask, key)
                else:
                    told(1)

        queue = _Queue(questions, missing(), questions.count)
        return queue

    def _cut(self, queues: deque[_Queue], stage: str, pace: Pace, under_way: int) -> Shard | None:
        """Return the next piece of what is left, all of one solver; None where nothing is left."""
        while queues:
            queue = queues[0]
            name = queue.questions.solver_id
            size = pace.size(name, sum(q.left for q in queues), under_way)
            asked = tuple(islice(queue.missing, size))
            if asked:
                adapter = queue.adapter(self._storage)
                return Shard(asked, adapter, name, stage, self._batch_size)
            queues.popleft()
        return None

    def _lose(self, shard: Shard, rest: tuple[ShardRequest, ...], lost: Lost) -> Iterator[Shard]:
        """Yield what is to be done with the rest of a lost shard: its halves, or one ask again."""
        if len(shard.asked) > 1:
            half = len(rest) // 2
            parts = [part for part in (rest[:half], rest[half:]) if part]
            yield from (replace(shard, asked=part) for part in parts)
        elif rest and shard.losses < self._options.retries:
            yield replace(shard, losses=shard.losses + 1)
        elif rest:
            self._give_up(rest[0], shard, lost)

    def _give_up(self, asked: ShardRequest, shard: Shard, lost: Lost) -> None:
        ask = asked.ask
        error = (
            f"Given up after {shard.losses + 1} workers failed on this question alone: {lost.why}."
        )
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
                key = _key_of(ask, model)
                found = self._answering.find(ask, key)
                if found is None:
                    raise PotstillError(f"{self._id} has no answer to {ask.tag}; run again.")
                yield found


def _key_of(ask: Ask, model: str) -> str:
    request = request_json(PROVIDER, model, ask.messages, ask.sampling, ask.sample, ask.attempt)
    return key_of_request(request)
