"""What every decoder takes and gives; no backend is imported."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.records import Finish, Sampling

__all__ = ["Finished", "Request"]


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
