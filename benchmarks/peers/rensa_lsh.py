"""The overlap audit by the sketches and the LSH index of ``rensa``; all else is its own code.

An index for each run of problems with the same numbers finds near pairs, one of all the partners.
Whoever has more than ``_MANY`` candidates leaves the index, or crowds would be quadratic.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH

from potstill.problems.overlap import minhash as sketches
from potstill.problems.overlap import neighbours
from potstill.problems.overlap.lsh_forest import Forest, Partners, Seeking
from potstill.problems.overlap.minhash import GRAM, SKETCH_VALUES
from potstill.problems.overlap.pairs import Pair
from potstill.records import Problem

Ints = NDArray[np.int64]

_VALUES = 120
_BANDS = 24  # of five values; with four, 150,000 texts without numbers are crowds to each other
_PARTNER_BANDS = 20  # of six, as all are asked together
_MANY = 500  # problems are put in and asked for at once; more candidates are a crowd


class _ByRensa(Forest):
    """The audit's forest, with rensa's neighbours and agreement."""

    sketched: ClassVar[list[Any]] = []

    def key(self, rows: Ints, number: int) -> NDArray[np.uint64]:
        """Return one key for all, so that the audit orders them by their numbers alone."""
        return np.zeros(len(rows), np.uint64)

    def neighbours(self, order: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Yield the candidates among those with the same numbers, who stand together."""
        numbers = self.numbers_hash[order]
        runs = np.split(order, np.flatnonzero(numbers[1:] != numbers[:-1]) + 1)
        yield from _gathered(self.candidates(np.sort(x), _BANDS) for x in runs if len(x) > 1)

    def candidates(self, rows: Ints, bands: int) -> Iterator[tuple[Ints, Ints]]:
        """Yield pairs of rising rows that share a band."""
        index = RMinHashLSH(0.5, _VALUES, bands)  # that threshold is no part of a query
        for start in range(0, len(rows), _MANY):
            part = rows[start : start + _MANY]
            asked = [self.sketched[k] for k in part.tolist()]
            index.insert_pairs(zip(part.tolist(), asked, strict=True))
            found = index.query_all(asked)
            sizes = np.fromiter(map(len, found), np.int64, len(found))
            i = np.fromiter(chain.from_iterable(found), np.int64, int(sizes.sum()))
            j, size = np.repeat(part, sizes), np.repeat(sizes, sizes)
            place = np.arange(len(j)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            may = (i < j) & ((place < neighbours.CROWD) | (size <= _MANY))
            yield i[may], j[may]
            for k in part[sizes > _MANY].tolist():
                index.remove(k)

    def agreement(self, i: Ints, j: Ints) -> Ints:
        """Return rensa's estimate of the share of common 5-grams, in 64ths."""
        of, pairs = self.sketched, zip(i.tolist(), j.tolist(), strict=True)
        shares = [of[one].jaccard(of[other]) for one, other in pairs]
        return np.array(np.rint(SKETCH_VALUES * np.array(shares)), np.int64)


def _gathered(runs: Iterable[Iterator[tuple[Ints, Ints]]]) -> Iterator[tuple[Ints, Ints]]:
    one, other = array("q"), array("q")
    for i, j in chain.from_iterable(runs):
        one.frombytes(i.tobytes())
        other.frombytes(j.tobytes())
        if len(one) > 1_000_000:
            yield np.array(one), np.array(other)
            one, other = array("q"), array("q")
    yield np.array(one), np.array(other)


class _Sketchers(neighbours.Sketchers):
    def partners(self, numbers: Iterable[int], seeking: Seeking) -> Iterator[Partners]:
        """Yield the partner of each that agrees most, the first of equally good ones."""
        forest: Any = seeking.forest
        best, partner = np.full((2, len(forest)), -1)
        for i, j in _gathered([forest.candidates(np.sort(seeking.rows), _PARTNER_BANDS)]):
            may = seeking.asks[j] & (forest.numbers_hash[i] != forest.numbers_hash[j])
            agreement = forest.agreement(i[may], j[may])
            order = np.lexsort((-i[may], agreement))  # the last one stays
            i, j, agreement = i[may][order], j[may][order], agreement[order]
            better = agreement > np.maximum(best[j], seeking.least - 1)
            partner[j[better]], best[j[better]] = i[better], agreement[better]
        j = np.flatnonzero(partner >= 0)
        yield Partners(j, partner[j], best[j])


def _sketches(texts: Sequence[str]) -> NDArray[np.uint8]:
    grams = [[text[k : k + GRAM] for k in range(len(text) or 1)] for text in texts]
    _ByRensa.sketched += RMinHash.from_token_sets(grams, _VALUES, 1)
    return np.zeros((len(texts), 1), np.uint8)


def find_pairs(problems: Sequence[Problem]) -> list[Pair]:
    """Return what the audit finds among very many problems, by rensa's candidates."""
    with (
        mock.patch.object(neighbours, "Forest", _ByRensa),
        mock.patch.object(neighbours, "ORDERS", 1),
        mock.patch.multiple(sketches, SKETCH_VALUES=1, sketches=_sketches),
    ):
        return neighbours.find_among_many(problems, None, 0.9, _Sketchers())
