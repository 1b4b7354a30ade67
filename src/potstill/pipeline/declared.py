"""Whether the primary comparison was set before the held-out problems were answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.errors import StoreError
from potstill.pipeline.lock import read_lock
from potstill.store.atomic import write_json
from potstill.store.untrusted import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from potstill.pipeline.context import Context
    from potstill.study.schema import Study

__all__ = ["DECLARED_FILE", "declare", "is_declared", "primary_of"]

DECLARED_FILE = "declared.json"


def primary_of(study: Study) -> tuple[str, str]:
    """Return the primary comparison of a study: the first level and base where none is named."""
    return _primary(study.primary, study.levels)


def _primary(named: Sequence[str] | None, levels: Sequence[str]) -> tuple[str, str]:
    first, second = named or (str(levels[0]), "base")
    return first, second


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
    primary = primary_of(context.study)
    if lock:
        primary = _primary(lock["decides"].get("primary"), lock["decides"]["levels"])
    write_json(path, {"format_version": 1, "primary": primary})


def is_declared(context: Context) -> bool:
    """Return whether the primary comparison is the one that was written down."""
    path = context.directory / DECLARED_FILE
    try:
        written = read_json(path)["primary"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(written == list(primary_of(context.study)))
