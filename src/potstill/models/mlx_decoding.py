"""Continuous batching on MLX: mlx-lm's batched generator behind our decoder's seam."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from potstill.models.decoding import Finished, Request
from potstill.records import Finish

if TYPE_CHECKING:
    from potstill.models.mlx_base import MlxBase

__all__ = ["MlxDecoder"]


@dataclass(slots=True)
class _Running:
    request: Request
    tokens: list[int] = field(default_factory=list)


class MlxDecoder:
    """Sequences of one base under way; finished ones leave, new ones enter."""

    def __init__(self, base: MlxBase, slots: int) -> None:
        from mlx_lm.generate import BatchGenerator

        self._base = base
        self.slots = slots
        self._running: dict[int, _Running] = {}
        self._generator: Any = BatchGenerator(
            base.model,
            stop_tokens=[[token] for token in sorted(base.stop_tokens)],
            completion_batch_size=slots,
            prefill_batch_size=min(8, slots),
        )

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        return len(self._running)

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step."""
        return self.slots - self.active

    def step(self, fresh: Sequence[Request]) -> list[Finished]:
        """Return what finished, after ``fresh`` was admitted and every sequence got its next
        token.
        """
        if fresh:
            uids = self._generator.insert(
                [list(request.prompt) for request in fresh],
                max_tokens=[self._limit(request) for request in fresh],
                samplers=[_sampler(request) for request in fresh],
            )
            self._running |= {u: _Running(r) for u, r in zip(uids, fresh, strict=True)}
        finished = []
        for response in self._generator.next_generated():
            running = self._running[response.uid]
            running.tokens.append(response.token)
            if response.finish_reason is not None:
                del self._running[response.uid]
                finished.append(self._finished(running))
        return finished

    def under_way(self) -> dict[int, Sequence[int]]:
        """Return the tokens so far of every unfinished sequence, by its request's key."""
        return {running.request.key: running.tokens for running in self._running.values()}

    def drop(self, keys: Collection[int]) -> None:
        """Drop the unfinished sequences of these requests and free their slots."""
        uids = [uid for uid, running in self._running.items() if running.request.key in keys]
        self._generator.remove(uids)
        for uid in uids:
            del self._running[uid]

    def close(self) -> None:
        """Give back the generator's hold on memory."""
        self._generator.close()

    def _limit(self, request: Request) -> int:
        room = self._base.context_tokens - len(request.prompt)
        return max(1, min(request.sampling.max_tokens, room))

    def _finished(self, running: _Running) -> Finished:
        tokens = running.tokens
        stopped = tokens[-1] in self._base.stop_tokens
        kept = tuple(tokens[:-1] if stopped else tokens)
        finish = Finish.STOP if stopped else Finish.LENGTH
        return Finished(running.request.key, kept, finish, len(tokens))


def _sampler(request: Request) -> Callable[[mx.array], mx.array] | None:
    """Return none for the most likely token, else a draw by inverting the cumulative probability.

    As in torch_decoding: one uniform number of the request's own generator a token, so that it does
    not depend on who else is in the batch.
    """
    sampling = request.sampling
    if sampling.temperature == 0:
        return None
    draws = random.Random(request.draw_seed)

    def draw(logprobs_1V: mx.array) -> mx.array:  # noqa: N803
        probability = mx.softmax(logprobs_1V[0] / sampling.temperature)
        order = mx.argsort(-probability)
        sorted_ = probability[order]
        before = mx.cumsum(sorted_) - sorted_
        kept = mx.where(before < sampling.top_p, sorted_, 0.0)
        goal = draws.random() * kept.sum()
        choice = mx.minimum((mx.cumsum(kept) <= goal).sum(), (kept > 0).sum() - 1)
        return order[choice][None]

    return draw
