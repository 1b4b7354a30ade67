"""The pairs of very many problems, in a time of n log n and without comparing crowds with crowds.

Equal texts lie together when their hashes are sorted. Alike texts lie close together in at least
one of 16 orders of their sketches (:mod:`potstill.problems.overlap.lsh_forest`), and for near pairs
among the problems with the same numbers only. Whoever lies within a few places and agrees in enough
values of the sketch is compared in full.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, Any, NamedTuple

from potstill.problems.overlap.lsh_forest import (
    ORDERS,
    Forest,
    Partners,
    Seeking,
    least_agreement,
    partners,
)
from potstill.problems.overlap.minhash import Sketched, Strings, TextColumns, sketched
from potstill.problems.overlap.pairs import How, Pair
from potstill.records import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

__all__ = ["CROWD", "Sketchers", "find_among_many"]

CROWD = 50  # problems that hang together; of more than these not every pair is listed
_CHUNK = 50_000  # pairs compared at a time


class Sketchers:
    """Who does the work that falls into parts: here this process, one part after the other."""

    def sketch(self, batches: Iterable[Sequence[str]]) -> Iterator[Sketched]:
        """Yield what ``sketches.sketched`` makes of each batch of texts, in their order."""
        return map(sketched, batches)

    def partners(self, numbers: Iterable[int], seeking: Seeking) -> Iterator[Partners]:
        """Return :func:`~potstill.problems.overlap.lsh_forest.partners` in each of those orders."""
        return (partners(number, seeking) for number in numbers)


def find_among_many(
    a: Sequence[Problem],
    b: Sequence[Problem] | None,
    threshold: float,
    sketchers: Sketchers | None = None,
) -> list[Pair]:
    """Return the pairs of :func:`potstill.problems.overlap.find.find_pairs`, of sets of any size.

    ``a`` and ``b`` are gone through once. Not every pair of a crowd is listed, but enough to hold
    it together: of more than ``CROWD`` equal problems each is paired with the first alone, and of
    more than ``CROWD`` that near pairs already join no further pair is sought. Once there are as
    many pairs of a kind as problems, any two are a crowd. A near pair can be missed where a tenth
    or more of the text is changed; a partner with other numbers is the one most alike by its
    sketch.
    """
    sketchers = sketchers or Sketchers()
    columns = TextColumns(a, b or (), sketchers)
    search = _Search(columns, sketchers, within=b is None, threshold=threshold)
    found = [search.exact(), search.near(), search.masked()]
    ids = columns.ids
    del search, columns  # the texts go before the pairs come
    return _pairs(found, ids)


class _Found(NamedTuple):
    """Pairs of one kind by their places [pairs], the first of ``a`` and the second of ``b``."""

    how: How
    i: Ints
    j: Ints
    score: Floats


class _Search:
    """What is looked for in the columns of ``a`` and ``b``, or within those of ``a``."""

    def __init__(
        self, columns: TextColumns, sketchers: Sketchers, *, within: bool, threshold: float
    ) -> None:
        import numpy as np

        self.columns = columns
        self._sketchers = sketchers
        self._forest = Forest(columns.sketch, columns.numbers_hash, columns.of_a, within)
        self._within = within
        self._threshold = threshold
        self._in_b = np.arange(len(columns)) >= columns.of_a
        self._asks = self._in_b | within  # who is given a partner with other numbers
        self._first = np.arange(len(columns))  # of the same text on the same side

    def exact(self) -> _Found:
        """Return the pairs of equal normalised texts; it tells copies apart for what follows."""
        pairs = array("q")
        for equal in _equal_texts(self.columns):
            left = [k for k in equal if k < self.columns.of_a]
            right = equal[len(left) :]
            crowd = self._crowd(len(pairs) // 2)
            found = _within(left, crowd) if self._within else _between(left, right, crowd)
            pairs.extend(chain.from_iterable(found))
            for side in (left, right):
                self._first[side] = side[:1]
        return _found("exact", pairs)

    def near(self) -> _Found:
        """Return the near pairs: first those of texts that occur once, then those of their
        copies.
        """
        import numpy as np

        columns, forest = self.columns, self._forest
        once = np.unique(self._first)
        together = _Together(len(columns))
        found = _found("near", array("q"))
        for number in range(ORDERS):
            order = once[np.lexsort((forest.key(once, number), columns.numbers_hash[once]))]
            for i, j in forest.neighbours(order):
                may = columns.numbers_hash[i] == columns.numbers_hash[j]
                i, j = i[may], j[may]
                may = self._of_like_length(i, j)
                may &= together.may_join(i, j, self._crowd(len(found.i)))
                may &= columns.normal_hash[i] != columns.normal_hash[j]
                i, j = i[may], j[may]
                may = ~np.isin(i * len(columns) + j, found.i * len(columns) + found.j)
                i, j = i[may], j[may]
                alike = forest.agreement(i, j) >= least_agreement(self._threshold)
                new = self._compared("near", i[alike], j[alike])
                together.join(new.i, new.j)
                found = _joined([found, new])
        return self._with_copies(found)

    def masked(self) -> _Found:
        """Return the best partner with other numbers for each problem of ``b`` that has one."""
        import numpy as np

        columns = self.columns
        partner, targets = self._same_template()
        found = np.flatnonzero(partner >= 0)
        same = _Found("masked numbers", partner[found], found, np.ones(len(found)))
        is_copy = self._first < np.arange(len(columns))
        rest = self._asks & (partner < 0)
        asks = rest & ~is_copy
        rows = np.union1d(targets, np.flatnonzero(asks))
        best = np.zeros(len(columns), np.int64)
        seeking = Seeking(self._forest, rows, asks, least_agreement(self._threshold))
        for one in self._sketchers.partners(range(ORDERS), seeking):
            better = one.agreement > best[one.j]
            partner[one.j[better]] = one.i[better]
            best[one.j[better]] = one.agreement[better]
        j = np.flatnonzero(asks & (partner >= 0))
        alike = self._compared("masked numbers", partner[j], j)
        score = np.zeros(len(columns))
        score[alike.j] = alike.score
        copies = np.flatnonzero(rest & is_copy & (score[self._first] > 0))
        first = self._first[copies]
        return _joined([same, alike, _Found(alike.how, partner[first], copies, score[first])])

    def _crowd(self, listed: int) -> int:
        """Return how many problems are a crowd when so many pairs of a kind are already listed."""
        return CROWD if listed < len(self.columns) else 1

    def _same_template(self) -> tuple[Ints, Ints]:
        """Return a partner [n] of the same masked text and other numbers, -1 where there is none;
        and the first of ``a`` of each masked text. A partner always comes before its problem.
        """
        import numpy as np

        numbers = self.columns.numbers_hash
        n = len(numbers)
        order = np.argsort(self.columns.masked_hash, kind="stable")
        starts, group = _runs(self.columns.masked_hash[order])
        first = order[starts][group]
        other = numbers[order] != numbers[first]
        is_target = ~self._in_b[order]
        places = np.where(other & is_target, order, n)
        second = np.minimum.reduceat(places, starts)[group] if n else places
        found = np.where(other, first, second)
        found[~self._asks[order] | (found >= order) | self._in_b[np.minimum(found, n - 1)]] = -1
        partner = np.empty(n, np.int64)
        partner[order] = found
        firsts = order[starts]
        return partner, firsts[~self._in_b[firsts]]

    def _of_like_length(self, i: Ints, j: Ints) -> NDArray[np.bool_]:
        """Return whether lengths allow the threshold t: an indel ratio needs min / max >= t / (2 -
        t).
        """
        import numpy as np

        one, other = self.columns.lengths[i], self.columns.lengths[j]
        least = self._threshold / (2 - self._threshold)
        return np.minimum(one, other) >= np.floor(least * np.maximum(one, other))

    def _compared(self, how: How, i: Ints, j: Ints) -> _Found:
        """Return those pairs that reach the threshold, with the ratios of their (masked) texts."""
        import numpy as np
        from rapidfuzz import fuzz, process

        read = self.columns.normal if how == "near" else self.columns.masked
        score = np.empty(len(i))
        for start in range(0, len(i), _CHUNK):
            part = slice(start, start + _CHUNK)
            score[part] = process.cpdist(
                [read(k) for k in i[part].tolist()],
                [read(k) for k in j[part].tolist()],
                scorer=fuzz.ratio,
                score_cutoff=100 * self._threshold,
                dtype=np.float64,
                workers=-1,
            )
        passed = score > 0
        return _Found(how, i[passed], j[passed], score[passed] / 100)

    def _with_copies(self, found: _Found) -> _Found:
        """Return the pairs, and the same of all copies of their problems."""
        import numpy as np

        order = np.argsort(self._first, kind="stable")
        sizes = np.bincount(self._first, minlength=len(order))
        ends = np.cumsum(sizes)

        def copies(k: int) -> list[int]:
            members: list[int] = order[ends[k] - sizes[k] : ends[k]].tolist()
            return members

        copied = (sizes[found.i] > 1) | (sizes[found.j] > 1)
        pairs, scores = array("q"), array("d")
        for i, j, score in zip(*(column[copied].tolist() for column in found[1:]), strict=True):
            left, right, crowd = copies(i), copies(j), self._crowd(len(scores))
            if self._within and len(left) + len(right) > crowd:
                left, right = left[:1], right[:1]  # the other copies hang on these already
            for one, other in _between(left, right, crowd):
                pairs.extend((min(one, other), max(one, other)))
                scores.append(score)
        once = _Found("near", found.i[~copied], found.j[~copied], found.score[~copied])
        return _joined([once, _found("near", pairs, scores)])


class _Together:
    """Which of n problems near pairs already hold together."""

    def __init__(self, n: int) -> None:
        import numpy as np

        self._group = np.arange(n)
        self._size = np.ones(n, np.int64)

    def may_join(self, i: Ints, j: Ints, crowd: int) -> NDArray[np.bool_]:
        """Return whether a pair would tell something: it lies not within one crowd."""
        group = self._group[i]
        found: NDArray[np.bool_] = (group != self._group[j]) | (self._size[group] <= crowd)
        return found

    def join(self, i: Ints, j: Ints) -> None:
        import numpy as np
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not len(i):
            return
        n = len(self._group)
        edges = (np.ones(len(i), np.int8), (self._group[i], self._group[j]))
        _, of = connected_components(coo_array(edges, shape=(n, n)), directed=False)
        self._group = of[self._group]
        self._size = np.bincount(self._group, minlength=n)


def _equal_texts(columns: TextColumns) -> Iterator[list[int]]:
    """Yield the places of every two and more problems of one normalised text, rising."""
    import numpy as np

    order = np.argsort(columns.normal_hash, kind="stable")
    starts, _ = _runs(columns.normal_hash[order])
    ends = np.append(starts[1:], len(order))
    several = ends - starts > 1
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        by_text: dict[str, list[int]] = {}  # two texts may share a hash
        for k in order[start:end].tolist():
            by_text.setdefault(columns.normal(k), []).append(k)
        yield from (equal for equal in by_text.values() if len(equal) > 1)


def _runs(values: NDArray[Any]) -> tuple[Ints, Ints]:
    """Return where each run of equal values starts, and the number of each value's run."""
    import numpy as np

    is_start = np.append(np.ones(min(1, len(values)), bool), values[1:] != values[:-1])
    return np.flatnonzero(is_start), np.cumsum(is_start) - 1


def _within(equal: Sequence[int], crowd: int) -> Iterable[tuple[int, int]]:
    return combinations(equal, 2) if len(equal) <= crowd else product(equal[:1], equal[1:])


def _between(left: Sequence[int], right: Sequence[int], crowd: int) -> Iterable[tuple[int, int]]:
    """Return all with all; of a crowd each with the first of the other side."""
    if len(left) + len(right) <= crowd:
        return product(left, right)
    return chain(product(left[:1], right), product(left[1:], right[:1]))


def _found(how: How, pairs: array[int], scores: array[float] | None = None) -> _Found:
    """Return the pairs that stand one after the other in ``pairs``; of score 1 where none is
    given.
    """
    import numpy as np

    i, j = np.array(pairs, np.int64).reshape(-1, 2).T
    return _Found(how, i, j, np.ones(len(i)) if scores is None else np.array(scores))


def _joined(parts: Sequence[_Found]) -> _Found:
    """Return one after the other, under the kind of the first."""
    import numpy as np

    i, j, score = (np.concatenate(column) for column in zip(*(p[1:] for p in parts), strict=True))
    return _Found(parts[0].how, i, j, score)


def _pairs(found: Sequence[_Found], ids: Strings) -> list[Pair]:
    """Return the pairs with their ids, in the order in which they are listed."""
    import numpy as np

    kind = np.repeat(np.arange(len(found)), [len(part.i) for part in found])
    _, i, j, score = _joined(found)
    names = list(ids)
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    order = np.lexsort((rank[j], rank[i], -score, kind))
    values, value = np.unique(score, return_inverse=True)
    scores = values.tolist()  # few: pairs share them, as they share their ids
    pairs: list[Pair] = []
    for start in range(0, len(order), _CHUNK):
        part = order[start : start + _CHUNK]
        rows = zip(*(column[part].tolist() for column in (i, j, value, kind)), strict=True)
        pairs.extend(Pair(names[x], names[y], scores[v], found[k].how) for x, y, v, k in rows)
    return pairs
