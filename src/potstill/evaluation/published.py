"""Others' figures from their counts: the interval each lacks, and what they cannot support."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from potstill.evaluation.statistics import Interval, wilson

__all__ = ["Published", "limits_of"]

_WIDE = 0.2  # of the whole scale: an interval that holds most differences one would ask about


@dataclass(frozen=True, slots=True)
class Published:
    """A published count: ``correct`` of ``n``, of which ``seen`` had been trained on.

    ``table`` is what its figures were printed in; ``chosen`` says by what the problems were picked
    after the fact, and ``spread`` is the sd over seeds printed with it, as a share.
    """

    table: str
    label: str
    correct: int
    n: int
    seen: int = 0
    chosen: str = ""
    spread: float | None = None

    @property
    def accuracy(self) -> float:
        """The share that is correct; 0 of no problems."""
        return self.correct / self.n if self.n else 0.0

    @property
    def interval(self) -> Interval:
        """Wilson's interval at 95 %."""
        return wilson(self.correct, self.n)


def limits_of(figures: Sequence[Published]) -> list[str]:
    """Return what one table's figures cannot support, each sentence true of these numbers; maybe
    none.

    Raises ValueError where they come from several tables.
    """
    if len({f.table for f in figures}) > 1:
        raise ValueError("say what one table cannot support at a time")
    sentences = []
    for figure in figures:
        if 0 < figure.seen < figure.n:
            sentences.append(
                f"{figure.label}: {figure.seen} of the {figure.n} problems had been trained on; "
                "seen and unseen are one number, which says nothing about new problems."
            )
        if figure.chosen:
            sentences.append(
                f"{figure.label}: the {figure.n} problems were chosen by {figure.chosen}; the "
                "figure is of those problems and not of the exam."
            )
        if figure.spread is not None and figure.n:
            error = (figure.accuracy * (1 - figure.accuracy) / figure.n) ** 0.5
            sentences.append(
                f"{figure.label}: a spread of {_points(figure.spread, 2)} points over seeds is not "
                f"a sampling error, which is {_points(error, 1)} points with {figure.n} problems."
            )
    sizes = sorted({f.n for f in figures})
    if len(figures) > 1:
        if len(sizes) > 1:
            sentences.append(
                f"The figures are over {sizes[0]} to {sizes[-1]} problems, so not over the same: "
                "no two of them can be paired."
            )
        else:
            sentences.append(
                "Counts alone do not say which problems two figures share: no paired test can be "
                "made of them."
            )
    sentences += _wide(figures) + _overlapping(figures)
    return sentences


def _wide(figures: Sequence[Published]) -> list[str]:
    wide = [f for f in figures if f.interval.high - f.interval.low > _WIDE]
    if not wide:
        return []
    least = min(f.interval.high - f.interval.low for f in wide)
    return [
        f"{len(wide)} of {len(figures)} figures have an interval of {_points(least, 0)} points or "
        "more; each is of too few problems to stand on its own."
    ]


def _overlapping(figures: Sequence[Published]) -> list[str]:
    """Return how many pairs hold each the other's figure: there the order itself is open."""
    pairs = list(itertools.combinations(figures, 2))
    open_pairs = [
        (a, b)
        for a, b in pairs
        if a.interval.low <= b.accuracy <= a.interval.high
        and b.interval.low <= a.accuracy <= b.interval.high
    ]
    if not open_pairs:
        return []
    return [
        f"In {len(open_pairs)} of {len(pairs)} pairs each figure lies within the other's interval: "
        "their order is not shown."
    ]


def _points(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f}"
