"""The corpus of a study killed at any moment is, byte for byte, that of one left in peace."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.outside_agents import CONCURRENCY, agents, artifacts, replies, write_study


def command(path: Path, directory: Path) -> list[str]:
    run = [sys.executable, "-m", "potstill", "run", str(path), "--out", str(directory)]
    return [*run, "--until", "condense"]


def kill_and_compare(folder: Path, train: int, kills: int, latency_s: float) -> None:
    draw = random.Random(11)
    with agents(train, latency_s=0.0) as (_, url):
        subprocess.run(command(write_study(folder, url, train), folder / "calm"), check=True)
    with agents(train, latency_s) as (counting, url):
        path = write_study(folder, url, train)
        kept: dict[str, str] = {}
        hits = 0
        while True:
            sold = counting.sold.total()
            process = subprocess.Popen(command(path, folder / "out"), stdout=subprocess.DEVNULL)
            # the moment falls after the start-up, in the work
            while process.poll() is None and counting.sold.total() == sold and hits < kills:
                time.sleep(0.01)
            deadline = time.monotonic() + (draw.uniform(0, 1.2) if hits < kills else 500)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                hits += 1
            code = process.wait()
            now = replies(folder / "out")
            assert kept.items() <= now.items(), "a committed reply was lost or changed"
            kept = now
            if code != -signal.SIGKILL:
                assert code == 0
                break
    assert hits >= min(kills, 3)
    assert artifacts(folder / "out") == artifacts(folder / "calm")
    # the server numbers its replies, so bytes differ and questions do not
    assert kept.keys() == replies(folder / "calm").keys()
    twice = counting.sold.total() - len(counting.sold)
    print(f"{hits} kills, {len(kept):,} replies kept, {twice} bought twice")
    assert twice <= hits * CONCURRENCY


def test_two_kills(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, train=30, kills=2, latency_s=0.05)


@pytest.mark.soak
def test_a_hundred_kills_over_two_thousand_problems(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, train=2_000, kills=100, latency_s=0.1)
