"""Records as rows of Arrow tables, and rows as records again."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from potstill.store.typed import make
from potstill.store.untrusted import parse_json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_schema", "from_batch", "to_rows"]

R = TypeVar("R")


@cache
def arrow_schema(record: Any) -> pa.Schema:
    """Return the Arrow schema of a record type: enums as strings, unions of records as tagged
    JSON.
    """
    import pyarrow as pa

    hints = typing.get_type_hints(record)
    return pa.schema(
        [pa.field(f.name, _arrow_type(hints[f.name])) for f in dataclasses.fields(record)]
    )


def to_rows(record: type, items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return plain dictionaries of records, fit for :func:`arrow_schema`."""
    names = [f.name for f in dataclasses.fields(record)]
    return [{name: _to_plain(getattr(item, name)) for name in names} for item in items]


def from_batch(record: type[R], batch: pa.RecordBatch) -> list[R]:
    """Return the records that :func:`to_rows` made plain.

    Raises ValueError or KeyError where it did not.

    Columns that a record has since got may be missing, if it has a default for them.
    """
    _check_columns(batch, record)
    kind: Any = record
    readers, names = _readers(kind), batch.schema.names
    columns = [
        column if (read := readers[name]) is None else list(map(read, column))
        for name, column in zip(
            names, (c.to_pylist(maps_as_pydicts="strict") for c in batch.columns), strict=True
        )
    ]
    if names == list(readers):
        return list(map(record, *columns))
    return [record(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


@cache
def _readers(record: Any) -> dict[str, Callable[[Any], Any] | None]:
    """Return by field what makes its value of a plain one; None where it is the plain one."""
    hints = typing.get_type_hints(record)
    return {f.name: _reader(hints[f.name]) for f in dataclasses.fields(record)}


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {member.value: member for member in hint}.__getitem__
    return None if hint in (str, int, float, bool) else partial(_from_plain, hint=hint)


def _check_columns(batch: pa.RecordBatch, record: type) -> None:
    """Raise ValueError where a column is unknown, of another type, or holds a blank."""
    wanted = {field.name: field.type for field in arrow_schema(record)}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if wanted.get(name) != column.type:
            raise ValueError(f"the column {name} is unknown or of another type")
        if _has_blank(column):
            raise ValueError(f"the column {name} has a blank")
        del wanted[name]


def _has_blank(values: Any) -> bool:
    import pyarrow as pa

    if values.null_count:
        return True
    if isinstance(values, pa.MapArray):
        return _has_blank(values.items)
    return isinstance(values, pa.ListArray) and _has_blank(values.values)


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
