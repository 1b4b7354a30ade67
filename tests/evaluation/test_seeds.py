"""Several seeds: one is the plain case, and simulated studies are covered as promised."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from potstill.evaluation.seeds import across_seeds, paired_difference_seeds
from potstill.evaluation.statistics import paired_difference, wilson


def drawn(
    rng: np.random.Generator, theta: np.ndarray, seeds: int, seed_sd: float
) -> list[list[bool]]:
    """Answers of some seeds to problems of given ease."""
    shift = rng.normal(0, seed_sd, (seeds, 1))
    table: list[list[bool]] = (rng.random((seeds, len(theta))) < expit(theta + shift)).tolist()
    return table


def test_one_seed_is_the_plain_case() -> None:
    row = [True] * 70 + [False] * 30
    estimate, interval = across_seeds([row]), wilson(70, 100)
    assert (estimate.low, estimate.high, estimate.sd) == (interval.low, interval.high, None)
    other = [True] * 50 + [False] * 50
    assert paired_difference_seeds([row], [other]) == paired_difference(row, other)


def test_mean_and_sd_are_over_seeds() -> None:
    table = [[True] * 8 + [False] * 2, [True] * 6 + [False] * 4]
    estimate = across_seeds(table)
    assert estimate.mean == pytest.approx(0.7)
    assert estimate.sd == pytest.approx(0.141421, abs=1e-6)
    assert (estimate.seeds, estimate.n) == (2, 10)


def test_seeds_that_agree_are_worth_no_more_than_one() -> None:
    row = [True] * 70 + [False] * 30
    three = across_seeds([row] * 3)
    one = wilson(70, 100)
    assert three.low == pytest.approx(one.low, abs=0.005)
    assert three.high == pytest.approx(one.high, abs=0.005)


@pytest.mark.parametrize("value", [True, False])
def test_all_alike_still_has_an_interval(value: bool) -> None:
    estimate = across_seeds([[value] * 86] * 3)
    assert estimate.high - estimate.low > 0.03
    found = paired_difference_seeds([[value] * 86] * 3, [[value] * 86])
    assert found.low < 0 < found.high
    assert found.p == 1.0


def test_an_interval_needs_a_rectangle() -> None:
    with pytest.raises(ValueError, match="every seed the same problems"):
        across_seeds([[True, False], [True]])
    with pytest.raises(ValueError, match="at least one seed"):
        across_seeds([])


@pytest.mark.parametrize(
    ("problems", "seeds", "ease", "seed_sd"),
    [(300, 3, 1.5, 0.0), (300, 3, 1.5, 0.2), (300, 5, 0.0, 0.4), (30, 3, 0.0, 0.2)],
)
def test_the_interval_covers_problems_and_seeds(
    problems: int, seeds: int, ease: float, seed_sd: float
) -> None:
    rng = np.random.default_rng(21)
    truth = float(expit(ease + rng.normal(0, np.hypot(1.5, seed_sd), 400_000)).mean())
    studies, inside = 400, 0
    for _ in range(studies):
        theta = ease + rng.normal(0, 1.5, problems)
        found = across_seeds(drawn(rng, theta, seeds, seed_sd))
        inside += found.low <= truth <= found.high
    assert 0.91 <= inside / studies <= 0.99


@pytest.mark.parametrize(("problems", "seeds"), [(30, 2), (150, 2), (150, 3), (500, 2)])
@pytest.mark.parametrize("seed_sd", [0.0, 0.3, 0.8])
def test_studies_without_an_effect_rarely_claim_one(
    problems: int, seeds: int, seed_sd: float
) -> None:
    rng = np.random.default_rng(22)
    claimed = 0
    for _ in range(300):
        theta = 1 + rng.normal(0, 1.5, problems)
        a, b = drawn(rng, theta, seeds, seed_sd), drawn(rng, theta, seeds, seed_sd)
        claimed += paired_difference_seeds(a, b).beyond_chance
    assert claimed / 300 <= 0.06


def test_an_effect_is_found() -> None:
    rng = np.random.default_rng(23)
    theta = rng.normal(0, 1.5, 330)
    found = paired_difference_seeds(drawn(rng, theta + 1.5, 3, 0.05), drawn(rng, theta, 1, 0.0))
    assert found.beyond_chance
    assert found.pairs == 3
    assert found.only_a + found.only_b <= 990
    assert found.difference == pytest.approx((found.only_a - found.only_b) / 990)


def test_few_differing_problems_prove_nothing() -> None:
    a = [[True] * 5 + [False] * 95] * 3
    found = paired_difference_seeds(a, [[False] * 100])
    assert found.p > 0.05
    assert not found.beyond_chance


def test_the_bootstrap_agrees_where_seeds_matter_little() -> None:
    rng = np.random.default_rng(24)
    table = drawn(rng, 1 + rng.normal(0, 1.5, 300), 5, 0.0)
    means = bootstrap(rng, np.asarray(table, dtype=float), draws=1_000)
    low, high = np.quantile(means, [0.025, 0.975])
    ours = across_seeds(table)
    assert low == pytest.approx(ours.low, abs=0.02)
    assert high == pytest.approx(ours.high, abs=0.02)


def bootstrap(rng: np.random.Generator, table: NDArray[np.float64], draws: int) -> list[float]:
    """Means of a table whose rows and columns are drawn with replacement (Owen 2007, Annals of
    Applied Statistics 1:386-411)."""
    seeds, n = table.shape
    return [
        float(table[np.ix_(rng.integers(0, seeds, seeds), rng.integers(0, n, n))].mean())
        for _ in range(draws)
    ]
