"""What names a plain value whatever machine it is on: files stand in it by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from potstill.errors import InputError

__all__ = ["fingerprint"]

_MOST_FILES = 20_000


def fingerprint(value: Any) -> Any:
    """Return a plain value with every existing file or folder in it replaced by a hash of its
    content.
    """
    if isinstance(value, Mapping):
        return {str(k): fingerprint(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [fingerprint(v) for v in value]
    if isinstance(value, str | Path) and str(value):
        return _hash_path(Path(value)) or str(value)
    return value


def _hash_path(path: Path) -> str:
    try:
        if not path.is_absolute() or not path.exists():
            return ""
    except OSError:  # a text too long to be a path
        return ""
    found = [path] if path.is_file() else list(islice(path.rglob("*"), _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise InputError(
            f"{path}, which the study names, holds more than {_MOST_FILES:,} files; name the file "
            "or folder of the data itself."
        )
    files: Sequence[Path] = sorted(p for p in found if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path.parent).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
