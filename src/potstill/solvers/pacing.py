"""How fast an endpoint is asked: a concurrency that adapts, and rates per minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque

__all__ = ["Limiter", "RateLimit"]

_DECREASE = 0.7  # on a 429; TCP halves, but a provider's limit is known to be near
_DECREASE_SLOW = 0.9  # on a latency that grew: milder, for an answer may just be long
_SLOWER = 4.0


class Limiter:
    """How many requests may be in flight: additive increase, multiplicative decrease.

    It doubles per round trip until the first sign of too much, then grows by one per round trip. A
    wave of 429s counts once: only a request sent after the last decrease can decrease it again.
    All of it runs in one event loop.
    """

    def __init__(self, most: int, start: int = 64) -> None:
        self.most = most
        self.limit = float(min(most, start))
        self.in_flight = 0
        self._probing = True
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._decreased_at = 0.0
        self._paused_until = 0.0
        self._load = 0.0
        self._load_floor = 0.0

    async def acquire(self) -> None:
        """Wait until a request may be sent."""
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.release()
                raise
        try:
            while (pause := self._paused_until - time.monotonic()) > 0:
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self.release()
            raise

    def release(self) -> None:
        """Give the slot to whoever waits longest."""
        self.in_flight -= 1
        self._admit()

    def answered(self, load_s: float, slack_s: float) -> None:
        """Note that an answer came. ``load_s`` is what grows when the endpoint is overloaded.

        That is the time to the first byte of a stream, or the time per token; growth below
        ``slack_s`` is noise.
        """
        self._load = load_s if self._load == 0 else 0.9 * self._load + 0.1 * load_s
        floor = self._load_floor or load_s
        self._load_floor = min(floor * 1.001, load_s)
        if self._load > _SLOWER * self._load_floor and self._load - self._load_floor > slack_s:
            if time.monotonic() - self._decreased_at > max(1.0, self._load):
                self._decrease(_DECREASE_SLOW)
            return
        if self.limit < self.most:
            self.limit = min(self.most, self.limit + (1.0 if self._probing else 1.0 / self.limit))
            self._admit()

    def throttled(self, sent_at: float, pause_s: float) -> None:
        """Note that the endpoint said too much. No one sends anything for ``pause_s``."""
        self._paused_until = max(self._paused_until, time.monotonic() + pause_s)
        if sent_at >= self._decreased_at:
            self._decrease(_DECREASE)

    def _decrease(self, factor: float) -> None:
        self.limit = max(1.0, self.limit * factor)
        self._probing = False
        self._decreased_at = time.monotonic()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)


class RateLimit:
    """An amount per minute, evenly spread, with a burst of one second's worth. 0 is no limit."""

    def __init__(self, per_minute: float) -> None:
        self._interval_s = 60.0 / per_minute if per_minute > 0 else 0.0
        self._next = 0.0

    async def take(self, amount: float = 1.0) -> None:
        """Wait until the amount may be used."""
        if self._interval_s == 0.0:
            return
        now = time.monotonic()
        due = max(self._next, now - 1.0)
        self._next = due + amount * self._interval_s
        if due > now:
            await asyncio.sleep(due - now)

    def settle(self, more: float) -> None:
        """Correct an estimate that was taken before (negative gives back)."""
        self._next += more * self._interval_s
