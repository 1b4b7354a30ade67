"""What a client asks of our server: the chat completions API as far as it is heeded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["BadRequest", "Call", "ChatRequest", "error_body", "no_model", "read_body", "read_call"]

_BODY_MAX_BYTES = 8 << 20
_LARGEST = 2**63
_ROLES = ("system", "developer", "user", "assistant")
_HEEDED = {
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed", "top_p"),
    # these change no answer
    *("stream_options", "user", "metadata", "store", "service_tier", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention"),
}
# What would be answered otherwise than it was asked, and the values that ask for nothing.
_ALWAYS_REFUSED = {"n", "tools", "functions", "stream"}
_HARMLESS: dict[str, tuple[Any, ...]] = {
    **{name: ([],) for name in ("tools", "functions")},
    **dict.fromkeys(("n", "best_of", "repetition_penalty"), (1,)),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "top_logprobs", "min_p"), (0,)),
    **dict.fromkeys(("stream", "parallel_tool_calls"), (False, True)),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "stop": ([],),
    "top_k": (0, -1),
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asked, reduced to what decides an answer."""

    model: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    top_p: float | None = None


class BadRequest(Exception):
    """A request that is answered with an error of the API: its HTTP status and its code."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    @property
    def body(self) -> dict[str, object]:
        """The API's error object."""
        return error_body(str(self), self.code, self.param)


def no_model(name: str, known: Sequence[str]) -> BadRequest:
    """Return what answers who asks for a model that is not here."""
    sentence = f"there is no model {name[:200]!r} here: {', '.join(known)}"
    return BadRequest(404, "model_not_found", sentence, "model")


@dataclass(frozen=True, slots=True)
class Call:
    """A chat, and how its answer is wanted."""

    chat: ChatRequest
    stream: bool
    include_usage: bool


def error_body(message: str, code: str, param: str | None = None) -> dict[str, object]:
    """Return the API's error object."""
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def read_call(request: Request, *, strict: bool = False) -> Call:
    """Return the call that an HTTP request holds. Raises BadRequest for anything else.

    Several answers and tools are always refused; where ``strict``, so is every parameter that would
    change the answer and is not heeded.
    """
    return _call(await read_body(request), strict)


async def read_body(request: Request) -> bytes:
    """Return the body of an HTTP request. Raises BadRequest for more than 8 MiB."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _BODY_MAX_BYTES:
            raise BadRequest(413, "body_too_large", "the request is larger than 8 MiB")
    return bytes(body)


def _call(body: bytes, strict: bool = False) -> Call:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(400, "invalid_json", "the request is not JSON") from exc
    if not isinstance(asked, dict):
        raise BadRequest(400, "invalid_json", "the request is not a JSON object")
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest(400, "missing_field", "you must provide a model", "model")
    _refuse_unheeded(asked, strict)
    limit = asked.get("max_completion_tokens", asked.get("max_tokens"))
    options = asked.get("stream_options")
    return Call(
        ChatRequest(
            model=model,
            messages=_messages(asked.get("messages")),
            max_tokens=_number(int, limit, "max_tokens"),
            temperature=_number(float, asked.get("temperature"), "temperature"),
            seed=_number(int, asked.get("seed"), "seed"),
            top_p=_number(float, asked.get("top_p"), "top_p"),
        ),
        stream=asked.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _refuse_unheeded(asked: dict[str, Any], strict: bool) -> None:
    for name, value in asked.items():
        if value is None or name in _HEEDED or (name not in _ALWAYS_REFUSED and not strict):
            continue
        harmless = _HARMLESS.get(name)
        if harmless is not None and any(value == one for one in harmless):
            continue
        if name == "stream":
            raise BadRequest(400, "invalid_field", "stream must be true or false", name)
        sentence = f"{name[:80]} is not supported here; leave it out"
        if name == "n":
            sentence = "n must be 1: one answer is given to a request"
        raise BadRequest(400, "unsupported_parameter", sentence, name[:80])


def _messages(value: Any) -> tuple[dict[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise BadRequest(400, "missing_field", "you must provide messages")
    messages = []
    for number, message in enumerate(value):
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            content = _joined(content, number)
        if not isinstance(role, str) or not isinstance(content, str):
            raise BadRequest(
                400, "invalid_field", f"messages[{number}] needs role and content", "messages"
            )
        if any("\ud800" <= character <= "\udfff" for character in content):
            sentence = f"messages[{number}] holds half of a surrogate pair, which is no text"
            raise BadRequest(400, "invalid_field", sentence, "messages")
        if role not in _ROLES:
            known = ", ".join(_ROLES)
            raise BadRequest(
                400, "invalid_field", f"messages[{number}]: its role is none of {known}", "messages"
            )
        role = "system" if role == "developer" else role
        messages.append({"role": role, "content": content})
    return tuple(messages)


def _joined(parts: list[Any], number: int) -> str:
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, dict) else type(part).__name__
        if kind != "text" or not isinstance(part.get("text"), str):
            raise BadRequest(
                *(400, "unsupported_parameter"),
                f"messages[{number}]: parts other than text are not supported here",
                "messages",
            )
    return "".join(part["text"] for part in parts)


def _number(kind: type[Any], value: Any, name: str) -> Any:
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not -_LARGEST < value < _LARGEST or kind(value) != value:
        raise BadRequest(400, "invalid_field", f"{name} must be a number", name)
    return kind(value)
