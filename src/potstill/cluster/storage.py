"""A study's storage (``cluster.storage``): where workers put what they make, if not in its folder.

What lies there may have been changed by anyone who may write to it. Every small object and every
list of files is therefore sealed under its name with a key that only the study's directory and its
workers hold, and every file is checked against its list; what is not as it was written counts as
not there, and is made again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import posixpath
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from potstill.cluster.options import ClusterOptions
from potstill.errors import InputError, PotstillError, StoreError
from potstill.store.atomic import Writing, file_sha256, rename_into_place, sweep, write_json
from potstill.store.untrusted import (
    DOCUMENT_BYTES,
    is_plain_name,
    parse_json,
    read_json,
    stays_inside,
)

__all__ = [
    "ADAPTERS",
    "CHECKPOINTS",
    "STUDENTS",
    "Storage",
    "StorageSpec",
    "check_storage",
    "open_storage",
]

# What lies in a storage, beside the shards' replies: an adapter by its hash, a cell by its name.
ADAPTERS, CHECKPOINTS, STUDENTS = "adapters", "checkpoints", "students"
# In the study's directory: the folder of the storage that is this study's, and the key of its seal.
_OWN_FILE = "storage.json"
_MARK = "potstill"
_LIST = "files"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """Where a study's storage is, and the key that seals what lies there."""

    url: str
    key: bytes = field(repr=False)


class Storage:
    """A folder behind any fsspec URL. Names are relative to it, their parts split by ``/``.

    Raises InputError where the URL's package is missing or unknown, StoreError where the storage
    cannot be reached or refuses.
    """

    def __init__(self, spec: StorageSpec) -> None:
        self.spec = spec
        self._fs, self._root = _file_system(spec.url)

    def put(self, name: str, data: bytes) -> None:
        """Put a small object, sealed under its name."""
        sealed = self._seal(name, data) + b"\n" + data
        self._write(name, lambda path: self._fs.pipe_file(path, sealed))

    def get(self, name: str) -> bytes | None:
        """Return a small object; None where it is not there, was changed, or is of another name."""
        with self._reached("read"):
            try:
                sealed: bytes = self._fs.cat_file(self._at(name), start=0, end=DOCUMENT_BYTES)
            except FileNotFoundError:
                return None
        seal, _, data = sealed.partition(b"\n")
        return data if hmac.compare_digest(seal, self._seal(name, data)) else None

    def names(self, folder: str) -> list[str]:
        """Return the names of what lies in a folder, in order; none where there is no such
        folder.
        """
        with self._reached("read"):
            self._fs.invalidate_cache()  # another process may have written since
            try:
                found = self._fs.ls(self._at(folder), detail=False)
            except FileNotFoundError:
                return []
        names = {str(path).rstrip("/").rpartition("/")[2] for path in found}
        return sorted(name for name in names if is_plain_name(name))

    def remove(self, folder: str) -> None:
        """Delete what lies in a folder."""
        with self._reached("changed"):
            self._fs.invalidate_cache()
            try:
                self._fs.rm(self._at(folder), recursive=True)
            except FileNotFoundError:
                return

    def push(self, name: str, folder: Path, files: Iterable[str] = ()) -> None:
        """Put these files of a folder (all of them), each whole or, to ``pull``, not there."""
        listed = {}
        for file in files or _files_in(folder):
            listed[file] = [file_sha256(folder / file), (folder / file).stat().st_size]
            self._write(f"{name}/{file}", partial(self._fs.put_file, str(folder / file)))
        self.put(f"{name}/{_LIST}", json.dumps(listed).encode())

    def pull(self, name: str, folder: Path) -> bool:
        """Return whether a folder that was pushed is at ``folder`` now, each file as it was.

        Raises StoreError also where this disk does not take it.
        """
        listed = self._list_of(name)
        if not listed:
            return False
        arriving = folder.parent / f".{folder.name}.partial-{os.getpid()}"
        try:
            with Writing(str(folder)):
                sweep(folder)
                arriving.mkdir(parents=True)
            if not all(self._fetch(name, file, arriving, *listed[file]) for file in listed):
                return False
            with Writing(str(folder)):
                rename_into_place(arriving, folder)
            return True
        finally:
            shutil.rmtree(arriving, ignore_errors=True)

    def write_mark(self) -> None:
        """Leave a sign by which workers can tell that they see this storage."""
        self.put(_MARK, b"1")

    def has_mark(self) -> bool:
        """Return whether this is the storage of the study whose key this is."""
        return self.get(_MARK) == b"1"

    def _list_of(self, name: str) -> dict[str, tuple[str, int]]:
        """Return the sha256 and bytes of every file of a folder; empty where there is no sound
        list.
        """
        try:
            listed = parse_json(self.get(f"{name}/{_LIST}") or b"{}")
            return {file: (str(a), int(b)) for file, (a, b) in listed.items() if stays_inside(file)}
        except (ValueError, TypeError, AttributeError):
            return {}

    def _fetch(self, name: str, file: str, folder: Path, sha256: str, size: int) -> bool:
        """Return whether a file is in ``folder`` with this hash; no more than its bytes are
        read.
        """
        digest = hashlib.sha256()
        with self._reached("read"):
            try:
                source = self._fs.open(self._at(f"{name}/{file}"), "rb")
            except FileNotFoundError:
                return False
        with source, Writing(str(folder)):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            with (folder / file).open("wb") as written:
                while size >= 0 and (chunk := self._chunk(source)):
                    size -= len(chunk)
                    digest.update(chunk)
                    written.write(chunk)
        return size == 0 and digest.hexdigest() == sha256

    def _chunk(self, source: Any) -> bytes:
        with self._reached("read"):
            return bytes(source.read(_CHUNK_BYTES))

    def _write(self, name: str, write: Callable[[str], None]) -> None:
        path = self._at(name)
        with self._reached("written"):
            # s3 has no folders, and would look for the bucket, or make it
            if "s3" not in self._fs.protocol:
                self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
            write(path)

    def _seal(self, name: str, data: bytes) -> bytes:
        return hmac.new(self.spec.key, name.encode() + b"\n" + data, "sha256").hexdigest().encode()

    def _at(self, name: str) -> str:
        return posixpath.join(self._root, name)

    @contextmanager
    def _reached(self, done: str) -> Iterator[None]:
        try:
            yield
        except PotstillError:
            raise
        except FileNotFoundError as exc:
            raise self._refused(done, "there is no such place") from exc
        except Exception as exc:  # every file system has errors of its own
            raise self._refused(done, str(exc).strip().partition("\n")[0]) from exc

    def _refused(self, done: str, why: str) -> StoreError:
        return StoreError(
            f"The study's storage {self.spec.url} cannot be {done} ({why.rstrip('.')}); check "
            "cluster.storage, the network and the credentials in the environment, then run again: "
            "what was finished is kept."
        )


def check_storage(options: ClusterOptions) -> None:
    """Raise InputError where the package for a study's storage is not installed."""
    if options.storage:
        _file_system(options.storage)


def open_storage(options: ClusterOptions, directory: Path) -> Storage | None:
    """Return the storage of the study in ``directory``; None where its directory is seen by all
    machines.

    Its folder there has a name drawn for this directory, so that studies may share a URL. Raises as
    Storage does.
    """
    if not options.storage:
        return None
    own, key = _own(directory / _OWN_FILE)
    storage = Storage(StorageSpec(f"{options.storage.rstrip('/')}/{own}", key))
    storage.write_mark()
    return storage


def _files_in(folder: Path) -> list[str]:
    return sorted(x.relative_to(folder).as_posix() for x in folder.rglob("*") if x.is_file())


def _own(path: Path) -> tuple[str, bytes]:
    """Return the name and the key of a study's folder in the storage, drawn where there are
    none.
    """
    try:
        found = read_json(path)
        name, key = found["folder"], bytes.fromhex(found["key"])
        if not is_plain_name(name) or len(key) != 32:
            raise ValueError("no such name or key")
        return name, key
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise StoreError(
            f"{path} is damaged ({exc}); delete it and run again: what workers had put into the "
            "storage and not handed over is made anew."
        ) from exc
    name, key = secrets.token_hex(8), secrets.token_bytes(32)
    write_json(path, {"format_version": 1, "folder": name, "key": key.hex()})
    return name, key


def _file_system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        file_system, root = fsspec.core.url_to_fs(url)
    except ImportError as exc:
        if url.startswith("s3"):
            raise InputError(
                f"cluster.storage {url} needs s3fs, which is not installed: "
                "pip install 'potstill[s3]' on every machine."
            ) from exc
        raise InputError(f"cluster.storage {url} cannot be opened: {exc}.") from exc
    except ValueError as exc:
        raise InputError(
            f"cluster.storage {url} is no place that fsspec knows ({exc}); give one such as "
            "s3://bucket/folder."
        ) from exc
    return file_system, str(root)
