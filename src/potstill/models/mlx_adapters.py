"""LoRA adapters on an MLX base: put on, taken off, read and written in PEFT's layout.

mlx-lm keeps A as (inputs, rank) and B as (rank, outputs); PEFT keeps both transposed. A transpose
moves no bit, so an adapter goes both ways exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.errors import InputError
from potstill.models.adapter_config import PEFT_PREFIX, read_adapter_config

if TYPE_CHECKING:
    from potstill.models.mlx_base import MlxBase

__all__ = ["detach", "lora_modules", "mounted", "peft_weights", "put_on", "set_weights"]


def put_on(model: Any, count: int, keys: set[str], rank: int, scale: float, dropout: float) -> None:
    """Put fresh LoRA modules on the projections ``keys`` of the upper ``count`` layers."""
    from mlx_lm.tuner.utils import linear_to_lora_layers

    config = {"rank": rank, "scale": scale, "dropout": dropout, "keys": keys}
    linear_to_lora_layers(model, count, config)


def detach(model: Any) -> None:
    """Take every LoRA module off; the very modules that stood there before stand there again."""
    from mlx.utils import tree_unflatten

    originals = [(name, module.linear) for name, module in lora_modules(model)]
    if originals:
        model.update_modules(tree_unflatten(originals))


def lora_modules(model: Any) -> list[tuple[str, Any]]:
    """Return the adapted modules with their names."""
    from mlx_lm.tuner.lora import LoRALinear

    return [(name, x) for name, x in model.named_modules() if isinstance(x, LoRALinear)]


def peft_weights(model: Any) -> dict[str, Any]:
    """Return a copy of the adapter as numpy arrays, float32, under PEFT's names: A (r, in), B (out,
    r).
    """
    import mlx.core as mx

    found = {}
    for name, module in lora_modules(model):
        for ours, theirs in (("lora_a", "lora_A"), ("lora_b", "lora_B")):
            transposed = module[ours].T.astype(mx.float32)
            found[f"{PEFT_PREFIX}{name}.{theirs}.weight"] = np.ascontiguousarray(
                np.array(transposed)
            )
    return found


def set_weights(model: Any, weights: Mapping[str, Any]) -> None:
    """Give the adapter the weights of :func:`peft_weights`. Raises KeyError for one that is
    missing.
    """
    import mlx.core as mx

    for name, module in lora_modules(model):
        for ours, theirs in (("lora_a", "lora_A"), ("lora_b", "lora_B")):
            values = weights[f"{PEFT_PREFIX}{name}.{theirs}.weight"]
            if tuple(values.shape[::-1]) != tuple(module[ours].shape):
                raise KeyError(f"{name} has another shape")
            module[ours] = mx.array(np.ascontiguousarray(values.T))
    mx.eval(model.parameters())


@contextmanager
def mounted(base: MlxBase, adapter: Path | None) -> Iterator[None]:
    """Mount an adapter on the base for the time of the ``with``; then it is as it was.

    Raises InputError for an adapter that does not fit.
    """
    if adapter is None:
        yield
        return
    from safetensors.numpy import load_file

    from potstill.models.adapters import ADAPTER_WEIGHTS, hash_adapter

    hash_adapter(adapter)
    config = read_adapter_config(adapter)
    try:
        weights = load_file(str(adapter / ADAPTER_WEIGHTS))
        depth = len(base.model.layers)
        layers = config.layers or range(depth)
        if sorted(layers) != list(range(depth - len(layers), depth)):
            raise KeyError("its layers are not the top ones")
        leaves = {
            name.rpartition(".")[2]: name for name, _ in base.model.layers[-1].named_modules()
        }
        keys = {leaves[target] for target in config.target_modules}
        put_on(base.model, len(layers), keys, config.rank, config.scale, 0.0)
        set_weights(base.model, weights)
    except Exception as exc:  # a torn file, wrong shapes, another architecture
        detach(base.model)
        raise InputError(
            f"The adapter in {adapter} does not fit {base.name} ({exc}); use the base that it was "
            "trained on."
        ) from exc
    try:
        base.model.eval()
        yield
    finally:
        detach(base.model)
