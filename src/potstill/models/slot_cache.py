# ruff: noqa: N803, N806 (axes are suffixes of tensor names)
"""Keys and values of many sequences side by side, and one step of all of them through a model.

A step looks at each slot as far as its own length, and in a layer with a sliding window no further
back than that. Axes: B the active slots, T columns, K key-value heads, D the head's width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

__all__ = ["SlotCache", "decode_hidden"]

# Columns are added this many at a time at least, so that growing the cache stays rare.
_GROWTH_TOKENS = 64


class SlotCache:
    """Keys and values of all slots, in the form that transformers' attention asks for.

    Attention calls :meth:`update` with the step's new key and value and gets back all of them.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._columns = 0
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._row_N = torch.empty(0)
        self._width = 0

    def admit(self, first_slot: int, prefilled: Any, rows: Sequence[int]) -> None:
        """Store rows of a prefill (a transformers cache) from ``first_slot`` on, one a slot; a row
        may be several slots'.
        """
        count = len(rows)
        for index, layer in enumerate(prefilled.layers):
            _, heads, width, size = layer.keys.shape
            if index == len(self._keys):
                shape = (self._slots, heads, self._columns, size)
                self._keys.append(layer.keys.new_zeros(shape))
                self._values.append(layer.values.new_zeros((*shape[:3], layer.values.shape[3])))
            for store, fresh_BKTD in ((self._keys, layer.keys), (self._values, layer.values)):
                slots = store[index][first_slot : first_slot + count, :, :width]
                slots.copy_(fresh_BKTD if len(fresh_BKTD) == count else fresh_BKTD[rows])

    def reserve(self, columns: int) -> None:
        """Make room for sequences of that many tokens."""
        if columns <= self._columns:
            return
        grown = max(columns, self._columns + self._columns // 2, self._columns + _GROWTH_TOKENS)
        for store in (self._keys, self._values):
            for index, old in enumerate(store):
                # Zeros, not empty: a masked column still is multiplied, and 0 * NaN is NaN.
                new = old.new_zeros((*old.shape[:2], grown, old.shape[3]))
                new[:, :, : self._columns] = old
                store[index] = new
        self._columns = grown

    def begin_step(self, position_B: torch.Tensor, width: int) -> None:
        """Say where the next keys and values go, and how many columns attention looks at."""
        heads = self._keys[0].shape[1]
        lane_BK = torch.arange(len(position_B) * heads, device=position_B.device).view(-1, heads)
        self._row_N = (lane_BK * self._columns + position_B[:, None]).flatten()
        self._width = width

    def update(
        self, key_BK1D: torch.Tensor, value_BK1D: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all keys and values, as views, after one token's were stored in every slot."""
        count = len(key_BK1D)
        views = []
        for store, fresh in ((self._keys[layer], key_BK1D), (self._values[layer], value_BK1D)):
            store.flatten(0, 2).index_copy_(0, self._row_N, fresh.flatten(0, 2))
            views.append(store[:count, :, : self._width])
        return views[0], views[1]

    def move(self, source: Sequence[int], target: Sequence[int], width: int) -> None:
        """Copy whole slots, their first ``width`` columns."""
        for store in (*self._keys, *self._values):
            store[list(target), :, :width] = store[list(source), :, :width]


@torch.inference_mode()
def decode_hidden(
    body: Any,
    cache: SlotCache,
    tokens: Sequence[int],
    lengths: Sequence[int],
    windows: Mapping[str, int],
) -> torch.Tensor:
    """Return (B, D) hidden states of one token a slot, whose keys and values go into ``cache``.

    ``lengths`` are how many tokens each slot holds already, ``windows`` what a kind of layer looks
    back at (architecture.py).
    """
    device = next(body.parameters()).device
    width = max(lengths) + 1
    position_B = torch.tensor(lengths, device=device)
    cache.reserve(width)
    cache.begin_step(position_B, width)
    masks = {kind: _mask(position_B, width, window, body.dtype) for kind, window in windows.items()}
    hidden_B1D = body(
        input_ids=torch.tensor(tokens, device=device)[:, None],
        # a model takes masks by kind of layer where it has more than one, as it makes them itself
        attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
        position_ids=position_B[:, None],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    hidden_BD: torch.Tensor = hidden_B1D[:, 0]
    return hidden_BD


def _mask(position_B: torch.Tensor, width: int, window: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive (B, 1, 1, T) mask, made once for all layers of a kind."""
    column_T = torch.arange(width, device=position_B.device)
    hidden_BT = column_T > position_B[:, None]
    if window:
        hidden_BT |= column_T <= position_B[:, None] - window
    mask_B11T = torch.zeros((len(position_B), 1, 1, width), dtype=dtype, device=position_B.device)
    return mask_B11T.masked_fill_(hidden_BT[:, None, None], float("-inf"))
