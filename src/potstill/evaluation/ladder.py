"""What one study says along its ladder: the trend over the levels, and where shortening costs most.

And which wrong answers a solver shares with the teacher: inherited, where the base does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from potstill.evaluation.scores import Answered, level_order, right_by_seed
from potstill.evaluation.trends import Interaction, Trend, interactions, trend
from potstill.records import Level, Outcome, Role, Split

__all__ = ["Ladder", "SharedErrors", "ladders", "shared_errors"]

# A group of fewer problems, in or out, says nothing of an interaction.
_LEAST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Ladder:
    """The levels of one held-out set, in order, and by group what the last loses to the first."""

    set: str
    trend: Trend
    interactions: tuple[Interaction, ...]


@dataclass(frozen=True, slots=True)
class SharedErrors:
    """Of a solver's ``wrong`` answers on one held-out set, those the teacher got wrong too.

    Counted are answers to problems that the teacher was asked. ``both`` counts those to problems
    that it answered wrongly, ``same`` those of them that give the very value that it gave. All
    seeds of a level together.
    """

    set: str
    who: str
    responses: int
    wrong: int
    both: int
    same: int


def ladders(answers: Sequence[Answered]) -> tuple[Ladder, ...]:
    """Return one for every held-out set with two levels or more, answered by the same seeds."""
    known = {level.value for level in Level}
    found = []
    for name, rows in _by_set(answers):
        students = [r for r in rows if r.role is Role.STUDENT and r.level in known]
        names = level_order(r.level for r in students)
        by_level = {level: [r for r in students if r.level == level] for level in names}
        if len({tuple(sorted({r.seed for r in x})) for x in by_level.values()}) != 1:
            continue
        asked = {level: right_by_seed(x) for level, x in by_level.items()}
        ids = next(iter(asked.values()))[0]
        if len(names) < 2 or not ids or any(other != ids for other, _ in asked.values()):
            continue
        tables = {level: table for level, (_, table) in asked.items()}
        longer, shorter = tables[names[0]], tables[names[-1]]
        cells = [
            replace(cell, group=f"{grouping}={cell.group}")
            for grouping, groups in _groupings(by_level[names[0]], ids).items()
            for cell in interactions(longer, shorter, groups, least=_LEAST_PROBLEMS)
        ]
        found.append(Ladder(name, trend(tables), tuple(cells)))
    return tuple(found)


def shared_errors(answers: Sequence[Answered]) -> tuple[SharedErrors, ...]:
    """Return base and levels beside the teacher, on every held-out set that the teacher
    answered.
    """
    found = []
    for name, rows in _by_set(answers):
        missed = {
            r.problem_id: r.read
            for r in rows
            if r.role is Role.TEACHER and r.outcome is Outcome.WRONG and r.read
        }
        asked = {r.problem_id for r in rows if r.role is Role.TEACHER}
        if not asked:
            continue
        others = [r for r in rows if r.role is not Role.TEACHER and r.problem_id in asked]
        students = level_order(r.level for r in others if r.role is Role.STUDENT)
        for role, level in [(Role.BASE, ""), *((Role.STUDENT, x) for x in students)]:
            own = [r for r in others if (r.role, r.level) == (role, level)]
            wrong = [r for r in own if r.outcome is Outcome.WRONG]
            both = [r for r in wrong if r.problem_id in missed]
            same = sum(r.read == missed[r.problem_id] for r in both)
            who = level or role.value
            if own:
                found.append(SharedErrors(name, who, len(own), len(wrong), len(both), same))
    return tuple(found)


def _by_set(answers: Sequence[Answered]) -> list[tuple[str, list[Answered]]]:
    heldout = [row for row in answers if row.split is Split.HELDOUT]
    return [(x, [r for r in heldout if r.set == x]) for x in dict.fromkeys(r.set for r in heldout)]


def _groupings(rows: Sequence[Answered], ids: Sequence[str]) -> dict[str, list[str]]:
    """Return by grouping (section, year, ...), the group of every problem; those that not all have
    not.
    """
    groups = {row.problem_id: row.groups for row in rows}
    names = {name for row in rows for name in row.groups}
    return {
        name: [groups[i][name] for i in ids]
        for name in sorted(names)
        if all(name in groups[i] for i in ids)
    }
