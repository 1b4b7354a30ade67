"""Muon, the optimizer of the base student's matrices, in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Muon", "orthogonalise"]

# Newton-Schulz coefficients and momentum of Muon, kellerjordan.github.io/posts/muon
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_MOMENTUM = 0.95


def orthogonalise(batch: Tensor) -> Tensor:
    """Return the matrices of a batch (count x rows x columns) with singular values near one."""
    tall = batch.shape[-2] > batch.shape[-1]
    x = batch.mT if tall else batch
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    turned: Tensor = x.mT if tall else x
    return turned


class Muon:
    """Orthogonalised momentum: matrices of one shape are stepped together.

    torch's own works in bfloat16, which the CPUs that this runs on are slow at.
    """

    def __init__(self, matrices: list[Tensor], weight_decay: float) -> None:
        """Return an optimizer of two-dimensional parameters."""
        self._weight_decay = weight_decay
        self._groups: dict[tuple[int, ...], list[Tensor]] = {}
        for matrix in matrices:
            self._groups.setdefault(tuple(matrix.shape), []).append(matrix)
        self._momentum = {id(m): m.detach().new_zeros(m.shape) for m in matrices}

    def step(self, rate: float) -> None:
        """Move every matrix along its orthogonalised momentum, and drop the gradients."""
        import torch

        with torch.no_grad():
            for (rows, columns), matrices in self._groups.items():
                pushes = []
                for matrix in matrices:
                    gradient = matrix.grad
                    if gradient is None:
                        gradient = torch.zeros_like(matrix)
                    momentum = self._momentum[id(matrix)].lerp_(gradient, 1 - _MOMENTUM)
                    pushes.append(gradient.lerp(momentum, _MOMENTUM))
                updates = orthogonalise(torch.stack(pushes))
                scale = max(1.0, rows / columns) ** 0.5
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.mul_(1 - rate * self._weight_decay)
                    matrix.add_(update, alpha=-rate * scale)
                    matrix.grad = None
