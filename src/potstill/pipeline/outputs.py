"""What the stages of a study made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from potstill.lessons.difficulty import PassRate
from potstill.lessons.majority import majority_ids
from potstill.lessons.teachers import FellAway
from potstill.problems.overlap.pairs import Pair
from potstill.records import (
    Condition,
    Excluded,
    Lesson,
    NotAsked,
    Problem,
    Response,
    Role,
    Sampling,
    Split,
    Student,
    Verdict,
)
from potstill.store.tables import part
from potstill.study.schema import Study

if TYPE_CHECKING:
    from potstill.lessons.traces import RankedTrace
    from potstill.training.records import HistoryPoint

__all__ = ["MIX", "UNASKED", "AnswerSet", "AskedLevel", "Made", "StudentCell", "Who"]


@dataclass(frozen=True, slots=True)
class AskedLevel:
    """A level that a solver is asked for by name, and the mean words of its lessons."""

    level: str
    words: int


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """What one solver said under one condition, and the verdicts on it.

    Where several teachers' answers stand together, ``further`` are the conditions of the others.
    """

    name: str
    role: Role
    level: str
    seed: int
    set: str
    condition: Condition
    responses: Sequence[Response]
    not_asked: Sequence[NotAsked]
    verdicts: Sequence[Verdict] = ()
    split: Split = Split.HELDOUT
    further: tuple[Condition, ...] = ()

    def judged(self) -> Iterator[tuple[Response, Verdict]]:
        """Yield every response with its verdict, in the order of the study's problems."""
        return zip(self.responses, self.verdicts, strict=True)

    def of_problems(self, wanted: Callable[[str], bool]) -> AnswerSet:
        """Return what was said of those problems alone whose id is ``wanted``."""
        places = [i for i, r in enumerate(self.responses) if wanted(r.problem_id)]
        return replace(
            self,
            responses=part(self.responses, places),
            verdicts=part(self.verdicts, places) if self.verdicts else (),
            not_asked=[x for x in self.not_asked if wanted(x.problem_id)],
        )

    @property
    def label(self) -> str:
        """Who answered which set, in a few characters."""
        seed = f" s{self.seed}" if self.role is Role.STUDENT else ""
        return f"{self.level or self.role.value}{seed} · {self.set}"

    @property
    def who(self) -> str:
        """Who answered, whatever it was asked for: base, or a student by what it is and seed."""
        if self.role is not Role.STUDENT:
            return self.role.value
        return f"{MIX if self.level.startswith(f'{MIX}-') else self.level} s{self.seed}"


UNASKED = AnswerSet("", Role.TEACHER, "", 0, "", Condition("", "", "", Sampling(), ""), (), ())
MIX = "mix"
# A student, or None for the base, and the level it is asked for by name.
Who: TypeAlias = "tuple[StudentCell | None, AskedLevel | None]"


@dataclass(frozen=True, slots=True)
class StudentCell:
    """A trained student, where it is, and how its losses went."""

    student: Student
    folder: Path
    history: tuple[HistoryPoint, ...]


@dataclass(slots=True)
class Made:
    """What the stages of a study have made so far. ``chosen`` holds the controls too.

    ``traces`` are the right traces ranked, where a problem may have several lessons at a level;
    ``fell`` is what is not taught at a level because one of several teachers has no lesson of it.
    """

    study: Study
    problems: Sequence[Problem] = ()
    excluded: Sequence[Excluded] = ()
    splits: Mapping[str, Split] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    pass_rates: Mapping[str, PassRate] = field(default_factory=dict)
    taught: AnswerSet = UNASKED
    traces: Sequence[RankedTrace] = ()
    lessons: Sequence[Lesson] = ()
    chosen: Mapping[str, Sequence[Lesson]] = field(default_factory=dict)
    fell: Mapping[str, FellAway] = field(default_factory=dict)
    students: Sequence[StudentCell] = ()
    answers: Sequence[AnswerSet] = ()

    def in_split(self, *splits: Split) -> Sequence[Problem]:
        """Return the problems that stand on one split, or on any of several."""
        placed = enumerate(self.splits.values())
        return part(self.problems, [i for i, split in placed if split in splits])

    def keyed(self) -> AnswerSet:
        """Return the teacher's replies to problems that have a key: what may be scored of them."""
        if self.study.keys is None:
            return self.taught
        ids = majority_ids(self.problems)
        return self.taught.of_problems(lambda own: own not in ids)

    def trained_ids(self) -> set[str]:
        """Return the problems that some lesson chosen to train on is of."""
        return {lesson.problem_id for lessons in self.chosen.values() for lesson in lessons}

    def by_split(self) -> dict[Split, Sequence[Problem]]:
        """Return the problems of every split."""
        return {split: self.in_split(split) for split in Split}
