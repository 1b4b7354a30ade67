"""What every decoder takes and gives; no backend is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from potstill.records import Finish, Sampling

if TYPE_CHECKING:
    from potstill.training.models import Decoder

__all__ = ["Finished", "Request", "decode_all"]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt to continue. ``key`` is the caller's own; ``draw_seed`` decides every draw."""

    key: int
    prompt: tuple[int, ...]
    sampling: Sampling
    draw_seed: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A continuation. ``tokens_out`` counts the stop token, ``tokens`` leaves it out."""

    key: int
    tokens: tuple[int, ...]
    finish: Finish
    tokens_out: int


def decode_all(decoder: Decoder, requests: Sequence[Request]) -> Iterator[Finished]:
    """The continuation of every request, in the order they end."""
    waiting = list(reversed(requests))
    while waiting or decoder.active:
        fresh = [waiting.pop() for _ in range(min(decoder.wanted, len(waiting)))]
        yield from decoder.step(fresh)
