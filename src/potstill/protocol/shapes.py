"""The shapes that a reply comes in: JSON whatever was done to it, envelopes, others' own forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from potstill.protocol.endpoint_errors import ErrorDetails, error_in

__all__ = [
    "NotAReply",
    "index_of",
    "no_choices",
    "only_choice",
    "read_object",
    "refuse_errors",
    "utf8",
]

_ENVELOPES = ("result", "data", "response", "body", "output")  # a proxy's
_DEEPEST = 3


class NotAReply(ValueError):
    """The bytes are no whole chat.completion; the message says why, in a few words.

    ``error`` is what the endpoint said in its place, where it said something. ``final`` says
    that the endpoint answers so by its nature, and would again.
    """

    def __init__(self, why: str, error: ErrorDetails | None = None, *, final: bool = False) -> None:
        super().__init__(why)
        self.error = error
        self.final = final


def utf8(raw: bytes) -> bytes:
    """Return a text's bytes in UTF-8, whichever UTF they came in."""
    encoding = json.detect_encoding(raw)
    if encoding.startswith("utf-8"):
        return raw
    return raw.decode(encoding, "replace").encode("utf-8", "replace")


def read_object(raw: bytes) -> Mapping[str, Any]:
    """Return the JSON object that bytes hold, whatever was done to it on the way.

    One in a known form of its own comes as a chat.completion. Raises NotAReply where they hold
    none.
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
        several = isinstance(body, list) and len(body) > 1 and isinstance(body[0], Mapping)
        raise NotAReply("JSON that is no object", final=several)
    return _reply_in(body, _DEEPEST) or body


def _loaded(raw: bytes) -> Any:
    text = utf8(raw).decode("utf-8", "replace").strip("\0 \t\r\n\N{ZERO WIDTH NO-BREAK SPACE}")
    body = _decoded(text)
    return _decoded(body) if isinstance(body, str) else body  # JSON in a JSON string


def _decoded(text: str) -> Any:
    # Line breaks may stand bare in its strings.
    return json.JSONDecoder(strict=False).decode(text)


def _reply_in(body: Any, deepest: int, *, enveloped: bool = False) -> Mapping[str, Any] | None:
    """Return the chat.completion that a value is or holds, None where there is none.

    Raises NotAReply for an error that an envelope tells of.
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    if "choices" in body:
        return body
    own = _own_form(body, enveloped)
    for name in _ENVELOPES if own is None and deepest else ():
        inside = _json_in(body.get(name))
        if (found := _reply_in(inside, deepest - 1, enveloped=True)) is not None:
            refuse_errors(body)
            return {"usage": body.get("usage"), **found}
    return own


def _json_in(value: Any) -> Any:
    """Return the reply in JSON that a text holds; any other value as it is."""
    if isinstance(value, str) and value.lstrip().startswith("{") and '"choices"' in value:
        try:
            return _decoded(value)
        except (ValueError, RecursionError):
            return value
    return value


def _own_form(body: Mapping[str, Any], enveloped: bool) -> Mapping[str, Any] | None:
    """Return the chat.completion of a reply in Ollama's, Workers AI's or Anthropic's own form."""
    message, told = body.get("message"), body.get("response")
    if isinstance(told, str) and (enveloped or body.keys() & {"done", "usage", "p"}):
        message = {"content": told, "thinking": body.get("thinking")}
    elif body.get("role") == "assistant" and "content" in body:
        message = body
    elif not isinstance(message, Mapping) or not _is_said(message, body):
        return None
    ending = (body.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
    choice = {"index": 0, "delta": message, "finish_reason": next(filter(None, ending), None)}
    return {**body, "choices": [choice]}


def _is_said(message: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return "content" in message and (message.get("role") == "assistant" or "done" in body)


def only_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one choice of a reply, the first of several by its index.

    Raises NotAReply for an error, wherever it stands.
    """
    refuse_errors(body)
    if body.get("done") is False:
        raise NotAReply("a piece of a reply that is not done")
    choices = body.get("choices")
    if isinstance(choices, Mapping):
        choices = [choices]
    if not isinstance(choices, list) or not choices:
        raise no_choices(body)
    places = ((index_of(choice), place) for place, choice in enumerate(choices))
    choice = choices[min((place if i is None else i, place) for i, place in places)[1]]
    if not isinstance(choice, Mapping):
        raise NotAReply("a choice that is no object", final=True)
    refuse_errors(choice)
    return choice


def no_choices(body: Mapping[str, Any]) -> NotAReply:
    """Return what to raise for a body without choices: its error, or the shape that it has."""
    error = error_in(body, bare=True)
    if error is not None:
        return NotAReply(f"no choices in the reply: {error.said}", error)
    named = str(body.get("object", "")).startswith("chat.completion")
    if named or "choices" in body or body.get("error") is not None or not body:
        return NotAReply("no choices in the reply")
    held = ", ".join(str(name) for name in body)
    return NotAReply(f"no choices in the reply, which holds {held[:100]}", final=True)


def index_of(choice: Any) -> int | None:
    """Return the index that a choice says it has, None for none."""
    index = choice.get("index") if isinstance(choice, Mapping) else None
    if isinstance(index, str) and index.isdecimal() and len(index) < 4:
        index = int(index)
    return index if type(index) is int else None


def refuse_errors(body: Mapping[str, Any]) -> None:
    """Raise NotAReply where a body, a chunk or a choice holds an error."""
    error = error_in(body)
    if error is not None:
        raise NotAReply(f"an error in the body: {error.said}", error)
