"""What every decoder takes and gives; no backend is imported."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from potstill.records import Finish, Sampling

__all__ = ["Decoder", "Finished", "Request", "decode_all", "draw_seed"]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt to continue. ``key`` is the caller's own; ``draw_seed`` decides every draw."""

    key: int
    prompt: tuple[int, ...]
    sampling: Sampling
    draw_seed: str


def draw_seed(sampling: Sampling, sample: int, attempt: int, prompt: Sequence[int]) -> str:
    """Return what decides every draw of an answer: all but the model.

    Without the model students are drawn with the same numbers, which pairs them better.
    """
    return f"{sampling.seed} {sample} {attempt} {tuple(prompt)}"


@dataclass(frozen=True, slots=True)
class Finished:
    """A continuation. ``tokens_out`` counts the stop token, ``tokens`` leaves it out."""

    key: int
    tokens: tuple[int, ...]
    finish: Finish
    tokens_out: int


def decode_all(decoder: Decoder, requests: Sequence[Request]) -> Iterator[Finished]:
    """Yield the continuation of every request, in the order they end."""
    waiting = list(reversed(requests))
    while waiting or decoder.active:
        fresh = [waiting.pop() for _ in range(min(decoder.wanted, len(waiting)))]
        yield from decoder.step(fresh)


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

    def step(self, fresh: Sequence[Request]) -> list[Finished]:
        """Return what finished, after ``fresh`` was admitted and every sequence got its next
        token.
        """
        ...

    def under_way(self) -> dict[int, Sequence[int]]:
        """Return the tokens so far of every unfinished sequence, by its request's key; only to be
        read.
        """
        ...

    def drop(self, keys: Collection[int]) -> None:
        """Drop the unfinished sequences of these requests and free their slots."""
        ...
