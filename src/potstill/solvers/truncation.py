"""What to do about a reply that was cut at its token limit: ask past the cut, once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from potstill.chat import Ask, Completion, Message, Solver
from potstill.records import Finish

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
) -> Iterator[Completion]:
    """Yield one result per ask; a cut one is asked again soon after, and comes as that left it.

    A second attempt that fails comes back as the error it is, and the next run makes it again; one
    that nobody has a record of leaves the cut reply as it was. Never asks a third time.
    """
    chats: dict[tuple[str, int], Ask] = {}
    cut: dict[tuple[str, int], Completion] = {}
    seconds: deque[Ask] = deque()

    def drawn(firsts: Iterable[Ask]) -> Iterator[Ask]:
        for ask in firsts:
            while seconds:
                yield seconds.popleft()
            chats[ask.tag, ask.sample] = ask
            yield ask
        while seconds:
            yield seconds.popleft()

    def answered(firsts: Iterable[Ask]) -> Iterator[Completion]:
        for result in solver.complete(drawn(firsts), stage):
            who = (result.tag, result.sample)
            first = cut.pop(who, None)
            if first is not None:
                yield _settled(first, result, when_cut)
                continue
            ask = chats.pop(who)
            if result.finish is Finish.LENGTH:
                cut[who] = result
                seconds.append(_second(ask, result, when_cut))
            else:
                yield result

    yield from answered(asks)
    if seconds:  # of the last ones, for which no ask came any more
        yield from answered(())


def _settled(first: Completion, second: Completion, when_cut: WhenCut) -> Completion:
    """Return what is made of a cut reply and what its second attempt brought."""
    if not second.asked:
        return first
    if when_cut.do == "again" or second.finish is Finish.ERROR:
        return second
    return _joined(first, second)


def _second(ask: Ask, first: Completion, when_cut: WhenCut) -> Ask:
    messages = ask.messages
    if when_cut.do == "continue":
        said = "\n\n".join(part for part in (first.reasoning, first.text) if part)
        messages = (*messages, Message("assistant", said), Message("user", CONTINUE_PROMPT))
    sampling = replace(ask.sampling, max_tokens=when_cut.max_tokens)
    return replace(ask, messages=messages, sampling=sampling, attempt=ask.attempt + 1)


def _joined(first: Completion, second: Completion) -> Completion:
    """Return the whole of a continued reply."""
    return replace(
        second,
        reasoning=first.reasoning + second.reasoning,
        text=first.text + second.text,
        tokens_in=first.tokens_in + second.tokens_in,
        tokens_out=first.tokens_out + second.tokens_out,
    )
