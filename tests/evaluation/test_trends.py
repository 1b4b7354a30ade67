"""The trend is McNemar's for two levels and the permutations' for more; groups that lose alike."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2, page_trend_test

from potstill.evaluation.trends import interactions, trend


def test_two_levels_are_mcnemars_chi_squared() -> None:
    # Agresti (1990), Categorical Data Analysis, p. 350 (R's mcnemar.test example): approval of the
    # prime minister, 150 and 86 of 1,600 changed; without continuity correction 17.36.
    first = [True] * 150 + [False] * 86 + [True] * 794 + [False] * 570
    second = [False] * 150 + [True] * 86 + [True] * 794 + [False] * 570
    found = trend({"R1": [first], "R2": [second]})
    assert found.p == pytest.approx(float(chi2.sf((150 - 86) ** 2 / (150 + 86), 1)))
    assert found.p == pytest.approx(3.1e-5, rel=0.02)
    assert found.slope == pytest.approx((86 - 150) / 1_600)
    assert found.low < found.slope < found.high < 0


def test_without_ties_it_is_pages_test() -> None:
    # Page (1963) in scipy: ranks of distinct values; ours takes any values, so give it ranks.
    rng = np.random.default_rng(51)
    ranks = np.array([rng.permutation(4) for _ in range(30)])
    table = {f"R{k}": [ranks[:, k].tolist()] for k in range(4)}
    theirs = page_trend_test(ranks, method="asymptotic").pvalue  # one-sided, increasing
    found = trend(table)
    one_sided = found.p / 2 if found.slope > 0 else 1 - found.p / 2
    assert one_sided == pytest.approx(float(theirs), abs=1e-9)


def test_the_p_is_near_that_of_all_permutations() -> None:
    rows = [(1, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1), (1, 0, 0)]
    seen = abs(sum(r[2] - r[0] for r in rows))
    options = [sorted(set(permutations(r))) for r in rows]
    totals = [abs(sum(r[2] - r[0] for r in draw)) for draw in product(*options)]
    exact = sum(t >= seen for t in totals) / len(totals)
    below = sum(t > seen for t in totals) / len(totals)
    found = trend({f"R{k}": [[bool(r[k]) for r in rows]] for k in range(3)})
    assert below <= found.p <= exact


def test_a_falling_ladder_is_seen() -> None:
    rng = np.random.default_rng(52)
    ease = rng.normal(0, 1.5, 200)
    table = {
        f"R{k}": (rng.random((3, 200)) < expit(ease + 1 - 0.4 * k)).tolist() for k in range(1, 7)
    }
    found = trend(table)
    assert found.p < 0.001
    assert -0.12 < found.low < found.slope < found.high < 0


@pytest.mark.parametrize(("seeds", "luck"), [(1, 0.0), (3, 0.3)])
def test_equal_levels_rarely_show_a_trend(seeds: int, luck: float) -> None:
    rng = np.random.default_rng(53)
    claimed = 0
    for _ in range(400):
        ease = rng.normal(0, 1.5, 100)
        shift = rng.normal(0, luck, (6, seeds, 1))
        values = rng.random((6, seeds, 100)) < expit(ease + shift)
        claimed += trend({f"R{k}": values[k].tolist() for k in range(6)}).p < 0.05
    assert claimed / 400 <= 0.075


def test_a_trend_needs_levels_alike() -> None:
    with pytest.raises(ValueError, match="two levels"):
        trend({"R1": [[True, False]]})
    flat = trend({"R1": [[True] * 5], "R2": [[True] * 5]})
    assert (flat.slope, flat.p) == (0.0, 1.0)


def test_the_group_that_suffers_most_comes_first() -> None:
    groups = ["algebra"] * 100 + ["speed"] * 100
    longer = [[True] * 80 + [False] * 20 + [True] * 80 + [False] * 20]
    shorter = [[True] * 70 + [False] * 30 + [True] * 20 + [False] * 80]
    worst, other = interactions(longer, shorter, groups)
    assert worst.group == "speed"
    assert (worst.n, worst.loss, worst.beyond) == (100, 0.6, pytest.approx(0.5))
    assert 0.38 < worst.low < 0.5 < worst.high < 0.62
    assert other.beyond == pytest.approx(-0.5)
    assert worst.p_holm == pytest.approx(2 * worst.p)
    # Welch's statistic by hand: variances 0.6 * 0.4 and 0.1 * 0.9 with 99 below the line.
    statistic = 0.5 / math.sqrt((0.24 + 0.09) / 99)
    from scipy.stats import t

    df = (0.24 + 0.09) ** 2 * 99 / (0.24**2 + 0.09**2)
    assert worst.p == pytest.approx(2 * t.sf(statistic, df))


def test_groups_too_small_to_tell_are_left_out() -> None:
    longer, shorter = [[True, True, False]], [[False, True, False]]
    assert interactions(longer, shorter, ["a", "a", "b"]) == ()
    with pytest.raises(ValueError, match="3 problems have 2 groups"):
        interactions(longer, shorter, ["a", "b"])


@pytest.mark.slow
def test_groups_that_lose_alike_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(54)
    names = ["a"] * 60 + ["b"] * 25 + ["c"] * 15
    claimed = 0
    for _ in range(300):
        ease = rng.normal(0.5, 1.5, 100)
        one, two = rng.random((1, 100)) < expit(ease), rng.random((1, 100)) < expit(ease)
        found = interactions(one.tolist(), two.tolist(), names)
        claimed += any(x.p_holm < 0.05 and not x.low <= 0 <= x.high for x in found)
    assert claimed / 300 <= 0.075
