# ruff: noqa: N806 (axes are suffixes of tensor names)
"""One adapter in training on the torch backend: a step, a validation, a snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from potstill.errors import PotstillError
from potstill.training.adapters import (
    adapter_weights,
    attach_adapter,
    lora_layers,
    save_adapter,
    seed_adapter,
)
from potstill.training.base import Base, cpu_threads, is_out_of_memory, peak_memory_bytes
from potstill.training.batches import Batch
from potstill.training.lora_product import speed_up
from potstill.training.recipe import Recipe

__all__ = ["TorchTrainee", "open_trainee"]

# A chunk of logits at the head is at most this large (in elements, float32: 64 MiB).
_LOGITS_PER_CHUNK = 2**24


class TorchTrainee:
    """An adapter on a lent base, with its optimizer."""

    def __init__(self, base: Base, peft_model: Any, recipe: Recipe) -> None:
        self._base = base
        self._peft_model = peft_model
        self._recipe = recipe
        self._parameters = [p for p in peft_model.parameters() if p.requires_grad]
        self._optimizer = _make_optimizer(self._parameters, recipe)

    @property
    def trained_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self._parameters)

    def step(self, batches: Sequence[Batch], learning_rate: float) -> float:
        """The mean loss per completion token (nats) of one optimizer step over ``batches``.

        Where the loss or a gradient is not finite, the weights are left as they were and NaN is
        returned.
        """
        self._peft_model.train()
        tokens = sum(len(batch.target_N) for batch in batches)
        loss = sum(self._loss(batch, weight=1 / tokens, backward=True) for batch in batches)
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self._parameters if p.grad is not None]
        )
        finite = math.isfinite(loss) and math.isfinite(float(norm))
        if finite:
            if self._recipe.clip_norm:
                torch.nn.utils.clip_grads_with_norm_(self._parameters, self._recipe.clip_norm, norm)
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss if finite else math.nan

    def validate(self, batches: Sequence[Batch]) -> float:
        """The mean loss per completion token (nats) over ``batches``, without dropout."""
        self._peft_model.eval()
        tokens = sum(len(batch.target_N) for batch in batches)
        with torch.no_grad():
            return sum(self._loss(batch, weight=1.0, backward=False) for batch in batches) / tokens

    def snapshot(self) -> Mapping[str, torch.Tensor]:
        """A copy of the adapter's weights as they are now."""
        return adapter_weights(self._peft_model)

    def save(self, snapshot: Mapping[str, torch.Tensor], folder: Path) -> None:
        """Write a snapshot into ``folder`` in PEFT's layout."""
        save_adapter(self._peft_model, snapshot, self._base, folder)

    def state(self) -> Mapping[str, Any]:
        """Weights, optimizer and generators as numpy arrays."""
        found = {"generator": torch.get_rng_state()}
        if self._base.device.startswith("cuda"):
            found["generator/cuda"] = torch.cuda.get_rng_state(self._base.device)
        for index, parameter in enumerate(self._parameters):
            found[f"weight/{index}"] = parameter.detach()
            for name, value in self._optimizer.state[parameter].items():
                found[f"optimizer/{index}/{name}"] = value
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as from where :meth:`state` was taken."""
        torch.set_rng_state(torch.from_numpy(state["generator"].copy()))
        if "generator/cuda" in state:
            generator = torch.from_numpy(state["generator/cuda"].copy())
            torch.cuda.set_rng_state(generator, self._base.device)
        for index, parameter in enumerate(self._parameters):
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(state[f"weight/{index}"].copy()))
            prefix = f"optimizer/{index}/"
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            self._optimizer.state[parameter] = {
                name: torch.from_numpy(value.copy()).to(parameter.device if value.ndim else "cpu")
                for name, value in own.items()
            }

    def memory_bytes(self) -> int:
        """The most memory held so far: the GPU's, or this process's own."""
        if self._base.device.startswith("cuda"):
            return int(torch.cuda.max_memory_allocated(self._base.device))
        return peak_memory_bytes()

    def _loss(self, batch: Batch, weight: float, backward: bool) -> float:
        """The summed loss of a batch times ``weight``, its gradient added where asked.

        Only the hidden states that predict a completion token reach the head, a chunk at a time;
        each chunk's gradient goes to a detached copy of them, so one chunk of logits lives at once.
        """
        device = self._base.device
        tokens_BT = torch.from_numpy(batch.tokens_BT).to(device)
        row_N, column_N, target_N = (
            torch.from_numpy(index).to(device)
            for index in (batch.row_N, batch.column_N, batch.target_N)
        )
        hidden_BTD = self._base.body(input_ids=tokens_BT, use_cache=False).last_hidden_state
        hidden_ND: Any = hidden_BTD[row_N, column_N]
        leaf_ND: Any = hidden_ND.detach().requires_grad_(backward)
        chunk = max(1, _LOGITS_PER_CHUNK // self._base.head.weight.shape[0])
        total = 0.0
        for part_ND, target in zip(
            torch.split(leaf_ND, chunk), torch.split(target_N, chunk), strict=True
        ):
            logits_NV = self._base.head(part_ND).float()
            loss: Any = functional.cross_entropy(logits_NV, target, reduction="sum") * weight
            total += loss.item()
            if backward:
                loss.backward()
        if backward:
            hidden_ND.backward(leaf_ND.grad)
        return total


@contextmanager
def open_trainee(base: Base, recipe: Recipe, seed: int) -> Iterator[TorchTrainee]:
    """A trainee whose adapter starts from ``seed``; the base is as it was when the ``with`` ends.

    Raises PotstillError naming the settings to lower where memory does not suffice.
    """
    devices = [base.device] if base.device.startswith("cuda") else []
    with (
        base.lent(f"a training run of seed {seed}"),
        cpu_threads(recipe.threads),
        torch.random.fork_rng(devices),
    ):
        torch.manual_seed(seed)
        peft_model = attach_adapter(base.model, recipe, base.name)
        try:
            seed_adapter(peft_model, seed)
            for _, layer in lora_layers(peft_model):
                speed_up(layer)
            yield TorchTrainee(base, peft_model, recipe)
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            raise PotstillError(
                f"Training on {base.name} ran out of memory on {base.device}; lower batch_size "
                f"({recipe.batch_size}, raising accumulation keeps the recipe the same) or "
                f"max_sequence_tokens ({recipe.max_sequence_tokens})."
            ) from exc
        finally:
            peft_model.unload()
            base.model.eval()


def _make_optimizer(parameters: list[Any], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam_no_bias_correction":
        return AdamWithoutBiasCorrection(parameters, recipe.betas)
    return torch.optim.AdamW(
        parameters, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )


class AdamWithoutBiasCorrection(torch.optim.Optimizer):
    """Adam as mlx 0.32 has it by default (mlx/optimizers/optimizers.py, class Adam).

    Without bias correction the first steps are about three times as large as Adam's.
    """

    def __init__(self, parameters: list[Any], betas: tuple[float, float], eps: float = 1e-8):
        super().__init__(parameters, {"lr": 0.0, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            first, second = group["betas"]
            parameters = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in parameters]
            for p in parameters:
                if not self.state[p]:
                    self.state[p].update(m=torch.zeros_like(p), v=torch.zeros_like(p))
            means = [self.state[p]["m"] for p in parameters]
            squares = [self.state[p]["v"] for p in parameters]
            torch._foreach_lerp_(means, gradients, 1 - first)
            torch._foreach_mul_(squares, second)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
            scale = torch._foreach_sqrt(squares)
            torch._foreach_add_(scale, group["eps"])
            torch._foreach_addcdiv_(parameters, means, scale, -group["lr"])
