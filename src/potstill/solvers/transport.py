"""One HTTP call to a chat endpoint: the raw reply, or one of four ways in which there is none."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from potstill.errors import EndpointError
from potstill.solvers.parse import Assembly, NotAReply
from potstill.store.untrusted import REPLY_BYTES, parse_json

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Failure", "Fetched", "NoRecord", "Refused", "Transport", "retry_after_s"]

_RETRIED = {408, 409, 425, 429}
_WAIT_MAX_S = 600.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
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
        return self.kind in ("http 429", "http 503")


class Refused(Exception):
    """The endpoint will not answer this request, ever; others may fare better."""


class NoRecord(Exception):
    """A replay has no record of this question."""


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the seconds that a ``Retry-After`` (seconds or a date) asks to wait, else 0."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
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
        self._url = base_url.rstrip("/") + "/chat/completions"
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
            trust_env=(urlsplit(base_url).hostname or "") not in _LOOPBACK,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def redacted(self, text: str) -> str:
        """Return the text without the API key."""
        return text.replace(self._secret, "[redacted]") if self._secret else text

    async def fetch(self, body: bytes) -> Fetched:
        """Return the raw reply to one request body.

        Raises Failure (repeat it), Refused (this one never), NoRecord (a replay's 404) or
        EndpointError (no request can succeed).
        """
        import aiohttp

        try:
            return await self._fetch(body)
        except NotAReply as exc:
            raise Failure("malformed", self.redacted(str(exc))) from exc
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
            streamed = response.headers.get("Content-Type", "").startswith("text/event-stream")
            if streamed:
                raw, first = await _assembled(response.content)
            else:
                raw, first = await _whole(response), time.monotonic()
        if self._secret and self._secret.encode() in raw:
            raw = raw.replace(self._secret.encode(), b"[redacted]")
        return Fetched(raw, first - started, time.monotonic() - started, streamed)

    def _status(self, status: int, headers: Mapping[str, str], text: str) -> Exception:
        code, said = _error_of(text)
        said = self.redacted(said)
        if status == 404 and code == "recording_not_found":
            return NoRecord(said)
        if status in _RETRIED or status >= 500:
            return self._worth_retrying(status, headers, code, said)
        if status in (401, 403):
            return EndpointError(f"{self._who} refused the API key ({status}): {self._key_hint}.")
        if status == 402:
            return EndpointError(f"{self._who} asks for payment (402): top up the account.")
        if status == 404:
            return EndpointError(
                f"{self._who} answers 404{_quoted(said)}; check the model's name and base_url"
                " (it usually ends in /v1)."
            )
        if 300 <= status < 400:
            return EndpointError(
                f"{self._who} redirects ({status}); set base_url to where it redirects."
            )
        return Refused(f"the endpoint refused the request ({status}){_quoted(said)}")

    def _worth_retrying(
        self, status: int, headers: Mapping[str, str], code: str, said: str
    ) -> Exception:
        if code == "insufficient_quota":
            return EndpointError(f"{self._who} has no quota left{_quoted(said)}; top it up.")
        after_s = retry_after_s(headers)
        if after_s > _WAIT_MAX_S:
            return EndpointError(
                f"{self._who} asks to wait {after_s:.0f} s ({status}); run again then, every"
                " reply so far is kept."
            )
        return Failure(f"http {status}", f"HTTP {status}{_quoted(said)}", after_s)


async def _assembled(stream: Any) -> tuple[bytes, float]:
    assembly = Assembly()
    first = 0.0
    size = 0
    async for data in stream.iter_any():
        first = first or time.monotonic()
        size += len(data)
        if size > REPLY_BYTES:
            raise NotAReply("a reply of more than 64 MiB")
        assembly.feed(data)
        if assembly.done:
            await _drain(stream)
            break
    return assembly.raw(), first or time.monotonic()


async def _drain(stream: Any) -> None:
    # A body read to its end leaves the connection fit for the next request.
    import aiohttp

    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(1.0):
            await stream.read(1 << 20)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    parts = []
    size = 0
    async for data in response.content.iter_any():  # what a packed body unpacks to counts
        size += len(data)
        if size > REPLY_BYTES:
            raise NotAReply("a reply of more than 64 MiB")
        parts.append(data)
    return b"".join(parts)


def _error_of(text: str) -> tuple[str, str]:
    try:
        error = parse_json(text)["error"]
    except (ValueError, KeyError, TypeError):
        return "", "" if "<" in text[:64] else text
    if isinstance(error, Mapping):
        return str(error.get("code") or ""), str(error.get("message") or "")
    return "", str(error)


def _quoted(said: str) -> str:
    said = " ".join(said.split())
    return f": {said[:200]}" if said else ""
