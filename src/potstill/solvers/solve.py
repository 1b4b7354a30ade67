"""One function that asks any solver any problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from potstill.chat import Solver, render_asks
from potstill.errors import EndpointError, InputError
from potstill.records import Condition, Finish, NotAsked, Problem, Response
from potstill.solvers.truncation import ask_past_cuts
from potstill.text import several

if TYPE_CHECKING:
    from potstill.solvers.truncation import WhenCut

__all__ = ["in_order", "solve", "unless_all_cut", "unless_all_failed"]

_FIRST_CUT = 10


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


def unless_all_failed(
    who: str, results: Iterable[Response | NotAsked]
) -> Iterator[Response | NotAsked]:
    """Yield the results. Raises EndpointError, before the stage is called done, where all
    failed.
    """
    first: Response | None = None
    failed = others = 0
    for result in results:
        if isinstance(result, Response) and result.finish is Finish.ERROR:
            first, failed = first or result, failed + 1
        else:
            others += 1
        yield result
    if first is not None and not others:
        raise EndpointError(
            f"{who} answered none of {several(failed, 'problem')} ({first.problem_id}: "
            f"{first.error}); mend that and run again: nothing was kept as an answer."
        )


def unless_all_cut(
    who: str, limit: int, results: Iterable[Response | NotAsked]
) -> Iterator[Response | NotAsked]:
    """Yield the results. Raises InputError where the first answers, or all of a few, were cut at
    the ``limit`` of their tokens: what is cut is not taught.
    """
    cut = whole = 0
    for result in results:
        if isinstance(result, Response):
            cut += result.finish is Finish.LENGTH
            whole += result.finish is Finish.STOP
        if cut == _FIRST_CUT and not whole:
            break
        yield result
    if cut and not whole:
        raise InputError(
            f"{who}: the first {several(cut, 'answer')} {'was' if cut == 1 else 'were'} cut at the "
            f"limit of {limit:,} tokens, and what is cut is not taught; raise max_tokens, or set "
            "when_cut: continue, and run again."
        )


def in_order(
    results: Iterable[Response | NotAsked], problems: Iterable[Problem], samples: int = 1
) -> Iterator[Response | NotAsked]:
    """Yield the results of each problem, sample by sample, in the order of the problems.

    Those that come early wait: as many are in memory as are ahead of the slowest.
    """
    early: defaultdict[str, list[Response | NotAsked]] = defaultdict(list)
    coming = iter(results)
    for problem in problems:
        while len(early[problem.id]) < samples:
            result = next(coming)
            early[result.problem_id].append(result)
        yield from sorted(early.pop(problem.id), key=lambda x: getattr(x, "sample", 0))
    yield from coming  # none; but what is counted must end
