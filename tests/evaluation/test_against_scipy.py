"""What is computed here without SciPy's slow imports is what SciPy computes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from potstill.evaluation.samples import paired_bootstrap
from potstill.evaluation.statistics import (
    mcnemar_exact,
    minimum_detectable_difference,
    problems_needed,
    root_of,
)
from potstill.evaluation.trends import interactions


@pytest.mark.parametrize("n", [1, 2, 7, 40, 501, 20_000])
def test_mcnemar_is_the_binomial_test(n: int) -> None:
    for k in {0, 1, n // 3, n // 2, (n + 1) // 2, n}:
        expected = stats.binomtest(k, n, 0.5).pvalue
        assert mcnemar_exact(k, n - k) == pytest.approx(expected, rel=1e-9)


def test_a_bootstrap_is_that_of_scipy_draw_for_draw() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random(37), rng.random(37)
    found = paired_bootstrap(list(a), list(b), draws=1_999, seed=3)
    expected = stats.bootstrap(
        (a - b,),
        np.mean,
        n_resamples=1_999,
        batch=500,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-12)


def test_an_interaction_is_tested_as_welch_does() -> None:
    rng = np.random.default_rng(1)
    groups = ["a"] * 9 + ["b"] * 21
    longer, shorter = rng.random((3, 30)) < 0.7, rng.random((3, 30)) < 0.4
    lost = longer.mean(axis=0) - shorter.mean(axis=0)
    expected = stats.ttest_ind(lost[:9], lost[9:], equal_var=False).pvalue
    found = {x.group: x.p for x in interactions(longer.tolist(), shorter.tolist(), groups)}
    assert found["a"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [60, 300, 5_000])
def test_the_least_difference_needs_that_many_problems(n: int) -> None:
    least = minimum_detectable_difference(n, 0.3)
    assert least is not None
    assert problems_needed(least * (1 + 1e-9), 0.3) == n
    assert root_of(lambda x: x**3 - 2, 0.0, 2.0) == pytest.approx(brentq(lambda x: x**3 - 2, 0, 2))
