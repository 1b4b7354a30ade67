"""How likely the base finds traces, kept some at a time so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.chat import Message
from potstill.lessons.traces import Likelihood
from potstill.store.cells import Cell, Store
from potstill.store.tables import in_batches

__all__ = ["Prompted", "kept_likelihoods"]

_KEPT_TOGETHER = 64
"""Traces of one cell: what a run that is killed does again at most."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Prompted:
    """A trace behind the prompt that a student is trained with."""

    problem_id: str
    sample: int
    messages: tuple[Message, ...]
    text: str


def kept_likelihoods(
    store: Store,
    traces: Iterable[Prompted],
    score: Callable[[Sequence[Prompted]], list[tuple[int, float]]],
    **scorer: Any,
) -> Iterator[Likelihood]:
    """Yield the likelihood of each trace: tokens and mean log-probability as ``score`` gives them.

    What is kept is not scored again, for as long as ``scorer``, plain values, names the same base.
    """
    for together in in_batches(traces, _KEPT_TOGETHER):
        cell = Cell.of("likelihood", traces=together, scorer=scorer, version=_VERSION)
        if not store.exists(cell):
            with store.filling(cell, {"likelihoods": Likelihood}) as out:
                for trace, (tokens, mean) in zip(together, score(together), strict=True):
                    out.add("likelihoods", Likelihood(trace.problem_id, trace.sample, tokens, mean))
        yield from store.read(cell, "likelihoods", Likelihood)
