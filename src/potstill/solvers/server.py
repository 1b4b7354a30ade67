"""A small OpenAI-compatible server: the teacher of the pocket world and the replay of records.

It answers ``POST /v1/chat/completions`` (streaming and not) and ``GET /v1/models`` from any
function ``ChatRequest -> ChatReply``: the API solver is exercised without paying anyone.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ChatReply", "ChatRequest", "UnknownQuestion"]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asked, reduced to what decides an answer."""

    model: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One answer: the final text, the reasoning, and how it ended (``stop`` or ``length``)."""

    text: str
    reasoning: str
    finish: str
    prompt_tokens: int
    completion_tokens: int


class UnknownQuestion(LookupError):
    """The answering function has nothing for this model or question; the client gets a 404."""
