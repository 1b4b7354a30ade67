"""The one loop that feeds a decoder, and what a decoder is; no backend is imported."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from potstill.records import Finish, Sampling

__all__ = ["Decoder", "Finished", "Request", "Running", "generate"]

_END: Final = object()


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt to continue. ``key`` is the caller's own."""

    key: int
    prompt: tuple[int, ...]
    sampling: Sampling
    sample: int = 0
    attempt: int = 0


@dataclass(slots=True)
class Running:
    """A request under way: how many tokens it may take, and those it has, without a stop token."""

    request: Request
    limit: int
    draws: random.Random
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None

    @classmethod
    def begin(cls, request: Request, context_tokens: int) -> Running:
        """Return a request as it begins in a model of so many tokens of context.

        All but the model decides its draws: students are drawn with the same numbers, which pairs
        them better.
        """
        sampling, prompt = request.sampling, request.prompt
        seed = f"{sampling.seed} {request.sample} {request.attempt} {prompt}"
        limit = max(1, min(sampling.max_tokens, context_tokens - len(prompt)))
        return cls(request, limit, random.Random(seed))

    @property
    def tokens_out(self) -> int:
        """How many tokens were drawn, the stop token counted."""
        return len(self.tokens) + (self.finish is Finish.STOP)

    def advance(self, token: int, stop_tokens: Collection[int]) -> None:
        """Take the next token, and note the end where it is one."""
        if token in stop_tokens:
            self.finish = Finish.STOP
            return
        self.tokens.append(token)
        if len(self.tokens) >= self.limit:
            self.finish = Finish.LENGTH


@dataclass(frozen=True, slots=True)
class Finished:
    """A continuation. ``tokens_out`` counts the stop token, ``tokens`` leaves it out."""

    key: int
    tokens: tuple[int, ...]
    finish: Finish
    tokens_out: int


class Decoder(Protocol):
    """Continues prompts, many at a time."""

    @property
    def slots(self) -> int:
        """How many sequences run at once."""
        ...

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        ...

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step."""
        ...

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        """Return all that got a token, one each, after ``fresh`` was admitted."""
        ...

    def drop(self, keys: Collection[int]) -> None:
        """Drop the unfinished sequences of these requests and free their slots."""
        ...


def generate(
    decoder: Decoder,
    requests: Iterable[Request | None],
    on_token: Callable[[int, int], bool] | None = None,
) -> Iterator[list[Finished]]:
    """Yield after every step what finished in it, until all requests are answered or dropped.

    Requests are taken as slots become free; None among them says that no more wait for now.
    ``on_token`` gets the key and the new token of each, stop tokens left out; where it returns
    False, the request is dropped and does not come back.
    """
    source = iter(requests)
    more = True
    while more or decoder.active:
        fresh: list[Request] = []
        while more and len(fresh) < decoder.wanted:
            request = next(source, _END)
            more = request is not _END
            if not isinstance(request, Request):
                break
            fresh.append(request)
        running = decoder.step(fresh)
        left = _left(running, on_token) if on_token else set()
        if left:
            decoder.drop(left)
        yield [
            Finished(run.request.key, tuple(run.tokens), run.finish, run.tokens_out)
            for run in running
            if run.finish is not None and run.request.key not in left
        ]


def _left(running: Sequence[Running], on_token: Callable[[int, int], bool]) -> set[int]:
    """Return the keys of those to drop, once ``on_token`` was told every new token."""
    with_token = (run for run in running if run.finish is not Finish.STOP)
    return {run.request.key for run in with_token if not on_token(run.request.key, run.tokens[-1])}
