"""Intervals and tests for several seeds: problems and seeds both random, crossed with each other.

A table is right or wrong, one row per seed and one column per problem; where every problem was
answered several times, each cell holds its draws. A cell is then the share of its draws that are
right, so that draws never count as if they were problems. One seed and one draw give what
:mod:`potstill.evaluation.statistics` gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from potstill.evaluation.bounds import bounded_half_width, bounded_p
from potstill.evaluation.statistics import (
    Interval,
    MeanSd,
    PairedDifference,
    mean_sd,
    normal_quantile,
    paired_difference,
    score_interval,
    square_and_add,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "SeedsEstimate",
    "Table",
    "across_seeds",
    "across_shares",
    "paired_difference_seeds",
    "right_shares",
]

Table = Sequence[Sequence[bool]] | Sequence[Sequence[Sequence[bool]]]

_FLIPS = 9_999
_FLIP_SEED = 20_260_628


@dataclass(frozen=True, slots=True)
class SeedsEstimate:
    """An accuracy over several seeds: mean, sd of the seeds, interval of seeds and problems."""

    seeds: int
    n: int
    mean: float
    sd: float | None
    low: float
    high: float


def across_seeds(table: Table, confidence: float = 0.95) -> SeedsEstimate:
    """Return the mean accuracy over seeds, with the interval that counts problems and seeds.

    The variance of the mean is that of the two-way crossed random-effects layout (Searle, Casella
    and McCulloch 1992, Variance Components, ch. 4); each part is widened by its own t quantile
    (Banerjee 1961, Sankhya A 23:359-378), for few seeds show their variance badly; the interval is
    Wilson's at the effective sample size that this implies (Kish 1965, Survey Sampling, ch. 8;
    Korn and Graubard 1998, Survey Methodology 24:193-201), which is at most the number of answers.
    One seed of one draw gives :func:`wilson`.
    """
    return across_shares(*right_shares(table), confidence)


def across_shares(right: Array, draws: int, confidence: float = 0.95) -> SeedsEstimate:
    """Return as :func:`across_seeds` the mean of a share by seed and problem, each seen in
    ``draws`` answers.
    """
    seeds, n = right.shape
    by_seed = mean_sd([float(x) for x in right.mean(axis=1)]) if n else MeanSd(0.0, None, seeds)
    interval, _ = _seeds_interval(right, draws, confidence)
    return SeedsEstimate(seeds, n, by_seed.mean, by_seed.sd, interval.low, interval.high)


def paired_difference_seeds(a: Table, b: Table, confidence: float = 0.95) -> PairedDifference:
    """Return the difference in mean accuracy of a over b, each over its own seeds, on the same
    problems.

    One row of one draw on both sides gives :func:`paired_difference`; the sides may differ in
    their draws. Otherwise the two intervals of
    :func:`across_seeds` are joined through the covariance of the two means over problems (MOVER:
    Zou and Donner 2008, Statistics in Medicine 27:1693-1702). ``p`` is the larger of two: the t
    bound of Banerjee (1961, Sankhya A 23:359-378), which holds its level however much of the
    variance is the seeds' and however few they are, and the sign-flip test over problems (Fisher
    1935, The Design of Experiments, section 21), which holds where few problems differ.
    """
    (right_a, draws_a), (right_b, draws_b) = right_shares(a), right_shares(b)
    n = right_a.shape[1]
    if right_b.shape[1] != n:
        raise ValueError(f"{n} problems cannot be paired with {right_b.shape[1]}")
    each = draws_a * draws_b  # pairs of answers in a pair of cells
    pairs = len(a) * len(b) * each
    if pairs == 1:
        row_a, row_b = ((x[0] > 0).tolist() for x in (right_a, right_b))
        return paired_difference(row_a, row_b, confidence)
    mean_a, mean_b = right_a.mean(axis=0), right_b.mean(axis=0)
    difference = float((mean_a - mean_b).mean()) if n else 0.0
    interval = Interval(-1.0, 1.0)
    if n:
        interval = _mover((right_a, draws_a), (right_b, draws_b), confidence)
    return PairedDifference(
        n=n,
        difference=difference,
        low=interval.low,
        high=interval.high,
        only_a=round(each * float(right_a.sum(axis=0) @ (1 - right_b).sum(axis=0))),
        only_b=round(each * float((1 - right_a).sum(axis=0) @ right_b.sum(axis=0))),
        p=max(_t_bound(right_a, right_b), _sign_flip(mean_a - mean_b)) if n else 1.0,
        pairs=pairs,
    )


def right_shares(table: Table) -> tuple[Array, int]:
    """Return the share of draws that are right, by seed and problem, and the number of draws.

    Raises ValueError for no seed, and where seeds differ in their problems or cells in their draws.
    """
    import numpy as np

    if not table or any(len(row) != len(table[0]) for row in table):
        raise ValueError("a table needs at least one seed, and every seed the same problems")
    if not len(table[0]):
        return np.zeros((len(table), 0)), 1
    try:
        values = np.asarray(table, dtype=np.float64)
    except ValueError as exc:  # ragged
        raise ValueError("every problem of a table needs the same number of draws") from exc
    if values.ndim == 2:
        return values, 1
    if values.ndim != 3 or not values.shape[2]:
        raise ValueError("every problem of a table needs the same number of draws")
    return values.mean(axis=2), values.shape[2]


@dataclass(frozen=True, slots=True)
class _Variance:
    """The variance of a grand mean in its parts: ``problems`` holds the residual, once.

    ``by_seed`` is what the seeds' means show; ``seeds`` is it without the residual in it.
    """

    problems: float
    seeds: float
    by_seed: float

    @property
    def total(self) -> float:
        return self.problems + self.seeds


def _variance(values: Array) -> _Variance:
    seeds, n = values.shape
    if n < 2:
        return _Variance(0.0, 0.0, 0.0)
    problems = float(values.mean(axis=0).var(ddof=1)) / n
    if seeds == 1:
        return _Variance(problems, 0.0, 0.0)
    by_seed = float(values.mean(axis=1).var(ddof=1)) / seeds
    left_over = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    residual = float((left_over**2).sum()) / ((seeds - 1) * (n - 1)) / (seeds * n)
    return _Variance(problems, max(by_seed - residual, 0.0), by_seed)


def _seeds_interval(right: Array, draws: int, confidence: float) -> tuple[Interval, _Variance]:
    seeds, n = right.shape
    mean = float(right.mean()) if n else 0.0
    variance = _variance(right)
    if seeds * draws == 1 or variance.total == 0:
        return score_interval(mean, n, normal_quantile(confidence)), variance
    effective = min(max(mean * (1 - mean) / variance.total, 1.0), float(n * seeds * draws))
    half = _half_width(variance, n, seeds, confidence)
    return score_interval(mean, effective, half / math.sqrt(variance.total)), variance


def _half_width(variance: _Variance, n: int, seeds: int, confidence: float) -> float:
    parts = [(variance.problems, n - 1), (variance.seeds, seeds - 1)]
    return bounded_half_width(parts, 1 - confidence)


def _mover(a: tuple[Array, int], b: tuple[Array, int], confidence: float) -> Interval:
    import numpy as np

    (right_a, draws_a), (right_b, draws_b) = a, b
    interval_a, variance_a = _seeds_interval(right_a, draws_a, confidence)
    interval_b, variance_b = _seeds_interval(right_b, draws_b, confidence)
    spread = math.sqrt(variance_a.total * variance_b.total)
    n = right_a.shape[1]
    r = 0.0
    if spread > 0 and n > 1:
        covariance = float(np.cov(right_a.mean(axis=0), right_b.mean(axis=0))[0, 1]) / n
        r = max(-1.0, min(1.0, covariance / spread))
        for right, variance in ((right_a, variance_a), (right_b, variance_b)):
            # What few seeds add to an interval's width is no covariance, which the problems have.
            usual = bounded_half_width([(variance.total, n - 1)], 1 - confidence)
            r *= usual / _half_width(variance, n, right.shape[0], confidence)
    return square_and_add(float(right_a.mean()), interval_a, float(right_b.mean()), interval_b, r)


def _t_bound(right_a: Array, right_b: Array) -> float:
    """Return the p of the difference, its variance counting problems and both sides' seeds.

    The seeds' part keeps its residual: taking it out would leave the bound too low as often as it
    would leave it too high, and a claim must survive the former.
    """
    difference = right_a.mean(axis=0) - right_b.mean(axis=0)
    n = len(difference)
    parts = [(float(difference.var(ddof=1)) / n if n > 1 else 0.0, max(n - 1, 1))]
    for right in (right_a, right_b):
        if right.shape[0] > 1:
            parts.append((_variance(right).by_seed, right.shape[0] - 1))
    return bounded_p(float(difference.mean()), parts)


def _sign_flip(difference: Array) -> float:
    """Return the p of the sum of per-problem differences when each sign is a coin's; seeded."""
    import numpy as np

    moved = np.abs(difference[difference != 0])
    if not len(moved):
        return 1.0
    # Few sizes occur, each many times: the signs of one size sum to a binomial count.
    sizes, counts = np.unique(np.round(moved, 12), return_counts=True)
    rng = np.random.default_rng(_FLIP_SEED)
    heads = rng.binomial(counts, 0.5, (_FLIPS, len(counts)))
    sums = (2 * heads - counts) @ sizes
    hits = int((np.abs(sums) >= abs(float(difference.sum())) - 1e-9).sum())
    return (hits + 1) / (_FLIPS + 1)
