"""The overlap audit by the workers: batches of texts to sketch, orders to find partners in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from potstill.cluster.parts import in_order
from potstill.problems.overlap.forest import Partners, Seeking, partners
from potstill.problems.overlap.neighbours import Hands
from potstill.problems.overlap.sketches import Sketched, sketched

if TYPE_CHECKING:
    from potstill.cluster.crew import Crew

__all__ = ["FEWEST", "ClusterHands"]

# problems, some fifteen seconds of one core: workers take about as long to start
FEWEST = 100_000


class ClusterHands(Hands):
    """The workers of a cluster; a part whose workers were lost too often is done here."""

    def __init__(self, crew: Callable[[], Crew], retries: int) -> None:
        self._crew = crew
        self._retries = retries

    def sketch(self, batches: Iterable[Sequence[str]]) -> Iterator[Sketched]:
        return in_order(self._crew(), "sketch", batches, sketched, self._retries)

    def partners(self, numbers: Iterable[int], seeking: Seeking) -> Iterator[Partners]:
        def here(number: int) -> Partners:
            return partners(number, seeking)

        return in_order(self._crew(), "partners", numbers, here, self._retries, shared=seeking)
