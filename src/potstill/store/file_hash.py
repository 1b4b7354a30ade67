"""The sha256 of a large file, read once: what was hashed before is known by size and time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.errors import PotstillError
from potstill.store.atomic import file_sha256, write_atomically
from potstill.store.untrusted import read_json

__all__ = ["DESCRIPTION", "MODEL_FILES", "digest_of_files", "sha256_of"]

if TYPE_CHECKING:
    from hashlib import _Hash

# What decides a model's words: weights, shape, end tokens, tokenizer and template. Never pickles.
DESCRIPTION = ("*.json", "*.jinja", "*.txt", "*.model")
MODEL_FILES = ("*.safetensors", *DESCRIPTION)

LARGE_BYTES = 64 << 20
"""Smaller files are read again: at a gigabyte a second they take less than a tenth of one."""

_MOST = 1_000


def sha256_of(path: Path) -> str:
    """Return the sha256 hex digest of a file.

    Of a large one it is remembered in the user's cache (``XDG_CACHE_HOME``, or ``~/.cache``), and
    holds for as long as the file's size and its times of change stay: a base of 15 GB is not read
    anew by every command.
    """
    found = path.stat()
    if found.st_size < LARGE_BYTES:
        return file_sha256(path)
    name = str(path.resolve())
    stamp = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    known = _remembered()
    if name in known and known[name][:3] == stamp:
        return str(known[name][3])
    digest = file_sha256(path)
    known[name] = [*stamp, digest]
    _remember(known)
    return digest


def digest_of_files(folder: Path) -> _Hash:
    """Return the sha256 over names and contents of all in a folder that decides a model's words."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)}):
        digest.update(f"{path.name}\0{sha256_of(path)}\n".encode())
    return digest


def _place() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache else Path.home() / ".cache") / "potstill" / "hashes.json"


def _remembered() -> dict[str, list[object]]:
    try:
        known = read_json(_place())
    except (OSError, ValueError, PotstillError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {n: x for n, x in known.items() if isinstance(x, list) and len(x) == 4}


def _remember(known: dict[str, list[object]]) -> None:
    """Keep what is known; a cache that cannot be written is done without."""
    newest = dict(list(known.items())[-_MOST:])
    with contextlib.suppress(OSError, PotstillError):
        _place().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_place(), json.dumps(newest, indent=1).encode())
