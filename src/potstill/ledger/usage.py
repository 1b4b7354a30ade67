"""How many tokens a reply took, wherever and in whatever names a provider says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from potstill.chat import Completion
from potstill.records import Finish

__all__ = ["merged", "usage_in", "usage_of", "with_counts"]

_MOST_TOKENS = 1 << 24  # of one reply: more is no count
_LETTERS = re.compile(r"[^A-Za-z]+")
_USAGES = ("usage", "usageMetadata", "usage_metadata", "token_usage", "tokens")
# Names of counts, their letters alone: of tokens in, out, both, and read from the cache.
_NAMES = tuple(
    names.split()
    for names in (
        "prompttokens inputtokens prompttokencount inputtokencount promptevalcount tokensin"
        " tokensprompt numprompttokens numinputtokens tokensevaluated",
        "completiontokens outputtokens completiontokencount outputtokencount candidatestokencount"
        " evalcount generatedtokens tokensout tokenscompletion numcompletiontokens numoutputtokens"
        " numgeneratedtokens tokenspredicted",
        "totaltokens totaltokencount tokenstotal numtotaltokens",
        "promptcachehittokens cachedtokens cachereadinputtokens cachedcontenttokencount",
    )
)
_THOUGHT = ("reasoningtokens", "thinkingtokens", "thoughtstokencount", "reasoningtokencount")


def with_counts(
    said: Completion, body: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]
) -> Completion:
    """Return what a reply said with the tokens that it tells of, noted where it tells of none."""
    usage = usage_in(body, choices) or {}
    counts = _counts(usage)
    tokens_in, tokens_out, total, cached = (_first(counts, names) for names in _NAMES)
    if tokens_in or not tokens_out:
        # Some leave the thinking out of what was completed, and bill it: the total has it.
        tokens_out = max(tokens_out, total - tokens_in)
    else:
        tokens_in = max(0, total - tokens_out)
    cached = cached or _detail(usage, "prompt_tokens_details", "cached_tokens")
    cached = cached or _detail(usage, "input_tokens_details", "cached_tokens")
    thought = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    thought = thought or _detail(usage, "output_tokens_details", "reasoning_tokens")
    thought = thought or _first(counts, _THOUGHT)
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
    body: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the counts of tokens of a body or a chunk, wherever a provider puts them, or None."""
    groq, meta = body.get("x_groq"), body.get("meta")
    messages = (choice.get(name) for choice in choices for name in ("message", "delta"))
    beside = (place for place in (groq, meta, *messages) if isinstance(place, Mapping))
    places = [body, *choices, *beside]
    stated = [place[name] for place in places for name in _USAGES if name in place]
    usages = [usage for usage in stated if isinstance(usage, Mapping) and usage]
    found = next((usage for usage in usages if _counts(usage)), None)
    if found is not None:
        return found
    timings = body.get("timings")  # llama.cpp's server
    if isinstance(timings, Mapping) and _count(timings.get("predicted_n")):
        asked = _count(timings.get("prompt_n")) + _count(timings.get("cache_n"))
        return usage_of(asked, _count(timings.get("predicted_n")))
    counts = _counts(body)  # Ollama's own stand in the body itself
    if _first(counts, _NAMES[1]):
        return usage_of(_first(counts, _NAMES[0]), _first(counts, _NAMES[1]))
    return usages[0] if usages else None


def merged(
    before: Mapping[str, Any] | None, usage: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return the counts of a stream that tells them in several chunks: each at its largest."""
    if not before or not usage:
        return before or usage
    both = {**before, **usage}
    for name in before.keys() & usage.keys():
        old, new = before[name], usage[name]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            both[name] = merged(old, new)
        elif _count(old) > _count(new):
            both[name] = old
    return both


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a usage object and of one within it, by names in letters alone."""
    inner = [usage[name] for name in ("billed_units", "tokens") if name in usage]  # Cohere's
    held = [*(part for part in inner if isinstance(part, Mapping)), usage]
    named = ((name, _count(value)) for part in held for name, value in part.items())
    return {_LETTERS.sub("", str(name)).lower(): count for name, count in named if count}


def _first(counts: Mapping[str, int], names: Iterable[str]) -> int:
    return next((counts[name] for name in names if name in counts), 0)


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
