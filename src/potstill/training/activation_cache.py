# ruff: noqa: N803, N806 (axes are suffixes of tensor names)
"""The activation cache: what the frozen lower layers make of each example, computed once per grid.

Layers below the lowest adapted one see neither adapter nor dropout, so their outputs are the same
for every seed, epoch and level of one base. They are kept in one memory-mapped file on disk.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from potstill.cores import most_threads
from potstill.training.batches import Batch
from potstill.training.examples import EncodedExample
from potstill.training.recipe import Recipe

__all__ = [
    "ActivationCache",
    "CacheFile",
    "CachePlan",
    "CacheUnused",
    "lowest_adapted_layer",
    "open_cache",
    "plan_cache",
    "split_body",
]

# Below this many uses of an example on average the pass is not worth its disk space.
_FEWEST_USES = 1.25
# What is left free on the disk for others.
_SPARE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class CacheUnused:
    """Why there is no activation cache."""

    reason: str


@dataclass(frozen=True, slots=True)
class CachePlan:
    """What a cache would hold: the outputs of ``layers`` lower layers of distinct examples."""

    layers: int
    examples: tuple[EncodedExample, ...]
    bytes_per_token: int

    @property
    def tokens(self) -> int:
        """How many tokens the examples have."""
        return sum(len(example.tokens) for example in self.examples)

    @property
    def size_bytes(self) -> int:
        """The size of the file."""
        return self.tokens * self.bytes_per_token


@dataclass(frozen=True, slots=True)
class CacheFile:
    """Where an activation cache lies, for another process to open: a file of T x D numbers.

    ``starts`` are the rows at which examples begin, by token content.
    """

    path: str
    layers: int
    shape: tuple[int, int]
    dtype: torch.dtype
    starts: Mapping[bytes, int]

    def open(self) -> ActivationCache:
        """Return the cache, its file mapped into memory and shared."""
        rows, width = self.shape
        mapped: Any = torch.from_file(self.path, shared=True, size=rows * width, dtype=self.dtype)
        return ActivationCache(self, mapped.view(rows, width))


class ActivationCache:
    """The lower layers' outputs of every planned example, by token content."""

    def __init__(self, file: CacheFile, hidden_TD: torch.Tensor) -> None:
        self.file = file
        self.layers = file.layers
        self._hidden_TD = hidden_TD
        self._starts = file.starts

    def fill(self, start: int, end: int, hidden_TD: torch.Tensor) -> None:
        """Store an example's rows."""
        self._hidden_TD[start:end] = hidden_TD

    def hidden(self, batch: Batch, device: str) -> torch.Tensor | None:
        """Return the (B, T, D) input of the lowest adapted layer; None where an example is not
        held.

        Padding is zeros: under a causal mask no real token looks at it.
        """
        starts = [
            self._starts.get(_key(tokens[:length]))
            for tokens, length in zip(batch.tokens_BT, batch.length_B, strict=True)
        ]
        if None in starts:
            return None
        hidden_BTD = torch.zeros(
            *batch.tokens_BT.shape, self._hidden_TD.shape[1], dtype=self._hidden_TD.dtype
        )
        for row, (start, length) in enumerate(zip(starts, batch.length_B, strict=True)):
            hidden_BTD[row, :length] = self._hidden_TD[start : start + length]
        return hidden_BTD.to(device)


def lowest_adapted_layer(depth: int, recipe: Recipe) -> int:
    """Return the index of the lowest layer that the recipe's adapter touches in a model of
    ``depth``.
    """
    return 0 if recipe.layers == "all" else depth - recipe.layers


def split_body(body: Any, layer: int) -> tuple[Any, Any]:
    """Return the decoder's layers below ``layer``, and the rest with the final norm.

    Both take ``inputs_embeds`` and share the body's modules; position embeddings and the causal
    mask are made in each, as in the whole.
    """
    lower, upper = _with_layers(body, slice(0, layer)), _with_layers(body, slice(layer, None))
    lower.norm = torch.nn.Identity()
    return lower, upper


@contextmanager
def open_cache(
    body: Any,
    plan: CachePlan | CacheUnused,
    announce: Callable[[str], None],
    folder: Path | None = None,
    on_cached: Callable[[int, int], None] | None = None,
) -> Iterator[ActivationCache | CacheUnused]:
    """Yield the activation cache of ``plan``, deleted when the ``with`` ends; or why it is not
    used.

    ``announce`` is told either before anything is written, ``on_cached`` how many tokens of how
    many are done. The file's ``folder`` is the system's temporary one by default.
    """
    scratch = Path(folder or tempfile.gettempdir())
    planned = _refuse_large(plan, scratch)
    if isinstance(planned, CacheUnused):
        announce(f"No activation cache: {planned.reason}")
        yield planned
        return
    announce(
        f"Caching the lowest {planned.layers} layers' outputs of {len(planned.examples)} examples "
        f"in {scratch}: {_gigabytes(planned.size_bytes)} until the last cell is trained"
    )
    with tempfile.TemporaryDirectory(prefix="potstill-activations-", dir=scratch) as name:
        path = Path(name) / "hidden"
        try:
            _reserve(path, planned.size_bytes)
        except OSError as exc:
            unused = CacheUnused(f"{scratch} refused {_gigabytes(planned.size_bytes)} ({exc})")
            announce(f"No activation cache: {unused.reason}")
            yield unused
            return
        yield _fill(body, planned, path, on_cached)


def plan_cache(
    model: Any, recipe: Recipe, examples: Sequence[EncodedExample], runs: int
) -> CachePlan | CacheUnused:
    """Return what to cache for ``runs`` runs over ``examples`` in all, or why it would not pay."""
    config = model.config
    layer = lowest_adapted_layer(config.num_hidden_layers, recipe)
    if layer == 0:
        return CacheUnused("LoRA is on the lowest layer, so nothing is below it")
    if getattr(config, "attention_dropout", 0.0):
        return CacheUnused("the model has attention dropout, so its layers differ at every step")
    if not examples:
        return CacheUnused("there are no examples")
    distinct = {_key(e.tokens): e for e in examples}
    uses = runs / len(distinct)
    if uses < _FEWEST_USES:
        return CacheUnused(f"an example is used {uses:.2f} times, too few to pay for the pass")
    decoder = model.get_decoder()
    if not all(hasattr(decoder, name) for name in ("layers", "norm", "embed_tokens")):
        return CacheUnused(f"{type(decoder).__name__} is not built of layers and a final norm")
    if not _splits(decoder, layer):
        return CacheUnused(f"{type(decoder).__name__} does more than run its layers in order")
    weight = decoder.embed_tokens.weight
    bytes_per_token = weight.shape[1] * weight.element_size()
    return CachePlan(layer, tuple(distinct.values()), bytes_per_token)


def _refuse_large(plan: CachePlan | CacheUnused, folder: Path) -> CachePlan | CacheUnused:
    """Return the plan, or that the disk under ``folder`` is too small for it."""
    if isinstance(plan, CacheUnused):
        return plan
    free_bytes = shutil.disk_usage(folder).free
    if plan.size_bytes + _SPARE_BYTES <= free_bytes:
        return plan
    return CacheUnused(
        f"it takes {_gigabytes(plan.size_bytes)} and {folder} has {_gigabytes(free_bytes)} free"
    )


def _fill(
    body: Any, plan: CachePlan, path: Path, on_cached: Callable[[int, int], None] | None
) -> ActivationCache:
    lower, _ = split_body(body, plan.layers)
    weight = body.embed_tokens.weight
    ends = list(accumulate((len(example.tokens) for example in plan.examples), initial=0))
    starts = {_key(e.tokens): start for e, start in zip(plan.examples, ends[:-1], strict=True)}
    shape = (plan.tokens, weight.shape[1])
    cache = CacheFile(str(path), plan.layers, shape, weight.dtype, starts).open()
    lower.eval()

    # One at a time: padding and company would reach an example's last bits, and a cell that is
    # resumed beside other cells must find the very same ones.
    @torch.no_grad()
    def compute(example: EncodedExample, start: int) -> int:
        tokens_1T = torch.tensor([example.tokens], device=weight.device)
        hidden_1TD = lower(input_ids=tokens_1T, use_cache=False).last_hidden_state
        end = start + len(example.tokens)
        cache.fill(start, end, hidden_1TD[0].cpu())
        return end - start

    done = 0
    pool = _thread_pool(weight.device.type)
    try:
        for tokens in pool.map(compute, plan.examples, ends[:-1]):
            done += tokens
            if on_cached:
                on_cached(done, plan.tokens)
    finally:
        pool.shutdown(cancel_futures=True)
    return cache


def _thread_pool(device: str) -> ThreadPoolExecutor:
    """Return a pool that keeps this process's cores busy, each of its threads with as many of
    torch's as this one has.
    """
    each = torch.get_num_threads()
    together = max(1, most_threads() // each) if device == "cpu" else 1
    return ThreadPoolExecutor(together, initializer=torch.set_num_threads, initargs=(each,))


def _with_layers(body: Any, which: slice) -> Any:
    part = copy.copy(body)
    part.__dict__["_modules"] = dict(body._modules)
    part.layers = body.layers[which]
    part.config = copy.copy(body.config)
    part.config.num_hidden_layers = len(part.layers)
    if getattr(body.config, "layer_types", None):
        part.config.layer_types = body.config.layer_types[which]
    return part


@torch.no_grad()
def _splits(body: Any, layer: int) -> bool:
    """Return whether the parts one after another give what the whole gives, tried on a few
    tokens.
    """
    device = body.embed_tokens.weight.device
    tokens_BT = torch.arange(8, device=device)[None] % body.embed_tokens.weight.shape[0]
    lower, upper = split_body(body, layer)
    whole = body(input_ids=tokens_BT, use_cache=False).last_hidden_state
    hidden = lower(input_ids=tokens_BT, use_cache=False).last_hidden_state
    parts = upper(inputs_embeds=hidden, use_cache=False).last_hidden_state
    return bool(torch.equal(whole, parts))


def _reserve(path: Path, size_bytes: int) -> None:
    """Take the space now: a full disk under a mapped file ends the process without a word."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        else:
            file.truncate(size_bytes)


def _key(tokens: Any) -> bytes:
    return np.asarray(tokens, dtype=np.int64).tobytes()


def _gigabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
