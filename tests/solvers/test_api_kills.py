"""Killed at any moment: nothing that was committed is lost or bought again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from potstill.ledger.ledger import Ledger
from potstill.protocol.parse import parse_completion
from support.fault_server import FaultServer, answer_to, running
from support.processes import start

CONCURRENCY = 16


def committed(path: Path) -> dict[str, bytes]:
    if not path.exists():
        return {}
    with Ledger.open(path, readonly=True) as ledger:
        return {json.loads(e.request)["messages"][0]["content"]: e.raw for e in ledger.entries()}


def solve_until(
    killed_after_s: float | None, server: FaultServer, path: Path, count: int
) -> tuple[list[str], bool]:
    """The tags that the process printed, and whether a kill ended it."""
    with start("solving_process", server.base_url, path, count, CONCURRENCY) as process:
        assert process.stdout is not None
        if killed_after_s is None:
            return process.stdout.read().split(), False
        first = process.stdout.readline()  # so that the moment falls in the solving
        time.sleep(killed_after_s)
        process.kill()
        seen = first + process.stdout.read()
        return seen.split("\n")[:-1], process.wait() == -signal.SIGKILL


def kill_often(path: Path, kills: int, count: int, latency_s: float, longest_s: float) -> None:
    chance = random.Random(5)
    kept: dict[str, bytes] = {}
    effective = 0
    with running(FaultServer(rate=0.1, latency_s=latency_s)) as server:
        for _ in range(kills):
            printed, killed = solve_until(chance.uniform(0, longest_s), server, path, count)
            effective += killed
            now = committed(path)
            assert set(printed) <= set(now), "handed over before it was committed"
            assert kept.items() <= now.items(), "a committed reply was lost or changed"
            kept = now
        rest, _ = solve_until(None, server, path, count)
        assert sorted(rest) == sorted(f"q{n}" for n in range(count))
        final = committed(path)
        assert len(final) == count
        for question, raw in final.items():
            assert parse_completion(raw).text == answer_to(question)[1]
        bought_twice = sum(sent - 1 for sent in server.sent.values())
        assert bought_twice <= effective * CONCURRENCY
        assert effective >= kills * 0.9, "most runs ended before their kill"
        with Ledger.open(path, readonly=True) as ledger:
            assert ledger.verify() == []


def test_five_kills(tmp_path: Path) -> None:
    kill_often(tmp_path / "ledger.sqlite", kills=5, count=400, latency_s=0.02, longest_s=0.05)


@pytest.mark.soak
def test_a_hundred_kills(tmp_path: Path) -> None:
    kill_often(tmp_path / "ledger.sqlite", kills=100, count=2000, latency_s=0.1, longest_s=0.2)


def test_ctrl_c_ends_it_early_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with running(FaultServer(rate=0.0, latency_s=0.2)) as server:
        with start(
            "solving_process", server.base_url, path, 1000, 8, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) != 0
        assert 1 <= len(committed(path)) < 100
