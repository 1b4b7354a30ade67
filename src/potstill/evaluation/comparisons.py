"""Who is better than whom: paired comparisons, only where the conditions allow them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from potstill.errors import StudyError
from potstill.evaluation.formats import FormatBounds, correct_format, format_bounds
from potstill.evaluation.ladder import Ladder, SharedErrors, ladders, shared_errors
from potstill.evaluation.pairing import pair_up, share_of, side_name
from potstill.evaluation.scores import (
    Answered,
    LevelScore,
    by_group,
    level_order,
    score,
    summarise,
)
from potstill.evaluation.seeds import paired_difference_seeds
from potstill.evaluation.statistics import (
    holm,
    minimum_detectable_difference,
    problems_needed,
)
from potstill.records import (
    AUTO,
    Condition,
    Level,
    Outcome,
    Role,
    Score,
    Split,
    level_of_control,
    teacher_of,
    variant_parts,
)

__all__ = ["Evaluated", "Kind", "PairedComparison", "compare", "differing", "evaluate"]

_BASE = Role.BASE.value
_AGAIN = "Run the study again: they are asked again."


class Kind(StrEnum):
    """What a comparison may be used for."""

    PRIMARY = "primary"
    EXPLORATORY = "exploratory"
    DESCRIPTIVE = "descriptive"


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """How much more often ``a`` is right than ``b`` on the same problems, and what that supports.

    ``a`` and ``b`` are a level's name, "base" or "teacher". ``p`` is exact McNemar for one seed a
    side, see :func:`~potstill.evaluation.statistics.paired_difference_seeds` for several; None
    where nothing is tested. ``p_holm`` is it after Holm's correction over the same set's
    exploratory comparisons against the same ``b``. ``needed`` is how many problems the difference
    seen would need (80 % power), ``detectable`` the smallest difference this ``n`` shows.
    ``differs`` names what differs in the two conditions, ``format`` holds what other readings of
    the answers make of the difference. While ``blocked`` responses are ERRORED, nothing is claimed
    and ``next_step`` says what to do.
    """

    a: str
    b: str
    kind: Kind
    set: str
    split: Split
    group: str
    condition_id_a: str
    condition_id_b: str
    differs: tuple[str, ...]
    seeds_a: tuple[int, ...]
    seeds_b: tuple[int, ...]
    n: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    only_a: int
    only_b: int
    p: float | None
    p_holm: float | None
    needed: int | None
    detectable: float | None
    format: FormatBounds
    blocked: int
    next_step: str
    draws_a: int = 1
    draws_b: int = 1

    @property
    def beyond_chance(self) -> bool:
        """Whether test and interval both exclude zero, corrected if corrected, and none blocks."""
        p = self.p if self.p_holm is None else self.p_holm
        outside = not self.low <= 0.0 <= self.high
        return p is not None and p < 0.05 and outside and not self.blocked

    @property
    def survives_format(self) -> bool:
        """Whether it is beyond chance however the unread answers of either side are counted."""
        return self.beyond_chance and self.format.survives(self.difference)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Everything a set of answers says: per solver, per level over its seeds, and compared."""

    scores: tuple[Score, ...]
    levels: tuple[LevelScore, ...]
    comparisons: tuple[PairedComparison, ...]
    ladders: tuple[Ladder, ...] = ()
    shared: tuple[SharedErrors, ...] = ()


def compare(
    a: Sequence[Answered],
    b: Sequence[Answered],
    conditions: Mapping[str, Condition],
    *,
    kind: Kind = Kind.EXPLORATORY,
    group: str = "all",
) -> PairedComparison:
    """Return the paired comparison of ``a`` with ``b``: each all seeds of one level on one set.

    Anything with a teacher in it is descriptive: over the problems both answered, under each one's
    own condition, without a test. Otherwise raises StudyError where the conditions differ, saying
    in what, or where the problems do.
    """
    _one_cell(a)
    _one_cell(b)
    teacher = Role.TEACHER in (a[0].role, b[0].role)
    differs = _differs(a[0], b[0], conditions)
    if differs and not teacher:
        raise StudyError(
            f"{side_name(a[0])} and {side_name(b[0])} on {a[0].set} cannot be compared: their "
            f"conditions differ in {', '.join(differs)}. Ask both under one condition."
        )
    errored = sum(row.outcome is Outcome.ERRORED for row in (*a, *b))
    paired = pair_up(a, b, shared_only=teacher)
    n, (table_a, table_b) = len(paired.ids), paired.tables()
    found = paired_difference_seeds(table_a, table_b)
    tested = not teacher
    discordance = min(1.0, max(found.discordance, abs(found.difference)))
    return PairedComparison(
        a=side_name(a[0]),
        b=side_name(b[0]),
        kind=Kind.DESCRIPTIVE if teacher else kind,
        set=a[0].set,
        split=a[0].split,
        group=group,
        condition_id_a=a[0].condition_id,
        condition_id_b=b[0].condition_id,
        differs=tuple(differs),
        seeds_a=_seeds(a),
        seeds_b=_seeds(b),
        n=n,
        accuracy_a=share_of(table_a),
        accuracy_b=share_of(table_b),
        difference=found.difference,
        low=found.low,
        high=found.high,
        only_a=found.only_a,
        only_b=found.only_b,
        p=found.p if tested else None,
        p_holm=None,
        needed=problems_needed(found.difference, discordance) if tested else None,
        detectable=minimum_detectable_difference(n, discordance) if tested else None,
        format=format_bounds(paired, found, tested=tested),
        blocked=errored,
        next_step=_AGAIN if errored else "",
        draws_a=paired.draws("a"),
        draws_b=paired.draws("b"),
    )


def evaluate(
    answers: Sequence[Answered],
    conditions: Mapping[str, Condition],
    *,
    primary: tuple[str, str] | None = None,
    primary_set: str | None = None,
) -> Evaluated:
    """Return all scores, and on every set each level against the base, the top level and the
    teacher.

    The ``primary`` comparison is declared before the study runs: whom with whom, by default the
    first of the ladder with "base", on ``primary_set`` (by default the first held-out set); naming
    a level as the second sets the whole ladder beside it. The others are exploratory,
    their p values corrected by Holm's method within each set and opponent, the variants beside the
    ladder on their own. A level is set beside its control (R4 beside truncate-R4, R0 beside
    unverified) and beside each teacher's own student (R4 beside r1-R4), those of two teachers
    beside each other, the student auto beside every level, and the base beside the teacher in every
    group too.
    """
    heldout = [row.set for row in answers if row.split is Split.HELDOUT]
    levels = level_order(row.level for row in answers if row.role is Role.STUDENT)
    declared_a, declared_b = primary or ("", _BASE)
    _declared("level", declared_a or None, levels)
    _declared("opponent", declared_b, [_BASE, *levels])
    _declared("held-out set", primary_set, heldout)
    chosen_set = primary_set or (heldout[0] if heldout else "")
    comparisons: list[PairedComparison] = []
    for place in dict.fromkeys((row.set, row.split) for row in answers):
        rows = [row for row in answers if (row.set, row.split) == place]
        students = {
            level: [r for r in rows if r.role is Role.STUDENT and r.level == level]
            for level in level_order(r.level for r in rows if r.role is Role.STUDENT)
        }
        teacher = [r for r in rows if r.role is Role.TEACHER]
        named = declared_a if declared_b == _BASE else declared_b
        top = named if named in students else next(iter(students), "")
        here = place == (chosen_set, Split.HELDOUT)
        chosen = (declared_a or top, declared_b) if here else None
        for family in _families(students):
            against = [
                compare(students[level], base, conditions, kind=_kind((level, _BASE) == chosen))
                for level in family
                if (base := _base_beside(students[level], rows))
            ]
            comparisons += _corrected(against)
        on_ladder = _families(students)[0]
        ladder = [
            compare(students[x], students[top], conditions, kind=_kind((x, top) == chosen))
            for x in on_ladder
            if x != top
        ]
        comparisons += _corrected(ladder) if top in on_ladder else []
        comparisons += _corrected(
            [
                compare(
                    students[level],
                    students[control],
                    conditions,
                    kind=_kind((level, control) == chosen),
                )
                for control in students
                if (level := level_of_control(control)) in students
            ]
            + [
                compare(students[a], students[b], conditions, kind=_kind((a, b) == chosen))
                for a, b in _of_teachers(students, chosen)
            ]
        )
        if AUTO in students:
            comparisons += _corrected(
                [
                    compare(
                        *(students[AUTO], students[level], conditions),
                        kind=_kind((AUTO, level) == chosen),
                    )
                    for level in on_ladder
                ]
            )
        if teacher:
            comparisons += [compare(x, teacher, conditions) for x in students.values()]
            plain = [r for r in rows if r.role is Role.BASE and not r.level]
            comparisons += _base_and_teacher(plain, teacher, conditions) if plain else []
    there = {side_name(r) for r in answers if (r.set, r.split) == (chosen_set, Split.HELDOUT)}
    made = any(c.kind is Kind.PRIMARY for c in comparisons)
    if primary and {*primary} <= there and not made:
        raise StudyError(
            f"the primary comparison of {declared_a} with {declared_b} is not among those made on "
            f"{chosen_set}: name a level and base, two levels of the ladder, two teachers at one "
            "level, or a level and its control, both scored there."
        )
    return Evaluated(
        tuple(score(answers)),
        tuple(summarise(answers)),
        tuple(comparisons),
        ladders(answers),
        shared_errors(answers),
    )


def _base_and_teacher(
    base: Sequence[Answered], teacher: Sequence[Answered], conditions: Mapping[str, Condition]
) -> list[PairedComparison]:
    """Return the base beside the teacher over all problems, then in every group that both
    answered.
    """
    teachers = by_group(teacher)
    return [
        compare(rows, teachers[group], conditions, group=group)
        for group, rows in by_group(base).items()
        if group in teachers
    ]


def _families(students: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Return the levels of the ladder, and the variants beside it: each corrected for its own
    number.
    """
    ladder = {level.value for level in Level}
    return [x for x in students if x in ladder], [x for x in students if x not in ladder]


def _of_teachers(
    students: Mapping[str, object], chosen: tuple[str, str] | None
) -> Iterator[tuple[str, str]]:
    """Yield every two students of different teachers at one level, as they are declared if so."""
    for a, b in combinations([x for x in students if teacher_of(x)], 2):
        if variant_parts(a)[1] == variant_parts(b)[1]:
            yield (b, a) if (b, a) == chosen else (a, b)


def _base_beside(student: Sequence[Answered], rows: Sequence[Answered]) -> list[Answered]:
    """Return the base's answers under the condition of a student's, failing those its plain
    ones.
    """
    base = [row for row in rows if row.role is Role.BASE]
    alike = [row for row in base if row.condition_id == student[0].condition_id]
    return alike or [row for row in base if not row.level]


def differing(a: object, b: object) -> list[str]:
    """Return the names of the fields in which two records of one type differ, nested ones
    dotted.
    """
    names = []
    for f in dataclasses.fields(a):  # type: ignore[arg-type]
        left, right = getattr(a, f.name), getattr(b, f.name)
        if left == right:
            continue
        nested = dataclasses.is_dataclass(left) and dataclasses.is_dataclass(right)
        names += [f"{f.name}.{x}" for x in differing(left, right)] if nested else [f.name]
    return names


def _declared(what: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and known and name not in known:
        raise StudyError(
            f"the primary comparison names the {what} {name}, which was not scored; name one of "
            f"{', '.join(dict.fromkeys(known))}."
        )


def _kind(primary: bool) -> Kind:
    return Kind.PRIMARY if primary else Kind.EXPLORATORY


def _corrected(comparisons: Sequence[PairedComparison]) -> list[PairedComparison]:
    tested = [c for c in comparisons if c.kind is Kind.EXPLORATORY and c.p is not None]
    adjusted = holm([c.p for c in tested if c.p is not None])
    bounds = correct_format([c.format for c in tested])
    rows = zip(tested, adjusted, bounds, strict=True)
    of_pair = {(c.a, c.b): (p, bound) for c, p, bound in rows}
    return [
        dataclasses.replace(c, p_holm=p_and_bound[0], format=p_and_bound[1])
        if (p_and_bound := of_pair.get((c.a, c.b)))
        else c
        for c in comparisons
    ]


def _one_cell(rows: Sequence[Answered]) -> None:
    if not rows:
        raise StudyError("there is nothing to compare: one side has no answers.")
    cells = {(r.role, r.level, r.set, r.split, r.condition_id) for r in rows}
    if len(cells) > 1:
        found = sorted({r.condition_id for r in rows})
        raise StudyError(
            f"{side_name(rows[0])} on {rows[0].set} answered under {len(found)} conditions "
            f"({', '.join(found)}); compare it under one of them."
        )


def _differs(a: Answered, b: Answered, conditions: Mapping[str, Condition]) -> list[str]:
    if a.condition_id == b.condition_id:
        return []
    for row in (a, b):
        if row.condition_id not in conditions:
            raise StudyError(
                f"the condition {row.condition_id} of {row.solver} is not on record; without it "
                "nothing can be compared."
            )
    return differing(conditions[a.condition_id], conditions[b.condition_id])


def _seeds(rows: Sequence[Answered]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(row.seed for row in rows))
