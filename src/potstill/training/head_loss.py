# ruff: noqa: N803, N806 (axes are suffixes of tensor names)
"""Cross-entropy through the language-model head, a chunk of logits at a time."""

from __future__ import annotations

from typing import Any

import torch

from potstill.training.memory import LOGITS_PER_CHUNK

__all__ = ["head_loss"]


@torch.no_grad()
def head_loss(
    head: Any,
    hidden_ND: torch.Tensor,
    target_N: torch.Tensor,
    weight: float,
    cap: float | None = None,
) -> tuple[float, torch.Tensor]:
    """Return the summed cross-entropy (nats) times ``weight``, and its gradient by ``hidden_ND``.

    The gradient of a logit is its probability, less one at the target: it takes the logits' own
    place, so that one chunk of them is all that ever exists; a second one where ``cap`` bounds
    them, whose slope 1 - (logit / cap)^2 the gradient is multiplied by.
    """
    chunk = max(1, LOGITS_PER_CHUNK // head.weight.shape[0])
    gradient_ND = torch.empty_like(hidden_ND)
    total = 0.0
    for part_ND, target, gradient in zip(
        *(torch.split(tensor, chunk) for tensor in (hidden_ND, target_N, gradient_ND)), strict=True
    ):
        logits_NV = head(part_ND).float()
        slope_NV = None
        if cap is not None:
            logits_NV = logits_NV.div_(cap).tanh_()
            slope_NV = 1 - logits_NV.square()
            logits_NV.mul_(cap)
        at_target = (torch.arange(len(target), device=target.device), target)
        highest = logits_NV.amax(dim=1, keepdim=True)
        target_logit = logits_NV[at_target] - highest[:, 0]
        sums = logits_NV.sub_(highest).exp_().sum(dim=1, keepdim=True)
        total += float((sums[:, 0].log() - target_logit).sum())
        # Scaling the rows of the product costs less than scaling those of the logits.
        scale = weight / sums
        logits_NV[at_target] -= sums[:, 0]
        if slope_NV is not None:
            logits_NV *= slope_NV
        gradient.copy_((logits_NV.to(head.weight.dtype) @ head.weight) * scale)
    return total * weight, gradient_ND
