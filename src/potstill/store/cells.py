"""Where a study keeps what it made: one artifact per cell, written once, named by its inputs.

A cell's key is a hash of all that decides its content, so that a cell is up to date exactly when
it is there: nothing finished is made again for an unchanged input, everything is for a changed one.
Parquet is written first and the manifest last; without a manifest a cell does not exist.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import posixpath
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from potstill.errors import StoreError
from potstill.records import content_hash
from potstill.store.atomic import Writing, versions_of, write_atomically
from potstill.store.tables import Rows, TableWriter
from potstill.store.typed import make
from potstill.store.untrusted import (
    DOCUMENT_BYTES,
    parse_json,
    read_json,
    refuse_links,
    stays_inside,
)

__all__ = ["FORMAT_VERSION", "OWN", "Cell", "Filling", "Manifest", "Store", "missing_files"]

FORMAT_VERSION = 1
# What a study directory holds: none of it may be a link that leads out of it.
OWN = ("cells", "report", "exports", "diagnosis", "ledger.*", "*.json", "*.jsonl")
# the packages whose versions a manifest holds
_MAKERS = ("potstill", "torch", "transformers", "peft", "math-verify")


# a table of fewer bytes (uncompressed) is read into a list
HELD_BYTES = 8 << 20

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Cell:
    """The name of one artifact: the stage that makes it, and the hash of all that decides it."""

    stage: str
    key: str

    @staticmethod
    def of(stage: str, **inputs: Any) -> Cell:
        """Return the cell of a stage whose content these inputs decide (records or plain
        values).
        """
        return Cell(stage, content_hash({"stage": stage, "inputs": inputs})[:20])


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished cell holds: files with their sha256, row counts, and a summary for people."""

    stage: str
    key: str
    files: Mapping[str, str]
    rows: Mapping[str, int]
    summary: Mapping[str, Any]
    versions: Mapping[str, str]


def missing_files(folder: Path) -> list[str]:
    """Return the files that a finished cell's manifest names and its folder on this machine lacks;
    none where there is no manifest.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        return []
    names = read_json(path).get("files", {})
    return [name for name in names if stays_inside(name) and not (folder / name).exists()]


class Store:
    """The artifacts of one study beneath a folder or any fsspec URL.

    Raises StoreError where the directory was written by a newer Potstill, cannot be written (a full
    disk names itself), or holds a file that no longer matches its manifest.
    """

    def __init__(self, root: str | Path, *, create: bool = True) -> None:
        import fsspec

        self._fs, self._root = fsspec.core.url_to_fs(str(root))
        self._local = "file" in _protocols(self._fs)
        self._check_format(create)

    def exists(self, cell: Cell) -> bool:
        """Return whether the cell is finished."""
        return bool(self._fs.exists(self._path(cell, "manifest.json")))

    def manifest(self, cell: Cell) -> Manifest:
        """Return the manifest of a finished cell."""
        raw = self._read_json(self._path(cell, "manifest.json"))
        try:
            body = {k: v for k, v in raw.items() if k != "format_version"}
            manifest = make(Manifest, body)
            if (manifest.stage, manifest.key) != (cell.stage, cell.key):
                raise ValueError("it is another cell's")
            if not all(stays_inside(name) for name in manifest.files):
                raise ValueError("it names a file outside its folder")
            return manifest
        except (ValueError, AttributeError) as exc:
            raise StoreError(
                f"{self._path(cell, 'manifest.json')} is not a manifest ({exc}); delete the folder "
                f"{self._path(cell, '')} and run again to make it anew."
            ) from exc

    def write(
        self,
        cell: Cell,
        tables: Mapping[str, tuple[type, Iterable[Any]]],
    ) -> Manifest:
        """Return the manifest of a cell just written: each table is a record type and its
        records.
        """
        with self.filling(cell, {name: record for name, (record, _) in tables.items()}) as filling:
            for name, (_, items) in tables.items():
                for item in items:
                    filling.add(name, item)
        return self.manifest(cell)

    @contextmanager
    def filling(self, cell: Cell, tables: Mapping[str, type]) -> Iterator[Filling]:
        """Yield the tables (name: record type) of a cell, to add rows to; at the end it is
        finished.

        Where the block raises, nothing of it is left.
        """
        folder = self._path(cell, "")
        with ExitStack() as stack:
            with self._writing():
                self._fs.makedirs(folder, exist_ok=True)
                if self._local:
                    _sweep(Path(folder), tables)
                sinks = {
                    name: stack.enter_context(
                        _Sink(self._fs, self._local, folder + f"{name}.parquet")
                    )
                    for name in tables
                }
                writers = {name: TableWriter(tables[name], sinks[name].file) for name in tables}
            for writer in writers.values():
                stack.callback(writer.abandon)
            filling = Filling(writers, self._writing())
            yield filling
            with self._writing():
                for name, writer in writers.items():
                    writer.close()
                    sinks[name].commit()
                files = {f"{name}.parquet": sink.digest for name, sink in sinks.items()}
                rows = {name: writer.rows for name, writer in writers.items()}
                self._finish(cell, files, rows, filling.summary)

    def adopt(self, cell: Cell, *, summary: Mapping[str, Any] | None = None) -> Manifest:
        """Return the manifest of a cell whose files someone else wrote into :meth:`folder`."""
        folder = self.folder(cell)
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "manifest.json"
        }
        with self._writing():
            return self._finish(cell, files, {}, summary or {})

    def discard(self, cell: Cell) -> None:
        """Mark the cell unfinished: the next run makes it anew."""
        with self._writing():
            self._fs.rm_file(self._path(cell, "manifest.json"))

    def folder(self, cell: Cell) -> Path:
        """Return the local folder of a cell, for files that are not tables (adapters)."""
        if not self._local:
            raise StoreError(f"{self._root} is not a local folder; students are trained into one.")
        return Path(self._path(cell, ""))

    def read(self, cell: Cell, table: str, record: type[R]) -> list[R]:
        """Return the records of one table of a finished cell, checked against the manifest's
        sha256.
        """
        return list(self._open_rows(cell, table, record))

    def rows(self, cell: Cell, table: str, record: type[R]) -> Sequence[R]:
        """Read as :meth:`read` does, but where the table is large, records are decoded as they are
        come to.

        What cannot be decoded then raises StoreError while the sequence is used.
        """
        rows = self._open_rows(cell, table, record)
        return list(rows) if rows.bytes <= HELD_BYTES else rows

    def _open_rows(self, cell: Cell, table: str, record: type[R]) -> Rows[R]:
        name = f"{table}.parquet"
        self._check(cell, name)
        path = self._path(cell, name)
        return Rows(record, lambda: self._fs.open(path, "rb"), lambda: self._damaged(cell, name))

    def check_ids(self, cell: Cell, table: str, ids: Iterable[str], known: Container[str]) -> None:
        """Raise StoreError where one of a table's ids is not ``known``."""
        if not all(i in known for i in ids):
            raise self._damaged(cell, f"{table}.parquet")

    def check_in_order(
        self, cell: Cell, table: str, ids: Iterable[str], known: Iterable[str]
    ) -> None:
        """Raise StoreError where a table's ids do not come in the order of ``known``.

        Any id may come several times in a row, or not at all.
        """
        coming = iter(known)
        if not all(i in coming for i, _ in groupby(ids)):
            raise self._damaged(cell, f"{table}.parquet")

    def check_same(
        self, cell: Cell, table: str, found: Iterable[Any], expected: Iterable[Any]
    ) -> None:
        """Raise StoreError where a table's rows are not those expected, in order."""
        if not all(a == b for a, b in zip_longest(found, expected)):
            raise self._damaged(cell, f"{table}.parquet")

    def digest(self, cell: Cell) -> str:
        """Return the sha256 of a finished cell's manifest, which holds those of the cell's
        files.
        """
        data: bytes = self._fs.cat_file(self._path(cell, "manifest.json"))
        return hashlib.sha256(data).hexdigest()

    def verify(self, cell: Cell) -> None:
        """Check that every file of the cell still has the sha256 of its manifest."""
        for name in self.manifest(cell).files:
            self._check(cell, name)

    def rows_of(self, stage: str, table: str, record: type[R]) -> Iterator[R]:
        """Yield the records of one table of every finished cell of a stage."""
        for manifest in self.cells():
            if manifest.stage == stage:
                yield from self.rows(Cell(stage, manifest.key), table, record)

    def cells(self) -> list[Manifest]:
        """Return the manifests of all finished cells, by stage and key."""
        pattern = posixpath.join(self._root, "cells", "*", "*", "manifest.json")
        found = sorted(str(path) for path in self._fs.glob(pattern))
        return [self.manifest(Cell(*path.split("/")[-3:-1])) for path in found]

    def _check(self, cell: Cell, name: str) -> None:
        expected = self.manifest(cell).files.get(name)
        try:
            with self._fs.open(self._path(cell, name), "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as exc:
            raise self._damaged(cell, name, "is missing") from exc
        except OSError as exc:
            raise StoreError(
                f"{self._path(cell, name)} cannot be read ({exc.strerror}); check the disk and who "
                "owns the file, then run again."
            ) from exc
        if found != expected:
            raise self._damaged(cell, name)

    def _damaged(
        self,
        cell: Cell,
        name: str,
        how: str = "does not match its manifest: the file is damaged or was changed",
    ) -> StoreError:
        return StoreError(
            f"{self._path(cell, name)} {how}; delete the folder {self._path(cell, '')} and run "
            "again to make it anew."
        )

    def _finish(
        self,
        cell: Cell,
        files: Mapping[str, str],
        rows: Mapping[str, int],
        summary: Mapping[str, Any],
    ) -> Manifest:
        manifest = Manifest(cell.stage, cell.key, files, rows, summary, versions_of(_MAKERS))
        body = {"format_version": FORMAT_VERSION} | dataclasses.asdict(manifest)
        text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False)
        self._put(self._path(cell, "manifest.json"), text.encode())
        return manifest

    def _put(self, path: str, data: bytes) -> None:
        """Write so that a reader sees the whole file or none (object stores do so anyway)."""
        self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
        if self._local:
            write_atomically(Path(path), data)
        else:
            self._fs.pipe_file(path, data)

    def _writing(self) -> Writing:
        return Writing(self._root)

    def _path(self, cell: Cell, name: str) -> str:
        return posixpath.join(self._root, "cells", cell.stage, cell.key, name)

    def _document(self, path: str) -> bytes:
        """Return a file, or as much of it as any document of ours has."""
        data: bytes = self._fs.cat_file(path, end=min(self._fs.size(path), DOCUMENT_BYTES))
        return data

    def _read_json(self, path: str) -> Any:
        try:
            return parse_json(self._document(path))
        except FileNotFoundError as exc:
            raise StoreError(f"{path} is missing; run the study again to make it.") from exc
        except ValueError as exc:
            folder = posixpath.dirname(path)
            raise StoreError(
                f"{path} is not whole JSON; delete the folder {folder} and run again to make it "
                "anew."
            ) from exc

    def _read_marker(self, path: str) -> Any:
        """Return the mark of a study directory.

        Its folder holds the ledger: no advice may delete that.
        """
        try:
            return parse_json(self._document(path))
        except ValueError as exc:
            raise _damaged_marker(path) from exc

    def _check_format(self, create: bool) -> None:
        if self._local:
            refuse_links(Path(self._root), OWN)
        marker = posixpath.join(self._root, "potstill.json")
        if self._fs.exists(marker):
            body = self._read_marker(marker)
            found = body.get("format_version") if isinstance(body, dict) else None
            if type(found) is not int:
                raise _damaged_marker(marker)
            if found > FORMAT_VERSION:
                raise StoreError(
                    f"{self._root} was written by a newer Potstill (format {found}, this one knows "
                    f"{FORMAT_VERSION}); upgrade with pip install -U potstill, or choose another "
                    "directory with --out."
                )
            return
        if not create and self._fs.exists(posixpath.join(self._root, "study.json")):
            raise StoreError(
                f"{marker} is missing; run the study again into {self._root} to write it: all else "
                "is kept."
            )
        if not create:
            raise StoreError(
                f"{self._root} is not a study directory (no potstill.json there); name one that "
                "potstill run made."
            )
        with self._writing():
            self._put(marker, json.dumps({"format_version": FORMAT_VERSION}).encode())


def _damaged_marker(path: str) -> StoreError:
    return StoreError(
        f"{path} is damaged; delete the file {path} and run again: it is written anew, and all "
        "else is kept."
    )


class Filling:
    """The tables of a cell while they are written, and the ``summary`` it will have for people."""

    def __init__(self, writers: Mapping[str, TableWriter], writing: Writing) -> None:
        self.summary: dict[str, Any] = {}
        self._writers, self._writing = writers, writing

    def add(self, table: str, item: Any) -> None:
        """Add the record to the table as a row. Raises StoreError if the disk refuses."""
        with self._writing:
            self._writers[table].add(item)


class _Sink:
    """A file written beside its place, on this machine; ``commit`` puts it there whole."""

    def __init__(self, fs: Any, local: bool, path: str) -> None:
        self._fs, self._local, self._path = fs, local, path
        self.digest = ""

    def __enter__(self) -> _Sink:
        folder, name = posixpath.split(self._path)
        handle, self._temporary = tempfile.mkstemp(
            dir=folder if self._local else None, prefix=f".{name}."
        )
        self.file = os.fdopen(handle, "w+b")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk refuses what was still to be written
            self.file.close()
        Path(self._temporary).unlink(missing_ok=True)

    def commit(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.seek(0)
        self.digest = hashlib.file_digest(self.file, "sha256").hexdigest()
        if self._local:
            os.replace(self._temporary, self._path)
        else:
            self._fs.put_file(self._temporary, self._path)


def _sweep(folder: Path, tables: Iterable[str]) -> None:
    """Delete what a killed run was writing there (a study has one writer)."""
    for name in tables:
        for left in folder.glob(f".{name}.parquet.*"):
            left.unlink()


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
