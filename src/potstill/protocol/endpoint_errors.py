"""What an endpoint says went wrong: in an error's body, or in what looks like a reply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from potstill.store.untrusted import parse_json

__all__ = ["ErrorDetails", "ErrorKind", "error_in", "read_error"]


class ErrorKind(Enum):
    """What an error is about, which decides who may be asked again."""

    PROMPT = auto()  # this one is not allowed: filtered, others may fare well
    REQUEST = auto()  # this one cannot be answered
    FORBIDDEN = auto()  # this prompt, or the key: what others get tells
    KEY = auto()
    MONEY = auto()
    MODEL = auto()
    ADDRESS = auto()
    PASSING = auto()  # worth asking again


# 444, 460 and 499 are proxies' own words for a client that left, which we did not.
_AGAIN = {408, 409, 421, 425, 429, 444, 460, 499}
_NEVER_THE_PROMPT = {401, 402, 404, 408, 429}
_MONEY_CODES = {
    *("insufficient_quota", "insufficient_balance", "insufficient_user_quota", "arrearage"),
    *("billing_hard_limit_reached", "billing_not_active", "exceeded_current_quota_error"),
    *("budget_exceeded", "1113"),  # LiteLLM's, Zhipu's
}
_MONEY = re.compile(
    r"insufficient (?:account )?(?:balance|credits?|funds)|in arrears|arrearage|key limit exceeded"
    r"|more credits|budget has been exceeded|余额不足|欠费",
    re.IGNORECASE,
)
_PROMPT_CODES = re.compile(
    r"content.?(?:filter|policy|moderation|risk|violation|safety)|data.?inspection|moderation"
    r"|prohibited|sensitive|safety|ResponsibleAI|invalid_prompt|prompt_blocked|\A(?:1301|1026|1027)\Z",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    r"content exists risk|\bflagged\b|moderation|inappropriate content"
    r"|content (?:management )?policy|content filter|usage polic"
    r"|safety (?:system|filter|setting|polic)|prohibited use"
    r"|unsafe (?:content|or sensitive)|sensitive content|risk control|敏感|不安全|违规",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"api key not valid"
    r"|(?:invalid|incorrect|missing|wrong|expired|no) (?:api[ _-]?key|authentication|credentials?)"
    r"|invalid_api_key|authentication_error|unauthori[sz]ed",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model_not_found|model.?not.?(?:exist|found)|not a valid model|unknown model|no such model"
    r"|model\b.{0,80}\b(?:does not exist|is not available|has been (?:deprecated|retired|removed))",
    re.IGNORECASE | re.DOTALL,
)
_NO_ERROR = re.compile(
    r"(?:ok(?:ay)?|success(?:ful(?:ly)?)?|succeeded|none|null|0|200)?[.!]?", re.IGNORECASE
)
_WAIT = re.compile(
    r"(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?) ?(ms|m(?:in|inutes?)?|s|sec|seconds?)?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The status, the provider's own words for the kind of it, its sentence, the wait it asks."""

    status: int
    codes: tuple[str, ...]
    said: str
    after_s: float = 0.0

    @property
    def kind(self) -> ErrorKind:
        """What it is about, as far as status, code and sentence tell."""
        words = " ".join(self.codes)
        if self.status == 402 or _MONEY_CODES & {code.lower() for code in self.codes}:
            return ErrorKind.MONEY
        if _MONEY.search(self.said):
            return ErrorKind.MONEY
        if self.status not in _NEVER_THE_PROMPT and (
            any(map(_PROMPT_CODES.search, self.codes))
            or (self.status < 500 and _PROMPT.search(self.said))
        ):
            return ErrorKind.PROMPT
        if self.status == 401 or (self.status in (0, 200, 400) and _KEY.search(words + self.said)):
            return ErrorKind.KEY
        if self.status == 404:
            return ErrorKind.ADDRESS
        if self.status in (0, 200, 400, 422) and _MODEL.search(f"{words} {self.said}"):
            return ErrorKind.MODEL
        return _by_status(self.status)


def _by_status(status: int) -> ErrorKind:
    if status in (0, 200) or status in _AGAIN or status >= 500:
        return ErrorKind.PASSING
    return ErrorKind.FORBIDDEN if status == 403 else ErrorKind.REQUEST


def read_error(status: int, text: str) -> ErrorDetails:
    """Return what the body of an answer with that HTTP status complains of."""
    try:
        body = parse_json(text)
    except (ValueError, RecursionError):
        page = "<" in text[:64]
        return ErrorDetails(status, (), "an HTML page" if page else text, 0.0)
    if isinstance(body, list) and body:  # Gemini wraps its errors in a list
        body = body[0]
    if not isinstance(body, Mapping):
        return ErrorDetails(status, (), text)
    return error_in(body, status) or ErrorDetails(status, (), "")


def error_in(
    body: Mapping[str, Any], status: int = 0, *, bare: bool = False
) -> ErrorDetails | None:
    """Return the error that a JSON object is or holds, None where it holds none.

    A status within the body counts where HTTP's own says nothing (0 or 200). ``bare`` takes a
    ``message`` and a ``code`` for one that stand in the object itself.
    """
    names = ("error", "errors") if "choices" in body else ("error", "errors", "detail")
    error = next(filter(_says_something, map(body.get, names)), None)
    if isinstance(error, list):
        error = next(filter(_says_something, error))
    base = body.get("base_resp")  # MiniMax answers 200 with its own status beside
    if not error and isinstance(base, Mapping) and base.get("status_code"):
        code = str(base["status_code"])
        return ErrorDetails(status, (code,), str(base.get("status_msg") or code))
    told = status >= 400 or body.get("object") == "error" or body.get("success") is False
    if not error and (told or (bare and any(map(_says_something, _sentences(body))))):
        error = body
    if not error:
        return None
    if not isinstance(error, Mapping):
        said = str(body.get("message") or "") if error is True else str(error)
        return ErrorDetails(status, _codes(body), said, _wait_s(said))
    return _of_mapping(error, status)


def _sentences(body: Mapping[str, Any]) -> tuple[Any, Any]:
    return body.get("message"), body.get("msg")


def _says_something(error: Any, deepest: int = 3) -> bool:
    """Return whether what stands in an error's place is one: many fill it with nothing."""
    if isinstance(error, Mapping):
        error = [*error.values()]
    if isinstance(error, list) and deepest:
        return any(_says_something(part, deepest - 1) for part in error)
    if isinstance(error, str):
        return _NO_ERROR.fullmatch(error.strip()) is None
    return bool(error) and error != 200


def _of_mapping(error: Mapping[str, Any], status: int) -> ErrorDetails:
    inner = error.get("innererror")
    codes = _codes(error) + (_codes(inner) if isinstance(inner, Mapping) else ())
    numbers = [int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600]
    if status in (0, 200) and numbers:
        status = numbers[0]
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("reasons"):  # OpenRouter's moderation
        codes = (*codes, "moderation")
    said = error.get("message") or error.get("msg") or error.get("error") or error.get("detail")
    text = str(said) if said else " ".join(codes)
    return ErrorDetails(status, codes, text, _asked_wait_s(error) or _wait_s(text))


def _codes(error: Mapping[str, Any]) -> tuple[str, ...]:
    values = (error.get(name) for name in ("code", "type", "status"))
    return tuple(str(v) for v in values if isinstance(v, str | int) and not isinstance(v, bool))


def _wait_s(said: str) -> float:
    found = _WAIT.search(said)
    if found is None:
        return 0.0
    unit = (found[2] or "s").lower()
    scale = 0.001 if unit == "ms" else 60.0 if unit.startswith("m") else 1.0
    return float(found[1]) * scale


def _asked_wait_s(error: Mapping[str, Any]) -> float:
    """Return the ``retryDelay`` ("34s") among an error's details, Google's way, else 0."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(delay, str) and re.fullmatch(r"\d{1,6}(?:\.\d+)?s", delay):
            return float(delay[:-1])
    return 0.0
