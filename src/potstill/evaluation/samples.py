"""Several samples of each problem: pass@k, majority@k, and differences clustered by problem.

Samples of one problem are alike, so nothing here counts them as if they were problems: a problem is
one value between 0 and 1, and the interval is that of the problems.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from potstill.evaluation.statistics import Interval, normal_quantile, score_interval

__all__ = [
    "AtK",
    "ClusteredShare",
    "at_k",
    "clustered_share",
    "majority_at_k",
    "majority_right",
    "paired_bootstrap",
    "pass_at_k",
    "pass_probability",
]

_BATCH = 500  # draws of a bootstrap in memory at once
_SUBSETS = 5_000  # at most so many votes are counted for one problem, then drawn
_VOTE_SEED = 20_261_121


@dataclass(frozen=True, slots=True)
class ClusteredShare:
    """A share averaged over ``n`` problems of several samples each, with its interval."""

    n: int
    value: float
    low: float
    high: float


def pass_probability(samples: int, right: int, k: int) -> float:
    """Return the chance that at least one of k samples is right, unbiased, from more samples of it.

    Source: Chen et al. (2021), Evaluating Large Language Models Trained on Code, arXiv 2107.03374,
    equation 1. Raises ValueError where fewer than k samples exist.
    """
    if not (0 <= right <= samples and 1 <= k <= samples):
        raise ValueError(f"pass@{k} cannot be told from {right} right of {samples} samples")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def pass_at_k(right: Sequence[Sequence[bool]], k: int, confidence: float = 0.95) -> ClusteredShare:
    """Return pass@k over problems (rows of samples): the mean of :func:`pass_probability`."""
    values = [pass_probability(len(row), sum(row), k) for row in right]
    return clustered_share(values, confidence, most=max((len(row) for row in right), default=1))


def majority_right(answers: Sequence[str], right: Sequence[bool], k: int) -> float:
    """Return the chance that the commonest answer of k of these samples is right, ties drawn by
    lot.

    The mean over all subsets of k, or over 5,000 of them drawn with a fixed seed where there are
    more. An empty answer has no vote; where none votes, the problem is not right. Source: Wang et
    al. (2022), Self-Consistency Improves Chain of Thought Reasoning, arXiv 2203.11171.
    """
    import numpy as np

    n = len(answers)
    if len(right) != n or not 1 <= k <= n:
        raise ValueError(f"majority@{k} cannot be told from {n} answers and {len(right)} verdicts")
    if math.comb(n, k) <= _SUBSETS:
        votes = [_vote(answers, right, chosen) for chosen in combinations(range(n), k)]
    else:
        rng = np.random.default_rng(_VOTE_SEED)
        votes = [_vote(answers, right, rng.permutation(n)[:k].tolist()) for _ in range(_SUBSETS)]
    return math.fsum(votes) / len(votes)


def majority_at_k(
    answers: Sequence[Sequence[str]],
    right: Sequence[Sequence[bool]],
    k: int,
    confidence: float = 0.95,
) -> ClusteredShare:
    """Return majority@k over problems (rows of samples): the mean of :func:`majority_right`."""
    values = [majority_right(a, r, k) for a, r in zip(answers, right, strict=True)]
    return clustered_share(values, confidence)


def clustered_share(
    values: Sequence[float], confidence: float = 0.95, *, most: int = 1
) -> ClusteredShare:
    """Return the mean of one share per problem, with Wilson's interval at the effective sample
    size.

    The size is what the variance between problems implies (Korn and Graubard 1998, Survey
    Methodology 24:193-201), at most ``most`` times the problems. (0, 1) for no problems.
    """
    import numpy as np

    n = len(values)
    if n == 0:
        return ClusteredShare(0, 0.0, 0.0, 1.0)
    if any(not 0 <= v <= 1 for v in values):
        raise ValueError("a problem's share of right samples lies between 0 and 1")
    mean = math.fsum(values) / n
    variance = float(np.var(values, ddof=1)) / n if n > 1 else 0.0
    effective = float(n)
    if variance > 0:
        effective = min(max(mean * (1 - mean) / variance, 1.0), float(n * most))
    interval = score_interval(mean, effective, normal_quantile(confidence))
    return ClusteredShare(n, mean, interval.low, interval.high)


def paired_bootstrap(
    a: Sequence[float],
    b: Sequence[float],
    confidence: float = 0.95,
    draws: int = 9_999,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of the mean of a - b, one value per problem, problems
    resampled.

    A value is a problem's mean over samples or seeds: resampling whole problems is the cluster
    bootstrap (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8;
    Field and Welsh 2007, JRSS B 69:369-390). It does not count how seeds vary: see
    :func:`~potstill.evaluation.seeds.paired_difference_seeds`. A difference without spread gets
    (-1, 1) for one problem or none and otherwise no width: the bootstrap sees none.
    """
    import numpy as np

    if len(a) != len(b):
        raise ValueError(f"{len(a)} problems cannot be paired with {len(b)}")
    moved = np.subtract(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    if len(moved) < 2:
        return Interval(-1.0, 1.0)
    rng = np.random.default_rng(seed)
    means = [
        moved[rng.integers(0, len(moved), (min(_BATCH, draws - done), len(moved)))].mean(axis=-1)
        for done in range(0, draws, _BATCH)
    ]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return Interval(float(low), float(high))


def _vote(answers: Sequence[str], right: Sequence[bool], chosen: Sequence[int]) -> float:
    votes = Counter(answers[i] for i in chosen if answers[i])
    if not votes:
        return 0.0
    most = max(votes.values())
    tied = [answer for answer, count in votes.items() if count == most]
    # One answer has one verdict; where a grader says both, the share it calls right counts.
    shares = [[right[i] for i in chosen if answers[i] == answer] for answer in tied]
    return math.fsum(sum(s) / len(s) for s in shares) / len(tied)


@dataclass(frozen=True, slots=True)
class AtK:
    """What ``k`` samples of each problem come to: one right among them, and the commonest right."""

    k: int
    passed: ClusteredShare
    majority: ClusteredShare


def at_k(answers: Sequence[Sequence[str]], right: Sequence[Sequence[bool]]) -> tuple[AtK, ...]:
    """Return pass@k and majority@k of problems (rows of samples) for k of 1, 2, 4 ... and all.

    Rows of fewer samples than the most are left out. Empty for fewer than two samples.
    """
    most = max((len(row) for row in right), default=0)
    rows = [(a, r) for a, r in zip(answers, right, strict=True) if len(r) == most]
    if most < 2:
        return ()
    given, verdicts = [a for a, _ in rows], [r for _, r in rows]
    ks = sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most})
    return tuple(AtK(k, pass_at_k(verdicts, k), majority_at_k(given, verdicts, k)) for k in ks)
