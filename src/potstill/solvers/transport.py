"""One HTTP call to a chat endpoint: the raw reply, or one of four ways in which there is none."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from potstill.errors import EndpointError
from potstill.protocol.bodies import body_of
from potstill.protocol.endpoint_errors import ErrorDetails, ErrorKind, read_error
from potstill.protocol.shapes import NotAReply

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "LOOPBACK",
    "Failure",
    "Fetched",
    "Filtered",
    "Forbidden",
    "NoRecord",
    "Refused",
    "Transport",
    "retry_after_s",
    "url_of",
]

_WAIT_MAX_S = 600.0
_EPOCH_S = 1e9  # from which on a number of seconds is a moment, not a wait
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_DURATION = re.compile(
    r"\+?(?:(\d{1,6}) ?h(?:ours?)?)? ?(?:(\d{1,6}) ?m(?:in(?:utes?)?)?(?!s))? ?"
    r"(?:(\d{1,13}(?:\.\d{0,9})?|\.\d{1,9}) ?(ms|s(?:ec(?:onds?)?)?)?)?",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(r"too (?:large|many|long|big|high)|exceed|maximum|at most|less than", re.I)
_SHORTEST_SECRET = 8  # "x" or "EMPTY", given to a local server, stands in many words of its replies


@dataclass(frozen=True, slots=True)
class Fetched:
    """The raw reply and the seconds until its first byte and its last."""

    raw: bytes
    first_byte_s: float
    seconds: float
    streamed: bool


class Failure(Exception):
    """A call that is worth repeating. ``kind`` is a word to count by; ``tries`` is
    how often it was made.
    """

    tries = 1

    def __init__(self, kind: str, detail: str, after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.after_s = after_s

    @property
    def throttled(self) -> bool:
        """Whether the endpoint said that it is asked too much."""
        return self.kind in ("http 429", "http 503", "http 529")


class Refused(Exception):
    """The endpoint will not answer this request, ever; others may fare better."""


class Filtered(Exception):
    """The endpoint's filter turned this prompt away, which is an answer; the message is its own."""


class Forbidden(Refused):
    """A 403 that does not say whether this prompt or the key is at fault."""


class NoRecord(Exception):
    """A replay has no record of this question."""


def url_of(base_url: str, path: str) -> str:
    """Return the URL of a path beneath a base URL, which may bring a query or a path too many."""
    parts = urlsplit(base_url)
    base = parts.path.rstrip("/").removesuffix("/chat/completions")
    return parts._replace(path=base + path).geturl()


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the seconds that a ``Retry-After`` (seconds or a date) asks to wait, else 0.

    Of several values the longest holds.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        several = getattr(headers, "getall", None)
        values = several(name, []) if several else [headers.get(name, "")]
        # A date has a comma of its own.
        parts = [part for value in values for part in (value, *value.split(","))]
        waits = [_wait_s(part.strip().strip("\"'"), unit_s) for part in parts]
        if any(waits):
            return max(waits)
    return 0.0


def _wait_s(value: str, unit_s: float) -> float:
    duration = _DURATION.fullmatch(value)
    if duration is not None:
        hours, minutes, number, unit = duration.groups()
        unit_s = {"": unit_s, "m": 0.001, "s": 1.0}[(unit or "")[:1].lower()]
        wait_s = 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0) + float(number or 0) * unit_s
        return wait_s if wait_s < _EPOCH_S else max(0.0, wait_s - time.time())
    try:
        if re.match(r"\d{4}-", value):
            moment = datetime.fromisoformat(value)
            return max(0.0, (moment - datetime.now(moment.tzinfo or UTC)).total_seconds())
        parsed = email.utils.parsedate_tz(value)
        return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else 0.0
    except (TypeError, ValueError, OverflowError):  # a day that no calendar has, or no zone
        return 0.0


class Transport:
    """Keeps the connections to one endpoint. Made and closed inside one event loop."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        who: str,
        key_hint: str,
        timeouts_s: tuple[float, float, float],
    ) -> None:
        import aiohttp

        connect_s, read_s, total_s = self._timeouts_s = timeouts_s
        self._url = url_of(base_url, "/chat/completions")
        self._who = who
        self._key_hint = key_hint
        self._secret = api_key if len(api_key) >= _SHORTEST_SECRET else ""
        headers = {"Content-Type": "application/json", "User-Agent": "potstill"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self.connected = False
        self._session: aiohttp.ClientSession = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(
                total=total_s, connect=None, sock_connect=connect_s, sock_read=read_s
            ),
            headers=headers,
            # A proxy of the environment is never meant for this machine itself.
            trust_env=(urlsplit(base_url).hostname or "") not in LOOPBACK,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def redacted(self, text: str) -> str:
        """Return the text without the API key."""
        return text.replace(self._secret, "[redacted]") if self._secret else text

    async def fetch(self, body: bytes, speaks: Callable[[], None]) -> Fetched:
        """Return the raw reply to one request body; ``speaks`` is called at a stream's first word.

        Raises Failure (repeat it), Filtered or Refused (this one never), NoRecord (a replay's 404)
        or EndpointError (no request can succeed).
        """
        import aiohttp

        try:
            return await self._fetch(body, speaks)
        except NotAReply as exc:
            raise self.not_a_reply(exc) from exc
        except aiohttp.ClientConnectorError as exc:
            reason = getattr(exc.__cause__, "strerror", "") or type(exc).__name__
            raise Failure("unreachable", f"no connection: {reason}") from exc
        except TimeoutError as exc:
            raise Failure("timeout", self._timed_out(exc)) from exc
        except (aiohttp.ClientError, OSError) as exc:
            detail = self.redacted(str(exc)) or type(exc).__name__
            raise Failure("connection", f"the connection broke: {detail}"[:200]) from exc

    async def _fetch(self, body: bytes, speaks: Callable[[], None]) -> Fetched:
        started = time.monotonic()
        async with self._session.post(self._url, data=body, allow_redirects=False) as response:
            self.connected = True
            if not 200 <= response.status < 300:
                raise self._status(
                    response.status,
                    response.headers,
                    (await response.content.read(16384)).decode("utf-8", "replace"),
                )
            raw, first, streamed = await body_of(response, speaks)
        if self._secret and self._secret.encode() in raw:
            raw = raw.replace(self._secret.encode(), b"[redacted]")
        return Fetched(raw, first - started, time.monotonic() - started, streamed)

    def _timed_out(self, exc: TimeoutError) -> str:
        """Return which of the three times has passed."""
        import aiohttp

        connect_s, read_s, total_s = self._timeouts_s
        if isinstance(exc, aiohttp.ConnectionTimeoutError):
            return f"no connection within {connect_s:g} s: timeout_connect_s"
        if isinstance(exc, aiohttp.SocketTimeoutError) and read_s < total_s:
            return f"not a byte within {read_s:g} s: timeout_read_s"
        return f"no whole answer within {total_s:g} s: timeout_total_s"

    def not_a_reply(self, exc: NotAReply) -> Exception:
        """Return what to raise for the body of a 200 that is no reply: what it complains of, if of
        anything.
        """
        error = exc.error
        if exc.final:
            return Refused(
                f"the endpoint does not answer as a chat completion ({self.redacted(str(exc))}); "
                "set base_url to its OpenAI-compatible address, which usually ends in /v1"
            )
        if error is None or (error.status < 400 and error.kind is ErrorKind.PASSING):
            after_s = min(error.after_s, _WAIT_MAX_S) if error else 0.0
            return Failure("malformed", self.redacted(str(exc)), after_s)
        return self._raised(error, error.after_s)

    def _status(self, status: int, headers: Mapping[str, str], text: str) -> Exception:
        error = read_error(status, text)
        if status == 404 and "recording_not_found" in error.codes:
            return NoRecord(self.redacted(error.said))
        if 300 <= status < 400:
            to = self.redacted(headers.get("location", ""))[:160]
            told = f" to {to}" if to else ""
            return EndpointError(
                f"{self._who} redirects ({status}){told}; set base_url to where it redirects."
            )
        return self._raised(error, retry_after_s(headers) or error.after_s)

    def _raised(self, error: ErrorDetails, after_s: float) -> Exception:
        said, status = _quoted(self.redacted(error.said)), error.status
        match error.kind:
            case ErrorKind.PROMPT:
                return Filtered(f"the endpoint filtered the prompt ({status or 200}){said}")
            case ErrorKind.KEY:
                return self.key_refused(status, said)
            case ErrorKind.FORBIDDEN:
                return Forbidden(f"the endpoint refused the request ({status}){said}")
            case ErrorKind.MONEY if status == 402:
                return EndpointError(
                    f"{self._who} asks for payment (402){said}; top up the account."
                )
            case ErrorKind.MONEY:
                return EndpointError(f"{self._who} has no quota left{said}; top it up.")
            case ErrorKind.MODEL | ErrorKind.ADDRESS:
                return EndpointError(
                    f"{self._who} answers {status or 200}{said}; check the model's name and "
                    "base_url (it usually ends in /v1): potstill doctor STUDY lists what is there."
                )
            case ErrorKind.PASSING if after_s > _WAIT_MAX_S:
                return EndpointError(
                    f"{self._who} asks to wait {after_s:.0f} s ({status}); run again then, every"
                    " reply so far is kept."
                )
            case ErrorKind.PASSING:
                return Failure(f"http {status}", f"HTTP {status}{said}", after_s)
        hint = _setting_for(error.said)
        return Refused(f"the endpoint refused the request ({status}){said}{hint}")

    def key_refused(self, status: int, said: str = "") -> EndpointError:
        """Return the error of a key that the endpoint does not take."""
        says = f"; it says{said}" if said else ""
        return EndpointError(
            f"{self._who} refused the API key ({status or 401}): {self._key_hint}{says}."
        )


def _setting_for(said: str) -> str:
    """Return which setting sends what the endpoint takes, where it says what it does not take."""
    if "max_completion_tokens" in said:
        return "; set limit_field: max_completion_tokens"
    if re.search(r"max_tokens|context length|max_new_tokens", said) and _TOO_MANY.search(said):
        return "; lower max_tokens"
    for field in ("temperature", "top_p", "seed", "stream_options"):
        named = re.search(rf"\b{field}\b", said)
        if named and re.search(r"support|unknown|unrecognized|not permitted|extra", said, re.I):
            return f"; extra_body: {{{field}: null}} leaves {field} out"
    return ""


def _quoted(said: str) -> str:
    said = " ".join(said.split())
    return f": {said[:200]}" if said else ""
