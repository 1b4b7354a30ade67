"""Bringing problems in: every source through one door, nothing dropped in silence."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.problems.guess import Columns, guess_source
    from potstill.problems.intake import (
        Imported,
        ProblemRow,
        SourceConfig,
        describe,
        load_problems,
        read_problems,
    )
    from potstill.problems.raw import RawProblem, SourceOptions, normalise

_HOMES = {
    "Columns": "guess",
    "Imported": "intake",
    "ProblemRow": "intake",
    "RawProblem": "raw",
    "SourceConfig": "intake",
    "SourceOptions": "raw",
    "describe": "intake",
    "guess_source": "guess",
    "load_problems": "intake",
    "normalise": "raw",
    "read_problems": "intake",
}

__all__ = [
    "Columns",
    "Imported",
    "ProblemRow",
    "RawProblem",
    "SourceConfig",
    "SourceOptions",
    "describe",
    "guess_source",
    "load_problems",
    "normalise",
    "read_problems",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
