"""The mixed student's examples where its levels have shares: how many of each, and which ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from potstill.records import content_hash
from potstill.text import several

__all__ = ["MOST_REPEATS", "examples_by_level", "mixture_sentence", "places_of", "repeats"]

MOST_REPEATS = 100
"""A level may have so many times the share of another: its lessons stand there as often."""


def repeats(shares: Mapping[str, float]) -> int:
    """Return how often a lesson stands in the mixture at most: the largest share over the smallest,
    rounded up.
    """
    exact = _exact(shares)
    return math.ceil(max(exact.values()) / min(exact.values()))


def examples_by_level(shares: Mapping[str, float], lessons: Mapping[str, int]) -> dict[str, int]:
    """Return how many examples each level gives, so that their numbers stand as the ``shares``.

    As many as let every one of a level's ``lessons`` stand there once, but none more often than
    :func:`repeats`. A level without a lesson gives none; the others share as they would.
    """
    exact = {level: share for level, share in _exact(shares).items() if lessons[level]}
    if not exact:
        return dict.fromkeys(shares, 0)
    each = [Fraction(lessons[level]) / share for level, share in exact.items()]
    unit = min(max(each), repeats(shares) * min(each))
    return {level: round(unit * exact.get(level, Fraction(0))) for level in shares}


def places_of(problem_ids: Sequence[str], count: int, seed: int, level: str) -> list[int]:
    """Return the places of ``count`` examples among a level's lessons: all of them as often as they
    go into it, and of the rest each at most once more.

    Which ones stand there once more hangs on their problems' ids, the seed and the level alone.
    """
    if not problem_ids:
        return []
    whole, rest = divmod(count, len(problem_ids))
    places = [*range(len(problem_ids))]
    if not rest:
        return places * whole
    drawn = sorted(places, key=lambda i: content_hash([seed, level, problem_ids[i], i]))
    return places * whole + sorted(drawn[:rest])


def mixture_sentence(shares: Mapping[str, float], lessons: Mapping[str, int]) -> str:
    """Return how many examples the mixed student is trained on at each level."""
    counts = examples_by_level(shares, lessons)
    told = [
        f"{level} {counts[level]:,} from {several(lessons[level], 'lesson')}" for level in shares
    ]
    ratio = " to ".join(f"{share:g}" for share in shares.values())
    return (
        f"The mixed student's training examples, in the shares {ratio} of examples, not of tokens: "
        f"{', '.join(told)}."
    )


def _exact(shares: Mapping[str, float]) -> dict[str, Fraction]:
    """Return the shares as they are written: 0.6 is three times 0.2, which no float is."""
    return {level: Fraction(str(share)) for level, share in shares.items()}
