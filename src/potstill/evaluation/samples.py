"""Several samples of each problem: pass@k, majority@k, and differences clustered by problem.

Samples of one problem are alike, so nothing here counts them as if they were problems: a problem is
one value between 0 and 1, and the interval is that of the problems.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from potstill.evaluation.seeds import across_shares
from potstill.evaluation.statistics import Interval

__all__ = [
    "AtK",
    "ClusteredShare",
    "agreement",
    "at_k",
    "clustered_share",
    "majority_right",
    "paired_bootstrap",
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


def majority_right(answers: Sequence[str], right: Sequence[bool], k: int) -> float:
    """Return the chance that the commonest answer of k of these samples is right, ties drawn by
    lot.

    The mean over all subsets of k, or over 5,000 of them drawn with a fixed seed where there are
    more. An empty answer has no vote; where none votes, the problem is not right. Source: Wang et
    al. (2022), Self-Consistency Improves Chain of Thought Reasoning, arXiv 2203.11171.
    """
    n = len(answers)
    if len(right) != n or not 1 <= k <= n:
        raise ValueError(f"majority@{k} cannot be told from {n} answers and {len(right)} verdicts")
    given = Counter(answers)
    are_right = Counter(answer for answer, is_right in zip(answers, right, strict=True) if is_right)
    blank = given.pop("", 0)
    votes = sorted((count, are_right[answer]) for answer, count in given.items())
    return _majority(tuple(votes), blank, k)


@lru_cache(maxsize=100_000)
def _majority(votes: tuple[tuple[int, int], ...], blank: int, k: int) -> float:
    """Return :func:`majority_right` of answers given so often, and right so often."""
    import numpy as np

    if not any(right for _, right in votes):
        return 0.0
    answers = [which for which, (count, _) in enumerate(votes) for _ in range(count)]
    answers += [-1] * blank
    n = len(answers)
    # One answer has one verdict; where a grader says both, the share it calls right counts.
    shares = [right / count for count, right in votes]
    if math.comb(n, k) <= _SUBSETS:
        found = [_vote(answers, shares, chosen) for chosen in combinations(range(n), k)]
    else:
        rng = np.random.default_rng(_VOTE_SEED)
        drawn = (rng.permutation(n)[:k].tolist() for _ in range(_SUBSETS))
        found = [_vote(answers, shares, chosen) for chosen in drawn]
    return math.fsum(found) / len(found)


def clustered_share(
    by_seed: Sequence[Sequence[float]], most: int, confidence: float = 0.95
) -> ClusteredShare:
    """Return the mean of one share per seed (rows) and problem, each of ``most`` samples.

    Its interval is Wilson's at the size that the variance between problems implies (Korn and
    Graubard 1998, Survey Methodology 24:193-201), at most ``most`` times the problems. (0, 1) for
    no problems.
    """
    import numpy as np

    table = np.asarray(by_seed, dtype=np.float64).reshape(len(by_seed), -1)
    found = across_shares(table, most, confidence)
    return ClusteredShare(found.n, found.mean, found.low, found.high)


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


def _vote(answers: Sequence[int], shares: Sequence[float], chosen: Sequence[int]) -> float:
    """Return the mean share right of the commonest of the chosen answers; -1 has no vote."""
    votes = Counter(answers[i] for i in chosen if answers[i] >= 0)
    if not votes:
        return 0.0
    most = max(votes.values())
    tied = [shares[answer] for answer, count in votes.items() if count == most]
    return math.fsum(tied) / len(tied)


@dataclass(frozen=True, slots=True)
class AtK:
    """What ``k`` samples of each problem come to: one right among them, and the commonest right."""

    k: int
    passed: ClusteredShare
    majority: ClusteredShare


def at_k(
    answers: Sequence[Sequence[Sequence[str]]], right: Sequence[Sequence[Sequence[bool]]]
) -> tuple[AtK, ...]:
    """Return pass@k and majority@k by seed (rows), problem and sample, for k of 1, 2, 4 ... and
    all.

    The intervals count problems and seeds. Problems with fewer samples than the most are left
    out. Empty for fewer than two samples.
    """
    most = max((len(samples) for row in right for samples in row), default=0)
    if most < 2:
        return ()
    columns = range(len(right[0]))
    whole = [i for i in columns if all(len(row[i]) == most for row in right)]
    found = []
    for k in sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most}):
        passed = [[pass_probability(most, sum(row[i]), k) for i in whole] for row in right]
        majority = [
            [majority_right(given[i], row[i], k) for i in whole]
            for given, row in zip(answers, right, strict=True)
        ]
        found.append(AtK(k, clustered_share(passed, most), clustered_share(majority, 1)))
    return tuple(found)


def agreement(
    answers: Sequence[Sequence[Sequence[str]]], right: Sequence[Sequence[Sequence[bool]]]
) -> float | None:
    """Return how often two samples of a problem agree, by seed (rows), problem and sample.

    Two agree where both are right, or both wrong with the same answer; what gave no answer agrees
    with nothing. None where no problem has two samples.
    """
    agreeing = pairs = 0
    for given, row in zip(answers, right, strict=True):
        for texts, verdicts in zip(given, row, strict=True):
            wrong = [x for x, is_right in zip(texts, verdicts, strict=True) if x and not is_right]
            counts = (sum(verdicts), *Counter(wrong).values())
            agreeing += sum(math.comb(count, 2) for count in counts)
            pairs += math.comb(len(texts), 2)
    return agreeing / pairs if pairs else None
