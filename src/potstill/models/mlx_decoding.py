"""Continuous batching on MLX: mlx-lm's batched generator behind our decoder's seam."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from potstill.models.decoding import Request, Running

if TYPE_CHECKING:
    from potstill.models.mlx_base import MlxBase

__all__ = ["MlxDecoder"]


class MlxDecoder:
    """Sequences of one base under way; finished ones leave, new ones enter."""

    def __init__(self, base: MlxBase, slots: int) -> None:
        from mlx_lm.generate import BatchGenerator

        self._base = base
        self.slots = slots
        self._running: dict[int, Running] = {}
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

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        """Return all that got a token, one each, after ``fresh`` was admitted."""
        begun = [Running.begin(request, self._base.context_tokens) for request in fresh]
        if begun:
            uids = self._generator.insert(
                [list(run.request.prompt) for run in begun],
                max_tokens=[run.limit for run in begun],
                samplers=[_sampler(run) for run in begun],
            )
            self._running |= zip(uids, begun, strict=True)
        running = []
        for response in self._generator.next_generated():
            run = self._running[response.uid]
            run.advance(response.token, self._base.stop_tokens)
            if run.finish is not None:
                del self._running[response.uid]
            running.append(run)
        return running

    def drop(self, keys: Collection[int]) -> None:
        """Drop the unfinished sequences of these requests and free their slots."""
        uids = [uid for uid, running in self._running.items() if running.request.key in keys]
        self._generator.remove(uids)
        for uid in uids:
            del self._running[uid]

    def close(self) -> None:
        """Give back the generator's hold on memory."""
        self._generator.close()


def _sampler(run: Running) -> Callable[[mx.array], mx.array] | None:
    """Return none for the most likely token, else a draw by inverting the cumulative probability.

    As in torch_decoding: one uniform number of the request's own generator a token, so that it does
    not depend on who else is in the batch.
    """
    sampling = run.request.sampling
    if sampling.temperature == 0:
        return None

    def draw(logprobs_1V: mx.array) -> mx.array:  # noqa: N803
        probability = mx.softmax(logprobs_1V[0] / sampling.temperature)
        order = mx.argsort(-probability)
        sorted_ = probability[order]
        before = mx.cumsum(sorted_) - sorted_
        kept = mx.where(before < sampling.top_p, sorted_, 0.0)
        goal = run.draws.random() * kept.sum()
        choice = mx.minimum((mx.cumsum(kept) <= goal).sum(), (kept > 0).sum() - 1)
        return order[choice][None]

    return draw
