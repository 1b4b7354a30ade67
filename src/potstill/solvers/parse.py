"""One reader of every reply: the OpenAI chat.completion shape, from an API or from this machine."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from potstill.records import Finish

__all__ = [
    "Assembly",
    "NotAReply",
    "Parsed",
    "completion_bytes",
    "parse_completion",
    "usage_of",
    "wire_seed",
]

# Providers' words for how a reply ended, in lower case; any other is a stop.
_FINISHES = {
    **dict.fromkeys(["stop", "end_turn", "stop_sequence", "eos", "eos_token"], Finish.STOP),
    **dict.fromkeys(["length", "max_tokens", "model_length"], Finish.LENGTH),
    **dict.fromkeys(["content_filter", "sensitive", "safety", "refusal"], Finish.FILTERED),
}
_MOST_TOKENS = 1 << 40
_MOST_LINES = 1_000  # of one event
# The provider gave up on its own account: nothing was answered, the ask is worth repeating.
_BROKEN_FINISHES = {"insufficient_system_resource", "network_error", "error"}
_THINK_TAG = r"(?:think(?:ing)?|thought|reasoning|seed:think)"
_THINK_START = re.compile(rf"\s*<{_THINK_TAG}>", re.IGNORECASE)
_THINK_END = re.compile(rf"</{_THINK_TAG}>", re.IGNORECASE)
_LINE_END = re.compile(rb"\r\n|\n|\r")


class NotAReply(ValueError):
    """The bytes are no whole chat.completion; the message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reply says. Token counts are 0 and ``counted`` is False where it has no usage."""

    text: str
    reasoning: str
    finish: Finish
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    reasoning_tokens: int
    counted: bool


def parse_completion(raw: bytes) -> Parsed:
    """Return the text, reasoning, ending and tokens of a raw reply.

    Raises NotAReply where it is none.

    Reasoning is ``reasoning_content``, else ``reasoning``, ``reasoning_details`` or thinking parts
    of the content; what content holds up to ``</think>`` (``</thinking>``, ``</seed:think>``) is
    reasoning where there is no other, and is dropped where it says it twice.
    """
    body = _object(raw)
    choice = _only_choice(body)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise NotAReply("a choice without a message")
    finish = choice.get("finish_reason")
    if not isinstance(finish, str) or not finish:
        raise NotAReply("no finish_reason: the reply is not whole")
    finish = finish.lower()
    if choice.get("error"):
        _only_choice({"error": choice["error"]})
    if finish in _BROKEN_FINISHES:
        raise NotAReply(f"finish_reason {finish}")
    text = _text(message.get("content"))
    reasoning = _reasoning_of(message)
    thought, text = _split_think(text)
    reasoning = reasoning or thought
    if not text:
        text = _text(message.get("refusal"))
    return _with_usage(body, text, reasoning, _FINISHES.get(finish, Finish.STOP))


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        start = raw.lstrip()[:1]
        what = "HTML" if start == b"<" else "nothing" if not start else "JSON that is cut or broken"
        raise NotAReply(f"{what} in place of a reply") from exc
    if not isinstance(body, Mapping):
        raise NotAReply("JSON that is no object")
    return body


def _only_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        error = body.get("error")
        said = error.get("message") if isinstance(error, Mapping) else error
        raise NotAReply(f"an error in the body: {said}" if said else "no choices in the reply")
    if not isinstance(choices[0], Mapping):
        raise NotAReply("a choice that is no object")
    return choices[0]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # content parts, as some servers send them
        said = (part for part in value if isinstance(part, Mapping))
        texts = [p.get("text") for p in said if p.get("type") not in ("thinking", "reasoning")]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _reasoning_of(message: Mapping[str, Any]) -> str:
    """Return the reasoning that stands beside the content, wherever a provider puts it."""
    found = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if found:
        return found
    parts = [*_list(message.get("reasoning_details")), *_list(message.get("content"))]
    return "".join(
        text
        for part in parts
        if isinstance(part, Mapping)
        for text in (part.get("thinking"), part.get("summary"), _thinking_text(part))
        if isinstance(text, str)
    )


def _thinking_text(part: Mapping[str, Any]) -> Any:
    """Return the text of a part that is reasoning by its type; a thinking list holds its own."""
    if isinstance(part.get("thinking"), list):
        return _text(part["thinking"])
    return part.get("text") if "reasoning" in str(part.get("type", "")) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _split_think(content: str) -> tuple[str, str]:
    opened = _THINK_START.match(content)
    ends = list(_THINK_END.finditer(content))
    if not ends and opened is None:
        return "", content
    # A mark that is doubled ends where it stands last.
    end = ends[-1] if ends else None
    before = content[: end.start()] if end else content
    after = content[end.end() :] if end else ""
    return _THINK_END.sub("", _THINK_START.sub("", before, count=1)).strip(), after.lstrip()


def _with_usage(body: Mapping[str, Any], text: str, reasoning: str, finish: Finish) -> Parsed:
    usage = body.get("usage")
    counted = isinstance(usage, Mapping) and "completion_tokens" in usage
    usage = usage if isinstance(usage, Mapping) else {}
    cached = _count(usage.get("prompt_cache_hit_tokens")) or _detail(
        usage, "prompt_tokens_details", "cached_tokens"
    )
    return Parsed(
        text=text,
        reasoning=reasoning,
        finish=finish,
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
        tokens_cached=cached,
        reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
        counted=counted,
    )


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, Mapping) else 0


def _count(value: Any) -> int:
    """Return a count of tokens; 0 for what is none, or is more than any reply can have."""
    return value if type(value) is int and 0 < value < _MOST_TOKENS else 0


def completion_bytes(
    model: str,
    text: str,
    reasoning: str,
    finish: str,
    tokens_in: int,
    tokens_out: int,
    *,
    reply_id: str = "chatcmpl-local",
    created: int | None = None,
) -> bytes:
    """Return the bytes of a chat.completion, for a reply that no one sent as one (a local model's).

    ``finish`` is the wire's word: ``stop``, ``length`` or ``content_filter``.
    """
    message = {"role": "assistant", "content": text}
    if reasoning:
        message["reasoning_content"] = reasoning
    body = {
        "id": reply_id,
        "object": "chat.completion",
        "created": int(time.time()) if created is None else created,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage_of(tokens_in, tokens_out),
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def usage_of(tokens_in: int, tokens_out: int) -> dict[str, int]:
    """Return the usage object of a reply of that many tokens."""
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


def wire_seed(seed: int, sample: int, attempt: int) -> int:
    """Return the seed that goes over the wire: independent draws of one question must differ in
    it.
    """
    return seed + 7919 * sample + 104_729 * attempt


class Assembly:
    """The chat.completion that a stream of chunks adds up to.

    A chunk that comes twice byte for byte in a row is dropped only where it carries an id of its
    own event (SSE ``id:``); deltas repeat legitimately ("ha" "ha"), so equal text is never enough.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []  # the beginning of a line, in the pieces it came in
        self._head: dict[str, Any] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finish: str | None = None
        self._usage: Any = None
        self._event_id = b""
        self._last_id = b""
        self._returned = False
        self._data: list[bytes] = []  # the lines of an event whose JSON is not whole yet
        self.done = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, however they were cut."""
        if not data:
            return
        if self._returned:  # "\r\n" that came in two pieces ends one line
            data = data.removeprefix(b"\n")
        self._returned = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._line(b"".join([*self._pending, line]))
            self._pending = []
        if rest:
            self._pending.append(rest)

    def raw(self) -> bytes:
        """Return the assembled body.

        Raises NotAReply where the stream ended before it was whole.
        """
        if self._pending:
            self.feed(b"\n")
        if self._data:
            self._event()
        if self._finish is None:
            raise NotAReply("the stream ended before its finish_reason")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        body = self._head | {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": self._finish}],
        }
        if self._usage is not None:
            body["usage"] = self._usage
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    def _line(self, line: bytes) -> None:
        if line.startswith(b"id:"):
            self._event_id = line[3:].strip()
            return
        if not line.startswith(b"data:"):
            if not line and self._data:
                self._event()
            return  # comments (keep-alives), event names, blank lines
        if self._data:
            self._more(line[5:].strip())
            return
        event_id, self._event_id = self._event_id, b""
        if event_id and event_id == self._last_id:
            return
        self._last_id = event_id
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
        elif data:
            self._more(data)

    def _more(self, data: bytes) -> None:
        """Take one more line of an event; JSON may be spread over several of them."""
        self._data.append(data)
        try:
            json.loads(b"\n".join(self._data))
        except (ValueError, RecursionError):
            if len(self._data) < _MOST_LINES and not data.startswith(b"<"):
                return
        self._event()

    def _event(self) -> None:
        data, self._data = b"\n".join(self._data), []
        self._chunk(_object(data))

    def _chunk(self, chunk: Mapping[str, Any]) -> None:
        if chunk.get("error"):
            _only_choice({"error": chunk["error"]})
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        if not self._head:
            self._head = {k: chunk[k] for k in ("id", "created", "model") if k in chunk}
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return
        for choice in choices:
            if isinstance(choice, Mapping) and choice.get("index", 0) == 0:
                self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        if choice.get("error"):
            _only_choice({"error": choice["error"]})
        delta = choice.get("delta") or choice.get("message")
        # Some servers send "" or a word of their own in every chunk: no ending before the last.
        ended = self._finish is not None and self._finish.lower() in _FINISHES
        if isinstance(delta, Mapping) and not ended:
            _append(self._text, (delta.get("content"),))
            _append(self._reasoning, (_reasoning_of(delta),))
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish and not ended:
            self._finish = finish


def _append(parts: list[str], values: Iterable[Any]) -> None:
    for value in values:
        text = _text(value)
        if text:
            parts.append(text)
            return
