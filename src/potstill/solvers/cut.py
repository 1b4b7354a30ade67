"""What to do about a reply that was cut at its token limit: ask past the cut, once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from potstill.records import Finish
from potstill.solvers import Ask, Completion, Message, Solver, Unanswered

__all__ = ["CONTINUE_PROMPT", "WhenCut", "ask_past_cuts"]

CONTINUE_PROMPT = (
    "Your reply was cut off at the token limit. Go on exactly where it stopped, without repeating "
    "anything, to its end."
)


@dataclass(frozen=True, slots=True)
class WhenCut:
    """Ask a cut reply's question ``again`` with ``max_tokens``, or have the reply ``continue``."""

    do: Literal["again", "continue"]
    max_tokens: int

    def __str__(self) -> str:
        what = "asked again once, with" if self.do == "again" else "continued once, by"
        return f"{what} {self.max_tokens:,} tokens"


def ask_past_cuts(
    solver: Solver,
    asks: Iterable[Ask],
    stage: str,
    when_cut: WhenCut,
) -> Iterator[Completion | Unanswered]:
    """One result per ask: those that were cut come last, as their second attempt left them.

    A second attempt that fails comes back as the error it is, and the next run makes it again; one
    that nobody has a record of leaves the cut reply as it was. Never asks a third time.
    """
    chats: dict[tuple[str, int], Ask] = {}

    def noted() -> Iterator[Ask]:
        for ask in asks:
            chats[ask.tag, ask.sample] = ask
            yield ask

    cut: dict[tuple[str, int], Completion] = {}
    for result in solver.complete(noted(), stage):
        who = (result.tag, result.sample)
        ask = chats.pop(who)
        if isinstance(result, Completion) and result.finish is Finish.LENGTH:
            cut[who] = result
            chats[who] = ask
        else:
            yield result
    again = [_second(chats[who], first, when_cut) for who, first in cut.items()]
    for result in solver.complete(again, stage) if again else ():
        first = cut[result.tag, result.sample]
        if isinstance(result, Unanswered):
            yield first
        elif when_cut.do == "again" or result.finish is Finish.ERROR:
            yield result
        else:
            yield _joined(first, result)


def _second(ask: Ask, first: Completion, when_cut: WhenCut) -> Ask:
    messages = ask.messages
    if when_cut.do == "continue":
        said = "\n\n".join(part for part in (first.reasoning, first.text) if part)
        messages = (*messages, Message("assistant", said), Message("user", CONTINUE_PROMPT))
    sampling = replace(ask.sampling, max_tokens=when_cut.max_tokens)
    return replace(ask, messages=messages, sampling=sampling, attempt=ask.attempt + 1)


def _joined(first: Completion, second: Completion) -> Completion:
    """The whole of a continued reply."""
    return replace(
        second,
        reasoning=first.reasoning + second.reasoning,
        text=first.text + second.text,
        tokens_in=first.tokens_in + second.tokens_in,
        tokens_out=first.tokens_out + second.tokens_out,
    )
