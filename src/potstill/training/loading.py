"""Open the trainer of a base's backend."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from potstill.models.mlx_base import MlxBase
from potstill.models.model import LanguageModel
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import Recipe
from potstill.training.records import Trainer

if TYPE_CHECKING:
    from potstill.training.activation_cache import ActivationCache

__all__ = ["open_trainer"]


def open_trainer(
    base: LanguageModel,
    recipe: Recipe,
    seed: int,
    optimizations: Optimizations | None = None,
    cache: ActivationCache | None = None,
) -> AbstractContextManager[Trainer]:
    """Return a new adapter in training on a base, which is as it was when the ``with`` ends.

    ``optimizations`` and ``cache`` (the lower layers' outputs, shared by several trainers) are the
    torch backend's. Raises PotstillError where memory does not suffice.
    """
    if isinstance(base, MlxBase):
        from potstill.training.mlx_trainer import open_mlx_trainer

        return open_mlx_trainer(base, recipe, seed)
    from potstill.models.torch_base import Base
    from potstill.training.torch_trainer import open_torch_trainer

    if not isinstance(base, Base):
        raise TypeError(f"no backend trains on {type(base).__name__}")
    return open_torch_trainer(base, recipe, seed, optimizations, cache)
