"""Bringing problems in: every source through one door, nothing dropped in silence."""

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
