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


def several_draws(
    rng: np.random.Generator, theta: np.ndarray, seeds: int, draws: int, seed_sd: float
) -> list[list[list[bool]]]:
    """Answers of some seeds to problems of given ease, each problem drawn several times."""
    ease = expit(theta + rng.normal(0, seed_sd, (seeds, 1)))[:, :, None]
    table: list[list[list[bool]]] = (rng.random((seeds, len(theta), draws)) < ease).tolist()
    return table


def test_one_draw_is_the_plain_case() -> None:
    rng = np.random.default_rng(25)
    for seeds in (1, 3):
        a, b = (drawn(rng, rng.normal(0, 1, 40), seeds, 0.3) for _ in range(2))
        cells_a, cells_b = ([[[x] for x in row] for row in table] for table in (a, b))
        assert across_seeds(cells_a) == across_seeds(a)
        assert paired_difference_seeds(cells_a, cells_b) == paired_difference_seeds(a, b)


def test_draws_that_agree_are_worth_no_more_than_one() -> None:
    estimate = across_seeds([[[x] * 16 for x in [True] * 70 + [False] * 30]])
    one = wilson(70, 100)
    assert (estimate.n, estimate.mean) == (100, pytest.approx(0.7))
    assert estimate.low == pytest.approx(one.low, abs=0.005)
    assert estimate.high == pytest.approx(one.high, abs=0.005)


def test_draws_narrow_the_interval_no_further_than_the_problems_allow() -> None:
    """By hand: 40 problems of which 20 are always right and 20 never, drawn 4 times."""
    always = across_seeds([[[True] * 4] * 20 + [[False] * 4] * 20])
    coin = across_seeds([[[True, False, True, False]] * 40])
    assert always.high - always.low == pytest.approx(0.3, abs=0.02)  # 2 * 1.96 * sqrt(0.25 / 43)
    assert coin.high - coin.low == pytest.approx(always.high - always.low, abs=0.02)
    lucky = across_seeds([[[True, False, True, False]] * 39 + [[True] * 4]])
    assert lucky.high - lucky.low >= 2 * 1.96 * (0.25 / 170) ** 0.5  # never as if 160 were more


@pytest.mark.parametrize("draws", [1, 4, 16])
@pytest.mark.parametrize(
    ("problems", "seeds", "ease", "seed_sd"), [(200, 1, 0.5, 0), (100, 3, 0, 0.3)]
)
def test_the_interval_covers_problems_seeds_and_draws(
    draws: int, problems: int, seeds: int, ease: float, seed_sd: float
) -> None:
    rng = np.random.default_rng(26)
    truth = float(expit(ease + rng.normal(0, np.hypot(1.5, seed_sd), 400_000)).mean())
    studies, inside = 400, 0
    for _ in range(studies):
        theta = ease + rng.normal(0, 1.5, problems)
        found = across_seeds(several_draws(rng, theta, seeds, draws, seed_sd))
        inside += found.low <= truth <= found.high
    assert 0.91 <= inside / studies <= 0.99


@pytest.mark.parametrize(("seeds", "draws"), [(1, 4), (3, 4), (1, 16)])
def test_draws_without_an_effect_rarely_claim_one(seeds: int, draws: int) -> None:
    rng = np.random.default_rng(27)
    claimed = covered = 0
    for _ in range(300):
        theta = 1 + rng.normal(0, 1.5, 100)
        a = several_draws(rng, theta, seeds, draws, 0.0)
        b = several_draws(rng, theta, 1, draws, 0.0)
        found = paired_difference_seeds(a, b)
        claimed += found.beyond_chance
        covered += found.low <= 0 <= found.high
        assert found.pairs == seeds * draws * draws
        assert found.difference == pytest.approx(
            (found.only_a - found.only_b) / (100 * found.pairs), abs=1e-9
        )
    assert claimed / 300 <= 0.08
    assert covered / 300 >= 0.91


def test_more_draws_find_a_smaller_effect() -> None:
    """The same problems and the same effect: one draw leaves it open, sixteen do not."""
    rng = np.random.default_rng(28)
    theta = rng.normal(0, 1.0, 150)
    found = [
        paired_difference_seeds(
            several_draws(rng, theta + 0.35, 1, draws, 0.0),
            several_draws(rng, theta, 1, draws, 0.0),
        )
        for draws in (1, 16)
    ]
    assert not found[0].beyond_chance
    assert found[1].beyond_chance


def test_every_problem_has_the_same_number_of_draws() -> None:
    with pytest.raises(ValueError, match="same number of draws"):
        across_seeds([[[True, False], [True]]])
    with pytest.raises(ValueError, match="same number of draws"):
        across_seeds([[[], []]])
