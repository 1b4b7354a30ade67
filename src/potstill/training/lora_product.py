"""LoRA's product with one large matrix product instead of one and two thin ones."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

__all__ = ["speed_up"]


class _MergedProduct(torch.autograd.Function):
    """``x (W + s B A)^T + b``: the sum of the weights is made, used, and made again going back.

    The sum costs ``in * out * rank``, whatever the number of tokens. It is not kept for the
    backward pass, so no second copy of the weights is ever held.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, a, b, weight)
        ctx.scale = scale
        return functional.linear(x, torch.addmm(weight, b, a, alpha=scale), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, a, b, weight = ctx.saved_tensors
        gradient = gradients[0].flatten(0, -2)
        x_flat = x.flatten(0, -2)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = (gradient @ torch.addmm(weight, b, a, alpha=ctx.scale)).view_as(x)
        a_gradient = (gradient @ (b * ctx.scale)).t() @ x_flat
        b_gradient = ((x_flat @ (a.t() * ctx.scale)).t() @ gradient).t().contiguous()
        return x_gradient, a_gradient, b_gradient, None, None, None


def speed_up(layer: Any, name: str = "default") -> None:
    """Let a peft LoRA layer compute its product merged where that is exact and saves work.

    Exact up to float32's rounding: so in float32 without dropout, and on plain linear layers only.
    It saves work where the batch has more tokens than ``in * out / (in + out)``; below that peft's
    own forward runs.
    """
    linear = layer.get_base_layer()
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    plain = type(linear) is torch.nn.Linear and linear.weight.dtype == a.dtype == torch.float32
    if not plain or not isinstance(layer.lora_dropout[name], torch.nn.Identity):
        return
    peft_forward = layer.forward
    break_even = linear.weight.numel() / sum(linear.weight.shape)

    def forward(x: torch.Tensor) -> Any:
        if x.numel() // x.shape[-1] <= break_even:
            return peft_forward(x)
        return _MergedProduct.apply(  # type: ignore[no-untyped-call]
            x, a, b, linear.weight, linear.bias, layer.scaling[name]
        )

    layer.forward = forward
