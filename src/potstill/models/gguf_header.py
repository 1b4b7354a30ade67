"""The header of a GGUF file: what it says of itself and of its weights, none of which is read.

The form is that of ggml's ``docs/gguf.md``. A file is untrusted: nothing in it is believed
before it was compared with the file's size.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from potstill.errors import InputError

__all__ = ["GgufHeader", "StoredTensor", "read_header", "require_gguf"]

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_MOST_DIMENSIONS = 4
_LARGE_ARRAY = 1_000
# The kinds of a value: those of a fixed size, text, and a list.
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One weight as it lies in the file: its shape, rows first, its type, and where it is."""

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def bits(self) -> float:
        """How many bits one of its numbers takes."""
        return 8 * self.size / max(1, self.elements)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says before its weights begin.

    ``fields`` are its values by name, the weights begin at ``data_start``. ``slim`` is the same
    header without its long lists (vocabulary, merges), ready to be written before the same weights.
    """

    path: Path
    fields: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]
    data_start: int
    slim: bytes

    @property
    def architecture(self) -> str:
        """The name of its architecture in llama.cpp."""
        return str(self.fields["general.architecture"])

    @property
    def parameters(self) -> int:
        """How many numbers its weights are."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def data_size(self) -> int:
        """How many bytes its weights take, from the first to the end of the last."""
        return max((tensor.offset + tensor.size for tensor in self.tensors), default=0)

    def tensor(self, name: str) -> StoredTensor | None:
        """Return the weight of that name, None where there is none."""
        return next((tensor for tensor in self.tensors if tensor.name == name), None)

    @property
    def stored_as(self) -> str:
        """The types of its matrices, the commonest first: ``Q4_K, Q6_K``."""
        held: dict[str, int] = {}
        for tensor in self.tensors:
            if len(tensor.shape) > 1:
                held[tensor.kind] = held.get(tensor.kind, 0) + tensor.elements
        return ", ".join(sorted(held, key=lambda kind: -held[kind]))

    @property
    def is_quantised(self) -> bool:
        """Whether any of its weights is held in fewer than 16 bits."""
        return any(tensor.kind not in ("F64", "F32", "F16", "BF16") for tensor in self.tensors)


def require_gguf(what: str = "A GGUF file") -> None:
    """Raise InputError with the install command where the gguf package is missing."""
    if find_spec("gguf") is None:
        raise InputError(
            f"{what} needs the gguf package, which is not installed; pip install 'potstill[gguf]'."
        )


def read_header(path: Path) -> GgufHeader:
    """Return the header of a GGUF file.

    Raises InputError for a file that is none, is cut, is one part of several, or holds weights in
    a form that the gguf package does not know.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
            if head[:4] != MAGIC:
                raise InputError(
                    f"{path} is no GGUF file (it does not begin with GGUF); give a model.gguf, a "
                    "model's folder, or a hub id."
                )
            if len(head) < 24:
                raise InputError(_cut(path))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _HeaderReader(path, data).header()
    except OSError as exc:
        raise InputError(f"{path} cannot be read ({exc.strerror}); check the path.") from exc
    _refuse_parts(header)
    return header


class _HeaderReader:
    """One pass over a header, from its beginning."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at = path, data, 4

    def header(self) -> GgufHeader:
        try:
            return self._header()
        except (struct.error, IndexError) as exc:  # it ends before what it announces
            raise InputError(_cut(self._path)) from exc
        except UnicodeDecodeError as exc:
            raise self._damaged("text that is not UTF-8") from exc

    def _header(self) -> GgufHeader:
        version = self._fixed("I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS
            what = "of a big-endian machine" if swapped else f"of the GGUF version {version}"
            raise InputError(
                f"{self._path} is {what}, and {' and '.join(map(str, _VERSIONS))} (little-endian) "
                "are read; convert it anew with llama.cpp's convert_hf_to_gguf.py."
            )
        tensors, count = self._fixed("Q"), self._fixed("Q")
        fields: dict[str, Any] = {}
        kept: list[bytes] = []
        for _ in range(count):
            begin = self._at
            name = self._text()
            kind = self._fixed("I")
            value, large = self._value(kind)
            fields[name] = value
            if not large:
                kept.append(self._data[begin : self._at])
        table = self._at
        alignment = fields.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._damaged(f"an alignment of {alignment!r}")
        if not isinstance(fields.get("general.architecture"), str):
            raise self._damaged("no general.architecture")
        stored = tuple(self._tensor() for _ in range(tensors))
        start = _aligned(self._at, alignment)
        slim = b"".join(
            (MAGIC, struct.pack("<IQQ", version, tensors, len(kept)), *kept,
             self._data[table : self._at])
        )  # fmt: skip
        slim += b"\0" * (_aligned(len(slim), alignment) - len(slim))
        header = GgufHeader(self._path, fields, stored, start, slim)
        if start + header.data_size > len(self._data):
            raise InputError(_cut(self._path, len(self._data), start + header.data_size))
        return header

    def _tensor(self) -> StoredTensor:
        name = self._text()
        dimensions = self._fixed("I")
        if dimensions > _MOST_DIMENSIONS:
            raise self._damaged(f"the weight {name!r} of {dimensions} dimensions")
        shape = tuple(reversed([self._fixed("Q") for _ in range(dimensions)]))
        kind, offset = self._fixed("I"), self._fixed("Q")
        block, size, label = _block(kind, self._path)
        elements = prod(shape)
        if elements % block or not elements:
            raise self._damaged(f"the weight {name!r} of the shape {shape}, no whole {label}")
        return StoredTensor(name, shape, label, offset, elements // block * size)

    def _value(self, kind: int) -> tuple[Any, bool]:
        """Return a value, and whether it is a large list."""
        if kind in _FIXED:
            return self._fixed(_FIXED[kind]), False
        if kind == _TEXT:
            return self._text(), False
        if kind != _LIST:
            raise self._damaged(f"a value of the kind {kind}")
        inner, count = self._fixed("I"), self._fixed("Q")
        large = count > _LARGE_ARRAY
        if inner == _TEXT:
            if count * 8 > len(self._data):
                raise IndexError
            return [self._text() for _ in range(count)], large
        if inner not in _FIXED:
            raise self._damaged(f"a list of the kind {inner}")
        letter = _FIXED[inner]
        end = self._at + count * struct.calcsize(f"<{letter}")
        if end > len(self._data):
            raise IndexError
        values = struct.unpack_from(f"<{count}{letter}", self._data, self._at)
        self._at = end
        return list(values), large

    def _fixed(self, letter: str) -> Any:
        (value,) = struct.unpack_from(f"<{letter}", self._data, self._at)
        self._at += struct.calcsize(f"<{letter}")
        return value

    def _text(self) -> str:
        end = self._fixed("Q") + self._at
        if end > len(self._data):
            raise IndexError
        begin, self._at = self._at, end
        return self._data[begin:end].decode("utf-8")

    def _damaged(self, what: str) -> InputError:
        return InputError(f"{self._path} is damaged (it holds {what}); fetch it again.")


def _block(kind: int, path: Path) -> tuple[int, int, str]:
    """Return of a type of weights how many stand in a block, its bytes, and its name.

    Raises InputError for a type that cannot be made float32.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        named = GGMLQuantizationType(kind)
        block, size = GGML_QUANT_SIZES[named]
    except (ValueError, KeyError) as exc:
        from importlib.metadata import version

        raise InputError(
            f"{path} holds weights of the type {kind}, which gguf {version('gguf')} does not know; "
            "a newer gguf may, or take the model in another quantisation, such as Q8_0."
        ) from exc
    return block, size, named.name


def _refuse_parts(header: GgufHeader) -> None:
    parts = header.fields.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise InputError(
            f"{header.path} is one of the {parts} parts of a model; join them with llama.cpp's "
            "llama-gguf-split --merge and give the whole file."
        )


def _cut(path: Path, has: int = 0, needs: int = 0) -> str:
    told = f"it has {has:,} bytes and its header speaks of {needs:,}" if needs else "in its header"
    return f"{path} is cut ({told}); fetch it again."


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
