"""What the report's browser shows of every problem: what was asked, said and ruled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from potstill.records import Role

__all__ = ["Case", "CaseLesson", "Said", "solver_order"]


def solver_order(who: str) -> tuple[int, str]:
    """Return a key that sorts solvers: the base, the students in the ladder's order, the
    teacher.
    """
    role = who.partition(" ")[0]  # of several teachers each has its name behind it
    return {Role.BASE.value: 0, Role.TEACHER.value: 2}.get(role, 1), who


@dataclass(frozen=True, slots=True)
class Said:
    """One answer and its verdict; ``who`` is base, a level or teacher, ``read`` what was graded."""

    who: str
    seed: int
    sample: int
    outcome: str
    read: str
    why: str
    finish: str
    reasoning: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class CaseLesson:
    """One lesson; ``flags`` are the gates that kept it out."""

    level: str
    words: int
    flags: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One problem with everything that the study knows of it."""

    id: str
    set: str
    split: str
    text: str
    key: str
    kind: str
    groups: Mapping[str, str] = field(default_factory=dict)
    said: tuple[Said, ...] = ()
    lessons: tuple[CaseLesson, ...] = ()
