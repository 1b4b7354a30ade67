# ruff: noqa: N806, N815 (axes are suffixes of tensor names)
"""Batches of like lengths: composition reshuffled every epoch, nothing dropped, nothing cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from potstill.training.examples import EncodedExample

__all__ = ["Batch", "BatchStream", "collate", "epoch_batches", "validation_batches"]

# How many batches' worth of examples are sorted by length together. Larger pads less, smaller
# leaves more to chance who sits with whom.
_POOL_BATCHES = 16

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded token ids and where the loss falls.

    ``tokens_BT`` is padded on the right of each row's ``length_B`` tokens, where no real token
    looks under a causal mask, so a forward pass needs no attention mask. Hidden states at
    ``(row_N, column_N)`` predict ``target_N``: the N completion tokens of the batch.
    """

    tokens_BT: IntArray
    length_B: IntArray
    row_N: IntArray
    column_N: IntArray
    target_N: IntArray
    real_tokens: int

    @property
    def padded_tokens(self) -> int:
        """Tokens computed, padding included."""
        return int(self.tokens_BT.size)


def collate(examples: Sequence[EncodedExample]) -> Batch:
    """Return one batch of the given examples."""
    width = max(len(example.tokens) for example in examples)
    # Any id does for padding: it is never looked at and never predicted.
    tokens_BT = np.zeros((len(examples), width), dtype=np.int64)
    loss_mask_BT = np.zeros((len(examples), width), dtype=np.bool_)
    for row, example in enumerate(examples):
        tokens_BT[row, : len(example.tokens)] = example.tokens
        loss_mask_BT[row, example.prompt_length : len(example.tokens)] = True
    row_N, column_N = np.nonzero(loss_mask_BT[:, 1:])
    return Batch(
        tokens_BT,
        np.array([len(example.tokens) for example in examples]),
        row_N,
        column_N,
        tokens_BT[row_N, column_N + 1],
        sum(len(example.tokens) for example in examples),
    )


def epoch_batches(
    examples: Sequence[EncodedExample],
    batch_size: int,
    rng: np.random.Generator,
    bucketed: bool = True,
) -> list[list[EncodedExample]]:
    """Return every example once, in batches of like lengths whose sizes differ by at most one.

    Examples are shuffled, sorted by length within pools of some batches, cut, and the batches
    shuffled again. A set smaller than a batch is one batch. Not ``bucketed``, they are cut as they
    were shuffled.
    """
    order = rng.permutation(len(examples))
    batch_count = -(-len(examples) // batch_size)
    pool_count = -(-batch_count // _POOL_BATCHES)
    batches: list[list[EncodedExample]] = []
    for pool, share in zip(
        np.array_split(order, pool_count), _even_shares(batch_count, pool_count), strict=True
    ):
        indexes = pool.tolist()
        if bucketed:
            indexes.sort(key=lambda index: len(examples[index].tokens))
        cuts = np.array_split(np.array(indexes), max(share, -(-len(indexes) // batch_size)))
        batches += [[examples[index] for index in cut] for cut in cuts]
    return [batches[index] for index in rng.permutation(len(batches))]


class BatchStream:
    """Batches of epoch after epoch, drawn from the cell's own generator, from wherever it was."""

    def __init__(
        self,
        examples: Sequence[EncodedExample],
        batch_size: int,
        rng: np.random.Generator,
        bucketed: bool = True,
    ) -> None:
        self._examples = examples
        self._batch_size = batch_size
        self._rng = rng
        self._bucketed = bucketed
        self._begin(0)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._position == len(self._epoch):
            self._begin(0)
        self._position += 1
        return collate(self._epoch[self._position - 1])

    def state(self) -> dict[str, Any]:
        """Return where it is, as plain values: the generator before this epoch, and the place in
        it.
        """
        return {"generator": self._before, "position": self._position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state`` was taken: the next batch is the one that followed."""
        self._rng.bit_generator.state = state["generator"]
        self._begin(state["position"])

    def _begin(self, position: int) -> None:
        self._before = self._rng.bit_generator.state
        self._epoch = epoch_batches(self._examples, self._batch_size, self._rng, self._bucketed)
        self._position = position


def validation_batches(examples: Sequence[EncodedExample], max_tokens: int) -> list[Batch]:
    """Return every example once, longest last, in batches of at most ``max_tokens`` padded tokens.

    An example longer than that has a batch of its own. No generator is drawn from.
    """
    batches: list[Batch] = []
    waiting: list[EncodedExample] = []
    for example in sorted(examples, key=lambda example: len(example.tokens)):
        if waiting and (len(waiting) + 1) * len(example.tokens) > max_tokens:
            batches.append(collate(waiting))
            waiting = []
        waiting.append(example)
    if waiting:
        batches.append(collate(waiting))
    return batches


def _even_shares(total: int, parts: int) -> list[int]:
    shares: Any = np.full(parts, total // parts)
    shares[: total % parts] += 1
    return [int(share) for share in shares]
