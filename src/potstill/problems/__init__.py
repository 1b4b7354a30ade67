"""Bringing problems in: every source through one function, nothing dropped in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.lazy import lazy_names

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

__getattr__ = lazy_names(__name__, _HOMES)
