"""Intervals, paired tests and sample sizes for accuracies measured on the same problems.

Everything here takes counts, or right and wrong problem by problem, and knows nothing of models.
For several seeds see :mod:`potstill.evaluation.seeds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "Interval",
    "MeanSd",
    "PairedDifference",
    "holm",
    "mcnemar_exact",
    "mean_sd",
    "minimum_detectable_difference",
    "minimum_detectable_gap",
    "newcombe_paired",
    "normal_quantile",
    "paired_difference",
    "problems_needed",
    "root_of",
    "score_interval",
    "square_and_add",
    "wilson",
]


@dataclass(frozen=True, slots=True)
class Interval:
    """The two ends of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MeanSd:
    """A mean and the sample standard deviation; ``sd`` is None where there is one value."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much more often ``a`` is right than ``b`` on the same ``n`` problems.

    ``only_a`` and ``only_b`` count what one has right and the other wrong, over all pairs of seeds
    compared (``pairs`` of them); ``discordance`` is their share. ``p`` is two-sided.
    """

    n: int
    difference: float
    low: float
    high: float
    only_a: int
    only_b: int
    p: float
    pairs: int = 1

    @property
    def discordance(self) -> float:
        """The share of problems that one has right and the other wrong."""
        return (self.only_a + self.only_b) / (self.n * self.pairs) if self.n else 0.0

    @property
    def beyond_chance(self) -> bool:
        """Whether both the test (p < 0.05) and the interval (without zero) say so."""
        return self.p < 0.05 and not self.low <= 0.0 <= self.high


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a proportion, without continuity correction; (0, 1) for n = 0.

    Source: Wilson (1927), JASA 22:209-212; recommended by Newcombe (1998), Statistics in Medicine
    17:857-872 (method 3), and Brown, Cai and DasGupta (2001), Statistical Science 16:101-133.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} is not a proportion")
    return score_interval(successes / n if n else 0.0, n, normal_quantile(confidence))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p of the discordant pairs; 1 where there are none.

    Source: McNemar (1947), Psychometrika 12:153-157, with the binomial distribution of the
    discordant pairs in place of its chi-squared limit.
    """
    from scipy.special import bdtr

    n = only_a + only_b
    # at one half both tails are alike, and where they meet the middle is counted once
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), n, 0.5))) if n else 1.0


def newcombe_paired(
    both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95
) -> Interval:
    """Return the square-and-add interval of a paired difference of proportions; (-1, 1) for no
    pairs.

    Source: Newcombe (1998), Statistics in Medicine 17:2635-2650, method 10: Wilson intervals of
    the two proportions, joined through a continuity-corrected phi.
    """
    n = both + only_a + only_b + neither
    if n == 0:
        return Interval(-1.0, 1.0)
    right_a, right_b = both + only_a, both + only_b
    margins = right_a * (n - right_a) * right_b * (n - right_b)
    cross = both * neither - only_a * only_b
    corrected = cross if cross < 0 else max(cross - n / 2, 0.0)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    return square_and_add(
        right_a / n,
        wilson(right_a, n, confidence),
        right_b / n,
        wilson(right_b, n, confidence),
        phi,
    )


def paired_difference(
    a: Sequence[bool], b: Sequence[bool], confidence: float = 0.95
) -> PairedDifference:
    """Return the difference in accuracy of a over b on the same problems, in the same order.

    Interval: :func:`newcombe_paired`; p: :func:`mcnemar_exact`.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} answers cannot be paired with {len(b)}")
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    both = sum(x and y for x, y in zip(a, b, strict=True))
    n = len(a)
    interval = newcombe_paired(both, only_a, only_b, n - both - only_a - only_b, confidence)
    return PairedDifference(
        n=n,
        difference=(only_a - only_b) / n if n else 0.0,
        low=interval.low,
        high=interval.high,
        only_a=only_a,
        only_b=only_b,
        p=mcnemar_exact(only_a, only_b),
    )


def problems_needed(
    difference: float, discordance: float, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Return how many problems a paired test needs to see this difference; None for a difference of
    zero.

    ``discordance`` is the share of problems that one of the two has right and the other wrong.
    Source: Connor (1987), Biometrics 43:207-211, after Miettinen (1968), Biometrics 24:339-352.
    """
    if difference == 0:
        return None
    if not abs(difference) <= discordance <= 1:
        raise ValueError(f"a difference of {difference} cannot come of discordance {discordance}")
    return math.ceil(_connor(abs(difference), discordance, alpha, power))


def minimum_detectable_difference(
    n: int, discordance: float, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Return the smallest difference that n problems show with this power; None where none is
    enough.

    The inverse of :func:`problems_needed` in the difference (Connor 1987).
    """
    if n <= 0 or discordance <= 0 or _connor(discordance, discordance, alpha, power) > n:
        return None
    return root_of(lambda d: n - _connor(d, discordance, alpha, power), 1e-9, discordance)


def minimum_detectable_gap(
    n: int, against: float, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Return the smallest gap that n problems show where ``against`` of them go the other way.

    As :func:`minimum_detectable_difference`, but with the share that the weaker of two alone has
    right held fixed, not the discordance: that is the gap and twice this share. None where no gap
    is enough.
    """
    widest = 1 - 2 * against

    def spare(gap: float) -> float:
        return n - _connor(gap, gap + 2 * against, alpha, power)

    if n <= 0 or widest <= 0 or spare(widest) < 0:
        return None
    return root_of(spare, 1e-9, widest)


def mean_sd(values: Sequence[float]) -> MeanSd:
    """Return the mean and the sample standard deviation (n - 1 below the line)."""
    if not values:
        raise ValueError("no values have no mean")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return MeanSd(mean, None, 1)
    square = math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1)
    return MeanSd(mean, math.sqrt(square), len(values))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the step-down adjusted p values, in the order given.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def normal_quantile(confidence: float) -> float:
    """Return the two-sided normal quantile: 1.96 for 0.95."""
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))


def score_interval(p: float, n: float, z: float) -> Interval:
    """Return Wilson's interval of a share ``p`` of ``n``, which need not be whole, at quantile
    ``z``.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At 0 and 1 the two terms cancel exactly on paper and not in floating point.
    low = 0.0 if p == 0 else max(0.0, centre - half)
    high = 1.0 if p == 1 else min(1.0, centre + half)
    return Interval(low, high)


def square_and_add(p_a: float, a: Interval, p_b: float, b: Interval, r: float) -> Interval:
    """Return the interval of ``p_a - p_b`` from each one's own interval and their correlation
    ``r``.

    Source: Newcombe (1998), Statistics in Medicine 17:2635-2650; in general, MOVER: Zou and Donner
    (2008), Statistics in Medicine 27:1693-1702.
    """
    below_a, above_a = p_a - a.low, a.high - p_a
    below_b, above_b = p_b - b.low, b.high - p_b
    down = below_a**2 - 2 * r * below_a * above_b + above_b**2
    up = above_a**2 - 2 * r * above_a * below_b + below_b**2
    difference = p_a - p_b
    return Interval(
        max(-1.0, difference - math.sqrt(max(down, 0.0))),
        min(1.0, difference + math.sqrt(max(up, 0.0))),
    )


def root_of(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that rises from below 0 at ``low`` to above it at ``high`` is 0.

    By halving, to the last bit: SciPy's optimize takes longer to import than every root here.
    """
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return middle


def _connor(difference: float, discordance: float, alpha: float, power: float) -> float:
    from scipy.special import ndtri

    z_alpha, z_power = ndtri(1 - alpha / 2), ndtri(power)
    spread = math.sqrt(max(discordance - difference**2, 0.0))
    return float((z_alpha * math.sqrt(discordance) + z_power * spread) ** 2 / difference**2)
