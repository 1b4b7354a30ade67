"""The body of an answer: JSON or a stream, told by its first bytes, whole however it ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from potstill.protocol.shapes import NotAReply, read_object, utf8
from potstill.protocol.stream import Assembly
from potstill.store.untrusted import REPLY_BYTES

if TYPE_CHECKING:
    import aiohttp

__all__ = ["body_of"]

_DRAIN_S = 1.0
_TAIL_S = 30.0  # that the counts behind a whole reply have
_BLANK = b"\xef\xbb\xbf \t\r\n"
# JSON, JSON in a string, HTML, a gzip member, the BOM of UTF-16, nothing
_BEGINS_WHOLE = (b"{", b"[", b'"', b"<", b"\x1f", b"\xff", b"\xfe", b"")
_TOO_LARGE = "a reply of more than 64 MiB"


async def body_of(
    response: aiohttp.ClientResponse, speaks: Callable[[], None]
) -> tuple[bytes, float, bool]:
    """Return a reply's body, when its first byte came, and whether it came as a stream.

    ``speaks`` is called once a stream has brought its first word. What a body is, is told by its
    first bytes: proxies send either kind under the other's name. One that is whole is taken however
    its connection ended.
    """
    content = response.content
    start, broken = await _read(content)
    first = time.monotonic()
    named = response.headers.get("Content-Type", "").startswith("text/event-stream")
    begins = start.lstrip(_BLANK)[:1]
    wide = b"\0" in start[:4]  # UTF-16, UTF-32
    if (begins not in _BEGINS_WHOLE and not wide) or (named and not begins):
        return await _assembled(content, start, broken, speaks), first, True
    raw, broken = await _whole(content, start, broken)
    if raw[:2] == b"\x1f\x8b":
        raw = _unpacked(raw)
    raw = utf8(raw)
    if raw.lstrip(_BLANK)[:1] not in _BEGINS_WHOLE or _is_json_lines(raw):
        assembly = Assembly()
        assembly.feed(raw)
        if broken is not None and not assembly.ended:
            raise broken
        return assembly.raw(), first, True
    if broken is not None:
        try:
            read_object(raw)
        except NotAReply:
            raise broken from None
    return raw, first if named else time.monotonic(), named


def _is_json_lines(text: bytes) -> bool:
    line, _, rest = text.strip().partition(b"\n")
    if not rest or not line.rstrip().endswith(b"}"):
        return False
    try:
        return bool(read_object(line))
    except NotAReply:
        return False


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


async def _assembled(
    content: aiohttp.StreamReader,
    start: bytes,
    broken: Exception | None,
    speaks: Callable[[], None],
) -> bytes:
    assembly = Assembly()
    data, size, ended_at, told = start, 0, 0.0, False
    while data:
        size += len(data)
        if size > REPLY_BYTES:
            raise NotAReply(_TOO_LARGE)
        assembly.feed(data)
        if not told and assembly.speaks:
            told = True
            speaks()
        if broken is not None:
            break
        tail_s = None
        if assembly.ended:
            # A body read to its end leaves the connection fit for the next request.
            ended_at = ended_at or time.monotonic()
            tail_s = ended_at + (_DRAIN_S if assembly.done else _TAIL_S) - time.monotonic()
        data, broken = await _read(content, tail_s)
    if broken is not None and not assembly.ended:
        raise broken
    return assembly.raw()


async def _whole(
    content: aiohttp.StreamReader, start: bytes, broken: Exception | None
) -> tuple[bytes, Exception | None]:
    """Return a body and what its connection broke with, if it did."""
    parts, size = [start], len(start)
    while parts[-1] and broken is None:
        data, broken = await _read(content)
        size += len(data)  # what a packed body unpacks to counts
        if size > REPLY_BYTES:
            raise NotAReply(_TOO_LARGE)
        parts.append(data)
    return b"".join(parts), broken


async def _read(
    content: aiohttp.StreamReader, within_s: float | None = None
) -> tuple[bytes, Exception | None]:
    """Return the next bytes of a body (none at its end) and what its connection broke with."""
    import aiohttp

    try:
        async with asyncio.timeout(within_s):
            return await content.readany(), None
    except (TimeoutError, aiohttp.ClientError, OSError) as exc:
        content.set_exception(None)  # type: ignore[arg-type]  # it tells of the break first
        with contextlib.suppress(TimeoutError):
            return content.read_nowait(), exc
        return b"", exc
