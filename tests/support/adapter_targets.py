"""Adapters and model folders from a stranger: configurations, safetensors headers, indexes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from potstill.deploy.export.merging import read_delta
from potstill.deploy.export.mlx_adapter import convert_adapter
from potstill.models.adapter_config import read_adapter_config
from potstill.models.adapters import adapter_weights, mounted, save_adapter
from potstill.models.torch_base import Base, find_model_folder, hash_model_folder, load_base
from potstill.pocket import STUDENT_PATH
from potstill.training.lora import attach_adapter, seed_adapter
from potstill.training.recipe import Recipe
from random_model import write_random_model
from support.fuzzing import Target
from support.mutations import mangled_json, spoiled_bytes

CONFIG = {
    "peft_type": "LORA",
    "r": 2,
    "lora_alpha": 4,
    "lora_dropout": 0.0,
    "target_modules": ["q_proj", "v_proj"],
    "layers_to_transform": [1],
    "bias": "none",
    "task_type": "CAUSAL_LM",
    "modules_to_save": None,
    "rank_pattern": {},
    "use_rslora": False,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "init_lora_weights": True,
    "auto_mapping": None,
}


@cache
def _base() -> Base:
    import tempfile

    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(), "tiny")
    return load_base(write_random_model(folder, ["a b c"], layers=2), device="cpu")


@cache
def weights_bytes() -> bytes:
    """Make the weights file of a small adapter that fits ``CONFIG``."""
    import tempfile

    recipe = Recipe(rank=2, target_modules=("q_proj", "v_proj"), layers=1)
    with tempfile.TemporaryDirectory() as folder:
        peft_model = attach_adapter(_base().model, recipe)
        seed_adapter(peft_model, 0)
        save_adapter(peft_model, adapter_weights(peft_model), _base(), Path(folder))
        peft_model.unload()
        return (Path(folder) / "adapter_model.safetensors").read_bytes()


def _mount(config: bytes, weights: bytes, folder: Path) -> None:
    (folder / "adapter_config.json").write_bytes(config)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    base = _base()
    before = {name: id(part) for name, part in base.model.named_modules()}
    try:
        with mounted(base, folder):
            pass
    finally:
        assert {name: id(part) for name, part in base.model.named_modules()} == before
    delta = read_delta(folder)
    assert all(torch.is_floating_point(a) for a in delta.a.values())


def _config(data: bytes, folder: Path) -> None:
    _mount(data, weights_bytes(), folder)


def _tensors(make: Any, folder: Path) -> None:
    _mount(json.dumps(CONFIG).encode(), make, folder)


@st.composite
def _spoiled_header(draw: st.DrawFn) -> bytes:
    """The weights with a header of which values are replaced, its length true or not."""
    whole = weights_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = draw(mangled_json([json.loads(whole[8 : 8 + size])]))
    told = draw(st.sampled_from([len(header)] * 8 + [0, 2**32, 2**63, len(header) + 1]))
    return told.to_bytes(8, "little") + header + whole[8 + size :]


@st.composite
def _spoiled_weights(draw: st.DrawFn) -> bytes:
    return draw(st.one_of(spoiled_bytes([weights_bytes()]), _spoiled_header()))


@cache
def _model_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(STUDENT_PATH).iterdir()}


def _model(data: bytes, folder: Path, name: str) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    for kept in ("config.json", "tokenizer.json"):
        (folder / kept).write_bytes(_model_files()[kept])
    (folder / name).write_bytes(data)
    hash_model_folder(find_model_folder(folder))


def _index(data: bytes, folder: Path) -> None:
    _model(data, folder, "model.safetensors.index.json")


def _model_config(data: bytes, folder: Path) -> None:
    _model(data, folder, "config.json")


def _mlx_weights() -> bytes:
    from safetensors.torch import load, save

    turned = {}
    for name, tensor in load(weights_bytes()).items():
        module = name.removeprefix("base_model.model.").removesuffix(".weight")
        turned[module.replace("lora_A", "lora_a").replace("lora_B", "lora_b")] = (
            tensor.T.contiguous()
        )
    return save(turned)


def _mlx(data: bytes, folder: Path) -> None:
    adapter = folder / "mlx"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_bytes(data)
    (adapter / "adapters.safetensors").write_bytes(_mlx_weights())
    convert_adapter(adapter, "peft", Path(_base().path), folder / "peft")
    read_adapter_config(folder / "peft")


MLX = {
    "fine_tune_type": "lora",
    "num_layers": 1,
    "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]},
}
INDEX = {"metadata": {"total_size": 5}, "weight_map": {"a.weight": "model-1.safetensors"}}
TARGETS = [
    Target("adapter's configuration", mangled_json([CONFIG]), _config),
    Target("adapter's safetensors", st.deferred(_spoiled_weights), _tensors),
    Target("mlx-lm adapter's configuration", mangled_json([MLX]), _mlx),
    Target("model's index", mangled_json([INDEX]), _index),
    Target(
        "model's configuration", mangled_json([{"model_type": "qwen2", "a": [1]}]), _model_config
    ),
]
