"""Which problems are the same problem: equal, nearly equal, or equal but for the numbers.

A pair whose numbers differ is never called near: problems made from one template would all be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError
from potstill.problems.overlap.neighbours import find_among_many
from potstill.problems.overlap.pairs import Pair, split_numbers
from potstill.problems.raw import normalise
from potstill.records import Problem

if TYPE_CHECKING:
    from potstill.problems.overlap.neighbours import Sketchers

__all__ = ["find_pairs"]


_DENSE_PAIRS = 30_000_000  # up to here comparing all with all takes seconds
_MANY = 100_000  # problems that are no longer held as objects
_ALIKE_PAIRS = 2_000_000  # beyond, all with all takes long after all: copies, one template


@dataclass(frozen=True, slots=True)
class _Text:
    id: str
    normal: str
    masked: str
    numbers: tuple[str, ...]


def find_pairs(
    a: Sequence[Problem],
    b: Sequence[Problem] | None = None,
    *,
    threshold: float = 0.9,
    sketchers: Sketchers | None = None,
) -> list[Pair]:
    """Return the pairs between ``a`` and ``b`` (within ``a`` where ``b`` is None), the surest
    first.

    exact: equal after normalisation. near: the normalised texts share at least ``threshold`` of
    their characters (the normalised indel ratio) and have the same numbers in the same order.
    masked numbers: as much, once numbers are masked, but the numbers differ; of these, only the
    best partner of each problem of ``b`` is listed.

    Up to 30 million comparisons every problem is compared with every other. Above, and where more
    than 2 million are alike, only neighbours are compared and of crowds not every pair is listed:
    :mod:`~potstill.problems.overlap.neighbours` says what that leaves out; ``sketchers`` may share
    it. ``a`` and ``b`` are gone through, never indexed. Raises InputError for a threshold outside
    (0.5, 1].
    """
    if not 0.5 < threshold <= 1:
        raise InputError(f"the overlap threshold is {threshold:g}; give one above 0.5 and up to 1.")
    other = a if b is None else b
    if len(a) * len(other) > _DENSE_PAIRS or max(len(a), len(other)) >= _MANY:
        return find_among_many(a, b, threshold, sketchers)
    left = [_text(p) for p in a]
    right = left if b is None else [_text(p) for p in b]
    pairs: list[Pair] = []
    masked: dict[str, Pair] = {}
    for count, (i, j) in enumerate(_by_all(left, right, threshold, within=b is None)):
        if count == _ALIKE_PAIRS:
            return find_among_many(a, b, threshold, sketchers)
        pair = _compare(left[i], right[j], threshold)
        if pair is None:
            continue
        if pair.leaks:
            pairs.append(pair)
        elif pair.b_id not in masked or pair.score > masked[pair.b_id].score:
            masked[pair.b_id] = pair
    pairs.extend(masked.values())
    order = {"exact": 0, "near": 1, "masked numbers": 2}
    return sorted(pairs, key=lambda p: (order[p.how], -p.score, p.a_id, p.b_id))


def _text(problem: Problem) -> _Text:
    normal = normalise(problem.text)
    return _Text(problem.id, normal, *split_numbers(normal))


def _compare(a: _Text, b: _Text, threshold: float) -> Pair | None:
    from rapidfuzz import fuzz

    if a.normal == b.normal:
        return Pair(a.id, b.id, 1.0, "exact")
    if a.numbers == b.numbers:
        score = fuzz.ratio(a.normal, b.normal, score_cutoff=100 * threshold) / 100
        return Pair(a.id, b.id, score, "near") if score else None
    score = fuzz.ratio(a.masked, b.masked, score_cutoff=100 * threshold) / 100
    return Pair(a.id, b.id, score, "masked numbers") if score else None


def _by_all(
    a: Sequence[_Text], b: Sequence[_Text], threshold: float, *, within: bool
) -> Iterator[tuple[int, int]]:
    """Yield every pair of places (i < j within one set) whose masked texts are alike enough.

    Masking moves a ratio by a few points.
    """
    import numpy as np
    from rapidfuzz import fuzz, process

    cutoff = 100 * (threshold - 0.05)
    right = [t.masked for t in b]
    for start in range(0, len(a), 500):
        scores: Any = process.cdist(
            [t.masked for t in a[start : start + 500]],
            right,
            scorer=fuzz.ratio,
            score_cutoff=cutoff,
            dtype=np.uint8,
            workers=-1,
        )
        for i, j in np.argwhere(scores > 0).tolist():
            if not within or start + i < j:
                yield start + i, j
