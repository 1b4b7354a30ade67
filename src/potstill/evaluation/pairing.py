"""Two sides on the same problems: whose answers are set beside whose, problem by problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from potstill.errors import StudyError
from potstill.evaluation.scores import Answered, by_seed

__all__ = ["Paired", "pair_up", "share_of", "side_name"]

Table = list[list[bool]]


@dataclass(frozen=True, slots=True)
class Paired:
    """The answers of two sides to the problems of ``ids``, each by seed (rows) and problem."""

    ids: tuple[str, ...]
    a: tuple[tuple[Answered, ...], ...]
    b: tuple[tuple[Answered, ...], ...]

    def tables(
        self,
        counts_a: Callable[[Answered], bool] = lambda answer: answer.right,
        counts_b: Callable[[Answered], bool] = lambda answer: answer.right,
    ) -> tuple[Table, Table]:
        """Return which answers of each side count, by seed and problem; by default those right."""
        return (
            [[counts_a(answer) for answer in row] for row in self.a],
            [[counts_b(answer) for answer in row] for row in self.b],
        )


def pair_up(a: Sequence[Answered], b: Sequence[Answered], *, shared_only: bool) -> Paired:
    """Return the answers of both sides to the problems that both answered, whose keys can be read.

    Raises StudyError where they answered different problems, unless ``shared_only``.
    """
    ids_a, rows_a = by_seed(a)
    ids_b, rows_b = by_seed(b)
    shared = set(ids_a) & set(ids_b)
    apart = sorted(set(ids_a) ^ set(ids_b))
    if apart and not shared_only:
        raise StudyError(
            f"{side_name(a[0])} and {side_name(b[0])} did not answer the same problems of "
            f"{a[0].set} ({len(apart)} differ, {apart[0]} first); run the study again: they are "
            "asked."
        )
    ids = [i for i in ids_a if i in shared]
    places = [{i: k for k, i in enumerate(known)} for known in (ids_a, ids_b)]
    sides = [
        tuple(tuple(row[place[i]] for i in ids) for row in rows)
        for place, rows in zip(places, (rows_a, rows_b), strict=True)
    ]
    return Paired(tuple(ids), sides[0], sides[1])


def side_name(row: Answered) -> str:
    """Return what a side is called: its level, "base" or "teacher"."""
    return row.level or row.role.value


def share_of(table: Sequence[Sequence[bool]]) -> float:
    """Return the share of a table that is true, 0 where it is empty."""
    cells = sum(len(row) for row in table)
    return sum(sum(row) for row in table) / cells if cells else 0.0
