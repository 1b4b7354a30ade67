# ruff: noqa: N806 (axes are suffixes of tensor names)
"""One adapter in training on the torch backend: a step, a validation, a snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from potstill.errors import PotstillError
from potstill.models.adapters import adapter_weights, save_adapter
from potstill.models.decoding import Finished, Request, generate
from potstill.models.torch_base import (
    Base,
    cpu_threads,
    free_bytes,
    is_out_of_memory,
    peak_memory_bytes,
)
from potstill.models.torch_decoding import TorchDecoder
from potstill.training.activation_cache import ActivationCache, lowest_adapted_layer, split_body
from potstill.training.batches import Batch
from potstill.training.checkpointing import checkpointed_torch, wants_checkpointing
from potstill.training.head_loss import head_loss
from potstill.training.lora import attach_adapter, seed_adapter
from potstill.training.lora_product import fuse_lora
from potstill.training.memory import LOGITS_PER_CHUNK, activation_bytes, checkpointed_bytes
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import Recipe
from potstill.training.validation import VALIDATION_SLOTS

__all__ = ["TorchTrainer", "open_torch_trainer", "step_bytes"]


class TorchTrainer:
    """An adapter on a leased base, with its optimizer."""

    def __init__(
        self,
        base: Base,
        peft_model: Any,
        recipe: Recipe,
        optimizations: Optimizations,
        cache: ActivationCache | None = None,
    ) -> None:
        self._base = base
        self._peft_model = peft_model
        self._recipe = recipe
        self._parameters = [p for p in peft_model.parameters() if p.requires_grad]
        self._optimizer = _make_optimizer(self._parameters, recipe)
        self._optimizations = optimizations
        # Padded tokens of the largest batch so far: what memory is asked for goes by it.
        self.largest_batch = 0
        self._cache = cache if optimizations.caches else None
        lowest = lowest_adapted_layer(base.model.config.num_hidden_layers, recipe)
        self._adapted = base.body.layers[lowest:]
        self._free_bytes = free_bytes(base.device)
        if self._cache is not None and self._cache.layers > lowest:
            self._cache = None
        if self._cache is not None:
            _, self._upper = split_body(base.body, self._cache.layers)

    @property
    def trained_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self._parameters)

    def step(self, batches: Sequence[Batch], learning_rate: float) -> float:
        """Return the mean loss per completion token (nats) of one optimizer step over ``batches``.

        Where the loss or a gradient is not finite, the weights are left as they were and NaN is
        returned.
        """
        self._peft_model.train()
        tokens = sum(len(batch.target_N) for batch in batches)
        loss = sum(self._checkpointed_loss(batch, 1 / tokens) for batch in batches)
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
        """Return the mean loss per completion token (nats) over ``batches``, without dropout."""
        self._peft_model.eval()
        tokens = sum(len(batch.target_N) for batch in batches)
        with torch.no_grad():
            return sum(self._loss(batch, weight=1.0, backward=False) for batch in batches) / tokens

    def answer(self, requests: Sequence[Request]) -> list[Finished]:
        """Return the answers of the adapter as it is now, decoded side by side."""
        self._peft_model.eval()
        decoder = TorchDecoder(self._base, VALIDATION_SLOTS)
        return list(chain.from_iterable(generate(decoder, requests)))

    def snapshot(self) -> Mapping[str, torch.Tensor]:
        """Return a copy of the adapter's weights as they are now."""
        return adapter_weights(self._peft_model)

    def save(self, snapshot: Mapping[str, torch.Tensor], folder: Path) -> None:
        """Write a snapshot into ``folder`` in PEFT's layout."""
        save_adapter(self._peft_model, snapshot, self._base, folder)

    def state(self) -> Mapping[str, Any]:
        """Return weights, optimizer and generators as numpy arrays."""
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
        """Return the most memory held so far: the GPU's, or this process's own."""
        if self._base.device.startswith("cuda"):
            return int(torch.cuda.max_memory_allocated(self._base.device))
        return peak_memory_bytes()

    def checkpoints(self, batch: Batch) -> bool:
        """Return whether a step over a batch makes its activations again."""
        kept = step_bytes(self._base, self._recipe, batch.padded_tokens)
        return wants_checkpointing(self._recipe.checkpointing, kept, self._free_bytes)

    def _checkpointed_loss(self, batch: Batch, weight: float) -> float:
        if not self.checkpoints(batch):
            return self._loss(batch, weight, backward=True)
        with checkpointed_torch(self._adapted, self._base.name):
            return self._loss(batch, weight, backward=True)

    def _loss(self, batch: Batch, weight: float, backward: bool) -> float:
        """Return the summed loss of a batch times ``weight``, its gradient added where asked."""
        device = self._base.device
        row_N, column_N, target_N = (
            torch.from_numpy(index).to(device)
            for index in (batch.row_N, batch.column_N, batch.target_N)
        )
        self.largest_batch = max(self.largest_batch, batch.padded_tokens)
        hidden_BTD = self._hidden(batch, backward)
        if not self._optimizations.gathered_head:
            logits_BTV = self._base.logits(hidden_BTD)
            loss: Any = weight * functional.cross_entropy(
                logits_BTV[row_N, column_N].float(), target_N, reduction="sum"
            )
            if backward:
                loss.backward()
            return float(loss)
        hidden_ND: Any = hidden_BTD[row_N, column_N]
        total, gradient_ND = head_loss(
            self._base.head, hidden_ND.detach(), target_N, weight, self._base.logit_cap
        )
        if backward:
            hidden_ND.backward(gradient_ND)
        return total

    def _hidden(self, batch: Batch, backward: bool) -> Any:
        """Return the (B, T, D) normed hidden states, from the activation cache where it holds the
        batch.
        """
        device, body = self._base.device, self._base.body
        if self._cache is not None:
            lower_BTD = self._cache.hidden(batch, device)
            if lower_BTD is not None:
                return self._upper(inputs_embeds=lower_BTD, use_cache=False).last_hidden_state
        tokens_BT = torch.from_numpy(batch.tokens_BT).to(device)
        if self._optimizations.short_backward or not backward:
            return body(input_ids=tokens_BT, use_cache=False).last_hidden_state
        embedded_BTD = body.embed_tokens(tokens_BT).requires_grad_()
        return body(inputs_embeds=embedded_BTD, use_cache=False).last_hidden_state


@contextmanager
def open_torch_trainer(
    base: Base,
    recipe: Recipe,
    seed: int,
    optimizations: Optimizations | None = None,
    cache: ActivationCache | None = None,
) -> Iterator[TorchTrainer]:
    """Yield a trainer whose adapter starts from ``seed``; the base is as it was when the ``with``
    ends.

    ``optimizations`` are all on by default; ``cache`` holds the lower layers' outputs, where they
    are shared. Raises PotstillError naming the settings to lower, and about
    what they ask for, where memory does not suffice.
    """
    optimizations = optimizations or Optimizations()
    devices = [base.device] if base.device.startswith("cuda") else []
    with (
        base.lease(f"a training run of seed {seed}"),
        cpu_threads(recipe.threads),
        torch.random.fork_rng(devices),
    ):
        torch.manual_seed(seed)
        peft_model = attach_adapter(base.model, recipe, base.name)
        trainer: TorchTrainer | None = None
        try:
            seed_adapter(peft_model, seed)
            if optimizations.fused_lora:
                fuse_lora(peft_model)
            trainer = TorchTrainer(base, peft_model, recipe, optimizations, cache)
            yield trainer
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            raise PotstillError(
                _out_of_memory(base, recipe, trainer.largest_batch if trainer else 0)
            ) from exc
        finally:
            peft_model.unload()
            base.model.eval()


def step_bytes(base: Base, recipe: Recipe, tokens: int, *, checkpointed: bool = False) -> int:
    """Return about the memory of one training step over ``tokens`` padded tokens, the weights
    aside.
    """
    config = base.model.config
    layers = config.num_hidden_layers if recipe.layers == "all" else recipe.layers
    element = torch.empty(0, dtype=base.model.dtype).element_size()
    wide = getattr(config, "intermediate_size", 0)
    kept = checkpointed_bytes if checkpointed else activation_bytes
    return kept(layers, config.hidden_size, wide, tokens, element) + 2 * 4 * LOGITS_PER_CHUNK


def _out_of_memory(base: Base, recipe: Recipe, tokens: int) -> str:
    tokens = tokens or recipe.batch_size * recipe.sequence_tokens(base.context_tokens)
    weights_bytes = base.model.get_memory_footprint()
    return (
        f"Training on {base.name} ran out of memory on {base.device}: a step over {tokens:,} "
        f"tokens needs about {step_bytes(base, recipe, tokens) / 1e9:.1f} GB beside "
        f"{weights_bytes / 1e9:.1f} GB of weights; lower batch_size ({recipe.batch_size}, raising "
        "accumulation keeps the recipe the same) or max_sequence_tokens "
        f"({recipe.max_sequence_tokens})."
    )


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
