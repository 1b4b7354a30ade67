"""Which of a study's problems are listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from potstill.errors import InputError
from potstill.lessons.quality import Gate
from potstill.records import Level, Split

__all__ = ["ProblemFilter"]


@dataclass(frozen=True, slots=True)
class ProblemFilter:
    """Which problems are listed: of a split, flagged by a gate, flagged at a level."""

    split: str = ""
    flag: str = ""
    level: str = ""

    def __post_init__(self) -> None:
        _known("split", self.split, [s.value for s in Split])
        _known("flag", self.flag, [g.value for g in Gate])
        _known("level", self.level, [x.value for x in Level])


def _known(what: str, value: str, names: Sequence[str]) -> None:
    if value and value not in names:
        raise InputError(f"There is no {what} {value!r}; there are {', '.join(names)}.")
