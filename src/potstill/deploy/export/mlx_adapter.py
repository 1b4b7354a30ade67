"""LoRA adapters between PEFT's layout and mlx-lm's: A and B transposed, alpha = scale x rank.

mlx-lm adapts the last ``num_layers`` layers, the same modules in each, so an adapter of any other
scope is refused. A transpose moves no bit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from potstill.deploy.export.merging import check_shapes, read_delta
from potstill.deploy.export.placing import new_folder, refuse_taken
from potstill.errors import InputError
from potstill.models.adapter_config import (
    ADAPTER_CONFIG,
    CONFIG_BYTES,
    LARGEST_RANK,
    PEFT_PREFIX,
    SMALLEST_SCALE,
    number,
    read_adapter_config,
)
from potstill.models.adapters import ADAPTER_WEIGHTS, write_config
from potstill.models.torch_base import find_model_folder
from potstill.plugins import choose
from potstill.store.untrusted import read_json
from potstill.training.lora import lora_config
from potstill.training.recipe import Recipe

__all__ = ["FORMS", "convert_adapter", "write_mlx_adapter", "write_peft_adapter"]

FORMS = ("peft", "mlx")

_WEIGHTS = "adapters.safetensors"
_MLX_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<which>[ab])")
_NAME = re.compile(r"(?P<module>model\.layers\.(?P<layer>\d+)\.(?P<key>.+))\.weight")


def convert_adapter(adapter: Path, to: str, base: Path, out: Path) -> None:
    """Write an adapter of the other layout into the new folder ``out``, whole or not.

    Raises InputError for a layout that is not known, an adapter that does not fit ``base`` (a
    model's folder) or cannot be said exactly; StoreError for a folder that is there.
    """
    to = choose("layout", to, FORMS)
    refuse_taken(out)
    folder = find_model_folder(base)
    write = write_mlx_adapter if to == "mlx" else write_peft_adapter
    with new_folder(out) as partial:
        write(adapter, partial, folder)
        check_shapes(
            read_delta(adapter if to == "mlx" else partial),
            folder,
            f"in {adapter}",
            "the base it was trained on",
        )


def write_mlx_adapter(adapter: Path, out: Path, base: Path) -> None:
    """Write the PEFT adapter in ``adapter`` into ``out`` in mlx-lm's layout.

    ``base`` is the base's folder. Raises InputError for an adapter that mlx-lm has no words for.
    """
    from safetensors.torch import save_file

    delta = read_delta(adapter)
    read = read_adapter_config(adapter)
    count, keys = _scope(delta.a, _depth(base), adapter)
    config: dict[str, Any] = {
        "fine_tune_type": "lora",
        "num_layers": count,
        "lora_parameters": {
            "rank": read.rank,
            "scale": delta.scale,
            "dropout": read.dropout,
            "keys": keys,
        },
    }
    weights = {}
    for name in delta.a:
        module = name.removesuffix(".weight")
        weights[f"{module}.lora_a"] = delta.a[name].T.contiguous()
        weights[f"{module}.lora_b"] = delta.b[name].T.contiguous()
    save_file(weights, out / _WEIGHTS, metadata={"format": "mlx"})
    (out / _WEIGHTS).chmod(0o644)  # safetensors lets no one else read it
    (out / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_peft_adapter(adapter: Path, out: Path, base: Path) -> None:
    """Write the mlx-lm adapter in ``adapter`` into ``out`` in PEFT's layout.

    ``base`` is the base's folder. Raises InputError for an adapter that is no LoRA of one rank, or
    whose scale no alpha gives to the bit.
    """
    from safetensors.torch import load_file, save_file

    try:
        mlx = read_json(adapter / ADAPTER_CONFIG, CONFIG_BYTES)
        weights = load_file(adapter / _WEIGHTS)
        kind, given = mlx.get("fine_tune_type", "lora"), mlx["lora_parameters"]
        rank = int(number(given, "rank", 1, LARGEST_RANK, whole=True))
        scale = number(given, "scale", SMALLEST_SCALE, 1e6)
        dropout = number({"dropout": 0.0} | given, "dropout", 0, 0.999)
    except Exception as exc:  # missing, torn, or not mlx-lm's
        raise InputError(
            f"{adapter} holds no readable mlx-lm adapter ({exc}); give the folder that "
            "mlx_lm.lora --adapter-path wrote."
        ) from exc
    named = {name: _MLX_NAME.fullmatch(name) for name in weights}
    if kind != "lora" or not all(named.values()):
        raise InputError(
            f"The adapter in {adapter} is of the type {kind} and more than LoRA's two products, "
            "which PEFT's LoRA cannot say; fuse it with mlx_lm.fuse and use the fused model."
        )
    found = {
        f"{PEFT_PREFIX}{part['module']}.lora_{part['which'].upper()}.weight": weights[name]
        for name, part in named.items()
        if part is not None
    }
    modules = [name.removeprefix(PEFT_PREFIX).replace(".lora_A", "") for name in found]
    depth = _depth(base)
    count, keys = _scope([x for x in modules if ".lora_B" not in x], depth, adapter)
    recipe = Recipe.preset(
        "default",
        rank=rank,
        alpha=_alpha(scale, rank, adapter),
        dropout=dropout,
        target_modules=tuple(key.rpartition(".")[2] for key in keys),
        layers=count,
    )
    write_config(lora_config(recipe, depth), None, out)
    turned = {name: tensor.T.contiguous() for name, tensor in found.items()}
    save_file(turned, out / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    (out / ADAPTER_WEIGHTS).chmod(0o644)  # safetensors lets no one else read it


def _alpha(scale: float, rank: int, adapter: Path) -> float:
    """Return the alpha that PEFT divides by the rank to get that very scale."""
    near = scale * rank
    for alpha in (near, math.nextafter(near, 0.0), math.nextafter(near, math.inf)):
        if alpha / rank == scale:
            return alpha
    raise InputError(
        f"The adapter in {adapter} has the scale {scale!r}, which no alpha over the rank {rank} "
        "gives to the bit; fuse it with mlx_lm.fuse and use the fused model."
    )


def _depth(base: Path) -> int:
    return int(json.loads((base / "config.json").read_text("utf-8"))["num_hidden_layers"])


def _scope(names: Iterable[str], depth: int, adapter: Path) -> tuple[int, list[str]]:
    """Return how many of the last layers are adapted, and which modules of each."""
    keys: dict[int, set[str]] = {}
    for name in names:
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(
                f"The adapter in {adapter} changes {name}, which mlx-lm adapts in no layer; export "
                "with --to merged and load that with mlx-lm."
            )
        keys.setdefault(int(found["layer"]), set()).add(found["key"])
    last = list(range(depth - len(keys), depth))
    if sorted(keys) != last or len({frozenset(part) for part in keys.values()}) != 1:
        raise InputError(
            f"The adapter in {adapter} does not change the same modules of the last layers alone, "
            "which is all that mlx-lm can; export with --to merged and load that with mlx-lm."
        )
    return len(keys), sorted(keys[depth - 1])
