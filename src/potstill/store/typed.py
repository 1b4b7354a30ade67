"""Records made of plain values that someone else wrote: exactly the fields, exactly their types."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

__all__ = ["make"]

R = TypeVar("R")


def make(record: type[R], fields: Any) -> R:
    """Return the record of these fields.

    Raises ValueError naming the first that is not what it must be.

    Enums are given by their values; numbers are finite and whole ones have 64 bits at most.
    """
    if not isinstance(fields, Mapping):
        raise ValueError(f"{type(fields).__name__} where a {record.__name__} should be")
    kind: Any = record
    hints = _hints(kind)
    values = {}
    for name, value in fields.items():
        if name not in hints:
            raise ValueError(f"a {record.__name__} has no {str(name)[:40]!r}")
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is not what it must be (found {type(value).__name__})")
        values[name] = _as(value, hints[name])
    try:
        return record(**values)
    except TypeError as exc:
        raise ValueError(str(exc).partition("__init__() ")[2] or str(exc)) from exc


@cache
def _hints(record: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    names = [f.name for f in dataclasses.fields(record)] if dataclasses.is_dataclass(record) else []
    return {name: hints[name] for name in names}


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a plain value can stand for a type: a simple one, an enum, a mapping, a
    sequence.
    """
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return type(value) is int and abs(value) < 2**63
    if hint is float:
        return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return isinstance(value, str) and value in {member.value for member in hint}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return isinstance(value, Mapping)
    inner, origin = typing.get_args(hint), typing.get_origin(hint)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(part, inner[0]) for part in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items()
        )
    if inner:  # a union
        return any(_fits(value, option) for option in inner)
    return hint is Any or (isinstance(hint, type) and isinstance(value, hint))


def _as(value: Any, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return make(hint, value)
    return tuple(value) if typing.get_origin(hint) is tuple else value
