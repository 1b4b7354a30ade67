"""One reader of every reply: the OpenAI chat.completion shape, from an API or from this machine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from potstill.chat import Ask, Completion
from potstill.records import Finish
from potstill.solvers.complaints import Complaint, complaint_in
from potstill.solvers.thinking import apart
from potstill.solvers.usage import usage_of, with_counts
from potstill.text import plain

__all__ = [
    "FINISH_WORDS",
    "NO_FINISH",
    "NotAReply",
    "completion_bytes",
    "completion_from",
    "ending_of",
    "finish_of",
    "graver",
    "only_choice",
    "parse_completion",
    "parts_of",
    "read_object",
    "refuse_errors",
    "usage_of",
    "wire_seed",
]

# Providers' words for how a reply ended, in lower case; any other is a stop.
_FINISHES = {
    **dict.fromkeys(
        ["stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "tool_calls"],
        Finish.STOP,
    ),
    **dict.fromkeys(["tool_use", "function_call", "finished", "done", "end"], Finish.STOP),
    **dict.fromkeys(
        ["length", "max_tokens", "model_length", "max_output_tokens", "max_length", "limit"],
        Finish.LENGTH,
    ),
    **dict.fromkeys(
        ["model_context_window_exceeded", "context_length_exceeded", "error_limit"], Finish.LENGTH
    ),
    **dict.fromkeys(
        ["content_filter", "content_filtered", "sensitive", "safety", "refusal", "recitation"],
        Finish.FILTERED,
    ),
    **dict.fromkeys(
        ["prohibited_content", "blocklist", "spii", "guardrail_intervened", "error_toxic"],
        Finish.FILTERED,
    ),
}
# The provider gave up on its own account: nothing was answered, the ask is worth repeating.
_BROKEN_FINISHES = {
    *("insufficient_system_resource", "network_error", "error", "server_error", "abort"),
    *("aborted", "cancelled", "canceled", "timeout", "overloaded", "engine_overloaded", "load"),
    *("unload", "malformed_response", "internal_error"),
}
NO_FINISH = "no finish_reason"
# A text of some length that stops like this was broken off, where its server tells neither how it
# ended nor how long it is: llama-cpp-python's drops a reply so when the next request comes.
_BROKEN_OFF = re.compile(r"(?s).{10,}[a-z,(\[{=+:\\-]\s*\Z")
# Our own word for each.
FINISH_WORDS = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.FILTERED: "content_filter",
    Finish.ERROR: "error",
}


class NotAReply(ValueError):
    """The bytes are no whole chat.completion; the message says why, in a few words.

    ``complaint`` is what the endpoint said in its place, where it said something.
    """

    def __init__(self, why: str, complaint: Complaint | None = None) -> None:
        super().__init__(why)
        self.complaint = complaint


def parse_completion(raw: bytes) -> Completion:
    """Return the text, reasoning, ending and tokens of a raw reply.

    Raises NotAReply where it is none.

    Reasoning is ``reasoning_content``, else ``reasoning``, ``reasoning_details`` or thinking parts
    of the content, else what marks within the content set apart (``<think>``, harmony's channels).
    No mark stays in either text, and what is said in both places is said once.
    """
    body = read_object(raw)
    choice = only_choice(body)
    message = _message_of(choice)
    word = ending_of(choice)
    if word in _BROKEN_FINISHES:
        raise NotAReply(f"finish_reason {word}")
    content, beside, refusal = parts_of(message)
    reasoning, text = apart(plain(content), plain(beside))
    if not word and not (text or reasoning or refusal):
        raise NotAReply("no finish_reason and no text: the reply is not whole")
    notes = []
    if not word:
        notes.append(NO_FINISH)
    elif word not in _FINISHES:
        notes.append(f"the unknown finish_reason {word[:40]}")
    finish = finish_of(word)
    refusal = plain(refusal)
    filtered = finish is Finish.FILTERED
    said = Completion(
        text=text if text or filtered else refusal,
        reasoning=reasoning,
        finish=finish,
        error=refusal if filtered else "",
        ended=bool(word),
        notes=tuple(notes),
    )
    counted = with_counts(said, body, (choice,))
    if not word and not counted.counted and _BROKEN_OFF.match(counted.text):
        return replace(counted, finish=Finish.LENGTH)
    return counted


def completion_from(ask: Ask, key: str, raw: bytes) -> Completion:
    """Return what a committed raw reply says to an ask."""
    try:
        return parse_completion(raw).answering(ask, key)
    except NotAReply as exc:
        return Completion.failed(ask, key, f"the committed reply cannot be read ({exc})")


def finish_of(word: str) -> Finish:
    """Return how a reply ended of which a provider says this word."""
    return Finish.ERROR if word in _BROKEN_FINISHES else _FINISHES.get(word, Finish.STOP)


def ending_of(choice: Mapping[str, Any]) -> str:
    """Return a provider's word for how a choice ended in lower case, "" for none."""
    return _word(choice.get("finish_reason")) or _word(choice.get("native_finish_reason"))


def _word(finish: Any) -> str:
    if isinstance(finish, Mapping):  # SGLang's own: {"type": "length", "length": 99}
        finish = finish.get("type")
    if not isinstance(finish, str):
        return ""
    word = finish.strip().lower().removeprefix("finishreason.").removeprefix("finish_reason_")
    return "" if word in ("null", "none", "unspecified", "finish_reason_unspecified") else word


def graver(one: str, other: str) -> str:
    """Return which of two words of a stream tells its ending: a failure before a filter, a cut,
    a stop, and a word that nobody knows.
    """
    return max(one, other, key=_gravity) if one and other else one or other


def _gravity(word: str) -> int:
    if word in _BROKEN_FINISHES:
        return 4
    order = {None: 0, Finish.STOP: 1, Finish.LENGTH: 2, Finish.FILTERED: 3}
    return order[_FINISHES.get(word)]


def read_object(raw: bytes) -> Mapping[str, Any]:
    """Return the JSON object that bytes hold, whatever was done to it on the way.

    Raises NotAReply where they hold none.
    """
    try:
        body = _loaded(raw)
    except (ValueError, RecursionError) as exc:
        start = raw.lstrip()[:1]
        what = "HTML" if start == b"<" else "nothing" if not start else "JSON that is cut or broken"
        raise NotAReply(f"{what} in place of a reply") from exc
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, Mapping):
        raise NotAReply("JSON that is no object")
    for name in ("data", "result", "response"):  # a proxy's envelope
        inside = body.get(name)
        if "choices" not in body and isinstance(inside, Mapping) and "choices" in inside:
            return inside
    return body


def _loaded(raw: bytes) -> Any:
    decoder = json.JSONDecoder(strict=False)  # line breaks may stand bare in its strings
    try:
        text = raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "replace")
    return decoder.decode(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"))


def only_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one choice of a reply. Raises NotAReply for an error, wherever it stands."""
    refuse_errors(body)
    choices = body.get("choices")
    if isinstance(choices, Mapping):
        choices = [choices]
    if not isinstance(choices, list) or not choices:
        complaint = complaint_in(body, bare=True)
        said = f": {complaint.said}" if complaint and complaint.said else ""
        raise NotAReply(f"no choices in the reply{said}", complaint)
    if not isinstance(choices[0], Mapping):
        raise NotAReply("a choice that is no object")
    refuse_errors(choices[0])
    return choices[0]


def refuse_errors(body: Mapping[str, Any]) -> None:
    """Raise NotAReply where a body, a chunk or a choice holds an error."""
    complaint = complaint_in(body)
    if complaint is not None:
        raise NotAReply(f"an error in the body: {complaint.said}", complaint)


def _message_of(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message = choice.get("message") or choice.get("delta")
    if isinstance(message, str):
        return {"content": message}
    if not isinstance(message, Mapping):
        if isinstance(choice.get("text"), str):  # the older completions API
            return {"content": choice["text"]}
        raise NotAReply("a choice without a message")
    return message


def parts_of(message: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return content, the reasoning beside it and the refusal of a message or a stream's delta."""
    content, refusal = _text(message.get("content")), _text(message.get("refusal"))
    own = message.get("extra_content")
    google = own.get("google") if isinstance(own, Mapping) else None
    if isinstance(google, Mapping) and google.get("thought") is True:
        return "", content, refusal
    return content, _reasoning_of(message), refusal


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        inner = value.get("text")
        return _text(inner if inner is not None else value.get("value") or value.get("content"))
    if isinstance(value, list):  # content parts, as some servers send them
        return "".join(_text(part) for part in value if not _is_thinking(part))
    return ""


def _is_thinking(part: Any) -> bool:
    kind = str(part.get("type", "")) if isinstance(part, Mapping) else ""
    return "thinking" in kind or "reasoning" in kind


def _reasoning_of(message: Mapping[str, Any]) -> str:
    """Return the reasoning that stands beside the content, wherever a provider puts it."""
    own = message.get("provider_specific_fields")
    places = [message, own] if isinstance(own, Mapping) else [message]
    for place in places:
        for name in ("reasoning_content", "reasoning", "thinking"):
            found = _text(place.get(name))
            if found:
                return found
    for name in ("reasoning_details", "thinking_blocks", "content"):
        found = _thinking_in(message.get(name))
        if found:
            return found
    return ""


def _thinking_in(parts: Any) -> str:
    if not isinstance(parts, list):
        return ""
    return "".join(_thinking_text(part) for part in parts if _is_thinking(part))


def _thinking_text(part: Mapping[str, Any]) -> str:
    """Return the text of a part that is reasoning by its type; a thinking list holds its own."""
    for name in ("thinking", "text", "summary", "reasoning", "content"):
        found = _text(part.get(name))
        if found:
            return found
    return ""


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
