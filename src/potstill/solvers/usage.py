"""How many tokens a reply took, wherever and in whatever names a provider says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from potstill.chat import Completion
from potstill.records import Finish

__all__ = ["usage_in", "usage_of", "with_counts"]

_MOST_TOKENS = 1 << 40


def with_counts(
    said: Completion, body: Mapping[str, Any], choices: Iterable[Mapping[str, Any]]
) -> Completion:
    """Return what a reply said with the tokens that it tells of, noted where it tells of none."""
    usage = usage_in(body, choices) or {}
    tokens_in = _first(usage, "prompt_tokens", "input_tokens")
    tokens_out = _first(usage, "completion_tokens", "output_tokens")
    total = _count(usage.get("total_tokens"))
    if tokens_in or not tokens_out:
        # Some leave the thinking out of what was completed, and bill it: the total has it.
        tokens_out = max(tokens_out, total - tokens_in)
    else:
        tokens_in = max(0, total - tokens_out)
    cached = _first(usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    cached = cached or _detail(usage, "prompt_tokens_details", "cached_tokens")
    cached = cached or _detail(usage, "input_tokens_details", "cached_tokens")
    thought = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    thought = thought or _detail(usage, "output_tokens_details", "reasoning_tokens")
    thought = thought or _count(usage.get("reasoning_tokens"))
    # Noughts beside a text are no count.
    nothing = said.finish is Finish.FILTERED or not (said.text or said.reasoning)
    counted = bool(usage) and (tokens_out > 0 or nothing)
    return replace(
        said,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=cached,
        reasoning_tokens=thought,
        counted=counted,
        notes=said.notes if counted else (*said.notes, "no token counts"),
    )


def usage_in(
    body: Mapping[str, Any], choices: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the counts of tokens of a body or a chunk, wherever a provider puts them, or None."""
    groq = body.get("x_groq")
    places = [body, *choices, *([groq] if isinstance(groq, Mapping) else [])]
    for place in places:
        usage = place.get("usage")
        if isinstance(usage, Mapping) and any(_count(value) for value in usage.values()):
            return usage
    timings = body.get("timings")  # llama.cpp's server
    if isinstance(timings, Mapping) and _count(timings.get("predicted_n")):
        asked = _count(timings.get("prompt_n")) + _count(timings.get("cache_n"))
        return usage_of(asked, _count(timings.get("predicted_n")))
    stated = body.get("usage")
    return stated if isinstance(stated, Mapping) and stated else None


def _first(usage: Mapping[str, Any], *names: str) -> int:
    return next((n for n in (_count(usage.get(name)) for name in names) if n), 0)


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, Mapping) else 0


def _count(value: Any) -> int:
    """Return a count of tokens; 0 for what is none, or is more than any reply can have."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 14:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value < _MOST_TOKENS else 0


def usage_of(tokens_in: int, tokens_out: int) -> dict[str, int]:
    """Return the usage object of a reply of that many tokens."""
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
