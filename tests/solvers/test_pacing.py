"""Pacing: a limit found by additive increase and multiplicative decrease, and steady rates."""

from __future__ import annotations

import asyncio
import time

import pytest

from potstill.solvers import pacing
from potstill.solvers.pacing import Limiter, RateLimit


def test_it_doubles_until_the_first_429_and_then_grows_slowly() -> None:
    limiter = Limiter(1000, start=8)
    for _ in range(8):
        limiter.answered(0.1, slack_s=1.0)
    assert limiter.limit == 16
    sent_at = time.monotonic()
    for _ in range(10):
        limiter.throttled(sent_at, 0.0)
    assert limiter.limit == 16 * 0.7, "one wave of 429s counted more than once"
    for _ in range(11):
        limiter.answered(0.1, slack_s=1.0)
    assert 12 < limiter.limit < 12.3
    for _ in range(100_000):
        limiter.answered(0.1, slack_s=1.0)
    assert limiter.limit <= 1000


def test_a_latency_that_grows_lowers_it_gently() -> None:
    limiter = Limiter(64, start=64)
    for _ in range(50):
        limiter.answered(0.5, slack_s=1.0)
    for _ in range(50):
        limiter.answered(20.0, slack_s=1.0)
    assert limiter.limit == 64 * 0.9
    for _ in range(2000):
        limiter.answered(0.5, slack_s=1.0)
    assert limiter.limit > 60


def test_it_never_falls_below_one() -> None:
    limiter = Limiter(4)
    for _ in range(50):
        limiter.throttled(time.monotonic(), 0.0)
    assert limiter.limit == 1.0


def test_no_more_than_the_limit_are_in_flight_whoever_is_cancelled() -> None:
    async def main() -> int:
        limiter = Limiter(3)
        most = 0

        async def one(seconds: float) -> None:
            nonlocal most
            await limiter.acquire()
            try:
                most = max(most, limiter.in_flight)
                await asyncio.sleep(seconds)
            finally:
                limiter.release()

        tasks = [asyncio.create_task(one(0.001 * (n % 5))) for n in range(200)]
        await asyncio.sleep(0.01)
        for task in tasks[::3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.in_flight == 0
        return most

    assert asyncio.run(main()) == 3


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pacing, "time", made)
    monkeypatch.setattr(asyncio, "sleep", made.sleep)
    return made


def test_a_pause_holds_everyone(clock: Clock) -> None:
    async def main() -> None:
        limiter = Limiter(8)
        limiter.throttled(clock.now, 0.2)
        await asyncio.gather(*(limiter.acquire() for _ in range(4)))

    asyncio.run(main())
    assert clock.now == pytest.approx(1000.2)


def test_a_rate_spreads_its_amount_and_settles_estimates(clock: Clock) -> None:
    async def main() -> None:
        rate = RateLimit(60_000)  # a thousand a second, and as many at once
        for _ in range(3):
            await rate.take(600)
        assert clock.now == pytest.approx(1000.2)
        rate.settle(-600)
        await rate.take(1)

    asyncio.run(main())
    assert clock.now == pytest.approx(1000.2)
