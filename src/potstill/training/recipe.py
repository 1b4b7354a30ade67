"""How a student is trained, as one frozen object that stands in the study file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from potstill.errors import InputError
from potstill.records import content_hash
from potstill.store.settings import Settings
from potstill.training.checkpointing import Checkpointing

__all__ = ["PRESETS", "SEVEN_PROJECTIONS", "Recipe", "ReplayOptions"]

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


# Ten times full fine-tuning's 5e-5, times (2000 / hidden_size) to a family's power (Schulman et al.
# 2025, LoRA Without Regret, over 14 models; the powers as tinker-cookbook has them). Tried on two
# small bases, one of each family: docs/log.md.
_RATE, _WIDTH, _POWERS = 5e-4, 2000, {"llama": 0.781, "qwen": 0.0775}


class ReplayOptions(Settings):
    """Ordinary chats trained on beside the lessons, against forgetting; validation has none.

    A row is ``{"messages": [{"role": ..., "content": ...}, ...]}``, of which the assistant's last
    turn is learnt, or ``{"prompt": ..., "completion": ...}``, or ``{"question": ...,
    "answer": ...}``.
    """

    path: Path = Field(description="The table of chats, such as a .jsonl.")
    share: float = Field(
        gt=0, lt=1, description="The share of a student's examples that are chats."
    )


class Recipe(Settings):
    """Everything that decides a training run but the base, the data and the seed.

    One iteration is one optimizer step over ``batch_size * accumulation`` examples. The loss is the
    mean over the completion tokens of that step.
    """

    ADDED = ("replay",)

    rank: int = Field(16, ge=1, description="The rank of the adapter.")
    alpha: float = Field(32.0, gt=0, description="The adapter's scale is alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="On the adapter's input.")
    target_modules: tuple[str, ...] = Field(
        SEVEN_PROJECTIONS,
        strict=False,
        min_length=1,
        description="The projections that are adapted.",
    )
    layers: int | Literal["all"] = Field("all", description="How many of the top layers to adapt.")
    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto", description="At its highest; auto takes it from the base's family and width."
    )
    schedule: Literal["constant", "cosine", "linear"] = Field(
        default="cosine", description="How it falls after the warm-up."
    )
    warmup_steps: int = Field(10, ge=0, description="Steps of linear rise.")
    batch_size: int = Field(8, ge=1)
    accumulation: int = Field(1, ge=1, le=65_536, description="Batches to a step.")
    iterations: Annotated[int, Field(ge=1, le=10_000_000)] | Literal["auto"] = Field(
        200, description="auto takes it from the study's diagnosis.json"
    )
    optimizer: Literal["adamw", "adam_no_bias_correction"] = Field(
        default="adamw", description="adam_no_bias_correction is mlx-lm's default Adam."
    )
    weight_decay: float = Field(0.0, ge=0, le=10, description="Of adamw.")
    betas: tuple[float, float] = Field(
        (0.9, 0.999), strict=False, description="The optimizer's two decay rates."
    )
    clip_norm: float = Field(1.0, ge=0, description="0 turns clipping off.")
    validate_every: int = Field(25, ge=1, description="Steps between validations.")
    select_by: Literal["loss", "accuracy"] = Field(
        "loss", description="Which checkpoint is kept: by validation loss, or problems right."
    )
    patience: int = Field(0, ge=0, description="Validations without a better one; 0 is off.")
    max_sequence_tokens: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        "auto", description="Longer examples are left out; auto holds 99 of 100 lessons."
    )
    checkpointing: Checkpointing = Field(
        "auto",
        description="Activations made again in the backward pass: where memory is short, always "
        "or never.",
    )
    threads: int = Field(
        0, ge=0, le=1024, description="CPU threads; 0 is one fewer than the cores, or both of two."
    )

    replay: ReplayOptions | None = Field(
        None, description="Ordinary chats mixed in against forgetting."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.layers, int) and self.layers < 1:
            raise ValueError('layers must be 1 or more, or "all"')
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must lie in [0, 1)")
        if self.optimizer == "adam_no_bias_correction" and self.weight_decay:
            raise ValueError(
                "adam_no_bias_correction has no weight decay; use adamw or set it to 0"
            )
        return self

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Recipe:
        """Return the preset of that name with the given fields changed.

        Raises InputError for an unknown name, pydantic's ValidationError for a wrong field.
        """
        if name not in PRESETS:
            known = ", ".join(sorted(PRESETS))
            raise InputError(f"There is no recipe called {name!r}; the presets are {known}.")
        return cls(**(PRESETS[name] | changes))

    @property
    def scale(self) -> float:
        """What the adapter's product is multiplied by: alpha / rank."""
        return self.alpha / self.rank

    @property
    def highest_rate(self) -> float:
        """The learning rate at its highest, 5e-4 where it is still ``auto``."""
        return _RATE if self.learning_rate == "auto" else self.learning_rate

    def for_base(self, kind: str, width: int) -> Recipe:
        """Return the recipe with ``learning_rate: auto`` made a number for a base, by its
        config's ``model_type`` and ``hidden_size``.

        Of a family that the rule was not fitted on, the lower of its two rates.
        """
        if self.learning_rate != "auto":
            return self
        fitted = [power for family, power in _POWERS.items() if kind.startswith(family)]
        rate = min(_RATE * (_WIDTH / width) ** power for power in fitted or _POWERS.values())
        return self.model_copy(update={"learning_rate": float(f"{rate:.2g}")})

    @property
    def steps(self) -> int:
        """How many optimizer steps; InputError where that is still ``auto``."""
        if self.iterations == "auto":
            raise InputError(
                "iterations: auto is taken from a study's diagnosis; make one with potstill train "
                "STUDY --diagnose, or give a number."
            )
        return self.iterations

    def unreached(self) -> Iterator[str]:
        """Yield a sentence for every setting that a run is too short for."""
        if self.iterations == "auto":
            return
        if self.warmup_steps > self.steps:
            highest = self.learning_rate_at(self.steps)
            yield (
                f"training.warmup_steps: {self.warmup_steps:,} is more than the {self.steps:,} "
                f"iterations, so the learning rate rises to {highest:.2g} and never to "
                f"{self.highest_rate:g}; lower it, or train for longer."
            )
        validations = -(-self.steps // self.validate_every)
        if self.patience >= validations:
            yield (
                f"training.patience: {self.patience:,} validations without a better one are more "
                f"than a run has after its first ({validations - 1:,}), so it stops no run; lower "
                "it or training.validate_every, or take it out."
            )

    def sequence_tokens(self, context_tokens: int) -> int:
        """Return the tokens of the longest example trained on, where a context has so many."""
        most = self.max_sequence_tokens
        return context_tokens if most == "auto" else min(most, context_tokens)

    @property
    def recipe_hash(self) -> str:
        """The sha256 hex digest of all that changes what is trained (threads does not, nor does
        checkpointing; replay is data).
        """
        fields = self.model_dump(mode="json", exclude={"threads", "checkpointing", "replay"})
        # left out at its default, so that students trained before it was there stay known
        if self.select_by == "loss":
            del fields["select_by"]
        return content_hash(fields)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of optimizer step ``step``, the first being 1.

        Warm-up is linear from ``learning_rate / warmup_steps``; cosine and linear then fall
        towards zero, which the step after the last would reach.
        """
        if step <= self.warmup_steps:
            return self.highest_rate * step / self.warmup_steps
        if self.schedule == "constant":
            return self.highest_rate
        done = (step - 1 - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        left = (1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1 - done
        return self.highest_rate * left


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # arXiv 2606.31048, training configuration: mlx-lm's LoRA with its default Adam (eps 1e-8, no
    # bias correction, no decay), no clipping. Scale 20 at rank 8 is alpha 160.
    "paper": {
        "rank": 8,
        "alpha": 160.0,
        "layers": 16,
        "learning_rate": 1e-5,
        "schedule": "constant",
        "warmup_steps": 0,
        "batch_size": 4,
        "iterations": 200,
        "optimizer": "adam_no_bias_correction",
        "clip_norm": 0.0,
    },
    # Chosen on the pocket world's own validation problems; 217,088 trained parameters there.
    "pocket": {
        "rank": 16,
        "alpha": 32.0,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_steps": 10,
        "batch_size": 8,
        "iterations": 150,
        "max_sequence_tokens": 512,
    },
}
