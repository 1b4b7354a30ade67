"""What makes training fast, each part of which can be switched off alone."""

from __future__ import annotations

from pydantic import Field

from potstill.store.settings import Settings

__all__ = ["Optimizations"]


class Optimizations(Settings):
    """How the torch backend saves work; all on by default.

    But for ``buckets`` they change what is trained by no more than rounding, so they are no part of
    the recipe's hash. Without ``buckets`` other examples share a batch.
    """

    buckets: bool = Field(default=True, description="Batches hold examples of like lengths.")
    gathered_head: bool = Field(
        default=True, description="Logits are made of completion tokens only, a chunk at a time."
    )
    activation_cache: bool = Field(
        default=True,
        description="Layers below the lowest adapted one run once per example of a grid.",
    )
    fused_lora: bool = Field(
        default=True,
        description="One LoRA product for projections that share an input, added in place.",
    )
    short_backward: bool = Field(
        default=True, description="The backward pass ends at the lowest adapted layer."
    )

    @property
    def caches(self) -> bool:
        """Whether the lower layers' outputs may be kept: the backward pass must end above them."""
        return self.activation_cache and self.short_backward
