"""Whole files and folders, written or not at all."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from potstill.errors import StoreError

__all__ = ["Writing", "disk_errors", "versions_of", "write_atomically", "write_json"]


_RUST_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class Writing:
    """Turns an operating system's refusal to write into one sentence."""

    def __init__(self, root: str) -> None:
        self._root = root

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, OSError):
            raise StoreError(
                f"Cannot write to {self._root}: {exc.strerror or exc}; free some space or give "
                "another directory with --out, then run again: what was finished is kept."
            ) from exc


@contextmanager
def disk_errors() -> Iterator[None]:
    """Yield what Rust's libraries (safetensors, tokenizers) say of the disk leaves as an
    OSError.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as exc:
        found = _RUST_OS_ERROR.search(str(exc))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from exc


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that ``path`` holds the old or the whole new one, whenever the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write the value to ``path`` as JSON, whole. Raises StoreError if the disk refuses."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with Writing(str(path.parent)):
        write_atomically(path, text.encode("utf-8", "replace"))


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
