"""One reader of every reply: the OpenAI chat.completion shape, from an API or from this machine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from potstill.chat import Ask, Completion
from potstill.ledger.finishes import FINISH_WORDS, NO_FINISH, ending_of, finish_of, is_listed
from potstill.ledger.usage import usage_of, with_counts
from potstill.protocol.shapes import NotAReply, only_choice, read_object
from potstill.protocol.thinking import split_reasoning
from potstill.records import Finish
from potstill.text import plain

__all__ = [
    "CALLED_TOOL",
    "FINISH_WORDS",
    "NO_FINISH",
    "NotAReply",
    "breaks_off",
    "completion_bytes",
    "completion_from",
    "parse_completion",
    "parts_of",
    "usage_of",
    "wire_seed",
]

CALLED_TOOL = "a tool's call in place of an answer"
# A text of some length that stops like this was broken off, where its server tells neither how it
# ended nor how long it is: llama-cpp-python's drops a reply so when the next request comes.
_BROKEN_OFF = re.compile(r"(?s).{10,}[a-z,(\[{=+:\\-]\s*\Z")


def parse_completion(raw: bytes) -> Completion:
    """Return the text, reasoning, ending and tokens of a raw reply.

    Raises NotAReply where it is none.

    Reasoning is ``reasoning_content``, else ``reasoning``, ``reasoning_details`` or thinking parts
    of the content, else what marks within the content set apart (``<think>``, harmony's channels).
    No mark stays in either text, and what is said in both places is said once.
    """
    try:
        return _read(read_object(raw))
    except RecursionError as exc:
        raise NotAReply("JSON that is nested too deep", final=True) from exc


def _read(body: Mapping[str, Any]) -> Completion:
    choice = only_choice(body)
    message = _message_of(choice)
    word = ending_of(choice)
    finish = finish_of(word)
    if finish is Finish.ERROR:
        raise NotAReply(f"finish_reason {word[:40]}")
    content, beside, refusal = parts_of(message, choice)
    reasoning, text = split_reasoning(plain(content), plain(beside))
    if not word and not (text or reasoning or refusal):
        raise NotAReply("no finish_reason and no text: the reply is not whole")
    notes = []
    if not word:
        notes.append(NO_FINISH)
    elif not is_listed(word):
        notes.append(f"the unknown finish_reason {word[:40]}")
    if not text and (word.startswith(("tool_", "function_")) or message.get("tool_calls")):
        notes.append(CALLED_TOOL)
    refusal = plain(refusal)
    filtered = finish is Finish.FILTERED or bool(refusal and not text)
    said = Completion(
        text=text,
        reasoning=reasoning,
        finish=Finish.FILTERED if filtered else finish,
        error=refusal if filtered else "",
        ended=bool(word),
        model=plain(_text(body.get("model"))),
        notes=tuple(notes),
    )
    counted = with_counts(said, body, (choice,))
    if not word and not counted.counted and breaks_off(counted.text):
        return replace(counted, finish=Finish.LENGTH)
    return counted


def breaks_off(text: str) -> bool:
    """Return whether a text of some length stops in the midst of a sentence."""
    return _BROKEN_OFF.match(text) is not None


def completion_from(ask: Ask, key: str, raw: bytes) -> Completion:
    """Return what a committed raw reply says to an ask."""
    try:
        return parse_completion(raw).answering(ask, key)
    except NotAReply as exc:
        return Completion.failed(ask, key, f"the committed reply cannot be read ({exc})")


def _message_of(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message = choice.get("message") or choice.get("delta")
    if isinstance(message, str):
        return {"content": message}
    if not isinstance(message, Mapping):
        if isinstance(choice.get("text"), str):  # the older completions API
            return {"content": choice["text"]}
        raise NotAReply("a choice without a message")
    return message


def parts_of(
    message: Mapping[str, Any], choice: Mapping[str, Any] | None = None
) -> tuple[str, str, str]:
    """Return content, the reasoning beside it and the refusal of a message or a stream's delta.

    ``choice`` is what holds the message: some put the reasoning there.
    """
    content = message.get("content")
    if isinstance(content, Mapping) and "type" in content:
        content = [content]  # a part on its own
    refusal = _text(message.get("refusal")) or _refusal_in(content)
    own = message.get("extra_content")
    google = own.get("google") if isinstance(own, Mapping) else None
    marks = (message, google) if isinstance(google, Mapping) else (message,)
    if any(mark.get("thought") is True for mark in marks):
        return "", _thought(content), refusal
    reasoning = _reasoning_of(message, choice or {}) or _thinking_in(content)
    return _content(content), reasoning, refusal


_INNER = ("text", "value", "content", "parts")


def _content(value: Any) -> str:
    """Return the text of a content; one that is JSON in place of a text comes as its JSON."""
    if isinstance(value, Mapping):
        own = bool(value) and not value.keys() & {"type", *_INNER}
    elif isinstance(value, list):
        own = bool(value) and not any(isinstance(part, str | Mapping) for part in value)
    else:
        own = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(value, ensure_ascii=False) if own else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        inner = (value.get(name) for name in _INNER)
        return _text(next((held for held in inner if held is not None), None))
    if isinstance(value, list):  # content parts, as some servers send them
        return "".join(_text(p) for p in value if not (_is_thinking(p) or _kind(p) == "refusal"))
    return ""


def _kind(part: Any) -> str:
    return str(part.get("type", "")) if isinstance(part, Mapping) else ""


def _is_thinking(part: Any) -> bool:
    kind = _kind(part)
    thought = isinstance(part, Mapping) and part.get("thought") is True  # Google's
    return thought or any(word in kind for word in ("thinking", "reasoning", "thought"))


def _refusal_in(parts: Any) -> str:
    refusals = [p for p in parts if _kind(p) == "refusal"] if isinstance(parts, list) else ()
    return "".join(_text(part.get("refusal")) or _text(part) for part in refusals)


_REASONING = (
    *("reasoning_content", "reasoning", "thinking", "reasoning_text", "thinking_content"),
    *("thought", "thoughts", "reasoning_summary", "reasoning_details", "thinking_blocks"),
)


def _reasoning_of(message: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    """Return the reasoning that stands beside the content, wherever a provider puts it."""
    own = message.get("provider_specific_fields")
    places = [place for place in (message, own, choice) if isinstance(place, Mapping)]
    found = (_thought(place.get(name)) for place in places for name in _REASONING)
    return next(filter(None, found), "")


def _thinking_in(content: Any) -> str:
    parts = content if isinstance(content, list) else ()
    return "".join(_thought(part) for part in parts if _is_thinking(part))


def _thought(value: Any) -> str:
    """Return the text of what is reasoning by its name or type; a list holds its parts."""
    if isinstance(value, list):
        return "".join(map(_thought, value))
    if isinstance(value, Mapping):
        names = ("thinking", "text", "summary", "reasoning", "content", "value")
        return next(filter(None, (_thought(value.get(name)) for name in names)), "")
    return _text(value)


def completion_bytes(
    model: str,
    said: Completion,
    *,
    reply_id: str = "chatcmpl-local",
    created: int | None = None,
) -> bytes:
    """Return the bytes of a chat.completion, for a reply that no one sent as one (a local model's,
    a filter's refusal).
    """
    message = {"role": "assistant", "content": said.text}
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    if said.error:
        message["refusal"] = said.error
    finish = FINISH_WORDS[said.finish]
    body = {
        "id": reply_id,
        "object": "chat.completion",
        "created": int(time.time()) if created is None else created,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage_of(said.tokens_in, said.tokens_out),
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def wire_seed(seed: int, sample: int, attempt: int) -> int:
    """Return the seed that goes over the wire: independent draws of one question must differ in
    it.
    """
    return seed + 7919 * sample + 104_729 * attempt
