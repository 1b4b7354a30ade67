"""The corpus of a study killed at any moment is, byte for byte, that of one left in peace."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from potstill.pocket import generate
from potstill.pocket.solver import MODELS
from potstill.pocket.teacher import PocketTeacher
from potstill.solvers.server import ChatReply, ChatRequest, create_app, serve
from potstill.templates import DEMO_STUDY

CONCURRENCY = 16
VALID = 20


class Counting:
    """The pocket world's agents on a server that outlives the study, counting what they sell."""

    def __init__(self, train: int) -> None:
        known = [p for s, n in (("train", train), ("valid", VALID)) for p in generate(s, n, 0)]
        self._agents = PocketTeacher([*known, *generate("heldout", 4, 0)])
        self.sold: Counter[str] = Counter()

    def reply(self, request: ChatRequest) -> ChatReply:
        self.sold[json.dumps([request.model, request.messages, request.seed])] += 1
        return self._agents.reply(request)


@contextmanager
def agents(train: int, latency_s: float) -> Iterator[tuple[Counting, str]]:
    counting = Counting(train)
    with serve(create_app(counting.reply, MODELS, latency_s=latency_s)) as url:
        yield counting, url


def write_study(folder: Path, url: str, train: int) -> Path:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": train, "valid": VALID, "heldout": 4}]
    for role in ("teacher", "verifier", "condenser"):
        agent = raw[role]
        agent |= {"solver": "api", "provider": "pocket", "base_url": url, "api_key_env": ""}
        agent["concurrency"] = CONCURRENCY
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def artifacts(directory: Path) -> dict[str, str]:
    """The sha256 of every table of every cell."""
    found = {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*.parquet")
    }
    assert found
    return found


def replies(directory: Path) -> dict[str, str]:
    if not (directory / "ledger.sqlite").exists():
        return {}
    with sqlite3.connect(f"file:{directory}/ledger.sqlite?mode=ro", uri=True) as db:
        return dict(db.execute("select key, sha256 from replies").fetchall())


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


def test_five_kills(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, train=30, kills=3, latency_s=0.05)


@pytest.mark.soak
def test_a_hundred_kills_over_two_thousand_problems(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, train=2_000, kills=100, latency_s=0.1)
