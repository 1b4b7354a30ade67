"""LoRA adapters on a base: attach, seed, save in PEFT's own layout, mount for inference, take off.

Adapters live in memory on the one loaded base; taking one off restores the very modules that stood
there before.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from potstill.errors import InputError
from potstill.models.adapter_config import ADAPTER_CONFIG, read_adapter_config
from potstill.models.model import LanguageModel
from potstill.models.torch_base import Base

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "adapter_weights",
    "hash_adapter",
    "lora_layers",
    "mounted",
    "save_adapter",
    "write_adapter",
    "write_config",
]

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def adapter_weights(peft_model: Any) -> dict[str, torch.Tensor]:
    """Return a copy on the CPU of the adapter's tensors under PEFT's names."""
    from peft import get_peft_model_state_dict

    state: Mapping[str, torch.Tensor] = get_peft_model_state_dict(
        peft_model, save_embedding_layers=False
    )
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()
    }


def save_adapter(
    peft_model: Any, weights: Mapping[str, torch.Tensor], base: Base, folder: Path
) -> None:
    """Write ``weights`` and the adapter's configuration into ``folder`` in PEFT's layout.

    The configuration names the base by its hub id and never by a path: a study folder may be moved,
    and ``student.json`` holds the base's hash.
    """
    import copy

    config = copy.deepcopy(peft_model.peft_config["default"])
    write_adapter(config, {k: np.asarray(v) for k, v in weights.items()}, base, folder)


def write_adapter(
    config: Any, weights: Mapping[str, Any], base: LanguageModel, folder: Path
) -> None:
    """Write numpy ``weights`` under PEFT's names, and their configuration, into ``folder``."""
    from safetensors.numpy import save_file

    write_config(config, base.name if base.from_hub else None, folder)
    save_file(dict(weights), str(folder / ADAPTER_WEIGHTS), metadata={"format": "pt"})


def write_config(config: Any, hub_id: str | None, folder: Path) -> None:
    """Write PEFT's configuration, its base named by a hub id or not at all, into ``folder``."""
    config.base_model_name_or_path = hub_id
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))


def hash_adapter(folder: Path) -> str:
    """Return the sha256 hex digest over an adapter's configuration and weights.

    Raises InputError where ``folder`` holds no adapter.
    """
    digest = hashlib.sha256()
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        try:
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as exc:
            raise InputError(
                f"{folder} holds no adapter ({name} cannot be read); give a folder that training "
                "wrote, or train the student again."
            ) from exc
    return digest.hexdigest()


@contextmanager
def mounted(base: Base, adapter: Path | None) -> Iterator[None]:
    """Mount an adapter on the base for the time of the ``with``; then it is as it was to the bit.

    In float32 the adapter is added into copies of the weights, which saves its products at every
    step; in bfloat16 that would round it away, so peft's modules run as they do in training. Raises
    InputError for an adapter that does not fit.
    """
    if adapter is None:
        yield
        return
    from peft import PeftModel

    hash_adapter(adapter)  # peft would take pickled weights where these are not there
    config = _inference_config(adapter)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", "Found missing adapter keys")  # refused below
            peft_model: Any = PeftModel.from_pretrained(base.model, str(adapter), config=config)
        _check_names(peft_model, adapter)
    except Exception as exc:  # wrong shapes, torn files, another architecture
        _take_off(base.model)
        first = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        raise InputError(
            f"The adapter in {adapter} does not fit the base {base.name} ({first}); use the base "
            "that it was trained on."
        ) from exc
    try:
        peft_model.eval()
        if base.precision != "float32":
            yield
            return
        layers = [layer for _, layer in lora_layers(peft_model)]
        originals = [(layer.base_layer, layer.base_layer.weight) for layer in layers]
        merged = [layer.base_layer.weight + layer.get_delta_weight("default") for layer in layers]
        peft_model.unload()
        try:
            for (linear, _), weight in zip(originals, merged, strict=True):
                linear.weight = nn.Parameter(weight, requires_grad=False)
            yield
        finally:
            for linear, weight in originals:
                linear.weight = weight
    finally:
        peft_model.unload()


def _inference_config(adapter: Path) -> Any:
    from peft import LoraConfig

    read = read_adapter_config(adapter)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=read.rank,
        lora_alpha=read.alpha,  # type: ignore[arg-type]
        target_modules=list(read.target_modules),
        layers_to_transform=list(read.layers) if read.layers is not None else None,
        use_rslora=read.rank_stabilised,
        fan_in_fan_out=read.fan_in_fan_out,
        bias="none",
        inference_mode=True,
    )


def _check_names(peft_model: Any, adapter: Path) -> None:
    """Raise ValueError where the file lacks weights or holds others; peft is silent."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    wanted = set(get_peft_model_state_dict(peft_model, save_embedding_layers=False))
    with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as file:
        differing = wanted.symmetric_difference(file.keys())
    if differing:
        raise ValueError(f"{len(differing)} weights are missing or foreign, as {min(differing)}")


def lora_layers(peft_model: Any) -> list[tuple[str, Any]]:
    """Return the adapted layers with their names, in the model's order."""
    from peft.tuners.lora import LoraLayer

    return [
        (name, module)
        for name, module in peft_model.named_modules()
        if isinstance(module, LoraLayer)
    ]


def _take_off(model: nn.Module) -> None:
    for name, layer in lora_layers(model):
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer.base_layer)
    if hasattr(model, "peft_config"):
        del model.peft_config
