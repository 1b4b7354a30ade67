"""A new LoRA adapter on a torch model, its values drawn from a seed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from potstill.models.adapters import lora_layers
from potstill.training.recipe import Recipe
from potstill.training.targets import check_targets

__all__ = ["attach_adapter", "lora_config", "seed_adapter", "seed_values"]


def attach_adapter(model: Any, recipe: Recipe, name: str = "the model") -> Any:
    """Return a peft model around ``model`` with an adapter of the recipe's shape, in float32.

    ``unload()`` takes the adapter off. Raises InputError for target modules or layers that the
    model does not have.
    """
    from peft import get_peft_model

    depth = model.config.num_hidden_layers
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    check_targets(linear, recipe, name, depth)
    config = lora_config(recipe, depth)
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft reads an attribute that transformers has renamed.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, config)


def lora_config(recipe: Recipe, depth: int) -> Any:
    """Return PEFT's configuration of a recipe on a base of ``depth`` layers."""
    from peft import LoraConfig

    count = depth if recipe.layers == "all" else recipe.layers
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=int(recipe.alpha) if recipe.alpha == int(recipe.alpha) else recipe.alpha,  # type: ignore[arg-type]
        lora_dropout=recipe.dropout,
        target_modules=sorted(recipe.target_modules),
        layers_to_transform=None if count == depth else list(range(depth - count, depth)),
        bias="none",
    )


def seed_values(shapes: Mapping[str, tuple[int, int]], seed: int) -> dict[str, Any]:
    """Return the initial A of every adapted module by its name; ``shapes`` are (rank, inputs).

    Uniform within 1 / sqrt(inputs), as in peft and mlx-lm. numpy draws them in the order of the
    names, so every backend starts from the same adapter.
    """
    rng = np.random.default_rng([seed, 0])
    return {
        name: rng.uniform(-(shape[1] ** -0.5), shape[1] ** -0.5, size=shape).astype(np.float32)
        for name, shape in sorted(shapes.items())
    }


def seed_adapter(peft_model: Any, seed: int) -> None:
    """Give the adapter the initial weights of ``seed``: the product starts at zero."""
    layers = dict(lora_layers(peft_model))
    shapes = {n: tuple(x.lora_A["default"].weight.shape) for n, x in layers.items()}
    for name, values in seed_values(shapes, seed).items():
        with torch.no_grad():
            layers[name].lora_A["default"].weight.copy_(torch.from_numpy(values))
            layers[name].lora_B["default"].weight.zero_()
