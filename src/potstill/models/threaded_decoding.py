"""Many requests to a small base on a CPU: a decoder for every thread, as one decoder.

A small model's products are too small to share among threads: each waits for the slower of them, at
every layer. Decoders of one thread each wait for one another once a step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import torch

from potstill.models.decoding import Request, Running
from potstill.models.torch_base import Base, cpu_threads
from potstill.models.torch_decoding import TorchDecoder

__all__ = ["SLOTS_A_THREAD", "ThreadedDecoder", "keeps_no_state", "opened"]

SLOTS_A_THREAD = 128
"""More rows make a thread's products no faster (benchmarks/matrix_share.py)."""
# These recompute their frequencies in place, by the longest sequence that they have seen.
_ROPE_WITH_STATE = {"dynamic", "longrope"}


class ThreadedDecoder:
    """Decoders on one leased base, each with a thread of its own: a request goes to the one that
    has fewest.
    """

    def __init__(self, decoders: Sequence[TorchDecoder], threads: ThreadPoolExecutor) -> None:
        """Take a decoder for every thread of the pool."""
        self._decoders = decoders
        self._threads = threads
        self.slots = sum(decoder.slots for decoder in decoders)

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        return sum(decoder.active for decoder in self._decoders)

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step."""
        return sum(decoder.wanted for decoder in self._decoders)

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        """Return all that got a token, one each, after ``fresh`` was admitted."""
        shares: list[list[Request]] = [[] for _ in self._decoders]
        load = [decoder.active for decoder in self._decoders]
        for request in fresh:
            fewest = load.index(min(load))
            shares[fewest].append(request)
            load[fewest] += 1
        return list(chain.from_iterable(self._threads.map(_step, self._decoders, shares)))

    def drop(self, keys: Collection[int]) -> None:
        """Drop the unfinished sequences of these requests and free their slots."""
        for decoder in self._decoders:
            decoder.drop(keys)


def _step(decoder: TorchDecoder, fresh: Sequence[Request]) -> list[Running]:
    return decoder.step(fresh) if fresh or decoder.active else []


def keeps_no_state(base: Base) -> bool:
    """Return whether several threads can run a base at once."""
    rope = getattr(base.model.config, "rope_parameters", None) or {}
    kinds = [rope, *(by_layer for by_layer in rope.values() if isinstance(by_layer, dict))]
    return all(kind.get("rope_type") not in _ROPE_WITH_STATE for kind in kinds)


@contextmanager
def opened(base: Base, threads: int, slots: int) -> Iterator[ThreadedDecoder]:
    """Yield a decoder of ``threads`` threads, with so many ``slots`` in all."""
    each = max(1, slots // threads)
    pool = ThreadPoolExecutor(threads, "decoder", torch.set_num_threads, (1,))
    with cpu_threads(1), pool:
        yield ThreadedDecoder([TorchDecoder(base, each) for _ in range(threads)], pool)
