"""How fast a step is beside the matrix products that it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from statistics import median
from typing import TYPE_CHECKING

import torch

from potstill.training.activation_cache import lowest_adapted_layer

if TYPE_CHECKING:
    from potstill.models.torch_base import Base
    from potstill.training.batches import Batch
    from potstill.training.recipe import Recipe

__all__ = ["matrix_flops", "projections", "step_flop"]

_ROUNDS = 7
_ENOUGH_S = 5.0  # bfloat16 is slow where a processor does not know it


def step_flop(base: Base, recipe: Recipe, batch: Batch, *, checkpointed: bool) -> float:
    """Return the floating-point operations of a step's products with the base's weights.

    Two a weight and token forwards, two backwards through the layers that are adapted, two more
    where they are made again; at the head both for the tokens learnt alone. Attention, the
    adapter's own products and all that is no product come on top.
    """
    layers = base.body.layers
    lowest = lowest_adapted_layer(len(layers), recipe)
    whole, adapted = _weights(layers), _weights(layers[lowest:])
    again = adapted if checkpointed else 0
    head: int = base.head.weight.numel()
    return 2.0 * batch.padded_tokens * (whole + adapted + again) + 4.0 * len(batch.target_N) * head


def matrix_flops(base: Base, rows: int, dtype: torch.dtype | None = None) -> float:
    """Return the floating-point operations a second of a product of ``rows`` hidden states with
    the base's widest projection, measured here: in the base's own precision, or in ``dtype``.
    """
    weight = max((x.weight for x in projections(base.body.layers)), key=torch.numel).to(dtype)
    hidden = torch.ones(rows, weight.shape[1], dtype=weight.dtype, device=weight.device)
    seconds: list[float] = []
    with torch.no_grad():
        while len(seconds) < _ROUNDS and sum(seconds) < _ENOUGH_S:
            _wait(base.device)
            started = time.perf_counter()
            torch.nn.functional.linear(hidden, weight)
            _wait(base.device)
            seconds.append(time.perf_counter() - started)
    return 2.0 * rows * weight.numel() / median(seconds[1:] or seconds)


def projections(layers: Iterable[torch.nn.Module]) -> Iterator[torch.nn.Linear]:
    """Yield the projections of some layers, their adapters left out."""
    for layer in layers:
        for name, module in layer.named_modules():
            if isinstance(module, torch.nn.Linear) and "lora_" not in name:
                yield module


def _weights(layers: Iterable[torch.nn.Module]) -> int:
    return sum(module.weight.numel() for module in projections(layers))


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
