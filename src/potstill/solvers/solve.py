"""One function that asks any solver any problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from potstill.chat import Solver, render_asks
from potstill.records import Condition, NotAsked, Problem, Response
from potstill.solvers.truncation import ask_past_cuts

if TYPE_CHECKING:
    from potstill.solvers.truncation import WhenCut

__all__ = ["solve"]


def solve(
    solver: Solver,
    problems: Iterable[Problem],
    condition: Condition,
    *,
    stage: str,
    samples: int = 1,
    attempt: int = 0,
    when_cut: WhenCut | None = None,
) -> Iterator[Response | NotAsked]:
    """Yield responses of any solver to any problems under one condition, in the order they come.

    A reply cut at the limit is a response like any other, or is asked past its cut once where
    ``when_cut`` says how.
    """
    asks = render_asks(problems, condition, samples, attempt)
    results = (
        ask_past_cuts(solver, asks, stage, when_cut) if when_cut else solver.complete(asks, stage)
    )
    for result in results:
        if result.asked:
            yield result.response(solver.id, condition.condition_id)
        else:
            yield NotAsked(solver.id, result.tag, condition.condition_id, result.error)
