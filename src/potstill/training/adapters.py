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
from potstill.training.adapter_config import ADAPTER_CONFIG, read_adapter_config
from potstill.training.base import Base
from potstill.training.models import LanguageModel
from potstill.training.recipe import Recipe

__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "adapter_weights",
    "attach_adapter",
    "hash_adapter",
    "lora_config",
    "lora_layers",
    "mounted",
    "save_adapter",
    "seed_adapter",
    "seed_values",
    "write_adapter",
    "write_config",
]

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def attach_adapter(model: Any, recipe: Recipe, name: str = "the model") -> Any:
    """A peft model around ``model`` with an adapter of the recipe's shape, in float32.

    ``unload()`` takes the adapter off. Raises InputError for target modules or layers that the
    model does not have.
    """
    from peft import get_peft_model

    depth = model.config.num_hidden_layers
    _check_targets(model, recipe, name, depth)
    config = lora_config(recipe, depth)
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft reads an attribute that transformers has renamed.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, config)


def lora_config(recipe: Recipe, depth: int) -> Any:
    """PEFT's configuration of a recipe on a base of ``depth`` layers."""
    from peft import LoraConfig

    count = depth if recipe.layers == "all" else recipe.layers
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=int(recipe.alpha) if recipe.alpha == int(recipe.alpha) else recipe.alpha,  # type: ignore[arg-type]
        lora_dropout=recipe.dropout,
        target_modules=sorted(recipe.target_modules),
        layers_to_transform=None if count == depth else list(range(depth - count, depth)),
        bias="none",
    )


def seed_values(shapes: Mapping[str, tuple[int, int]], seed: int) -> dict[str, Any]:
    """The initial A of every adapted module by its name; ``shapes`` are (rank, inputs).

    Uniform within 1 / sqrt(inputs), as in peft and mlx-lm. numpy draws them in the order of the
    names, so every backend starts from the same adapter.
    """
    rng = np.random.default_rng([seed, 0])
    return {
        name: rng.uniform(-(shape[1] ** -0.5), shape[1] ** -0.5, size=shape).astype(np.float32)
        for name, shape in sorted(shapes.items())
    }


def seed_adapter(peft_model: Any, seed: int) -> None:
    """Give the adapter the initial weights of ``seed``: the product starts at zero."""
    layers = dict(lora_layers(peft_model))
    shapes = {n: tuple(x.lora_A["default"].weight.shape) for n, x in layers.items()}
    for name, values in seed_values(shapes, seed).items():
        with torch.no_grad():
            layers[name].lora_A["default"].weight.copy_(torch.from_numpy(values))
            layers[name].lora_B["default"].weight.zero_()


def adapter_weights(peft_model: Any) -> dict[str, torch.Tensor]:
    """A copy on the CPU of the adapter's tensors under PEFT's names."""
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
    """The sha256 hex digest over an adapter's configuration and weights.

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
    """The base with an adapter's effect for the time of the ``with``, then as it was to the bit.

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
    """Nothing; raises ValueError where the file lacks weights or holds others; peft is silent."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    wanted = set(get_peft_model_state_dict(peft_model, save_embedding_layers=False))
    with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as file:
        differing = wanted.symmetric_difference(file.keys())
    if differing:
        raise ValueError(f"{len(differing)} weights are missing or foreign, as {min(differing)}")


def lora_layers(peft_model: Any) -> list[tuple[str, Any]]:
    """The adapted layers with their names, in the model's order."""
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


def _check_targets(model: nn.Module, recipe: Recipe, name: str, depth: int) -> None:
    own = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    unknown = [
        target
        for target in recipe.target_modules
        if not any(path == target or path.endswith(f".{target}") for path in own)
    ]
    if unknown:
        leaves = sorted({path.rpartition(".")[2] for path in own} - {"lm_head"})
        raise InputError(
            f"target_modules names {', '.join(unknown)}, which {name} does not have; its linear "
            f"modules are {', '.join(leaves)}."
        )
    if recipe.layers != "all" and recipe.layers > depth:
        raise InputError(
            f"The recipe adapts the top {recipe.layers} layers and {name} has {depth}; set layers "
            "to that or less, or to all."
        )
