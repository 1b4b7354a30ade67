"""A chunk of answers to grade, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from potstill.grading.pool import GradingPool
from potstill.records import Problem, Response, Verdict

__all__ = ["Chunk", "Graded", "graded"]


Chunk = tuple[tuple[Problem, Response], ...]  # that one worker grades


@dataclass(frozen=True, slots=True)
class Graded:
    """A worker's verdicts on a chunk, and the seconds they took it."""

    verdicts: tuple[Verdict, ...]
    seconds: float


def graded(pool: GradingPool, chunk: Chunk) -> Graded:
    """Return a chunk graded by the processes of a pool on this machine."""
    started = time.monotonic()
    verdicts = tuple(GradingPool.grade(pool, chunk, cut="stated"))
    return Graded(verdicts, time.monotonic() - started)
