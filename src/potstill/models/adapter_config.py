"""An adapter's configuration, read strictly: it may say how large plain LoRA is, and nothing else.

PEFT's own reader takes any of its methods from this file, some of which import modules, change the
base's weights or fetch from the hub; an adapter is untrusted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.store.untrusted import read_json

__all__ = [
    "ADAPTER_CONFIG",
    "CONFIG_BYTES",
    "LARGEST_RANK",
    "PEFT_PREFIX",
    "SMALLEST_SCALE",
    "AdapterConfig",
    "number",
    "read_adapter_config",
]

ADAPTER_CONFIG = "adapter_config.json"
PEFT_PREFIX = "base_model.model."
"""What PEFT puts before a module's own name."""
CONFIG_BYTES = 1 << 20
LARGEST_RANK = 4_096
SMALLEST_SCALE = 1e-9
_MODULE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
# What may stand there without changing what plain LoRA computes.
_HARMLESS = {
    "base_model_name_or_path",
    "inference_mode",
    "lora_dropout",
    "megatron_core",  # read only where megatron_config is set, which is refused
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
}
_READ = {"peft_type", "r", "lora_alpha", "target_modules", "layers_to_transform", "use_rslora"}


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Plain LoRA: its rank, alpha and dropout, the modules and layers (None: all) it is on.

    ``fan_in_fan_out`` is set where the base keeps its weights transposed (GPT-2).
    """

    rank: int
    alpha: float
    dropout: float
    target_modules: tuple[str, ...]
    layers: tuple[int, ...] | None
    rank_stabilised: bool
    fan_in_fan_out: bool

    @property
    def scale(self) -> float:
        """What the product of B and A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)


def read_adapter_config(adapter: Path) -> AdapterConfig:
    """Return the configuration in an adapter's folder.

    Raises InputError for what is not plain LoRA.
    """
    path = adapter / ADAPTER_CONFIG
    try:
        raw = read_json(path, CONFIG_BYTES)
        if not isinstance(raw, dict):
            raise ValueError("no object")
        return _checked(raw)
    except OSError as exc:
        raise InputError(
            f"{adapter} holds no adapter ({ADAPTER_CONFIG} cannot be read); give a folder that "
            "training wrote, or train the student again."
        ) from exc
    except ValueError as exc:
        raise InputError(
            f"{path} is not the configuration of a plain LoRA adapter ({exc}); use an adapter that "
            "Potstill trained, or merge this one into its base with peft."
        ) from exc


def _checked(raw: dict[str, Any]) -> AdapterConfig:
    for name, value in raw.items():
        if name in _READ | _HARMLESS or value in (None, False, [], {}):
            continue
        if (name, value) in (("bias", "none"), ("init_lora_weights", True)):
            continue
        if name != "fan_in_fan_out":
            raise ValueError(f"{name} is set")
    if raw.get("peft_type") != "LORA":
        raise ValueError("its peft_type is not LORA")
    return AdapterConfig(
        rank=int(number(raw, "r", 1, LARGEST_RANK, whole=True)),
        alpha=number(raw, "lora_alpha", SMALLEST_SCALE, 1e6),
        dropout=number({"lora_dropout": 0.0} | raw, "lora_dropout", 0, 0.999),
        target_modules=_modules(raw.get("target_modules")),
        layers=_layers(raw.get("layers_to_transform")),
        rank_stabilised=_truth(raw, "use_rslora"),
        fan_in_fan_out=_truth(raw, "fan_in_fan_out"),
    )


def number(
    raw: dict[str, Any], name: str, low: float, high: float, *, whole: bool = False
) -> float:
    """Return the number of that name. Raises ValueError for anything else."""
    value: Any = raw.get(name)
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not low <= value <= high:
        raise ValueError(f"{name} is no number between {low:,g} and {high:,g}")
    return float(value)


def _modules(value: Any) -> tuple[str, ...]:
    # a text here is a regular expression to peft, which can be made to run for ever
    named = isinstance(value, list) and 0 < len(value) <= 1_000
    if not named or not all(isinstance(x, str) and _MODULE.fullmatch(x) for x in value):
        raise ValueError("target_modules is no list of module names")
    return tuple(sorted(set(value)))


def _layers(value: Any) -> tuple[int, ...] | None:
    if value is None or value == []:
        return None
    listed = value if isinstance(value, list) else [value]
    if len(listed) > 10_000 or not all(type(x) is int and 0 <= x < 10_000 for x in listed):
        raise ValueError("layers_to_transform is no list of layers")
    return tuple(sorted(set(listed)))


def _truth(raw: dict[str, Any], name: str) -> bool:
    if raw.get(name) not in (None, False, True):
        raise ValueError(f"{name} is neither true nor false")
    return bool(raw.get(name))
