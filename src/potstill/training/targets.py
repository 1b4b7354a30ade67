"""Whether a recipe's adapter fits a base: the modules it names, and how many layers there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from potstill.errors import InputError
from potstill.plugins import closest
from potstill.training.recipe import Recipe

__all__ = ["check_targets"]


def check_targets(linear: Iterable[str], recipe: Recipe, name: str, depth: int) -> None:
    """Raise InputError for target modules or layers that a base does not have.

    ``linear`` are the paths of its linear modules, ``depth`` how many layers it has. The sentence
    holds the setting that fits.
    """
    paths = list(linear)
    unknown = [
        target
        for target in recipe.target_modules
        if not any(path == target or path.endswith(f".{target}") for path in paths)
    ]
    if unknown:
        leaves = sorted({path.rpartition(".")[2] for path in paths} - {"lm_head"})
        if not leaves:
            raise InputError(
                f"{name} has no linear modules that LoRA could be put on; choose a base of another "
                "family, such as Qwen2.5 or Llama."
            )
        fitting = _fitting(recipe.target_modules, unknown, leaves)
        raise InputError(
            f"target_modules names {', '.join(unknown)}, which {name} does not have; its linear "
            f"modules are {', '.join(leaves)}: set training.target_modules: "
            f"[{', '.join(fitting)}]."
        )
    if recipe.layers != "all" and recipe.layers > depth:
        raise InputError(
            f"The recipe adapts the top {recipe.layers} layers and {name} has {depth}; set "
            f"training.layers to {depth} or less, or to all."
        )


def _fitting(wanted: Sequence[str], unknown: Sequence[str], leaves: Sequence[str]) -> list[str]:
    """Return the nearest module for each that is wanted, all of them where one is near none."""
    fitting: list[str] = []
    for target in wanted:
        near = [target]
        if target in unknown:
            near = list(filter(None, [closest(target, leaves)]))
        if not near:
            return list(leaves)
        fitting += [leaf for leaf in near if leaf not in fitting]
    return fitting
