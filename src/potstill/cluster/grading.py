"""Grading by the workers: chunks of answers, each graded by a worker's own killable processes.

What a study has few of is graded here, sooner than workers could start. A judge is no part of it:
it is asked by the process that runs the study.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from pydantic import BaseModel

from potstill.cluster.parts import in_order
from potstill.cluster.worker import Chunk, graded
from potstill.grading.pool import GradingPool
from potstill.grading.verdicts import CutRule, counted
from potstill.records import Problem, Response, Verdict

if TYPE_CHECKING:
    from potstill.cluster.worker_pool import WorkerPool

__all__ = ["ClusterPool"]


# So many answers are graded here first, and for so long over all calls: what calling workers takes
# about. Once they were called, a call is theirs after fewer.
_FEWEST_HERE = 2_000
_SECONDS_HERE = 5.0
_FEWEST_LATER = 256
# A chunk: a fifth of a second of ordinary answers, and no long message.
_CHUNK_ANSWERS = 256
_CHUNK_CHARACTERS = 2_000_000


class ClusterPool(GradingPool):
    """A grading pool on this machine that hands what is much to a cluster's workers.

    A chunk whose workers were lost more than ``retries`` times is graded here.
    """

    def __init__(
        self,
        workers: Callable[[], WorkerPool],
        retries: int,
        kinds: Mapping[str, BaseModel] | None = None,
    ) -> None:
        super().__init__(kinds=kinds)
        self._workers = workers
        self._retries = retries
        self._waited_s = 0.0  # for verdicts, and not for pairs
        self._fewest = _FEWEST_HERE

    def grade(
        self, pairs: Iterable[tuple[Problem, Response]], *, cut: CutRule = "truncated"
    ) -> Iterator[Verdict]:
        """Yield one symbolic verdict per pair, in the order of the input.

        ``pairs`` is drawn as results leave: at most some thousands are held at a time. Raises as
        the workers's ``work`` does.
        """
        source = iter(pairs)
        yield from self._here(source, cut)
        first = next(source, None)
        if first is not None:
            for verdict in self._there(chain([first], source)):
                yield counted(verdict, cut)

    def _here(self, source: Iterator[tuple[Problem, Response]], cut: CutRule) -> Iterator[Verdict]:
        """Yield the verdicts on the first pairs: all there are, or as many as are not worth a
        worker.
        """

        def first() -> Iterator[tuple[Problem, Response]]:
            drawn = 0
            while drawn < self._fewest or self._waited_s < _SECONDS_HERE:
                asked = time.monotonic()
                pair = next(source, None)
                self._waited_s -= time.monotonic() - asked
                if pair is None:
                    return
                drawn += 1
                yield pair

        graded = super().grade(first(), cut=cut)
        while True:
            asked = time.monotonic()
            verdict = next(graded, None)
            self._waited_s += time.monotonic() - asked
            if verdict is None:
                return
            yield verdict

    def _there(self, source: Iterator[tuple[Problem, Response]]) -> Iterator[Verdict]:
        self._fewest = min(self._fewest, _FEWEST_LATER)
        here = partial(graded, self)
        chunks = iter(lambda: _chunk(source), ())
        for verdicts in in_order(self._workers(), "grade", chunks, here, self._retries):
            yield from verdicts


def _chunk(source: Iterator[tuple[Problem, Response]]) -> Chunk:
    """Return the next pairs that one worker grades; none where no pair is left."""
    pairs: list[tuple[Problem, Response]] = []
    characters = 0
    while len(pairs) < _CHUNK_ANSWERS and characters < _CHUNK_CHARACTERS:
        pair = next(source, None)
        if pair is None:
            break
        pairs.append(pair)
        characters += len(pair[0].text) + len(pair[1].text) + len(pair[1].reasoning)
    return tuple(pairs)
