"""Whole files and folders, written or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from potstill.errors import StoreError

__all__ = [
    "Writing",
    "disk_errors",
    "file_sha256",
    "rename_into_place",
    "room_beneath",
    "sweep",
    "sync",
    "versions_of",
    "whole_file",
    "whole_folder",
    "write_atomically",
    "write_json",
]


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
                f"Cannot write to {self._root}: {exc.strerror or exc}; {_remedy(exc)}, then run "
                "again: what was finished is kept."
            ) from exc


def _remedy(exc: OSError) -> str:
    if exc.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return "a file stands where a folder belongs: give another directory with --out"
    if exc.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "give a directory with --out that you may write to"
    if exc.errno in (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
        return "no folder can be made there: give another directory with --out"
    return "free some space or give another directory with --out"


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what Rust's libraries (safetensors, tokenizers) say of the disk into an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as exc:
        found = _RUST_OS_ERROR.search(str(exc))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from exc


@contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to: at the end it takes that name, or it is gone.

    So ``path`` is the old file or the whole new one, whenever the power goes. A ``private`` file
    can be read by its owner alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.partial-{os.getpid()}-{threading.get_ident()}")
    try:
        if private:
            part.touch(mode=0o600)
        yield part
        sync(part)
        os.replace(part, path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def room_beneath(path: Path) -> tuple[Path, int]:
    """Return the nearest folder above ``path``, or itself, that exists, and its disk's free
    bytes.
    """
    while not path.exists():
        path = path.parent
    return path, shutil.disk_usage(path).free


@contextmanager
def whole_folder(out: Path, *, ours: Callable[[str], bool] | None = None) -> Iterator[Path]:
    """Yield a folder beside ``out`` to write into: at the end it takes that name, or it is gone.

    A folder that stood there is replaced as a whole, but for the files that are not ``ours`` by
    their path in it, where that is given; what a killed process left beside it goes. Raises OSError
    where a file stands there.
    """
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(out))
    sweep(out)
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        with disk_errors():
            yield partial
        if ours is not None:
            _bring_along(out, partial, ours)
        rename_into_place(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _bring_along(out: Path, partial: Path, ours: Callable[[str], bool]) -> None:
    """Copy what in ``out`` is not ours into the folder that is to take its place."""
    for path in out.rglob("*"):
        place = path.relative_to(out)
        if path.is_dir() or ours(place.as_posix()) or (partial / place).exists():
            continue
        (partial / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, partial / place, follow_symlinks=False)


def rename_into_place(partial: Path, out: Path) -> None:
    """Move the folder ``partial`` to ``out``, on the disk itself."""
    for path in partial.rglob("*"):
        sync(path)
    sync(partial)
    replaced = out.parent / f".{out.name}.replaced-{os.getpid()}"
    if out.exists():
        os.replace(out, replaced)
    os.replace(partial, out)
    sync(out.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def sweep(out: Path) -> None:
    """Delete what a killed process left beside the folder ``out``."""
    for kind in ("partial", "replaced"):
        for left in out.parent.glob(f".{out.name}.{kind}-*"):
            shutil.rmtree(left, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that ``path`` holds the old or the whole new one, whenever the power goes.

    It can be read by its owner alone: some hold a key.
    """
    with whole_file(path, private=True) as part:
        part.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write the value to ``path`` as JSON, whole. Raises StoreError if the disk refuses."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with Writing(str(path.parent)):
        write_atomically(path, text.encode("utf-8", "replace"))


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
