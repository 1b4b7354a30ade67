"""A new LoRA adapter on an MLX model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.models.mlx_adapters import put_on
from potstill.training.targets import check_targets

if TYPE_CHECKING:
    from potstill.models.mlx_base import MlxBase
    from potstill.training.recipe import Recipe

__all__ = ["attach"]


def attach(base: MlxBase, recipe: Recipe) -> None:
    """Put LoRA modules of a recipe's shape on the model, as mlx-lm does.

    Raises InputError for target modules or layers that the model does not have.
    """
    layers = base.model.layers
    own = {
        name
        for name, module in layers[-1].named_modules()
        if type(module).__name__ in ("Linear", "QuantizedLinear")
    }
    leaves = {name.rpartition(".")[2]: name for name in own}
    depth = len(layers)
    check_targets(own, recipe, base.name, depth)
    count = depth if recipe.layers == "all" else recipe.layers
    keys = {leaves.get(target, target) for target in recipe.target_modules}
    put_on(base.model, count, keys, recipe.rank, recipe.scale, recipe.dropout)
