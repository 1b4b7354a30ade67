"""One function that asks any solver any problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from potstill.chat import Solver, render_asks
from potstill.errors import EndpointError, InputError, one_line
from potstill.records import Condition, Finish, NotAsked, Problem, Response
from potstill.solvers.truncation import ask_past_cuts
from potstill.text import several

if TYPE_CHECKING:
    from potstill.solvers.truncation import WhenCut

__all__ = ["in_order", "solve", "unless_all_failed", "unless_useless"]

_FIRST = 10  # answers that are looked at
_NEAR = 0.9  # of the limit, from which on a cut is the limit's
_OTHER_KEYS = 5  # that many keys among them, and one answer cannot be right of them


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


def unless_useless(
    who: str, results: Iterable[Response | NotAsked], problems: Sequence[Problem], limit: int
) -> Iterator[Response | NotAsked]:
    """Yield the results. Raises InputError where the first answers, or all of a few, teach nothing.

    They are all cut at the ``limit`` of their tokens, empty, or one and the same whatever the
    problem and its key: a refusal, say.
    """
    keys = {problem.id: problem.gold_text for problem in problems}
    first: dict[str, Response] = {}  # of each problem
    for result in results:
        if len(first) < _FIRST and isinstance(result, Response) and result.finish != Finish.ERROR:
            first.setdefault(result.problem_id, result)
            if len(first) == _FIRST:
                _refuse_useless(who, list(first.values()), keys, limit)
        yield result
    if 0 < len(first) < _FIRST:
        _refuse_useless(who, list(first.values()), keys, limit)


def _refuse_useless(
    who: str, first: Sequence[Response], keys: Mapping[str, str], limit: int
) -> None:
    count = several(len(first), "answer")
    if all(x.finish is Finish.LENGTH for x in first):
        longest = max(x.tokens_out for x in first)
        if 0 < longest < _NEAR * limit:
            raise InputError(
                f"{who}: the endpoint cut the first {count} at {longest:,} tokens or fewer, long "
                f"before the {limit:,} of max_tokens: that is a limit of its own (its context, or "
                "a setting of the server); raise it there, and run again."
            )
        raise InputError(
            f"{who}: the first {count} {'was' if len(first) == 1 else 'were'} cut at the limit of "
            f"{limit:,} tokens, and what is cut is not taught; raise max_tokens, or set when_cut: "
            "continue (with a larger cut_max_tokens), and run again."
        )
    if all(x.finish is Finish.FILTERED for x in first):
        said_why = next((one_line(x.error)[:160] for x in first if x.error), "")
        raise InputError(
            f"{who}: the first {several(len(first), 'question')} "
            f"{'was' if len(first) == 1 else 'were'} refused by the model or a content filter"
            f"{f' ({said_why})' if said_why else ''}; name another model or endpoint, or mend what "
            "is asked, and run again."
        )
    if not any(x.text.strip() for x in first):
        thought = any(x.reasoning.strip() for x in first)
        raise InputError(
            f"{who}: the first {count} {'is' if len(first) == 1 else 'are'} empty"
            + (
                " behind their reasoning, and what stands in the reasoning alone is not taught; "
                "see that the server parts reasoning and answer at the right mark (its reasoning "
                "parser), or that max_tokens leaves room for the answer"
                if thought
                else "; see that model and settings are right"
            )
            + ", and run again."
        )
    said = {(x.reasoning, x.text.strip()) for x in first}
    if len(said) == 1 and len({keys[x.problem_id] for x in first}) >= _OTHER_KEYS:
        raise InputError(
            f"{who}: the first {count} are one and the same, whatever the problem: "
            f"{one_line(first[0].text)[:100]!r}; see that prompt holds {{problem}} and that the "
            "model answers it, and run again."
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
