"""A training run on disk: killed at any step, it goes on from its last checkpoint, bit for bit.

A checkpoint is a safetensors file and, written last, a manifest with the sha256 of both. The two
newest are kept: a torn or damaged one is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import InputError, StoreError
from potstill.store.atomic import write_atomically
from potstill.store.typed import make
from potstill.store.untrusted import read_json

__all__ = ["Checkpoint", "Checkpoints", "checkpoint_folder", "digest"]

FORMAT_VERSION = 2
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after ``step`` steps: plain values, and numpy arrays by name."""

    step: int
    values: Mapping[str, Any]
    arrays: Mapping[str, Any]


def checkpoint_folder(out: Path) -> Path:
    """Return where the checkpoints of a cell that is trained into ``out`` are: beside it."""
    return out.parent / f".{out.name}.checkpoint"


class Checkpoints:
    """The checkpoints of one cell in a folder of their own.

    ``identity`` is what decides the run (data, recipe, base, variant, seed): another run's
    checkpoints are refused, saying what differs.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self._identity = dict(identity)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint to disk, whole. Raises StoreError where the disk refuses."""
        from safetensors.numpy import save

        tensors = save(dict(checkpoint.arrays))
        manifest = {
            "format_version": FORMAT_VERSION,
            "step": checkpoint.step,
            "identity": self._identity,
            "values": checkpoint.values,
        }
        manifest = json.loads(json.dumps(manifest))  # as it will be read
        manifest["sha256"] = digest(manifest, tensors)
        name = f"{checkpoint.step:08}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / f"{name}.safetensors", tensors)
            write_atomically(self.folder / f"{name}.json", json.dumps(manifest).encode())
            for stale in sorted(self.folder.glob("*.json"))[:-_KEPT]:
                stale.unlink()
                stale.with_suffix(".safetensors").unlink(missing_ok=True)
        except OSError as exc:
            raise StoreError(
                f"A checkpoint could not be written to {self.folder} ({exc.strerror or exc}); free "
                "some space and run again: the one before is kept."
            ) from exc

    def newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint; None where there is none.

        Raises InputError where it is another run's, naming what changed.
        """
        for path in sorted(self.folder.glob("*.json"), reverse=True):
            found = self._read(path)
            if found is not None:
                return found
        return None

    def clear(self) -> None:
        """Delete the checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, path: Path) -> Checkpoint | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            manifest = read_json(path)
            tensors = path.with_suffix(".safetensors").read_bytes()
            if digest(manifest, tensors) != manifest["sha256"]:
                return None
            identity = dict(manifest["identity"])
            plain = {"step": manifest["step"], "values": manifest["values"]}
            found = make(Checkpoint, plain | {"arrays": load(tensors)})
        except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError):
            return None
        changed = [k for k in self._identity if identity.get(k) != self._identity[k]]
        if changed:
            raise InputError(
                f"The run in {self.folder} was begun with another {' and another '.join(changed)}; "
                "delete that folder to train anew, or put back what was changed."
            )
        return found


def digest(manifest: Mapping[str, Any], tensors: bytes) -> str:
    """Return the sha256 of a checkpoint: of its manifest, this value left out, and of its
    tensors.
    """
    plain = {name: value for name, value in manifest.items() if name != "sha256"}
    found = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    found.update(tensors)
    return found.hexdigest()
