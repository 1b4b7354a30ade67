"""The overlap audit by the workers: batches of texts to sketch, orders to find partners in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from potstill.cluster.parts import in_order
from potstill.problems.overlap.lsh_forest import Partners, Seeking, partners
from potstill.problems.overlap.minhash import Sketched, sketched
from potstill.problems.overlap.neighbours import Sketchers

if TYPE_CHECKING:
    from potstill.cluster.worker_pool import WorkerPool

__all__ = ["FEWEST", "ClusterSketchers"]

# problems, some fifteen seconds of one core: workers take about as long to start
FEWEST = 100_000


class ClusterSketchers(Sketchers):
    """The workers of a cluster; a part whose workers were lost too often is done here."""

    def __init__(self, workers: Callable[[], WorkerPool], retries: int) -> None:
        self._workers = workers
        self._retries = retries

    def sketch(self, batches: Iterable[Sequence[str]]) -> Iterator[Sketched]:
        return in_order(self._workers(), "sketch", batches, sketched, self._retries)

    def partners(self, numbers: Iterable[int], seeking: Seeking) -> Iterator[Partners]:
        def here(number: int) -> Partners:
            return partners(number, seeking)

        return in_order(self._workers(), "partners", numbers, here, self._retries, shared=seeking)
