# ruff: noqa: N806 (axes are suffixes of tensor names)
"""LoRA's product for projections that share an input: no casts, no copies, one pass over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from potstill.models.adapters import lora_layers

__all__ = ["fuse_lora"]

# Projections of one module that a transformer gives the same input.
_SHARED_INPUTS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class _Products(torch.autograd.Function):
    """``x W^T + bias + s (x A^T) B^T`` for several (W, bias, A, B, s) and one ``x``.

    The A's are stacked, so that ``x`` is read once for all of them, and every low-rank term is
    added in place. peft makes the term, its scaled copy and the sum one after another.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scales: Sequence[float], *tensors: Any) -> Any:
        count = len(scales)
        weights, biases, downs, ups = (tensors[k * count : (k + 1) * count] for k in range(4))
        x_TD = x.flatten(0, -2)
        down_RD = torch.cat(downs).to(x.dtype)
        low_TR = x_TD @ down_RD.t()
        ranks = [down.shape[0] for down in downs]
        outputs = []
        for weight, bias, up, scale, low in zip(
            weights, biases, ups, scales, torch.split(low_TR, ranks, dim=1), strict=True
        ):
            y_TE = functional.linear(x_TD, weight, bias)
            y_TE.addmm_(low, up.to(x.dtype).t(), alpha=scale)
            outputs.append(y_TE.view(*x.shape[:-1], -1))
        ctx.save_for_backward(x, low_TR, down_RD, *weights, *ups)
        ctx.scales, ctx.ranks = scales, ranks
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        x, low_TR, down_RD, *rest = ctx.saved_tensors
        weights, ups = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        x_TD = x.flatten(0, -2)
        low_gradient_TR = torch.empty_like(low_TR)
        x_gradient: torch.Tensor | None = None
        up_gradients = []
        for gradient, weight, up, scale, low, low_gradient in zip(
            gradients,
            weights,
            ups,
            ctx.scales,
            torch.split(low_TR, ctx.ranks, dim=1),
            torch.split(low_gradient_TR, ctx.ranks, dim=1),
            strict=True,
        ):
            gradient_TE = gradient.flatten(0, -2)
            low_gradient.copy_(gradient_TE @ (up.to(x.dtype) * scale))
            # (R, E) transposed: a product with few rows is the faster one on a CPU.
            up_gradients.append(((low * scale).t() @ gradient_TE).t().to(up.dtype))
            if ctx.needs_input_grad[0]:
                if x_gradient is None:
                    x_gradient = gradient_TE @ weight
                else:
                    x_gradient.addmm_(gradient_TE, weight)
        down_gradients = torch.split((low_gradient_TR.t() @ x_TD).to(ups[0].dtype), ctx.ranks)
        if x_gradient is not None:
            x_gradient = x_gradient.addmm_(low_gradient_TR, down_RD).view_as(x)
        none = [None] * len(weights)
        return x_gradient, None, *none, *none, *down_gradients, *up_gradients


_NAME = "default"  # of an adapter in peft


class _SharedInput:
    """LoRA layers that a module calls one after another with the very same tensor.

    The first call computes all outputs; the others take theirs. Where a model calls them with
    different tensors after all, each computes its own from then on.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._shared = len(layers) > 1
        self._input: torch.Tensor | None = None
        self._waiting: dict[int, torch.Tensor] = {}
        self._parts = [
            (layer.scaling[_NAME], layer.get_base_layer(), layer.lora_A[_NAME], layer.lora_B[_NAME])
            for layer in layers
        ]
        for index, layer in enumerate(layers):
            layer.forward = self._forward_of(index)

    def _forward_of(self, index: int) -> Any:
        def forward(x: torch.Tensor) -> Any:
            if self._input is x and index in self._waiting:
                output = self._waiting.pop(index)
                if not self._waiting:
                    self._input = None
                return output
            self._shared = self._shared and not self._waiting
            self._waiting.clear()
            if not self._shared:
                return _product(x, [self._parts[index]])[0]
            outputs = dict(enumerate(_product(x, self._parts)))
            self._input, self._waiting = x, outputs
            return outputs.pop(index)

        return forward


def fuse_lora(peft_model: Any) -> None:
    """Let a peft model's LoRA layers compute their products together, added in place.

    Equal to peft's own up to rounding. Layers with dropout, or on something other than a plain
    linear layer of one precision (quantised ones), keep peft's forward.
    """
    groups: dict[tuple[str, int], list[Any]] = {}
    for number, (path, layer) in enumerate(lora_layers(peft_model)):
        parent, _, leaf = path.rpartition(".")
        which = next((k for k, names in enumerate(_SHARED_INPUTS) if leaf in names), -1 - number)
        if _is_plain(layer):
            groups.setdefault((parent, which), []).append(layer)
    for layers in groups.values():
        _SharedInput(layers)


def _is_plain(layer: Any) -> bool:
    linear = layer.get_base_layer()
    return type(linear) is torch.nn.Linear and isinstance(
        layer.lora_dropout[_NAME], torch.nn.Identity
    )


def _product(x: torch.Tensor, parts: Sequence[Any]) -> Any:
    scales, linears, downs, ups = zip(*parts, strict=True)
    return _Products.apply(  # type: ignore[no-untyped-call]
        x,
        scales,
        *(linear.weight for linear in linears),
        *(linear.bias for linear in linears),
        *(down.weight for down in downs),
        *(up.weight for up in ups),
    )
