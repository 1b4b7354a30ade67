# ruff: noqa: N806 (axes are suffixes of tensor names)
"""The frozen layers below the lowest LoRA layer, run once per example and kept.

They are the same for every seed, level and epoch of one base, so a grid needs their outputs once.
The outputs lie in an unnamed temporary file, mapped into memory: nothing is left behind, and what
is not at hand is read back from disk.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from potstill.training.batches import Batch, validation_batches
from potstill.training.examples import EncodedExample

if TYPE_CHECKING:
    from potstill.training.base import Base

__all__ = ["Trunk", "above_trunk", "open_trunk", "worth_it"]

_BATCH_TOKENS = 8192
_TOLERANCE = 1e-4  # of the largest output: a family that is not computed in layers differs by far
_DISK_SHARE = 0.5
_WORTH_USES = 1.5


class Trunk:
    """The outputs of the layers below ``first`` for every example it was given."""

    def __init__(self, base: Base, first: int) -> None:
        self.first = first
        self._base = base
        self._where: dict[tuple[int, ...], tuple[int, int]] = {}
        self._file: Any = tempfile.TemporaryFile(prefix="potstill-trunk-")  # noqa: SIM115
        self._dtype = base.model.dtype
        self._size = int(base.model.config.hidden_size)
        self._bytes = 0
        self._map: Any = None

    def missing(self, examples: Sequence[EncodedExample]) -> list[EncodedExample]:
        """The examples whose outputs are not kept yet, each text once."""
        return list({x.tokens: x for x in examples if x.tokens not in self._where}.values())

    def bytes_for(self, examples: Sequence[EncodedExample]) -> int:
        """What keeping them takes on disk."""
        tokens = sum(len(x.tokens) for x in examples)
        return int(tokens * self._size * self._dtype.itemsize)

    def room_bytes(self) -> int:
        """How much may be written: half of what is free where temporary files go."""
        return int(shutil.disk_usage(tempfile.gettempdir()).free * _DISK_SHARE)

    def keep(self, examples: Sequence[EncodedExample]) -> None:
        """Nothing; the outputs for all the examples are kept."""
        missing = self.missing(examples)
        if not missing:
            return
        with torch.no_grad():
            for batch in validation_batches(missing, _BATCH_TOKENS):
                self._keep(batch)
        self._file.flush()
        self._map = np.memmap(self._file, dtype=np.uint8, mode="r", shape=(self._bytes,))

    def __call__(self, batch: Batch) -> torch.Tensor:
        """The inputs of layer ``first`` for a batch, padded with zeros: (rows, width, hidden)."""
        width = batch.tokens_BT.shape[1]
        hidden_BTD = torch.zeros((len(batch.examples), width, self._size), dtype=self._dtype)
        for row, example in enumerate(batch.examples):
            start, length = self._where[example.tokens]
            raw = torch.from_numpy(self._map[start : start + length].copy())
            hidden_BTD[row, : len(example.tokens)] = raw.view(self._dtype).view(-1, self._size)
        return hidden_BTD.to(self._base.device, non_blocking=True)

    def close(self) -> None:
        """Nothing; what was kept is gone."""
        self._map = None
        self._file.close()

    def _keep(self, batch: Batch) -> None:
        tokens_BT = torch.from_numpy(batch.tokens_BT).to(self._base.device)
        with _layers(self._base.body, 0, self.first), _without_norm(self._base.body):
            hidden_BTD = self._base.body(input_ids=tokens_BT, use_cache=False).last_hidden_state
        for row, example in enumerate(batch.examples):
            own = hidden_BTD[row, : len(example.tokens)].contiguous().cpu()
            raw = own.view(torch.uint8).numpy().tobytes()
            self._where[example.tokens] = (self._bytes, len(raw))
            self._file.write(raw)
            self._bytes += len(raw)


def open_trunk(base: Base, first: int) -> tuple[Trunk | None, str]:
    """A trunk of the layers below ``first``; None and the reason where there can be none.

    It is tried on a few tokens first: what the two halves give must be what the whole gives.
    """
    if first == 0:
        return None, "LoRA sits on the lowest layer"
    tokens_BT = torch.arange(12, device=base.device).reshape(2, 6)
    try:
        with torch.no_grad():
            whole = base.body(input_ids=tokens_BT, use_cache=False).last_hidden_state
            with _layers(base.body, 0, first), _without_norm(base.body):
                below = base.body(input_ids=tokens_BT, use_cache=False).last_hidden_state
            with above_trunk(base.body, first):
                split = base.body(inputs_embeds=below, use_cache=False).last_hidden_state
    except Exception as exc:  # a family whose layers cannot be run in two parts
        return None, f"this family does not run in two parts ({type(exc).__name__})"
    limit = _TOLERANCE if base.precision == "float32" else 0.05
    if (whole - split).abs().max() > limit * whole.abs().max():
        return None, "this family's two parts do not give what the whole gives"
    return Trunk(base, first), ""


def worth_it(trunk: Trunk, examples: Sequence[EncodedExample], uses: float) -> str:
    """Why a trunk would not pay for these examples, each used ``uses`` times; "" where it would."""
    missing = trunk.missing(examples)
    if missing and uses < _WORTH_USES:
        return f"each example is used {uses:.1f} times"
    if trunk.bytes_for(missing) > trunk.room_bytes():
        need, room = trunk.bytes_for(missing) / 1e9, trunk.room_bytes() / 1e9
        return f"it takes {need:.1f} GB and {room:.1f} GB of {tempfile.gettempdir()} are to be had"
    return ""


@contextmanager
def above_trunk(body: Any, first: int) -> Iterator[None]:
    """The body as its layers from ``first`` on, which takes a trunk's outputs as embeddings."""
    with _layers(body, first, len(body.layers)):
        yield


@contextmanager
def _layers(body: Any, start: int, stop: int) -> Iterator[None]:
    every, count = body.layers, body.config.num_hidden_layers
    body.layers = torch.nn.ModuleList(every[start:stop])
    body.config.num_hidden_layers = stop - start
    try:
        yield
    finally:
        body.layers, body.config.num_hidden_layers = every, count


@contextmanager
def _without_norm(body: Any) -> Iterator[None]:
    norm = body.norm
    body.norm = torch.nn.Identity()
    try:
        yield
    finally:
        body.norm = norm
