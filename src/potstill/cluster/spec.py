"""What a worker needs to open a base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from potstill.cluster.storage import StorageSpec

__all__ = ["BaseSpec"]


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """The base that every worker loads, where it puts what it makes, and how it grades.

    What it makes goes to the study's directory, or to its storage: then the directory is not looked
    at. ``kinds`` are the study's settings of answer kinds, ``template`` those of the chat template.
    """

    path: str
    precision: str
    device: str
    backend: str
    base_hash: str
    directory: Path
    cpus: int
    storage: StorageSpec | None = None
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    template: Mapping[str, Any] = field(default_factory=dict, hash=False)
