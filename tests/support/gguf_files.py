"""Small GGUF files: written by the exporter, then changed by the gguf package's own writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from potstill.deploy.export.gguf_file import write_gguf
from potstill.deploy.export.merging import Delta
from support.small_bases import write_small_base

__all__ = ["rewritten", "small_gguf"]


def small_gguf(
    folder: Path, architecture: str = "qwen2", quantise: str = "f16", **changes: Any
) -> Path:
    """Write a small base and the GGUF file of it beside it; return the file."""
    if architecture == "qwen2":
        changes = {"use_sliding_window": False} | changes
    base = write_small_base(folder / "original", architecture, **changes)
    file = folder / f"small.{quantise}.gguf"
    write_gguf(base, Delta(1.0, {}, {}), file, "small", quantise)
    return file


def rewritten(
    source: Path,
    target: Path,
    fields: Mapping[str, Any] | None = None,
    tensors: Mapping[str, tuple[np.ndarray[Any, Any], str] | None] | None = None,
) -> Path:
    """Write a file again with some fields and weights changed; None takes one out.

    A weight is given as float32 with the name of the type that it is to be stored in.
    """
    from gguf import (
        GGMLQuantizationType,
        GGUFReader,
        GGUFValueType,
        GGUFWriter,
        quants,
    )

    fields, tensors = fields or {}, tensors or {}
    reader = GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(target, fields.get("general.architecture", architecture))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in fields:
            continue
        inner = field.types[-1] if field.types[0] is GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], inner)
    for name, value in fields.items():
        if value is not None and name != "general.architecture":
            inner = GGUFValueType.get_type(value[0]) if isinstance(value, list) else None
            writer.add_key_value(name, value, GGUFValueType.get_type(value), inner)
    for tensor in reader.tensors:
        if tensor.name not in tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, given in tensors.items():
        if given is not None:
            kind = GGMLQuantizationType[given[1]]
            writer.add_tensor(name, quants.quantize(given[0], kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
