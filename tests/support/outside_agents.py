"""The pocket world's agents outside the study: they outlive its kills and count what they sell."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from potstill.chat import Completion
from potstill.pocket import generate
from potstill.pocket.solver import MODELS
from potstill.pocket.teacher import PocketTeacher
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import create_app, serve
from potstill.study.templates import DEMO_STUDY

CONCURRENCY = 16
VALID = 20
HELDOUT = 4


class Counting:
    """The pocket world's agents on a server that outlives the study, counting what they sell."""

    def __init__(self, train: int) -> None:
        known = [p for s, n in (("train", train), ("valid", VALID)) for p in generate(s, n, 0)]
        self._agents = PocketTeacher([*known, *generate("heldout", HELDOUT, 0)])
        self.sold: Counter[str] = Counter()

    def reply(self, request: ChatRequest) -> Completion:
        self.sold[json.dumps([request.model, request.messages, request.seed])] += 1
        return self._agents.reply(request)


@contextmanager
def agents(train: int, latency_s: float) -> Iterator[tuple[Counting, str]]:
    """Serve the agents, with a delay before each reply; yield them and their base URL."""
    counting = Counting(train)
    with serve(create_app(counting.reply, MODELS, latency_s=latency_s)) as url:
        yield counting, url


def write_study(folder: Path, url: str, train: int, **changes: Any) -> Path:
    """Write the demo study on those agents, some of its sections changed."""
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": train, "valid": VALID, "heldout": HELDOUT}]
    for role in ("teacher", "verifier", "condenser"):
        agent = raw[role]
        agent |= {"solver": "api", "provider": "pocket", "base_url": url, "api_key_env": ""}
        agent["concurrency"] = CONCURRENCY
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw | changes))
    return path


def artifacts(directory: Path) -> dict[str, str]:
    """Take the sha256 of every table of every cell."""
    found = {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*.parquet")
    }
    assert found
    return found


def replies(directory: Path) -> dict[str, str]:
    """Read the sha256 of every committed reply, by its key."""
    if not (directory / "ledger.sqlite").exists():
        return {}
    with sqlite3.connect(f"file:{directory}/ledger.sqlite?mode=ro", uri=True) as db:
        # a run killed at its very beginning leaves a file without a table
        made = db.execute("select 1 from sqlite_master where name = 'replies'").fetchone()
        return dict(db.execute("select key, sha256 from replies").fetchall()) if made else {}


def report_of(directory: Path) -> Any:
    """Read the report but for what may differ: calls tried again, the command, the date."""
    report = json.loads((directory / "report" / "report.json").read_text())
    for name in ("calls", "spend"):
        report.pop(name)
    for name in ("created", "command"):
        report["reproduction"].pop(name, None)
    return report
