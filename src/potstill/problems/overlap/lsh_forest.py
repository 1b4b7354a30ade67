"""Who lies close to whom: an LSH forest over sketches, and the partners found in one of its orders.

An order sorts the problems by 8 of a sketch's 64 values, each time others first (Bawa, Condie,
Ganesan 2005); alike texts lie close together in at least one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from potstill.problems.overlap.minhash import GRAM, SKETCH_VALUES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["ORDERS", "Forest", "Partners", "Seeking", "least_agreement", "partners"]

ORDERS = 16
_VALUES_A_KEY = 8
_REACH = 8  # places
_CHUNK = 50_000  # pairs compared at a time


@dataclass(frozen=True, slots=True)
class Forest:
    """The sketches [n, 64] of ``a``, the first ``of_a``, and of ``b``, and hashes of the numbers.

    Pairs are ``within`` one set, or of one of ``a`` and one of ``b``.
    """

    sketch: NDArray[np.uint8]
    numbers_hash: NDArray[np.uint64]
    of_a: int
    within: bool

    def __len__(self) -> int:
        return len(self.numbers_hash)

    def key(self, rows: Ints, number: int) -> NDArray[np.uint64]:
        """Return eight values of each row's sketch as one number; the first four are in no other
        key's.
        """
        import numpy as np

        step = SKETCH_VALUES // ORDERS
        values = (step * number + np.arange(_VALUES_A_KEY)) % SKETCH_VALUES
        return self.sketch[np.ix_(rows, values)].view(">u8")[:, 0].astype(np.uint64)

    def neighbours(self, order: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Yield places in ``a`` and in ``b`` (the later ones, within one set) close by in an
        order.
        """
        import numpy as np

        if self.within:
            for reach in range(1, _REACH + 1):
                one, other = order[:-reach], order[reach:]
                yield np.minimum(one, other), np.maximum(one, other)
            return
        in_b = order >= self.of_a
        a, b = order[~in_b], order[in_b]
        before = np.cumsum(~in_b)[in_b]
        for reach in range(_REACH):
            for at in (before - 1 - reach, before + reach):
                there = (at >= 0) & (at < len(a))
                yield a[at[there]], b[there]

    def agreement(self, i: Ints, j: Ints) -> Ints:
        """Return in how many of its 64 values each pair's sketches agree."""
        import numpy as np

        found = np.empty(len(i), np.int64)
        for start in range(0, len(i), _CHUNK):
            part = slice(start, start + _CHUNK)
            found[part] = (self.sketch[i[part]] == self.sketch[j[part]]).sum(1)
        return found


@dataclass(frozen=True, slots=True)
class Seeking:
    """Who of ``rows`` seeks a partner with other numbers (``asks`` [n]), one that agrees enough."""

    forest: Forest
    rows: Ints
    asks: NDArray[np.bool_]
    least: int


@dataclass(frozen=True, slots=True)
class Partners:
    """Of each problem j that found one, the partner i and in how many values they agree."""

    j: Ints
    i: Ints
    agreement: Ints


def partners(number: int, seeking: Seeking) -> Partners:
    """Return the best partners in one order; of equally good ones that of the shortest reach."""
    import numpy as np

    forest, asks, rows = seeking.forest, seeking.asks, seeking.rows
    best = np.full(len(forest), seeking.least - 1)
    partner = np.full(len(forest), -1)
    for i, j in forest.neighbours(rows[np.argsort(forest.key(rows, number))]):
        may = asks[j] & (forest.numbers_hash[i] != forest.numbers_hash[j])
        i, j = i[may], j[may]
        agreement = forest.agreement(i, j)
        better = np.flatnonzero(agreement > best[j])
        better = better[np.argsort(agreement[better], kind="stable")]  # the last one stays
        partner[j[better]] = i[better]
        best[j[better]] = agreement[better]
    j = np.flatnonzero(partner >= 0)
    return Partners(j, partner[j], best[j])


def least_agreement(threshold: float) -> int:
    """Return the values of a sketch in which texts of this ratio agree, three standard deviations
    below.

    Of a text with a share e of its characters replaced here and there, (1 - e)^5 of the 5-grams
    remain, and the two ratios are 1 - e alike.
    """
    remain = threshold**GRAM
    share = remain / (2 - remain)
    spread = (SKETCH_VALUES * share * (1 - share)) ** 0.5
    return max(2, int(SKETCH_VALUES * share - 3 * spread))
