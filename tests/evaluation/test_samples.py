"""pass@k and majority@k against their definitions, and differences clustered by problem."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluation.samples import (
    ClusteredShare,
    agreement,
    at_k,
    clustered_share,
    majority_right,
    paired_bootstrap,
    pass_probability,
)
from potstill.evaluation.statistics import wilson


def pass_at_k(right: list[list[bool]], k: int) -> ClusteredShare:
    """pass@k over problems, rows of samples."""
    values = [pass_probability(len(row), sum(row), k) for row in right]
    return clustered_share([values], most=len(right[0]))


def of_the_authors(n: int, c: int, k: int) -> float:
    """The program of Chen et al. (2021), figure 3, which multiplies instead of counting."""
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(*[st.just(n)] + [st.integers(0, n)] * 2)))
def test_pass_at_k_is_that_of_its_authors(counts: tuple[int, int, int]) -> None:
    n, right, k = counts
    if k == 0:
        with pytest.raises(ValueError, match="pass@0"):
            pass_probability(n, right, k)
    else:
        assert pass_probability(n, right, k) == pytest.approx(of_the_authors(n, right, k))


def test_pass_at_k_is_the_share_of_subsets_with_a_right_one() -> None:
    row = [True, False, False, True, False, False]
    subsets = list(combinations(row, 3))
    found = pass_at_k([row], 3)
    assert found.value == pytest.approx(sum(any(s) for s in subsets) / len(subsets))
    assert pass_at_k([row] * 5, 1).value == pytest.approx(2 / 6)
    with pytest.raises(ValueError, match="pass@7 cannot be told from 2 right of 6"):
        pass_at_k([row], 7)


def test_pass_at_one_of_one_is_the_accuracy() -> None:
    found, plain = pass_at_k([[True]] * 70 + [[False]] * 30, 1), wilson(70, 100)
    # The variance of a sample has n - 1 below the line, Wilson's n.
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.001)


def test_samples_that_agree_are_worth_no_more_than_one() -> None:
    alike = pass_at_k([[True] * 8] * 70 + [[False] * 8] * 30, 1)
    plain = wilson(70, 100)
    # by the t quantile of 99 problems, 1.2 % above the normal one
    assert (alike.low, alike.high) == pytest.approx((plain.low, plain.high), abs=0.002)


def test_the_commonest_answer_wins_and_ties_are_drawn() -> None:
    assert majority_right(["3", "3", "5"], [True, True, False], 3) == 1.0
    assert majority_right(["3", "5"], [True, False], 2) == 0.5
    assert majority_right(["", "", "5"], [False, False, True], 3) == 1.0
    assert majority_right(["", ""], [False, False], 2) == 0.0
    # Of the three pairs one agrees on 3, two tie.
    assert majority_right(["3", "3", "5"], [True, True, False], 2) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="majority@4"):
        majority_right(["3"] * 3, [True] * 3, 4)


def test_drawn_subsets_agree_with_all() -> None:
    # Of 24 samples 16 right and 8 wrong alike: hypergeometric; 3 of 5 drawn have to be right.
    answers, right = ["1"] * 16 + ["2"] * 8, [True] * 16 + [False] * 8
    from scipy.stats import hypergeom

    expected = float(hypergeom.sf(2, 24, 16, 5))
    assert majority_right(answers, right, 5) == pytest.approx(expected, abs=0.025)
    found = clustered_share([[majority_right(answers, right, 5)] * 4], most=1)
    assert found.n == 4
    assert found.low < expected < found.high


def test_no_problems_say_nothing() -> None:
    assert clustered_share([[]], most=1).high == 1.0


def test_pass_at_k_covers_as_it_says() -> None:
    rng = np.random.default_rng(41)
    true = float((1 - (1 - rng.beta(1, 2, 400_000)) ** 4).mean())  # 1 - 1/3
    assert true == pytest.approx(2 / 3, abs=0.002)
    inside = 0
    for _ in range(500):
        found = pass_at_k((rng.random((100, 8)) < rng.beta(1, 2, (100, 1))).tolist(), 4)
        inside += found.low <= true <= found.high
    assert 0.92 <= inside / 500 <= 0.98


def test_paired_bootstrap_is_the_normal_interval_for_many_problems() -> None:
    rng = np.random.default_rng(42)
    a, b = rng.binomial(4, 0.6, 400) / 4, rng.binomial(4, 0.5, 400) / 4
    found = paired_bootstrap(a.tolist(), b.tolist())
    moved = a - b
    half = 1.96 * moved.std(ddof=1) / 20
    assert found.low == pytest.approx(moved.mean() - half, abs=0.003)
    assert found.high == pytest.approx(moved.mean() + half, abs=0.003)
    assert paired_bootstrap([0.5], [0.2]).low == -1.0
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_bootstrap([0.5], [0.2, 0.1])


def test_at_k_goes_up_to_all_the_samples_there_are() -> None:
    answers = [["1", "1", "2"], ["3", "4", "4"], ["5", "5"]]
    right = [[True, True, False], [True, False, False], [True, True]]
    found = at_k([answers], [right])
    assert [x.k for x in found] == [1, 2, 3]
    # the third problem lacks a sample; of the others pass@1 is 2/3 and 1/3, pass@3 both
    assert found[0].passed.value == pytest.approx(0.5)
    assert (found[2].passed.value, found[2].majority.value) == (1.0, 0.5)
    assert found[0].passed.n == 2
    assert at_k([[["1"]]], [[[True]]]) == ()


def test_at_k_of_several_seeds_is_their_mean() -> None:
    answers = [["1", "1"], ["3", "4"]], [["1", "2"], ["4", "4"]]
    right = [[True, True], [True, False]], [[True, False], [False, False]]
    found = at_k(answers, right)
    assert [x.k for x in found] == [1, 2]
    assert found[0].passed.value == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert found[1].passed.value == pytest.approx((1 + 1 + 1 + 0) / 4)
    assert found[1].majority.value == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)
    assert found[0].passed.n == 2


def test_draws_agree_where_they_say_the_same() -> None:
    """By hand, of six pairs each: 1 of two right; 1 of two wrong alike; none of no answer."""
    right = [[[True, True, False, False], [False] * 4, [False] * 4]]
    answers = [[["7", "7.0", "8", "9"], ["1", "1", "2", "3"], ["", "", "", ""]]]
    assert agreement(answers, right) == pytest.approx(2 / 18)
    assert agreement([[["7"] * 3]], [[[True] * 3]]) == 1.0
    assert agreement([[["7"]]], [[[True]]]) is None
