"""A study's problems with what became of each: lessons, flags and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from potstill.errors import InputError
from potstill.lessons.listing import GateRow, gate_rows
from potstill.lessons.quality import Gate
from potstill.pipeline.context import NotFresh
from potstill.pipeline.made import Made
from potstill.pipeline.run import go_through, open_run, study_of
from potstill.progress import quiet
from potstill.records import Lesson, Level, Split

__all__ = ["Found", "Wanted", "look"]


@dataclass(slots=True)
class Found(Made):
    """What a study holds so far; ``missing`` says what the first unfinished stage lacks."""

    missing: str = ""

    def gates(self) -> list[GateRow]:
        """Every gate that fired, on the teacher's replies and on the lessons."""
        taught = self.taught
        rows = gate_rows(
            self.problems, taught.responses, taught.verdicts, self.lessons, self.study.gates
        )
        return list(rows)

    def lessons_by_problem(self) -> dict[str, dict[str, Lesson]]:
        """The lessons of each problem, by level."""
        found: dict[str, dict[str, Lesson]] = {}
        for lesson in self.lessons:
            found.setdefault(lesson.problem_id, {})[lesson.level] = lesson
        return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which problems are listed: of a side, flagged by a gate, flagged at a level."""

    side: str = ""
    flag: str = ""
    level: str = ""

    def __post_init__(self) -> None:
        _known("side", self.side, [s.value for s in Split])
        _known("flag", self.flag, [g.value for g in Gate])
        _known("level", self.level, [x.value for x in Level])


def look(directory: Path) -> Found:
    """What a study directory holds. Buys nothing, makes nothing; finished stages are enough.

    Raises StoreError for a folder that is no study directory.
    """
    found = Found(study_of(directory))
    with ExitStack() as stack:
        try:
            for _ in go_through(open_run(found.study, directory, quiet, stack, peek=True), found):
                pass
        except NotFresh as exc:
            found.missing = str(exc)
    return found


def _known(what: str, value: str, names: Sequence[str]) -> None:
    if value and value not in names:
        raise InputError(f"There is no {what} {value!r}; there are {', '.join(names)}.")
