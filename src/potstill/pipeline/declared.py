"""Whether the primary comparison was set before the held-out problems were answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from potstill.errors import StoreError
from potstill.pipeline.lock import read_lock
from potstill.store.atomic import write_json
from potstill.store.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from potstill.pipeline.context import Context

__all__ = ["DECLARED_FILE", "declare", "is_declared", "primary_of"]

DECLARED_FILE = "declared.json"


def primary_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the primary comparison of a study's settings, in plain values: the first level and
    base where none is named.
    """
    return list(settings.get("primary") or (settings["levels"][0], "base"))


def declare(context: Context) -> None:
    """Write down the primary comparison before held-out problems are first answered; once.

    A study that an earlier Potstill finished has the one of its lock.
    """
    path = context.directory / DECLARED_FILE
    if context.read_only or path.exists():
        return
    try:
        lock = read_lock(context.directory)
    except StoreError:
        lock = None
    settings = lock["decides"] if lock else context.study.model_dump(mode="json")
    write_json(path, {"format_version": 1, "primary": primary_of(settings)})


def is_declared(context: Context) -> bool:
    """Return whether the primary comparison is the one that was written down."""
    path = context.directory / DECLARED_FILE
    try:
        written = read_json(path)["primary"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(written == primary_of(context.study.model_dump(mode="json")))
