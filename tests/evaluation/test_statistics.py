"""Intervals, tests and sample sizes against published values and exact probabilities."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from potstill.evaluation.statistics import (
    holm,
    mcnemar_exact,
    mean_sd,
    minimum_detectable_difference,
    minimum_detectable_gap,
    newcombe_paired,
    paired_difference,
    problems_needed,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_newcombes_1998_table(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson(successes, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_of_nothing_is_everything() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


@pytest.mark.parametrize("n", [30, 100, 330])
def test_wilson_covers_as_it_says(n: int) -> None:
    intervals = [wilson(k, n) for k in range(n + 1)]
    coverage = []
    for true in [x / 100 for x in range(5, 96)]:
        inside = [k for k in range(n + 1) if intervals[k].low <= true <= intervals[k].high]
        coverage.append(float(binom.pmf(inside, n, true).sum()))
    assert 0.93 <= sum(coverage) / len(coverage) <= 0.97
    assert min(coverage) > 0.85


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_share(counts: tuple[int, int]) -> None:
    successes, n = counts
    interval = wilson(successes, n)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1


def test_newcombe_paired_is_published() -> None:
    # Newcombe (1998), Statistics in Medicine 17:2635-2650, method 10.
    interval = newcombe_paired(36, 12, 2, 0)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0569, 0.3404)
    # Fagerland, Lydersen and Laake (2014), Statistics in Medicine 33:2850-2875: airways before
    # and after a transplantation.
    interval = newcombe_paired(1, 1, 7, 12)
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.507, -0.026)


def test_mcnemar_exact_is_the_binomial() -> None:
    assert mcnemar_exact(1, 7) == pytest.approx(0.0703, abs=5e-5)  # the same airways
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar_exact(4, 4) == 1.0


def test_paired_difference_counts_pairs() -> None:
    a = [True] * 8 + [False] * 2
    b = [True] * 3 + [False] * 6 + [True]
    found = paired_difference(a, b)
    assert (found.n, found.only_a, found.only_b) == (10, 5, 1)
    assert found.difference == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
    assert found.discordance == pytest.approx(0.6)
    assert not found.beyond_chance
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(a, b[:3])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_paired_difference_turns_around(pairs: list[tuple[bool, bool]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.difference == -other.difference
    assert one.low == pytest.approx(-other.high)
    assert one.p == pytest.approx(other.p)
    assert -1 <= one.low <= one.difference <= one.high <= 1


def test_a_thousand_studies_without_an_effect_rarely_claim_one() -> None:
    rng = random.Random(11)
    claimed = 0
    for _ in range(1_000):
        hard = [rng.random() for _ in range(120)]
        a = [rng.random() < 0.2 + 0.6 * h for h in hard]
        b = [rng.random() < 0.2 + 0.6 * h for h in hard]
        claimed += paired_difference(a, b).beyond_chance
    assert claimed <= 60


def test_newcombe_paired_covers_as_it_says() -> None:
    rng = random.Random(12)
    inside = 0
    for _ in range(600):
        hard = [rng.random() for _ in range(100)]
        a = [rng.random() < min(1.0, 0.3 + 0.5 * h) for h in hard]  # 0.55 on average
        b = [rng.random() < 0.2 + 0.4 * h for h in hard]  # 0.40
        found = paired_difference(a, b)
        inside += found.low <= 0.15 <= found.high
    assert 0.92 <= inside / 600 <= 0.98


def test_problems_needed_gives_the_power_it_promises() -> None:
    needed = problems_needed(0.1, 0.3)
    assert needed is not None
    rng = random.Random(13)
    seen = 0
    for _ in range(400):
        draws = rng.choices(("a", "b", "same"), (0.2, 0.1, 0.7), k=needed)
        seen += mcnemar_exact(draws.count("a"), draws.count("b")) < 0.05
    assert 0.70 <= seen / 400 <= 0.87  # the exact test spends a little of the 80 %


def test_problems_needed_and_detectable_are_inverse() -> None:
    assert problems_needed(0.0, 0.2) is None
    with pytest.raises(ValueError, match="cannot come of discordance"):
        problems_needed(0.3, 0.2)
    for n in (96, 330, 2_000):
        detectable = minimum_detectable_difference(n, 0.25)
        assert detectable is not None
        assert problems_needed(detectable, 0.25) in (n, n + 1)
    assert minimum_detectable_difference(3, 0.5) is None
    assert minimum_detectable_difference(0, 0.5) is None


def test_mean_sd() -> None:
    found = mean_sd([0.815, 0.8, 0.803])
    assert found.mean == pytest.approx(0.806)
    assert found.sd == pytest.approx(0.0079373, abs=1e-6)
    assert mean_sd([0.5]).sd is None


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_only_raises_and_keeps_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert all(a[1] <= b[1] or math.isclose(a[1], b[1]) for a, b in itertools.pairwise(pairs))


@pytest.mark.parametrize(
    ("n", "against", "alpha"), [(330, 0.02, 0.05), (60, 0.0, 0.005), (90, 0.1, 0.05)]
)
def test_the_detectable_gap_is_the_one_that_needs_so_many_problems(
    n: int, against: float, alpha: float
) -> None:
    gap = minimum_detectable_gap(n, against, alpha)
    assert gap is not None
    assert problems_needed(gap + 1e-6, gap + 1e-6 + 2 * against, alpha) == n
    assert problems_needed(gap - 1e-3, gap - 1e-3 + 2 * against, alpha) > n


def test_a_detectable_gap_is_detected_four_times_in_five() -> None:
    n, against = 120, 0.05
    gap = minimum_detectable_gap(n, against)
    assert gap is not None
    rng = np.random.default_rng(3)
    cells = [gap + against, against, 1 - gap - 2 * against]
    drawn = rng.multinomial(n, cells, size=1500)
    seen = np.mean([mcnemar_exact(int(a), int(b)) < 0.05 for a, b, _ in drawn])
    assert 0.70 <= seen <= 0.85  # the exact test is a little more careful than the formula


def test_no_gap_shows_in_too_few_problems() -> None:
    assert minimum_detectable_gap(3, 0.0) is None
    assert minimum_detectable_gap(0, 0.0) is None
    assert minimum_detectable_gap(1000, 0.5) is None
