"""A new LoRA adapter on an MLX model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.errors import InputError
from potstill.models.mlx_adapters import put_on

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
    unknown = [t for t in recipe.target_modules if t not in leaves and t not in own]
    if unknown:
        raise InputError(
            f"target_modules names {', '.join(unknown)}, which {base.name} does not have; its "
            f"linear modules are {', '.join(sorted(leaves))}."
        )
    depth = len(layers)
    count = depth if recipe.layers == "all" else recipe.layers
    if count > depth:
        raise InputError(
            f"The recipe adapts the top {count} layers and {base.name} has {depth}; set layers to "
            "that or less, or to all."
        )
    keys = {leaves.get(target, target) for target in recipe.target_modules}
    put_on(base.model, count, keys, recipe.rank, recipe.scale, recipe.dropout)
