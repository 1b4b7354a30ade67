"""What a worker needs to open a base."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.cluster.storage import StorageSpec

__all__ = ["BaseSpec"]


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """The base that every worker loads, and where it puts what it makes.

    That is the study's directory, or its storage: then the directory is not looked at.
    """

    path: str
    precision: str
    device: str
    backend: str
    base_hash: str
    directory: Path
    cpus: int
    storage: StorageSpec | None = None
