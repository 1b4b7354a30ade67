# ruff: noqa: N806 (axes are suffixes of tensor names)
"""The first tokens that prompts have in common: their keys and values computed once and kept.

A causal model's key and value of a token depend on that token and those before it, and on nothing
after: what one prompt computed holds for every prompt that begins alike. Axes: B prompts, K
key-value heads, P tokens of the prefix, D the head's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch

__all__ = ["SharedPrefix", "common_length"]

# A shorter prefix saves less than a pass of its own, or a mask in the others' passes, costs.
_WORTH_TOKENS = 16

Prompt = tuple[int, ...]


class SharedPrefix:
    """The longest beginning of the prompts so far that was worth keeping."""

    def __init__(self, body: Any, device: str) -> None:
        """Take ``body``, the model below its head."""
        self._body = body
        self._device = device
        self._tokens: Prompt = ()
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []  # keys and values, 1KPD

    def cover(self, prompts: Sequence[Prompt]) -> int:
        """Return how many first tokens of all ``prompts`` are kept, after those worth it were run.

        At least one token of every prompt is left to run; 0 where sharing is not worth it.
        """
        longest = min(len(prompt) for prompt in prompts) - 1
        shared = min(longest, *(common_length(prompts[0], prompt) for prompt in prompts))
        kept = min(shared, common_length(self._tokens, prompts[0]))
        if len(prompts) > 1 and shared - kept >= _WORTH_TOKENS:
            tokens_1P = torch.tensor([prompts[0][kept:shared]], device=self._device)
            past = self.cache(kept, 1)
            output = self._body(input_ids=tokens_1P, past_key_values=past, use_cache=True)
            self.keep(prompts[0][:shared], output.past_key_values)
            kept = shared
        return kept if kept >= _WORTH_TOKENS else 0

    def keep(self, tokens: Prompt, cache: Any) -> None:
        """Keep what the first row of a transformers cache holds of ``tokens``."""
        self._tokens = tokens
        self._layers = [
            (layer.keys[:1, :, : len(tokens)].clone(), layer.values[:1, :, : len(tokens)].clone())
            for layer in cache.layers
        ]

    def cache(self, length: int, rows: int) -> Any:
        """Return a transformers cache that begins with ``length`` kept tokens in every row."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for index, (keys_1KPD, values_1KPD) in enumerate(self._layers if length else ()):
            cache.update(
                keys_1KPD[:, :, :length].expand(rows, -1, -1, -1),
                values_1KPD[:, :, :length].expand(rows, -1, -1, -1),
                index,
            )
        return cache


def common_length(one: Prompt, other: Prompt) -> int:
    """Return how many first tokens two prompts have in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
