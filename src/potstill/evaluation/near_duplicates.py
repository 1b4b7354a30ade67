"""How much of a held-out score stands on problems that resemble one of the training side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from potstill.evaluation.comparisons import Kind, PairedComparison, compare
from potstill.evaluation.pairing import side_name
from potstill.evaluation.scores import Answered, LevelScore, summarise
from potstill.records import Condition, Split

__all__ = ["ALIKE", "APART", "NearDuplicates", "near_duplicates"]

ALIKE, APART = "overlap=alike", "overlap=apart"


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """The scores of every held-out set that has near duplicates, on these problems and on the rest.

    ``scores`` has a row per solver and part: its ``group`` is "overlap=alike" where a problem of
    the training side is the same or the same but for its numbers, else "overlap=apart".
    ``comparisons`` sets the declared pair side by side on each part.
    """

    scores: tuple[LevelScore, ...] = ()
    comparisons: tuple[PairedComparison, ...] = ()


def near_duplicates(
    answers: Sequence[Answered],
    alike: Collection[str],
    conditions: Mapping[str, Condition],
    comparisons: Sequence[PairedComparison],
) -> NearDuplicates:
    """Return the held-out scores with and without the problems of ``alike``; empty for none.

    Of ``comparisons`` the primary ones are made again on each part; their p is not corrected.
    """
    rows = [
        replace(row, groups=_part(row.problem_id in alike))
        for row in answers
        if row.split is Split.HELDOUT
    ]
    sets = {row.set for row in rows if row.problem_id in alike}
    rows = [row for row in rows if row.set in sets]
    again = []
    for declared in comparisons:
        if declared.kind is not Kind.PRIMARY or declared.set not in sets:
            continue
        for group in (ALIKE, APART):
            a, b = (
                [row for row in rows if _is_side(row, declared, name, group)]
                for name in (declared.a, declared.b)
            )
            if a and b:
                again.append(compare(a, b, conditions, kind=Kind.EXPLORATORY, group=group))
    scores = tuple(row for row in summarise(rows) if row.group != "all")
    return NearDuplicates(scores, tuple(again))


def _part(alike: bool) -> dict[str, str]:
    name, _, value = (ALIKE if alike else APART).partition("=")
    return {name: value}


def _is_side(row: Answered, declared: PairedComparison, name: str, group: str) -> bool:
    condition = declared.condition_id_a if name == declared.a else declared.condition_id_b
    there = (row.set, row.split, row.condition_id) == (declared.set, declared.split, condition)
    return there and side_name(row) == name and row.groups == _part(group == ALIKE)
