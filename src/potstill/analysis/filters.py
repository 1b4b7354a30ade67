"""Which of a study's problems are listed."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.lessons.quality import Gate
from potstill.plugins import choose
from potstill.records import Level, Split

__all__ = ["ProblemFilter"]


@dataclass(frozen=True, slots=True)
class ProblemFilter:
    """Which problems are listed: of a split, flagged by a gate, flagged at a level."""

    split: str = ""
    flag: str = ""
    level: str = ""

    @classmethod
    def of(cls, split: str, flag: str, level: str) -> ProblemFilter:
        """Return the filter that is meant. Raises InputError for a name that is none."""
        return cls(
            split and choose("split", split, Split),
            flag and choose("flag", flag, Gate),
            level and choose("level", level, Level),
        )
