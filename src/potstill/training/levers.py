"""What makes training fast without changing what is trained; each can be switched off alone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Levers"]


class Levers(BaseModel):
    """The levers of the torch backend, none of them part of the recipe.

    ``buckets``: batches of like lengths, so that little is padded (who sits with whom differs
    without it). ``gathered_head``: logits of completion tokens only, a chunk at a time. ``trunk``:
    what lies below the lowest LoRA layer is computed once. ``short_backward``: no gradient further
    down than that layer. ``merged_product``: one large matrix product for W + s B A. With each of
    the last four losses stay equal up to float32's rounding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    buckets: bool = True
    gathered_head: bool = True
    trunk: bool = True
    short_backward: bool = True
    merged_product: bool = True
