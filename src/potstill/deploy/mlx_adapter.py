"""A student's adapter as mlx-lm loads one: A and B transposed, alpha over rank as the scale.

mlx-lm adapts the last ``num_layers`` layers, the same modules in each, so an adapter of any other
scope is refused. A transpose moves no bit.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from potstill.deploy.merging import Delta, read_delta
from potstill.errors import InputError
from potstill.training.adapters import ADAPTER_CONFIG

__all__ = ["write_mlx_adapter"]

_WEIGHTS = "adapters.safetensors"
_NAME = re.compile(r"(?P<module>model\.layers\.(?P<layer>\d+)\.(?P<key>.+))\.weight")


def write_mlx_adapter(adapter: Path, out: Path, base: Path) -> None:
    """Nothing; writes the PEFT adapter in ``adapter`` into ``out`` in mlx-lm's layout.

    ``base`` is the base's folder. Raises InputError for an adapter that mlx-lm has no words for.
    """
    from safetensors.torch import save_file

    delta = read_delta(adapter)
    peft = json.loads((adapter / ADAPTER_CONFIG).read_text("utf-8"))
    depth = int(json.loads((base / "config.json").read_text("utf-8"))["num_hidden_layers"])
    count, keys = _scope(delta, depth, adapter)
    config: dict[str, Any] = {
        "fine_tune_type": "lora",
        "num_layers": count,
        "lora_parameters": {
            "rank": peft["r"],
            "scale": delta.scale,
            "dropout": peft.get("lora_dropout", 0.0),
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


def _scope(delta: Delta, depth: int, adapter: Path) -> tuple[int, list[str]]:
    """How many of the last layers are adapted, and which modules of each."""
    keys: dict[int, set[str]] = {}
    for name in delta.a:
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
