"""One HTTP call to a chat endpoint: the raw reply, or one of four ways in which there is none."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import re
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from potstill.errors import EndpointError
from potstill.solvers.complaints import Complaint, Concern, complaint_of
from potstill.solvers.parse import NotAReply
from potstill.solvers.stream import Assembly
from potstill.store.untrusted import REPLY_BYTES

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
_BLANK = b"\xef\xbb\xbf \t\r\n"
_BEGINS_WHOLE = (b"{", b"[", b"<", b"\x1f", b"")  # JSON, HTML, a gzip member, nothing
_TOO_LARGE = "a reply of more than 64 MiB"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SHORTEST_SECRET = 8  # "x" or "EMPTY", given to a local server, stands in many words of its replies


@dataclass(frozen=True, slots=True)
class Fetched:
    """The raw reply and the seconds until its first byte and its last."""

    raw: bytes
    first_byte_s: float
    seconds: float
    streamed: bool


class Failure(Exception):
    """A call that is worth repeating. ``kind`` is a word to count by."""

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
    """Return the seconds that a ``Retry-After`` (seconds or a date) asks to wait, else 0."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip().removesuffix("s")
        try:
            seconds = float(value) * unit_s
        except ValueError:
            continue
        return seconds if 0 < seconds < float("inf") else 0.0
    try:
        parsed = email.utils.parsedate_tz(headers.get("retry-after", ""))
        return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else 0.0
    except (ValueError, OverflowError):  # a day that no calendar has
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

        connect_s, read_s, total_s = timeouts_s
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

    async def fetch(self, body: bytes) -> Fetched:
        """Return the raw reply to one request body.

        Raises Failure (repeat it), Filtered or Refused (this one never), NoRecord (a replay's 404)
        or EndpointError (no request can succeed).
        """
        import aiohttp

        try:
            return await self._fetch(body)
        except NotAReply as exc:
            raise self.not_a_reply(exc) from exc
        except aiohttp.ClientConnectorError as exc:
            reason = getattr(exc.__cause__, "strerror", "") or type(exc).__name__
            raise Failure("unreachable", f"no connection: {reason}") from exc
        except TimeoutError as exc:
            raise Failure("timeout", "no answer in time") from exc
        except (aiohttp.ClientError, OSError) as exc:
            detail = self.redacted(str(exc)) or type(exc).__name__
            raise Failure("connection", f"the connection broke: {detail}"[:200]) from exc

    async def _fetch(self, body: bytes) -> Fetched:
        started = time.monotonic()
        async with self._session.post(self._url, data=body, allow_redirects=False) as response:
            self.connected = True
            if response.status != 200:
                raise self._status(
                    response.status,
                    response.headers,
                    (await response.content.read(16384)).decode("utf-8", "replace"),
                )
            raw, first, streamed = await _body(response)
        if self._secret and self._secret.encode() in raw:
            raw = raw.replace(self._secret.encode(), b"[redacted]")
        return Fetched(raw, first - started, time.monotonic() - started, streamed)

    def not_a_reply(self, exc: NotAReply) -> Exception:
        """Return what to raise for the body of a 200 that is no reply: what it complains of, if of
        anything.
        """
        complaint = exc.complaint
        if complaint is None or (complaint.status < 400 and complaint.concern is Concern.PASSING):
            after_s = min(complaint.after_s, _WAIT_MAX_S) if complaint else 0.0
            return Failure("malformed", self.redacted(str(exc)), after_s)
        return self._raised(complaint, complaint.after_s)

    def _status(self, status: int, headers: Mapping[str, str], text: str) -> Exception:
        complaint = complaint_of(status, text)
        if status == 404 and "recording_not_found" in complaint.codes:
            return NoRecord(self.redacted(complaint.said))
        if 300 <= status < 400:
            return EndpointError(
                f"{self._who} redirects ({status}); set base_url to where it redirects."
            )
        return self._raised(complaint, retry_after_s(headers) or complaint.after_s)

    def _raised(self, complaint: Complaint, after_s: float) -> Exception:
        said, status = _quoted(self.redacted(complaint.said)), complaint.status
        match complaint.concern:
            case Concern.PROMPT:
                return Filtered(f"the endpoint filtered the prompt ({status or 200}){said}")
            case Concern.KEY:
                return self.key_refused(status, said)
            case Concern.FORBIDDEN:
                return Forbidden(f"the endpoint refused the request ({status}){said}")
            case Concern.MONEY if status == 402:
                return EndpointError(
                    f"{self._who} asks for payment (402){said}; top up the account."
                )
            case Concern.MONEY:
                return EndpointError(f"{self._who} has no quota left{said}; top it up.")
            case Concern.MODEL | Concern.ADDRESS:
                return EndpointError(
                    f"{self._who} answers {status or 200}{said}; check the model's name and "
                    "base_url (it usually ends in /v1): potstill doctor STUDY lists what is there."
                )
            case Concern.PASSING if after_s > _WAIT_MAX_S:
                return EndpointError(
                    f"{self._who} asks to wait {after_s:.0f} s ({status}); run again then, every"
                    " reply so far is kept."
                )
            case Concern.PASSING:
                return Failure(f"http {status}", f"HTTP {status}{said}", after_s)
        hint = _setting_for(complaint.said)
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
    for field in ("temperature", "top_p", "seed", "stream_options"):
        named = re.search(rf"\b{field}\b", said)
        if named and re.search(r"support|unknown|unrecognized|not permitted|extra", said, re.I):
            return f"; extra_body: {{{field}: null}} leaves {field} out"
    return ""


async def _body(response: aiohttp.ClientResponse) -> tuple[bytes, float, bool]:
    """Return a reply's body, when its first byte came, and whether it came as a stream.

    What it is, is told by its first bytes: proxies send either kind under the other's name.
    """
    chunks = response.content.iter_any()
    start = await anext(chunks, b"")
    first = time.monotonic()
    named = response.headers.get("Content-Type", "").startswith("text/event-stream")
    begins = start.lstrip(_BLANK)[:1]
    if begins not in _BEGINS_WHOLE or (named and not begins):
        return await _assembled(chunks, start, response.content), first, True
    raw = await _whole(chunks, start)
    if raw[:2] == b"\x1f\x8b":
        raw = _unpacked(raw)
    if raw.lstrip(_BLANK)[:1] not in _BEGINS_WHOLE:  # after blank lines, or unpacked
        assembly = Assembly()
        assembly.feed(raw)
        return assembly.raw(), first, True
    return raw, first if named else time.monotonic(), named


def _unpacked(raw: bytes) -> bytes:
    """Return a body that was packed without a word of it. Raises NotAReply for a broken one."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(raw, REPLY_BYTES)
    except zlib.error as exc:
        raise NotAReply(f"a packed body that is broken ({exc})") from exc
    if unpacking.unconsumed_tail:
        raise NotAReply(_TOO_LARGE)
    return unpacked


async def _assembled(chunks: AsyncIterator[bytes], start: bytes, stream: Any) -> bytes:
    assembly = Assembly()
    assembly.feed(start)
    size = len(start)
    while not assembly.done:
        data = await anext(chunks, b"")
        if not data:
            return assembly.raw()
        size += len(data)
        if size > REPLY_BYTES:
            raise NotAReply(_TOO_LARGE)
        assembly.feed(data)
    await _drain(stream)
    return assembly.raw()


async def _drain(stream: Any) -> None:
    # A body read to its end leaves the connection fit for the next request.
    import aiohttp

    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(1.0):
            await stream.read(1 << 20)


async def _whole(chunks: AsyncIterator[bytes], start: bytes) -> bytes:
    parts = [start]
    size = len(start)
    async for data in chunks:  # what a packed body unpacks to counts
        size += len(data)
        if size > REPLY_BYTES:
            raise NotAReply(_TOO_LARGE)
        parts.append(data)
    return b"".join(parts)


def _quoted(said: str) -> str:
    said = " ".join(said.split())
    return f": {said[:200]}" if said else ""
