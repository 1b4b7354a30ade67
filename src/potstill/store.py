"""Where a study keeps what it made: one artifact per cell, written once, named by its inputs.

A cell's key is a hash of all that decides its content, so that a cell is fresh exactly when it is
there: nothing finished is made again for an unchanged input, everything is for a changed one.
Parquet is written first and the manifest last; without a manifest a cell does not exist.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import posixpath
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from potstill.errors import StoreError
from potstill.records import content_hash
from potstill.typed import make
from potstill.untrusted import DOCUMENT_BYTES, parse_json, refuse_links, stays_inside

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FORMAT_VERSION",
    "OWN",
    "Cell",
    "Manifest",
    "Store",
    "Writing",
    "arrow_schema",
    "from_rows",
    "to_rows",
    "versions_of",
    "write_atomically",
    "write_json",
]

FORMAT_VERSION = 1
# What a study directory holds: none of it may be a link that leads out of it.
OWN = ("cells", "report", "exports", "diagnosis", "ledger.*", "*.json", "*.jsonl")
# the packages whose versions a manifest holds
_MAKERS = ("potstill", "torch", "transformers", "peft", "math-verify")

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Cell:
    """The name of one artifact: the stage that makes it, and the hash of all that decides it."""

    stage: str
    key: str

    @staticmethod
    def of(stage: str, **inputs: Any) -> Cell:
        """The cell of a stage whose content these inputs decide (records or plain values)."""
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
        """Whether the cell is finished."""
        return bool(self._fs.exists(self._path(cell, "manifest.json")))

    def manifest(self, cell: Cell) -> Manifest:
        """The manifest of a finished cell."""
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
                f"{self._path(cell, 'manifest.json')} is not a manifest ({exc}); delete its folder "
                "and run the study again."
            ) from exc

    def write(
        self,
        cell: Cell,
        tables: Mapping[str, tuple[type, Iterable[Any]]],
        *,
        summary: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """The manifest of a cell just written: each table is a record type and its records."""
        files: dict[str, str] = {}
        rows: dict[str, int] = {}
        with self._writing():
            for name, (record, items) in tables.items():
                data, count = _to_parquet(record, items)
                files[f"{name}.parquet"] = hashlib.sha256(data).hexdigest()
                rows[name] = count
                self._put(self._path(cell, f"{name}.parquet"), data)
            return self._finish(cell, files, rows, summary or {})

    def adopt(self, cell: Cell, *, summary: Mapping[str, Any] | None = None) -> Manifest:
        """The manifest of a cell whose files someone else wrote into :meth:`folder`."""
        folder = self.folder(cell)
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "manifest.json"
        }
        with self._writing():
            return self._finish(cell, files, {}, summary or {})

    def discard(self, cell: Cell) -> None:
        """Nothing; the cell is no longer finished, and the next run makes it anew."""
        with self._writing():
            self._fs.rm_file(self._path(cell, "manifest.json"))

    def folder(self, cell: Cell) -> Path:
        """The local folder of a cell, for files that are not tables (adapters)."""
        if not self._local:
            raise StoreError(f"{self._root} is not a local folder; students are trained into one.")
        return Path(self._path(cell, ""))

    def read(self, cell: Cell, table: str, record: type[R]) -> list[R]:
        """The records of one table of a finished cell, checked against the manifest's sha256."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = f"{table}.parquet"
        data = self._checked(cell, name)
        try:
            loaded = pq.read_table(pa.BufferReader(data))
            _check_columns(loaded, record)
            return from_rows(record, loaded.to_pylist(maps_as_pydicts="strict"))
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as exc:
            raise self._damaged(cell, name) from exc

    def check_ids(
        self, cell: Cell, table: str, ids: Iterable[str], known: Iterable[str], every: bool = False
    ) -> None:
        """Nothing; raises StoreError where a table's ids are not among ``known``, or not every."""
        here, there = set(ids), set(known)
        if not here <= there or (every and here != there):
            raise self._damaged(cell, f"{table}.parquet")

    def digest(self, cell: Cell) -> str:
        """The sha256 of a finished cell's manifest, which holds those of the cell's files."""
        data: bytes = self._fs.cat_file(self._path(cell, "manifest.json"))
        return hashlib.sha256(data).hexdigest()

    def verify(self, cell: Cell) -> None:
        """Nothing, if every file of the cell still has the sha256 of its manifest."""
        for name in self.manifest(cell).files:
            self._checked(cell, name)

    def cells(self) -> list[Manifest]:
        """The manifests of all finished cells, by stage and key."""
        pattern = posixpath.join(self._root, "cells", "*", "*", "manifest.json")
        found = sorted(str(path) for path in self._fs.glob(pattern))
        return [self.manifest(Cell(*path.split("/")[-3:-1])) for path in found]

    def _checked(self, cell: Cell, name: str) -> bytes:
        expected = self.manifest(cell).files.get(name)
        try:
            data: bytes = self._fs.cat_file(self._path(cell, name))
        except FileNotFoundError as exc:
            raise self._damaged(cell, name) from exc
        except OSError as exc:
            raise StoreError(
                f"{self._path(cell, name)} cannot be read ({exc.strerror}); check the disk and who "
                "owns the file, then run again."
            ) from exc
        if expected is None or hashlib.sha256(data).hexdigest() != expected:
            raise self._damaged(cell, name)
        return data

    def _damaged(self, cell: Cell, name: str) -> StoreError:
        return StoreError(
            f"{self._path(cell, name)} does not match its manifest: the file is damaged or was "
            f"changed; delete the folder {self._path(cell, '')} and run again to make it anew."
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

    def _read_json(self, path: str) -> Any:
        try:
            return parse_json(self._fs.cat_file(path, end=DOCUMENT_BYTES))
        except FileNotFoundError as exc:
            raise StoreError(f"{path} is missing; run the study again to make it.") from exc
        except ValueError as exc:
            folder = posixpath.dirname(path)
            raise StoreError(
                f"{path} is not whole JSON; delete the folder {folder} and run again to make it "
                "anew."
            ) from exc

    def _read_marker(self, path: str) -> Any:
        """The mark of a study directory. Its folder holds the ledger: no advice may delete that."""
        try:
            return parse_json(self._fs.cat_file(path, end=DOCUMENT_BYTES))
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


def write_atomically(path: Path, data: bytes) -> None:
    """Nothing; ``path`` holds the old file or the whole new one, whenever the power goes."""
    import os
    import tempfile

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
    """Nothing; ``path`` holds the value as JSON, whole. Raises StoreError if the disk refuses."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with Writing(str(path.parent)):
        write_atomically(path, text.encode("utf-8", "replace"))


def arrow_schema(record: type) -> pa.Schema:
    """The Arrow schema of a record type: enums as strings, unions of records as tagged JSON."""
    import pyarrow as pa

    hints = typing.get_type_hints(record)
    return pa.schema(
        [pa.field(f.name, _arrow_type(hints[f.name])) for f in dataclasses.fields(record)]
    )


def to_rows(record: type, items: Iterable[Any]) -> list[dict[str, Any]]:
    """Plain dictionaries of records, fit for :func:`arrow_schema`."""
    names = [f.name for f in dataclasses.fields(record)]
    return [{name: _to_plain(getattr(item, name)) for name in names} for item in items]


def from_rows(record: type[R], rows: Iterable[Mapping[str, Any]]) -> list[R]:
    """The records that :func:`to_rows` made plain."""
    hints = typing.get_type_hints(record)
    return [record(**{k: _from_plain(v, hints[k]) for k, v in row.items()}) for row in rows]


def _check_columns(table: pa.Table, record: type) -> None:
    """Nothing; raises ValueError where a column is unknown, of another type, or holds a blank."""
    wanted = {field.name: field.type for field in arrow_schema(record)}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if wanted.get(name) != column.type:
            raise ValueError(f"the column {name} is unknown or of another type")
        if any(_has_blank(chunk) for chunk in column.chunks):
            raise ValueError(f"the column {name} has a blank")
        del wanted[name]


def _has_blank(values: Any) -> bool:
    import pyarrow as pa

    if values.null_count:
        return True
    if isinstance(values, pa.MapArray):
        return _has_blank(values.items)
    return isinstance(values, pa.ListArray) and _has_blank(values.values)


def _to_parquet(record: type, items: Iterable[Any]) -> tuple[bytes, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(to_rows(record, items), schema=arrow_schema(record))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes(), table.num_rows


def _arrow_type(hint: Any) -> pa.DataType:
    import pyarrow as pa

    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in plain:
        return plain[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return pa.string()
    if typing.get_origin(hint) is tuple:
        return pa.list_(_arrow_type(typing.get_args(hint)[0]))
    if typing.get_origin(hint) is Mapping or _origin_name(hint) == "Mapping":
        return pa.map_(pa.string(), _arrow_type(typing.get_args(hint)[1]))
    return pa.string()


def _to_plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return json.dumps({"": type(value).__name__} | dataclasses.asdict(value))
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        # a lone surrogate (from broken model output) has no UTF-8, so Arrow could not hold it
        return value.encode("utf-8", "replace").decode()
    return value


def _from_plain(value: Any, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if typing.get_origin(hint) is tuple:
        return tuple(_from_plain(item, typing.get_args(hint)[0]) for item in value)
    for member in _record_members(hint):
        body = parse_json(value) if isinstance(value, str) else value
        if isinstance(body, dict) and body.get("") == member.__name__:
            return make(member, {k: v for k, v in body.items() if k})
    if _record_members(hint):
        raise ValueError("a value that is no record of its kind")
    return value


def _record_members(hint: Any) -> list[type]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    members = typing.get_args(hint) if is_union else (hint,)
    return [m for m in members if isinstance(m, type) and dataclasses.is_dataclass(m)]


def _origin_name(hint: Any) -> str:
    return getattr(typing.get_origin(hint), "__name__", "")


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
