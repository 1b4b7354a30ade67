"""Which problems are the same problem: equal, nearly equal, or equal but for the numbers.

A pair whose numbers differ is never called near: problems made from one template would all be.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from potstill.errors import InputError
from potstill.problems.raw import normalise
from potstill.records import Problem

__all__ = ["Pair", "find_pairs", "mask_numbers", "numbers_of"]

How = Literal["exact", "near", "masked numbers"]

_DENSE_PAIRS = 30_000_000  # below this comparing all with all takes seconds
_MINHASH_FROM = 100_000  # problems


@dataclass(frozen=True, slots=True)
class Pair:
    """Two problems that resemble each other; ``score`` in [0, 1] is the characters they share."""

    a_id: str
    b_id: str
    score: float
    how: How

    @property
    def leaks(self) -> bool:
        """Whether having trained on one is having seen the other."""
        return self.how != "masked numbers"


@dataclass(frozen=True, slots=True)
class _Text:
    id: str
    normal: str
    masked: str
    numbers: tuple[str, ...]


def find_pairs(
    a: Sequence[Problem], b: Sequence[Problem] | None = None, *, threshold: float = 0.9
) -> list[Pair]:
    """The pairs between ``a`` and ``b`` (within ``a`` where ``b`` is None), the surest first.

    exact: equal after normalisation. near: the normalised texts share at least ``threshold`` of
    their characters (the normalised indel ratio) and have the same numbers in the same order.
    masked numbers: as much, once numbers are masked, but the numbers differ; of these, only the
    best partner of each problem of ``b`` is listed. Raises InputError for a threshold outside
    (0.5, 1].
    """
    if not 0.5 < threshold <= 1:
        raise InputError(f"the overlap threshold is {threshold:g}; give one above 0.5 and up to 1.")
    left = [_text(p) for p in a]
    right = left if b is None else [_text(p) for p in b]
    pairs: list[Pair] = []
    masked: dict[str, Pair] = {}
    for i, j in _candidates(left, right, threshold, within=b is None):
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


_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
          "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
          "nineteen", "twenty")  # fmt: skip
_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+|\b(?:" + "|".join(_WORDS) + r")\b")
_VALUE = {word: str(value) for value, word in enumerate(_WORDS)}


def numbers_of(normal: str) -> tuple[str, ...]:
    """The numbers of a normalised text in order, words up to twenty and 1,000 as digits."""
    return tuple(_VALUE.get(n, n.replace(",", "")) for n in _NUMBER.findall(normal))


def mask_numbers(normal: str) -> str:
    """A normalised text with every number as ``0``."""
    return _NUMBER.sub("0", normal)


def _text(problem: Problem) -> _Text:
    normal = normalise(problem.text)
    return _Text(problem.id, normal, mask_numbers(normal), numbers_of(normal))


def _compare(a: _Text, b: _Text, threshold: float) -> Pair | None:
    from rapidfuzz import fuzz

    if a.normal == b.normal:
        return Pair(a.id, b.id, 1.0, "exact")
    if a.numbers == b.numbers:
        score = fuzz.ratio(a.normal, b.normal, score_cutoff=100 * threshold) / 100
        return Pair(a.id, b.id, score, "near") if score else None
    score = fuzz.ratio(a.masked, b.masked, score_cutoff=100 * threshold) / 100
    return Pair(a.id, b.id, score, "masked numbers") if score else None


def _candidates(
    a: Sequence[_Text], b: Sequence[_Text], threshold: float, *, within: bool
) -> Iterator[tuple[int, int]]:
    """Index pairs that may pass, each once (i < j within one set)."""
    if max(len(a), len(b)) >= _MINHASH_FROM:
        found = _by_minhash(a, b)
    elif len(a) * len(b) <= _DENSE_PAIRS:
        found = _by_all(a, b, threshold)
    else:
        found = _by_rare_words(a, b, threshold)
    return ((i, j) for i, j in found if not within or i < j)


def _by_all(a: Sequence[_Text], b: Sequence[_Text], threshold: float) -> Iterator[tuple[int, int]]:
    """Every pair whose masked texts are alike enough. Masking moves a ratio by a few points."""
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
            yield start + i, j


_RARE_WORDS = 5
_CROWD = 2_000


def _by_rare_words(
    a: Sequence[_Text], b: Sequence[_Text], threshold: float
) -> Iterator[tuple[int, int]]:
    """Pairs of like length that share two of their few rarest words, or the whole masked text.

    Nearly equal texts share nearly all words, so two of the five rarest almost surely. A block that
    holds very many problems is a template; its first members stand for it.
    """
    words = [t.masked.split() for t in a]
    other = words if b is a else [t.masked.split() for t in b]
    counts = Counter(w for ws in words for w in ws)
    if other is not words:
        counts.update(w for ws in other for w in ws)

    def keys(ws: Iterable[str], whole: str) -> list[tuple[str, ...]]:
        rarest = sorted(sorted(set(ws), key=lambda w: (counts[w], w))[:_RARE_WORDS])
        return [(whole,), *combinations(rarest, 2)]

    blocks: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, text in enumerate(a):
        for key in keys(words[i], text.masked):
            blocks[key].append(i)
    # an indel ratio of t needs min / max >= t / (2 - t); masking may cost some of it
    shortest = (threshold - 0.05) / (2 - threshold + 0.05)
    lengths = [len(t.masked) for t in a]
    for j, text in enumerate(b):
        low, high = shortest * len(text.masked), len(text.masked) / shortest
        found = {i for key in keys(other[j], text.masked) for i in blocks.get(key, ())[:_CROWD]}
        yield from ((i, j) for i in sorted(found) if low <= lengths[i] <= high)


def _by_minhash(a: Sequence[_Text], b: Sequence[_Text]) -> Iterator[tuple[int, int]]:
    """Pairs whose character 5-grams probably overlap by half (a ratio of 0.9 shares more)."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=0.5, num_perm=_PERMUTATIONS)
    for i, sketch in enumerate(_sketches(a)):
        index.insert(i, sketch)
    for j, sketch in enumerate(_sketches(b)):
        yield from ((i, j) for i in sorted(index.query(sketch)))


_PERMUTATIONS = 64


def _sketches(texts: Sequence[_Text]) -> Iterator[Any]:
    from datasketch import MinHash

    for text in texts:
        grams = {text.masked[k : k + 5] for k in range(max(1, len(text.masked) - 4))}
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch([gram.encode("utf-8", "surrogatepass") for gram in sorted(grams)])
        yield sketch
