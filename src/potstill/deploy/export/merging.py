"""A student merged: W + scale * B @ A, added in float32 into its base's full-precision weights.

Files are gone through one at a time, so memory holds one of them and not the model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.analysis.students import another_base
from potstill.errors import InputError, StoreError
from potstill.models.adapter_config import PEFT_PREFIX, read_adapter_config
from potstill.models.adapters import ADAPTER_WEIGHTS
from potstill.models.torch_base import hash_model_folder
from potstill.store.atomic import room_beneath

if TYPE_CHECKING:
    import torch

    from potstill.records import Student

__all__ = [
    "DTYPES",
    "Delta",
    "check_fits",
    "check_room",
    "check_shapes",
    "is_quantised",
    "merged_files",
    "read_delta",
    "write_merged",
]

DTYPES = ("float32", "bfloat16", "float16")
_BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "U8": 1, "I8": 1, "BOOL": 1}
_INDEX = "model.safetensors.index.json"
# What a model folder holds beside its weights.
_BESIDE = ("*.json", "*.jinja", "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Delta:
    """The change that an adapter makes: for every adapted weight, its A, its B and the scale."""

    scale: float
    a: Mapping[str, torch.Tensor]
    b: Mapping[str, torch.Tensor]

    def added_to(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight of that name with its change added, in float32 where there is one."""
        if name not in self.a:
            return weight
        return weight.float() + (self.b[name] @ self.a[name]) * self.scale


def read_delta(adapter: Path) -> Delta:
    """Return the change of a PEFT adapter's folder, in float32, by the names of the weights it
    changes.

    Raises InputError for an adapter that is more than LoRA's products (DoRA, trained biases).
    """
    from safetensors.torch import load_file

    config = read_adapter_config(adapter)
    try:
        weights = load_file(adapter / ADAPTER_WEIGHTS)
    except Exception as exc:  # missing, torn, or not safetensors
        raise InputError(
            f"{adapter} holds no readable adapter ({exc}); train the student again."
        ) from exc
    a, b = (
        {
            name.removeprefix(PEFT_PREFIX).replace(part, ".weight"): tensor.float()
            for name, tensor in weights.items()
            if name.endswith(part)
        }
        for part in (".lora_A.weight", ".lora_B.weight")
    )
    whole = len(a) + len(b) == len(weights) and a.keys() == b.keys()
    if not whole or not all(_is_pair(a[name], b[name], config.rank) for name in a):
        raise InputError(
            f"The adapter in {adapter} is more than LoRA of one rank and cannot be merged here; "
            "export it with --to peft and merge it with peft."
        )
    return Delta(config.scale, a, b)


def _is_pair(a: torch.Tensor, b: torch.Tensor, rank: int) -> bool:
    return a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1] == rank


def check_fits(
    student: Student,
    delta: Delta,
    base: Path,
    template: Mapping[str, Any] | None = None,
    *,
    quantised_study: bool,
) -> None:
    """Raise InputError where the base is not the student's, before a weight is loaded.

    Compared are the base's hash with the arguments of its chat ``template``, and the shapes of
    what the adapter changes. A student trained on a quantised base (``quantised_study``) may be
    merged into that model's full-precision original, which by nature has another hash: its
    shapes decide.
    """
    _refuse_quantised(base)
    if not quantised_study and hash_model_folder(base, template) != student.base_hash:
        raise another_base(student, base)
    check_shapes(delta, base, f"of {student.id}", f"the full-precision {student.base}")


def check_shapes(delta: Delta, base: Path, whose: str, wanted: str) -> None:
    """Raise InputError where an adapter changes a weight that the base does not have.

    ``whose`` and ``wanted`` name the adapter and the base it needs.
    """
    _refuse_quantised(base)
    shapes = {name: shape for _, name, shape, _ in _headers(base)}
    for name in delta.a:
        expected = (delta.b[name].shape[0], delta.a[name].shape[1])
        if shapes.get(name) != expected:
            found = shapes.get(name, "no such weight")
            raise InputError(
                f"The adapter {whose} changes {name} of shape {expected} and {base} has {found}; "
                f"give {wanted} with --base."
            )


def merged_files(base: Path, dtype: str = "") -> tuple[list[str], int]:
    """Return the weight files that a merged model will have, and their bytes in that dtype or the
    base's.

    Raises InputError for a file that is not whole.
    """
    total = 0
    names: list[str] = []
    for file, _, shape, kind in _headers(base):
        if file not in names:
            names.append(file)
        width = 2 if dtype.endswith("16") else 4
        total += prod(shape) * (
            width if dtype and kind in ("F64", "F32", "BF16", "F16") else _BYTES[kind]
        )
    return names, total


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raise StoreError where the disk beneath ``folder`` has no room for that much."""
    _, free_bytes = room_beneath(folder)
    if free_bytes < needed_bytes:
        raise StoreError(
            f"The export needs {needed_bytes / 1e9:,.2f} GB and the disk of {folder} has "
            f"{free_bytes / 1e9:,.2f} GB free; free some, or give another disk's folder with --out."
        )


def write_merged(base: Path, delta: Delta, out: Path, dtype: str = "") -> None:
    """Write the merged model's weights and all that stands beside them into ``out``.

    ``dtype`` is one of DTYPES, or empty for each weight's own.
    """
    import torch
    from safetensors.torch import save_file

    for pattern in _BESIDE:
        for path in base.glob(pattern):
            shutil.copyfile(path, out / path.name)
    names, total = merged_files(base, dtype)
    for name in names:
        merged = {}
        for key, weight in read_weights(base / name):
            wanted = getattr(torch, dtype) if dtype and weight.is_floating_point() else weight.dtype
            merged[key] = delta.added_to(key, weight).to(wanted).contiguous()
        save_file(merged, out / name, metadata={"format": "pt"})
        shutil.copymode(base / name, out / name)  # safetensors lets no one else read it
    if dtype:
        _set(out / "config.json", "dtype", dtype)
        if (out / _INDEX).exists():
            _set(out / _INDEX, "metadata", {"total_size": total})


def read_weights(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of one safetensors file by name."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118 (no mapping)
            yield name, opened.get_tensor(name)


def _headers(base: Path) -> Iterator[tuple[str, str, tuple[int, ...], str]]:
    """Yield file, name, shape and dtype of every weight; no weight is read."""
    from safetensors import safe_open

    for file in sorted(base.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 (no mapping)
                    part = opened.get_slice(name)
                    yield file.name, name, tuple(part.get_shape()), part.get_dtype()
        except Exception as exc:  # safetensors' own error, of a torn file
            raise InputError(f"{file} is not whole ({exc}); fetch the model again.") from exc


def is_quantised(base: Path) -> bool:
    """Return whether a model folder holds quantised weights, as its configuration says."""
    config = json.loads((base / "config.json").read_text("utf-8"))
    return bool(config.get("quantization") or config.get("quantization_config"))


def _refuse_quantised(base: Path) -> None:
    if is_quantised(base):
        raise InputError(
            f"{base} holds quantised weights, whose rounding would swallow the adapter; give the "
            "full-precision model that it was made from with --base."
        )


def _set(path: Path, key: str, value: Any) -> None:
    content = json.loads(path.read_text("utf-8"))
    if key == "dtype":
        content.pop("torch_dtype", None)
    path.write_text(json.dumps(content | {key: value}, indent=2) + "\n", encoding="utf-8")
