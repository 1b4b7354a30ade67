"""Problems without a key and what stands in its place: a majority, told apart from a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from potstill.records import (
    Excluded,
    ExclusionReason,
    Lesson,
    MajorityGold,
    Problem,
    is_keyed,
)
from potstill.text import several

if TYPE_CHECKING:
    from potstill.grading.majority import Majority

__all__ = ["majority_ids", "majority_sentence", "with_majorities"]


def with_majorities(
    problems: Iterable[Problem], found: Mapping[str, Majority]
) -> tuple[list[Problem], list[Excluded]]:
    """Return the problems, those of ``found`` with the majority in the place of a key, and those
    whose answers have none as excluded.
    """
    kept: list[Problem] = []
    away: list[Excluded] = []
    for problem in problems:
        majority = found.get(problem.id)
        if majority is None:
            kept.append(problem)
        elif majority.text:
            gold = MajorityGold(majority.text, majority.votes, majority.draws)
            kept.append(replace(problem, gold=gold, kind=majority.kind))
        else:
            reason = ExclusionReason.NO_MAJORITY
            away.append(Excluded.without_key(problem, reason, majority.why))
    return kept, away


def majority_ids(problems: Iterable[Problem]) -> set[str]:
    """Return the problems that have no key of their own, by their ids."""
    return {problem.id for problem in problems if not is_keyed(problem)}


def majority_sentence(
    problems: Iterable[Problem], excluded: Iterable[Excluded], lessons: Iterable[Sequence[Lesson]]
) -> str:
    """Return how many of the ``lessons`` to train on, by variant, stand on a majority, and of how
    many problems there is none.
    """
    ids = majority_ids(problems)
    none = sum(x.reason is ExclusionReason.NO_MAJORITY for x in excluded)
    own = {(x.problem_id, x.sample, x.level) for level in lessons for x in level}
    on = [x for x in own if x[0] in ids]
    stand = "stands" if len(on) == 1 else "stand"
    of = several(len({x[0] for x in on}), "problem")
    more = f" Excluded, for the answers have no majority: {several(none, 'problem')}."
    return (
        f"{several(len(on), 'lesson')} ({of}) {stand} on a majority of the teacher's answers, not "
        "on a key: it may be wrong, and no score, no accuracy of the teacher and no difficulty "
        f"counts them.{more if none else ''}"
    )
