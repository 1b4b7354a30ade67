"""Along the ladder: whether accuracy falls from level to level, and in which group the most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from potstill.evaluation.bounds import bounded_half_width, bounded_p
from potstill.evaluation.seeds import Table, right_shares
from potstill.evaluation.statistics import Interval, holm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Interaction", "Trend", "interactions", "trend"]

_DRAWS = 4_999
_DRAW_SEED = 20_261_122


@dataclass(frozen=True, slots=True)
class Trend:
    """How accuracy moves from one level to the next on the same ``n`` problems.

    ``slope`` is per level, as a share (-0.04: four points fewer each level); ``p`` two-sided.
    """

    levels: tuple[str, ...]
    n: int
    slope: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class Interaction:
    """How much more is lost from one level to another in this group than in all other problems.

    ``loss`` is the group's own, ``beyond`` it less the others': a difference of differences with
    the interval ``low`` to ``high``. ``p_holm`` is ``p`` corrected over the groups.
    """

    group: str
    n: int
    loss: float
    beyond: float
    low: float
    high: float
    p: float
    p_holm: float


def trend(tables: Mapping[str, Table]) -> Trend:
    """Return the straight-line trend over the levels, in the order given; rows seeds, columns
    problems.

    Within a problem the levels are exchangeable if they do not matter: the statistic is Page's
    (1963, JASA 58:216-230) on right and wrong, with the exact variance under ties of Mantel (1963,
    JASA 58:690-700; Landis, Heyman and Koch 1978, International Statistical Review 46:237-254). For
    two levels it is McNemar's chi-squared. With several seeds ``p`` is the larger of that of the
    mean slope under :func:`~potstill.evaluation.bounds.bounded_p`, problems and seeds apart, and
    that of each problem's slope under the same permutation. One seed cannot tell a trend from
    six students' luck: it is a claim about these students.
    Raises ValueError unless every level has the same seeds and problems, and two levels.
    """
    import numpy as np

    shares = [right_shares(table)[0] for table in tables.values()]
    if len(shares) < 2 or len({x.shape for x in shares}) > 1:
        raise ValueError("a trend needs two levels, and each the same seeds and problems")
    values = np.stack(shares)  # level, seed, problem
    levels, seeds, n = values.shape
    steps = np.arange(levels) - (levels - 1) / 2
    square = float((steps**2).sum())
    by_problem = np.tensordot(steps, values.mean(axis=1), axes=1) / square
    slope = float(by_problem.mean()) if n else 0.0
    problems = (float(by_problem.var(ddof=1)) / n if n > 1 else 0.0, max(n - 1, 1))
    p = _within_problems(values.mean(axis=1), steps)
    parts, wide = [problems], [problems]
    if seeds > 1 and n > 1:
        each = np.tensordot(steps, values, axes=1) / square  # seed, problem
        by_seed = float(each.mean(axis=1).var(ddof=1)) / seeds
        left = each - each.mean(axis=0) - each.mean(axis=1, keepdims=True) + each.mean()
        residual = float((left**2).sum()) / ((seeds - 1) * (n - 1)) / (seeds * n)
        wide.append((by_seed, seeds - 1))
        parts.append((max(by_seed - residual, 0.0), seeds - 1))
        p = max(p, bounded_p(slope, wide))
    half = bounded_half_width(parts) if n > 1 else math.inf
    edge = float(steps[steps > 0].sum()) / square  # no slope of shares is steeper
    low, high = max(-edge, slope - half), min(edge, slope + half)
    return Trend(tuple(tables), n, slope, low, high, p)


def interactions(
    longer: Table, shorter: Table, groups: Sequence[str], *, least: int = 2
) -> tuple[Interaction, ...]:
    """Return for every group its loss from the longer to the shorter level beyond all others' loss.

    Rows are seeds, columns problems, ``groups`` their groups. The interval is the percentile
    bootstrap of the difference of mean losses, problems resampled within group and rest (Efron and
    Tibshirani 1993, An Introduction to the Bootstrap, ch. 8), with each side's variance raised by
    n / (n - 1), for that of a bootstrap sample is too small; p is Welch's (1947, Biometrika
    34:28-35), corrected by Holm. What moves a seed moves all groups: it cancels in the difference
    as far as it moves them alike. Groups of under ``least`` problems, in or out, are left out.
    """
    import numpy as np

    lost = right_shares(longer)[0].mean(axis=0) - right_shares(shorter)[0].mean(axis=0)
    if len(groups) != len(lost):
        raise ValueError(f"{len(lost)} problems have {len(groups)} groups")
    names = np.asarray(groups)
    found = []
    for group in dict.fromkeys(groups):
        inside, outside = lost[names == group], lost[names != group]
        if min(len(inside), len(outside)) < max(least, 2):
            continue
        beyond = float(inside.mean() - outside.mean())
        interval = _bootstrap_apart(inside, outside)
        # where nothing varies no test has a standard error
        varies = np.ptp(inside) > 0 or np.ptp(outside) > 0
        p = _welch(inside, outside) if varies else 1.0
        found.append(
            Interaction(
                group=group,
                n=len(inside),
                loss=float(inside.mean()),
                beyond=beyond,
                low=interval.low,
                high=interval.high,
                p=p,
                p_holm=p,
            )
        )
    corrected = holm([x.p for x in found])
    done = [replace(x, p_holm=p) for x, p in zip(found, corrected, strict=True)]
    return tuple(sorted(done, key=lambda x: -x.beyond))


def _welch(a: Array, b: Array) -> float:
    """Return the two-sided p of Welch's t test, with Satterthwaite's degrees of freedom."""
    from scipy.special import stdtr

    shares = [float(side.var(ddof=1)) / len(side) for side in (a, b)]
    freedom = sum(shares) ** 2 / sum(
        share**2 / (len(side) - 1) for share, side in zip(shares, (a, b), strict=True)
    )
    t = float(a.mean() - b.mean()) / math.sqrt(sum(shares))
    return float(2 * stdtr(freedom, -abs(t)))


def _within_problems(values: Array, steps: Array) -> float:
    """Return the two-sided p of the summed trend when each problem's outcomes are shuffled over
    levels.
    """
    from scipy.special import ndtr

    levels = len(steps)
    total = float((steps @ values).sum())
    spread = float(values.var(axis=0, ddof=1).sum()) * float((steps**2).sum())
    if spread <= 0 or levels < 2:
        return 1.0
    return float(2 * ndtr(-abs(total) / math.sqrt(spread)))


def _bootstrap_apart(inside: Array, outside: Array) -> Interval:
    import numpy as np

    rng = np.random.default_rng(_DRAW_SEED)
    drawn = np.zeros(_DRAWS)
    for sign, values in ((1.0, inside), (-1.0, outside)):
        n = len(values)
        # Few sizes of loss occur: a sample of n is a multinomial count of them.
        sizes, counts = np.unique(np.round(values, 12), return_counts=True)
        means = rng.multinomial(n, counts / n, _DRAWS) @ sizes / n
        drawn += sign * (values.mean() + (means - values.mean()) * math.sqrt(n / (n - 1)))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(low), float(high))
