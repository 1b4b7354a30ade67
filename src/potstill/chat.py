"""What asks and what answers: a chat to complete, its completion, and whoever completes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from potstill.records import Condition, Finish, Problem, Response, Sampling

__all__ = [
    "Ask",
    "Completion",
    "Message",
    "Solver",
    "SolverPlugin",
    "never",
    "render_asks",
    "render_messages",
    "template_mark",
]

_TEMPLATE_MARK = re.compile(
    r"</?(?:(?:[a-z]{1,12}[:_])?(?:think(?:ing)?|thought)|reasoning)>|</?seed:\w+>"
    r"|\[/?(?:THINK|INST)\]|◁/?think▷|<\|[A-Za-z_]{2,40}\|>|<\|channel>|<channel\|>"
    r"|<｜[^｜<>\n]{1,40}｜>|<(?:start|end)_of_turn>|<unused\d+>|\bassistantfinal\b",
    re.IGNORECASE,
)


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
    """One reply, and once it is :meth:`answering` an ask, what the ask calls itself and its key.

    ``error`` is set where ``finish`` is ERROR, in one sentence, and where it is FILTERED and the
    filter said why. Token counts are 0 and ``counted`` is False where the reply does not tell them;
    ``ended`` is False where it does not say how it ended; ``model`` is what it calls its
    model; ``notes`` say what is odd. ``asked`` is False where nobody was asked and nothing was
    bought (a replay without a record, a spent budget).
    """

    text: str
    reasoning: str
    finish: Finish
    tokens_in: int = 0
    tokens_out: int = 0
    error: str = ""
    tag: str = ""
    sample: int = 0
    attempt: int = 0
    ledger_key: str = ""
    tokens_cached: int = 0
    reasoning_tokens: int = 0
    counted: bool = True
    ended: bool = True
    model: str = ""
    notes: tuple[str, ...] = ()
    asked: bool = True

    @classmethod
    def failed(cls, ask: Ask, ledger_key: str, why: str, tokens_in: int = 0) -> Completion:
        """Return what comes back for an ask that has no reply, and why in one sentence."""
        return cls("", "", Finish.ERROR, tokens_in, error=why).answering(ask, ledger_key)

    @classmethod
    def unasked(cls, ask: Ask, ledger_key: str, why: str) -> Completion:
        """Return what comes back for an ask that was put to nobody, and why."""
        return replace(cls.failed(ask, ledger_key, why), asked=False)

    def answering(self, ask: Ask, ledger_key: str) -> Completion:
        """Return the same as this ask's: cut where it says no end and took all tokens it may."""
        limit = ask.sampling.max_tokens
        cut = not self.ended and self.finish is Finish.STOP and self.tokens_out >= limit > 0
        return replace(
            self,
            finish=Finish.LENGTH if cut else self.finish,
            tag=ask.tag,
            sample=ask.sample,
            attempt=ask.attempt,
            ledger_key=ledger_key,
        )

    def response(self, solver: str, condition_id: str) -> Response:
        """Return it as that solver's response to the problem whose id the ask is tagged with."""
        return Response(
            solver=solver,
            problem_id=self.tag,
            condition_id=condition_id,
            sample=self.sample,
            attempt=self.attempt,
            reasoning=self.reasoning,
            text=self.text,
            finish=self.finish,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            ledger_key=self.ledger_key,
            error=self.error,
        )


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

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield one result per ask, in any order, each committed to the ledger first.

        Asks are drawn lazily. Raises EndpointError where no ask can succeed (refused, 401).
        """
        ...


class SolverPlugin(Protocol):
    """What an entry point of the group ``potstill.solvers`` names: a module with these.

    ``Options`` is a pydantic model of the solver's settings with a field ``model`` and a method
    ``identity()``: what decides its answers, never an address. ``PROVIDER`` (or
    ``Options.provider``) names it in the ledger, ``ledger_model(options)`` its model where that is
    not ``options.model``. A module may also have ``price(options)``, a
    :class:`~potstill.ledger.prices.Price` in dollars per million tokens
    (:func:`~potstill.ledger.prices.free` for what answers on this machine) or None where nobody
    knows; without it the table of prices is asked by ``model``. ``key_there(options)`` says where
    an API key is read from and whether it is there, ``models_there(options)`` which models its
    endpoint lists (a :class:`~potstill.solvers.listing.Listing`). ``check(options)`` raises an
    InputError for what would keep the solver from being opened (a file, a model, a key): it is
    asked before anyone is paid. ``unsuited(options, problems)`` returns why it cannot answer them.
    ``recorded_files(options)`` lists the files of a solver that reads answers recorded elsewhere.
    ``BASES`` names the options that name a model as ``student.base`` does: a path in them starts at
    the study file.
    """

    Options: type[Any]

    def open_solver(
        self, options: Any, ledger: Any, *, stop: Callable[[], str]
    ) -> AbstractContextManager[Solver]:
        """Return the solver for as long as the context lasts.

        ``stop`` is asked before each purchase and gives a reason where nothing may be bought.
        """
        ...


def never() -> str:
    """Return what stops buying: nothing."""
    return ""


def render_messages(problem: Problem, condition: Condition) -> tuple[Message, ...]:
    """Return the chat that puts a problem to a solver: the system prompt if any, then the
    template.
    """
    user = Message("user", condition.template.replace("{problem}", problem.text))
    return (Message("system", condition.system), user) if condition.system else (user,)


def render_asks(
    problems: Iterable[Problem], condition: Condition, samples: int = 1, attempt: int = 0
) -> Iterator[Ask]:
    """Yield one ask per problem and sample, tagged with the problem's id."""
    for problem in problems:
        for sample in range(samples):
            messages = render_messages(problem, condition)
            yield Ask(problem.id, messages, condition.sampling, sample, attempt)


def template_mark(text: str) -> str:
    """Return the first mark of a chat template in a text (``<think>``, ``<|im_end|>``), "" if
    none.
    """
    found = _TEMPLATE_MARK.search(text)
    return found[0] if found else ""
