"""Two studies on one problem set: each solver of one beside its like in the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from potstill.evaluation.comparisons import differing
from potstill.evaluation.formats import FormatBounds, correct_format, format_bounds
from potstill.evaluation.pairing import pair_up
from potstill.evaluation.samples import paired_bootstrap
from potstill.evaluation.scores import Answered, LevelScore, level_order, right_by_seed, summarise
from potstill.evaluation.seeds import (
    Table,
    across_seeds,
    paired_difference_seeds,
    right_shares,
)
from potstill.evaluation.statistics import (
    Interval,
    holm,
    minimum_detectable_difference,
    problems_needed,
    square_and_add,
)
from potstill.records import Condition, Outcome, Role

__all__ = ["Beside", "side_by_side"]

Conditions = Mapping[str, Condition]
_Who = tuple[Role, str]


@dataclass(frozen=True, slots=True)
class Beside:
    """One solver in study A and its like in study B: a level's name, "base" or "teacher".

    ``a`` and ``b`` are each one's own figures over its whole set, None where a study has no such
    solver. ``difference`` is B less A: over the ``n`` problems that both answered where it is
    ``paired``, else of the two accuracies, and then ``why`` says why in a clause. ``low`` to
    ``high`` is its 95 % interval, ``bootstrap`` that of the paired bootstrap over problems,
    which takes the seeds as they are. ``p`` is exact McNemar for one seed a side, otherwise that of
    :func:`~potstill.evaluation.seeds.paired_difference_seeds`; ``p_holm`` is it after Holm's
    correction over the set's rows. ``needed`` and ``detectable`` (problems for the difference seen,
    least difference that ``n`` show, 80 % power) are known for one seed a side: more problems do
    not make up for few seeds. ``format`` holds what other readings of the answers make of a paired
    difference. While ``blocked`` responses are ERRORED, nothing is claimed.
    """

    who: str
    role: Role
    a: LevelScore | None
    b: LevelScore | None
    paired: bool = False
    why: str = ""
    n: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    bootstrap: Interval | None = None
    only_a: int | None = None
    only_b: int | None = None
    p: float | None = None
    p_holm: float | None = None
    needed: int | None = None
    detectable: float | None = None
    blocked: int = 0
    format: FormatBounds | None = None

    @property
    def beyond_chance(self) -> bool:
        """Whether the corrected test and the interval both exclude zero, and none blocks."""
        if self.p_holm is None or self.low is None or self.high is None or self.blocked:
            return False
        return self.p_holm < 0.05 and not self.low <= 0.0 <= self.high

    @property
    def survives_format(self) -> bool:
        """Whether it is beyond chance however the unread answers of either study are counted."""
        if self.format is None or self.difference is None:
            return False
        return self.beyond_chance and self.format.survives(self.difference)


def side_by_side(
    a: Sequence[Answered],
    b: Sequence[Answered],
    conditions: Conditions,
    graded_otherwise: Sequence[str] = (),
) -> list[Beside]:
    """Return every solver of two studies on one set and split: base, students by level, teacher.

    Problems are the same where their ``problem_id`` is: give them ids by content. Two solvers are
    paired where they share problems, their conditions agree in all but the set of problems, and
    ``graded_otherwise`` (the names of grading settings that differ) is empty.
    """
    cells_a, cells_b = _cells(a), _cells(b)
    rows = [
        _beside(who, cells_a.get(who, []), cells_b.get(who, []), conditions, graded_otherwise)
        for who in _ordered([*cells_a, *cells_b])
    ]
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    bounds = iter(correct_format([row.format for row in rows if row.format is not None]))
    return [
        row if row.format is None else replace(row, p_holm=next(corrected), format=next(bounds))
        for row in rows
    ]


def _cells(rows: Sequence[Answered]) -> dict[_Who, list[Answered]]:
    cells: dict[_Who, list[Answered]] = {}
    for row in rows:
        # groups are summed over elsewhere: here only the whole set counts
        cells.setdefault((row.role, row.level), []).append(replace(row, groups={}))
    return cells


def _ordered(found: Sequence[_Who]) -> list[_Who]:
    return [
        (role, level)
        for role in (Role.BASE, Role.STUDENT, Role.TEACHER)
        for level in level_order(level for r, level in found if r is role)
    ]


def _beside(
    who: _Who,
    a: Sequence[Answered],
    b: Sequence[Answered],
    conditions: Conditions,
    graded_otherwise: Sequence[str],
) -> Beside:
    role, level = who
    score_a, score_b = (next(iter(summarise(rows)), None) for rows in (a, b))
    row = Beside(level or role.value, role, score_a, score_b)
    if not a or not b:
        return replace(row, why=f"study {'A' if a else 'B'} alone has it")
    blocked = sum(x.outcome is Outcome.ERRORED for x in (*a, *b))
    row = replace(row, blocked=blocked, why=_why_not(a, b, conditions, graded_otherwise))
    return _unpaired(row, a, b) if row.why else _paired(row, a, b)


def _why_not(
    a: Sequence[Answered],
    b: Sequence[Answered],
    conditions: Conditions,
    graded_otherwise: Sequence[str],
) -> str:
    """Return why two solvers are not paired, in a clause; "" where they are."""
    why = []
    if not {x.problem_id for x in a} & {x.problem_id for x in b}:
        why.append("they answered different problems")
    found = differing(conditions[a[0].condition_id], conditions[b[0].condition_id])
    differs = [name for name in found if name != "problem_set"] + list(graded_otherwise)
    if differs:
        why.append(f"they differ in {', '.join(differs)}")
    return f"{' and '.join(why)}, so the difference holds that too" if why else ""


def _paired(row: Beside, a: Sequence[Answered], b: Sequence[Answered]) -> Beside:
    paired = pair_up(b, a, shared_only=True)  # B less A
    n, (table_b, table_a) = len(paired.ids), paired.tables()
    found = paired_difference_seeds(table_b, table_a)
    if found.pairs == 1:
        row = replace(
            row,
            needed=problems_needed(found.difference, found.discordance),
            detectable=minimum_detectable_difference(n, found.discordance),
        )
    return replace(
        row,
        paired=True,
        n=n,
        difference=found.difference,
        low=found.low,
        high=found.high,
        bootstrap=paired_bootstrap(_by_problem(table_b), _by_problem(table_a)),
        only_a=found.only_b,
        only_b=found.only_a,
        p=found.p,
        format=format_bounds(paired, found, tested=True).turned(),
    )


def _unpaired(row: Beside, a: Sequence[Answered], b: Sequence[Answered]) -> Beside:
    """Return the difference of two accuracies, each with its own problems or condition; not
    tested.
    """
    one, two = (across_seeds(right_by_seed(rows)[1]) for rows in (a, b))
    interval = square_and_add(
        two.mean, Interval(two.low, two.high), one.mean, Interval(one.low, one.high), 0.0
    )
    return replace(row, difference=two.mean - one.mean, low=interval.low, high=interval.high)


def _by_problem(table: Table) -> list[float]:
    """Return each problem's share of answers that are right, over all seeds and draws."""
    shares: list[float] = right_shares(table)[0].mean(axis=0).tolist()
    return shares
