# ruff: noqa: N803, N806 (axes are suffixes of tensor names)
"""One adapter in training on MLX: a step, a validation, a snapshot; mlx-lm's models, our loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import psutil
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from potstill.errors import PotstillError
from potstill.models.adapters import write_adapter
from potstill.models.decoding import Finished, Request, generate
from potstill.models.mlx_adapters import detach, lora_modules, peft_weights, set_weights
from potstill.models.mlx_base import MlxBase
from potstill.models.mlx_decoding import MlxDecoder
from potstill.training.batches import Batch
from potstill.training.checkpointing import checkpointed_mlx, wants_checkpointing
from potstill.training.lora import lora_config, seed_values
from potstill.training.memory import LOGITS_PER_CHUNK, activation_bytes
from potstill.training.mlx_lora import attach
from potstill.training.recipe import Recipe
from potstill.training.validation import VALIDATION_SLOTS

__all__ = ["MlxTrainer", "open_mlx_trainer"]


class MlxTrainer:
    """An adapter on a leased base, with its optimizer."""

    def __init__(self, base: MlxBase, recipe: Recipe, seed: int) -> None:
        self._base = base
        self._seed = seed
        self._steps = 0
        self._recipe = recipe
        self._model = base.model
        self._optimizer = _make_optimizer(recipe)
        self._gradient = nn.value_and_grad(self._model, self._loss)
        layers = self._model.layers
        self._adapted = layers if recipe.layers == "all" else layers[-recipe.layers :]
        self._free_bytes = psutil.virtual_memory().available

    @property
    def trained_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(x.size for _, x in tree_flatten(self._model.trainable_parameters()))

    def step(self, batches: Sequence[Batch], learning_rate: float) -> float:
        """Return the mean loss per completion token (nats) of one optimizer step over ``batches``.

        Where the loss or a gradient is not finite, the weights are left as they were and NaN is
        returned.
        """
        self._steps += 1
        # dropout draws from what seed and step say: MLX's generator cannot be set to a state
        mx.random.seed(1_000_003 * self._seed + self._steps)
        self._model.train()
        tokens = sum(len(batch.target_N) for batch in batches)
        total: Any = None
        loss = 0.0
        for batch in batches:
            with checkpointed_mlx(self._adapted) if self._wants(batch) else nullcontext():
                value, gradients = self._gradient(batch, 1 / tokens)
                mx.eval(value, gradients)
            total = gradients if total is None else tree_map(mx.add, total, gradients)
            mx.eval(total, value)
            loss += value.item()
        norm = mx.sqrt(sum(mx.square(g).sum() for _, g in tree_flatten(total)))
        if not (math.isfinite(loss) and math.isfinite(norm.item())):
            return math.nan
        if self._recipe.clip_norm:
            # torch.nn.utils.clip_grads_with_norm_'s formula
            share = mx.minimum(self._recipe.clip_norm / (norm + 1e-6), 1.0)
            total = tree_map(lambda g: g * share, total)
        self._optimizer.learning_rate = learning_rate
        self._optimizer.update(self._model, total)
        mx.eval(self._model.trainable_parameters(), self._optimizer.state)
        return loss

    def _wants(self, batch: Batch) -> bool:
        """Return whether a batch's activations are made again in the backward pass."""
        args = self._model.args
        wide = getattr(args, "intermediate_size", 0)
        kept = activation_bytes(len(self._adapted), args.hidden_size, wide, batch.padded_tokens, 4)
        return wants_checkpointing(self._recipe.checkpointing, kept, self._free_bytes)

    def validate(self, batches: Sequence[Batch]) -> float:
        """Return the mean loss per completion token (nats) over ``batches``, without dropout."""
        self._model.eval()
        tokens = sum(len(batch.target_N) for batch in batches)
        return float(sum(self._loss(batch, 1.0).item() for batch in batches)) / tokens

    def answer(self, requests: Sequence[Request]) -> list[Finished]:
        """Return the answers of the adapter as it is now, decoded side by side."""
        self._model.eval()
        with closing(MlxDecoder(self._base, VALIDATION_SLOTS)) as decoder:
            return list(chain.from_iterable(generate(decoder, requests)))

    def snapshot(self) -> Mapping[str, Any]:
        """Return a copy of the adapter's weights as they are now, under PEFT's names."""
        return peft_weights(self._model)

    def save(self, snapshot: Mapping[str, Any], folder: Path) -> None:
        """Write a snapshot into ``folder`` in PEFT's layout."""
        config = lora_config(self._recipe, len(self._model.layers))
        write_adapter(config, snapshot, self._base, folder)

    def state(self) -> Mapping[str, Any]:
        """Return weights, optimizer and the number of steps as numpy arrays."""
        found = {"steps": np.array(self._steps)}
        trees = {"weight": self._model.trainable_parameters(), "optimizer": self._optimizer.state}
        for tree, values in trees.items():
            found |= {f"{tree}/{name}": np.array(x) for name, x in tree_flatten(values)}
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as from where :meth:`state` was taken."""
        self._steps = int(state["steps"])
        trees = {
            tree: tree_unflatten(
                [
                    (name.removeprefix(f"{tree}/"), mx.array(x))
                    for name, x in state.items()
                    if name.startswith(f"{tree}/")
                ]
            )
            for tree in ("weight", "optimizer")
        }
        self._model.update(trees["weight"])
        self._optimizer.state = trees["optimizer"]
        mx.eval(self._model.parameters(), self._optimizer.state)

    def memory_bytes(self) -> int:
        """Return the most memory that MLX has held so far."""
        return int(mx.get_peak_memory())

    def _loss(self, batch: Batch, weight: float) -> mx.array:
        """Return the summed loss of a batch times ``weight``.

        Only the hidden states that predict a completion token reach the head, a chunk at a time;
        a chunk's logits are made again for the gradient, so one chunk of them lives at once.
        """
        hidden_BTD = self._base.hidden(mx.array(batch.tokens_BT))
        hidden_ND = hidden_BTD[mx.array(batch.row_N), mx.array(batch.column_N)]
        target_N = mx.array(batch.target_N)
        chunk = max(1, LOGITS_PER_CHUNK // self._vocabulary())
        total = mx.array(0.0)
        for start in range(0, len(batch.target_N), chunk):
            part = slice(start, start + chunk)
            total = total + self._chunk_loss(hidden_ND[part], target_N[part])
        return total * weight

    def _chunk_loss(self, hidden_ND: mx.array, target_N: mx.array) -> mx.array:
        def loss(hidden_ND: mx.array) -> mx.array:
            logits_NV = self._base.logits(hidden_ND).astype(mx.float32)
            return nn.losses.cross_entropy(logits_NV, target_N, reduction="sum")

        return mx.checkpoint(loss)(hidden_ND)

    def _vocabulary(self) -> int:
        return int(self._model.args.vocab_size)


@contextmanager
def open_mlx_trainer(base: MlxBase, recipe: Recipe, seed: int) -> Iterator[MlxTrainer]:
    """Yield a trainer whose adapter starts from ``seed``; the base is as it was when the ``with``
    ends.

    Raises PotstillError naming the settings to lower where memory does not suffice.
    """
    with base.lease(f"a training run of seed {seed}"):
        attach(base, recipe)
        try:
            _seed(base.model, seed)
            for _, module in lora_modules(base.model):
                module.unfreeze(keys=["lora_a", "lora_b"], recurse=False)
            yield MlxTrainer(base, recipe, seed)
        except (RuntimeError, MemoryError) as exc:
            if not base.is_out_of_memory(exc):
                raise
            raise PotstillError(
                f"Training on {base.name} ran out of memory; lower batch_size "
                f"({recipe.batch_size}, raising accumulation keeps the recipe the same) or "
                f"max_sequence_tokens ({recipe.max_sequence_tokens})."
            ) from exc
        finally:
            detach(base.model)
            base.model.eval()


def _seed(model: Any, seed: int) -> None:
    modules = dict(lora_modules(model))
    shapes = {name: tuple(x.lora_a.shape[::-1]) for name, x in modules.items()}
    weights = peft_weights(model)
    for name, values in seed_values(shapes, seed).items():
        weights[f"base_model.model.{name}.lora_A.weight"] = values
    set_weights(model, weights)


def _make_optimizer(recipe: Recipe) -> Any:
    betas = list(recipe.betas)
    if recipe.optimizer == "adam_no_bias_correction":
        return optim.Adam(learning_rate=0.0, betas=betas)
    return optim.AdamW(
        learning_rate=0.0, betas=betas, weight_decay=recipe.weight_decay, bias_correction=True
    )
