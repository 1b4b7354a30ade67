"""Intervals and tests for a mean whose variance has several parts, some of them poorly known.

The variance of an accuracy over seeds is that of the problems, known from hundreds of them, and
that of the seeds, known from two or three. Satterthwaite's degrees of freedom are too many where
the seeds' sample variance happens to be small; the bound here needs no degrees of freedom for the
sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from potstill.evaluation.statistics import root_of

__all__ = ["bounded_half_width", "bounded_p"]

Parts = Sequence[tuple[float, int]]

_LEAST_P = 1e-12


def bounded_half_width(parts: Parts, alpha: float = 0.05) -> float:
    """Return the half width of an interval for a sum of independent normal errors; at least 1 -
    alpha.

    ``parts`` holds each estimated variance with its degrees of freedom: the half width is the root
    of the sum of t(df)^2 times variance. Source: Banerjee (1961), Sankhya A 23:359-378, after
    Banerjee (1960), Sankhya 22:357-358.
    """
    from scipy.special import stdtrit

    return math.sqrt(
        math.fsum(v * float(stdtrit(df, alpha / 2)) ** 2 for v, df in parts if v > 0 and df > 0)
    )


def bounded_p(difference: float, parts: Parts) -> float:
    """Return the two-sided p of a difference: the alpha whose :func:`bounded_half_width` just
    reaches it.

    1 for a difference of zero, and never under 1e-12.
    """
    size = abs(difference)
    if size == 0:
        return 1.0
    if bounded_half_width(parts, _LEAST_P) <= size:
        return _LEAST_P
    found = root_of(
        lambda log_p: size - bounded_half_width(parts, math.exp(log_p)), math.log(_LEAST_P), 0.0
    )
    return math.exp(found)
