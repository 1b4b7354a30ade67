"""Whoever answers: an API, a local model, a record. One protocol, one function to ask them.

A solver completes chats (:class:`Ask` in, :class:`Completion` out, in any order, as they come). The
teacher, the verifier, the condenser, the base and every student are solvers; :func:`solve` asks any
of them any problems under a stated condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from potstill.records import Condition, Finish, NotAsked, Problem, Response, Sampling

if TYPE_CHECKING:
    from potstill.solvers.cut import WhenCut

__all__ = [
    "Ask",
    "Completion",
    "Message",
    "Solver",
    "Unanswered",
    "never",
    "render_asks",
    "render_messages",
    "solve",
]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One chat to complete. ``tag`` is the caller's own name for it and comes back unchanged.

    ``sample`` tells independent draws of the same question apart, ``attempt`` deliberate repeats.
    """

    tag: str
    messages: tuple[Message, ...]
    sampling: Sampling
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back for one ask. ``error`` is set where ``finish`` is ERROR, in one sentence."""

    tag: str
    sample: int
    attempt: int
    reasoning: str
    text: str
    finish: Finish
    tokens_in: int
    tokens_out: int
    ledger_key: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An ask that the solver has no record of (a replay's 404): nothing was bought."""

    tag: str
    sample: int
    why: str


@runtime_checkable
class Solver(Protocol):
    """Anything that completes chats.

    ``id`` names the model in tables and never holds an address or a secret; ``precision`` is the
    weights' precision as far as it is known ("api" for an endpoint).
    """

    @property
    def id(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion | Unanswered]:
        """Yield one result per ask, in any order, each committed to the ledger first.

        Asks are drawn lazily. Raises EndpointError where no ask can succeed (refused, 401).
        """
        ...


def never() -> str:
    """What stops buying: nothing."""
    return ""


def render_messages(problem: Problem, condition: Condition) -> tuple[Message, ...]:
    """The chat that puts a problem to a solver: the system prompt if any, then the template."""
    user = Message("user", condition.template.replace("{problem}", problem.text))
    return (Message("system", condition.system), user) if condition.system else (user,)


def render_asks(
    problems: Iterable[Problem], condition: Condition, samples: int = 1, attempt: int = 0
) -> Iterator[Ask]:
    """One ask per problem and sample, tagged with the problem's id."""
    for problem in problems:
        for sample in range(samples):
            messages = render_messages(problem, condition)
            yield Ask(problem.id, messages, condition.sampling, sample, attempt)


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
    """Responses of any solver to any problems under one condition, in the order they come.

    A reply cut at the limit is a response like any other, or is asked past its cut once where
    ``when_cut`` says how.
    """
    from potstill.solvers.cut import ask_past_cuts

    asks = render_asks(problems, condition, samples, attempt)
    results = (
        ask_past_cuts(solver, asks, stage, when_cut) if when_cut else solver.complete(asks, stage)
    )
    for result in results:
        if isinstance(result, Unanswered):
            yield NotAsked(solver.id, result.tag, condition.condition_id, result.why)
        else:
            yield Response(
                solver=solver.id,
                problem_id=result.tag,
                condition_id=condition.condition_id,
                sample=result.sample,
                attempt=result.attempt,
                reasoning=result.reasoning,
                text=result.text,
                finish=result.finish,
                tokens_in=result.tokens_in,
                tokens_out=result.tokens_out,
                ledger_key=result.ledger_key,
                error=result.error,
            )
