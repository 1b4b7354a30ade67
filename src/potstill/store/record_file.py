"""A JSON file of one record that says which format it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from potstill.errors import InputError
from potstill.store.atomic import write_json
from potstill.store.untrusted import read_json

__all__ = ["read_record", "write_record"]

R = TypeVar("R")


def write_record(path: Path, version: int, fields: Mapping[str, Any]) -> None:
    """Write the fields of a record of a format's ``version``, whole. Raises StoreError if the disk
    refuses.
    """
    write_json(path, {"format_version": version, **fields})


def read_record(path: Path, version: int, take: Callable[[dict[str, Any]], R], todo: str) -> R:
    """Return what ``take`` makes of a record's fields.

    Raises FileNotFoundError where there is no file, InputError for one of a newer ``version`` and,
    ending in what is ``todo``, for one that cannot be read.
    """
    try:
        content = read_json(path)
        if content.pop("format_version") > version:
            raise InputError(f"{path} was written by a newer Potstill; upgrade to read it.")
        return take(content)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InputError(f"{path} cannot be read ({exc}); {todo}.") from exc
