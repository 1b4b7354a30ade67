"""Gradient checkpointing: a layer's activations are made again in the backward pass, not kept.

Of each adapted layer its input alone is kept, so the memory of a step grows by one tensor of the
hidden width a layer and token, for about a third more time (Chen et al. 2016, arXiv 1604.06174).
Values and gradients are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from potstill.errors import InputError

__all__ = ["Checkpointing", "checkpointed_mlx", "checkpointed_torch", "wants_checkpointing"]

Checkpointing = Literal["auto", "on", "off"]

_SHARE = 0.5
"""Of the free memory: a step that would keep more than this is checkpointed by ``auto``."""


def wants_checkpointing(how: Checkpointing, step_bytes: int, free_bytes: int) -> bool:
    """Return whether a step that would keep ``step_bytes`` is checkpointed, where ``free_bytes``
    are free.
    """
    return how == "on" or (how == "auto" and step_bytes > _SHARE * free_bytes)


@contextmanager
def checkpointed_torch(layers: Sequence[Any], name: str) -> Iterator[None]:
    """Have layers of a transformers model make their activations again while the ``with`` lasts.

    Raises InputError where the layers of the base ``name`` cannot.
    """
    from functools import partial

    from torch.utils.checkpoint import checkpoint
    from transformers.modeling_layers import GradientCheckpointingLayer

    if not all(isinstance(layer, GradientCheckpointingLayer) for layer in layers):
        raise InputError(
            f"The layers of {name} cannot be checkpointed; set training.checkpointing: off."
        )
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = False


@contextmanager
def checkpointed_mlx(layers: Sequence[Any]) -> Iterator[None]:
    """Have the layers of an MLX model make their activations again while the ``with`` lasts."""
    import mlx.core as mx

    kinds = {type(layer) for layer in layers}
    calls = {kind: kind.__call__ for kind in kinds}

    def made_again(call: Any) -> Any:
        def called(layer: Any, *args: Any, **options: Any) -> Any:
            def with_weights(weights: Any, *args: Any) -> Any:
                layer.update(weights)
                return call(layer, *args, **options)

            return mx.checkpoint(with_weights)(layer.trainable_parameters(), *args)

        return called

    for kind, call in calls.items():
        kind.__call__ = made_again(call)
    try:
        yield
    finally:
        for kind, call in calls.items():
            kind.__call__ = call
