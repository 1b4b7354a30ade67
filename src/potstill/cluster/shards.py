"""A piece of answering: what is asked, and how large it is to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from potstill.chat import Ask

__all__ = ["Pace", "Shard", "ShardRequest"]

# The first piece, before anyone knows how long answers take. Many, for a batch of few sequences
# takes about as long as one of many.
_FIRST_ASKS = 64
# The least that the rest is cut to, and the least that tells how long answers take.
_LEAST_ASKS = 32
# A piece is at most so many times the last one that was timed.
_GROWTH = 4
# Towards the end every worker gets about so many pieces, so that none is waited for long, but none
# of less than this share of ``shard_s``: the last sequences of a piece run in a batch half empty.
_LAST_PIECES = 2
_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """An ask, and the ledger key that its reply will have."""

    ask: Ask
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Asks to one solver: the base, or an adapter on it.

    With a storage, ``adapter`` is the hash under which it lies there.
    """

    asked: tuple[ShardRequest, ...]
    adapter: Path | None
    solver_id: str
    stage: str
    batch_size: int
    losses: int = 0  # workers that ended at it, where it is one ask alone


@dataclass(slots=True)
class Pace:
    """How many asks make a piece of ``shard_s`` seconds, learnt from the pieces before."""

    shard_s: float
    workers: int = 1
    _asks_per_s: dict[str, float] = field(default_factory=dict)
    _timed_asks: dict[str, int] = field(default_factory=dict)

    def learn(self, solver_id: str, asks: int, seconds: float) -> None:
        """Note that a piece of so many asks took one worker so long."""
        # leftovers say little of a full piece
        if asks >= _LEAST_ASKS or solver_id not in self._timed_asks:
            self._timed_asks[solver_id] = asks
            self._asks_per_s[solver_id] = asks / max(seconds, 1e-3)

    def size(self, solver_id: str, left: int, under_way: int) -> int:
        """Return how many asks the next piece takes, of ``left`` that no worker has yet."""
        full = self._full(solver_id)
        each = math.ceil((left + under_way) / self.workers)
        least = max(_LEAST_ASKS, round(full * _LEAST_SHARE))
        return max(1, min(full, max(each // _LAST_PIECES, min(each, least))))

    def _full(self, solver_id: str) -> int:
        rates = self._asks_per_s
        if not rates:
            return _FIRST_ASKS
        # the slowest solver so far is a careful guess for a new one
        rate = rates.get(solver_id, min(rates.values()))
        timed = self._timed_asks.get(solver_id, _FIRST_ASKS)
        return max(1, min(round(rate * self.shard_s), timed * _GROWTH))
