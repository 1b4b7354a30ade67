# ruff: noqa: N806 (axes are suffixes of tensor names)
"""How likely a base finds a completion under its prompt: one forward pass, no adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from potstill.errors import PotstillError
from potstill.training.batches import Batch, collate
from potstill.training.examples import Example, encode_examples
from potstill.training.memory import LOGITS_PER_CHUNK

if TYPE_CHECKING:
    from potstill.models.model import LanguageModel
    from potstill.training.examples import EncodedExample

__all__ = ["mean_logprobs"]

_BATCH_TOKENS = 8_192
"""Padded tokens of a forward pass; a longer completion has one of its own."""

FloatArray = npt.NDArray[np.float64]


def mean_logprobs(base: LanguageModel, examples: Sequence[Example]) -> list[tuple[int, float]]:
    """Return for each example the tokens of its completion and their mean log-probability (nats).

    The end of the sequence counts as a token, as in training. (0, 0.0) for one that is longer than
    the base's context. Raises PotstillError where memory does not suffice.
    """
    encoded = encode_examples(base.tokenizer, examples, max_sequence_tokens=1 << 62).examples
    found = [(0, 0.0)] * len(encoded)
    with ExitStack() as stack:
        stack.enter_context(base.lease("the likelihood of traces"))
        token_losses = _torch_losses(base, stack) if base.device != "mlx" else _mlx_losses(base)
        for places in _together(encoded, base.context_tokens):
            batch = collate([encoded[i] for i in places])
            try:
                losses = token_losses(batch)
            except (RuntimeError, MemoryError) as exc:
                if not base.is_out_of_memory(exc):
                    raise
                raise PotstillError(
                    f"The likelihood of traces cannot be told: {base.name} ran out of memory over "
                    f"{batch.padded_tokens:,} tokens; set lessons.take to another, or a lower "
                    "student.precision."
                ) from exc
            for row, i in enumerate(places):
                own = losses[batch.row_N == row]
                found[i] = len(own), -float(own.mean())
    return found


def _together(encoded: Sequence[EncodedExample], context_tokens: int) -> Iterator[list[int]]:
    """Yield the places of examples that go through the base side by side, like lengths together."""
    waiting: list[int] = []
    for i in sorted(range(len(encoded)), key=lambda i: len(encoded[i].tokens)):
        length = len(encoded[i].tokens)
        if length > context_tokens:
            break
        if waiting and (len(waiting) + 1) * length > _BATCH_TOKENS:
            yield waiting
            waiting = []
        waiting.append(i)
    if waiting:
        yield waiting


def _torch_losses(base: Any, stack: ExitStack) -> Any:
    import torch
    from torch.nn import functional

    from potstill.models.torch_base import cpu_threads

    stack.enter_context(cpu_threads())
    stack.enter_context(torch.no_grad())
    chunk = max(1, LOGITS_PER_CHUNK // base.head.weight.shape[0])

    def losses(batch: Batch) -> FloatArray:
        row_N, column_N, target_N, tokens_BT = (
            torch.from_numpy(index).to(base.device)
            for index in (batch.row_N, batch.column_N, batch.target_N, batch.tokens_BT)
        )
        hidden_BTD = base.body(input_ids=tokens_BT, use_cache=False).last_hidden_state
        hidden_ND = hidden_BTD[row_N, column_N]
        parts = [
            functional.cross_entropy(base.logits(part_ND).float(), target, reduction="none")
            for part_ND, target in zip(
                torch.split(hidden_ND, chunk), torch.split(target_N, chunk), strict=True
            )
        ]
        found: FloatArray = torch.cat(parts).double().cpu().numpy()
        return found

    return losses


def _mlx_losses(base: Any) -> Any:
    import mlx.core as mx
    from mlx.nn.losses import cross_entropy

    chunk = max(1, LOGITS_PER_CHUNK // int(base.model.args.vocab_size))

    def losses(batch: Batch) -> FloatArray:
        hidden_BTD = base.hidden(mx.array(batch.tokens_BT))
        hidden_ND = hidden_BTD[mx.array(batch.row_N), mx.array(batch.column_N)]
        target_N = mx.array(batch.target_N)
        parts = []
        for start in range(0, len(batch.target_N), chunk):
            part = slice(start, start + chunk)
            logits_NV = base.logits(hidden_ND[part]).astype(mx.float32)
            parts.append(np.array(cross_entropy(logits_NV, target_N[part], reduction="none")))
        return np.concatenate(parts).astype(np.float64)

    return losses
