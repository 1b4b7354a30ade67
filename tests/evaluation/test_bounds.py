"""The bound is the t test where one variance counts, and holds its level where two do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from potstill.evaluation.bounds import bounded_half_width, bounded_p


def test_one_part_is_the_t_test() -> None:
    # Student (1908), Biometrika 6:1-25: hours of sleep gained; R's `sleep`: p = 0.002833,
    # interval -2.4598858 to -0.7001142 (example of R's t.test, paired).
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    gained = np.subtract(first, second)
    parts = [(float(gained.var(ddof=1)) / 10, 9)]
    assert bounded_p(float(gained.mean()), parts) == pytest.approx(0.002833, abs=5e-7)
    half = bounded_half_width(parts)
    assert gained.mean() - half == pytest.approx(-2.4598858, abs=5e-8)
    assert gained.mean() + half == pytest.approx(-0.7001142, abs=5e-8)


def test_nothing_moved_proves_nothing() -> None:
    assert bounded_p(0.0, [(0.1, 2)]) == 1.0
    assert bounded_p(0.1, [(0.0, 2)]) == pytest.approx(1e-12)
    assert bounded_half_width([(0.0, 1)]) == 0.0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_two_seeds_hold_the_level(share: float) -> None:
    rng = np.random.default_rng(31)
    studies = 4_000
    error = rng.normal(0, 1, studies)
    problems = (1 - share) * stats.chi2.rvs(99, size=studies, random_state=rng) / 99
    seeds = share * stats.chi2.rvs(1, size=studies, random_state=rng)
    halves = [bounded_half_width([(p, 99), (s, 1)]) for p, s in zip(problems, seeds, strict=True)]
    assert sum(abs(e) > h for e, h in zip(error, halves, strict=True)) / studies <= 0.06


def test_p_and_half_width_agree() -> None:
    parts = [(0.0004, 99), (0.0001, 2)]
    half = bounded_half_width(parts, 0.02)
    assert bounded_p(half, parts) == pytest.approx(0.02)
    assert math.isclose(bounded_p(-half, parts), bounded_p(half, parts))
