"""A small study of the pocket world, what it bought and reported, and runs that are killed."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from potstill.study.templates import DEMO_STUDY

Report = dict[str, Any]
RAY_STUDY: dict[str, Any] = {
    "problems": [{"source": "pocket", "train": 24, "valid": 8, "heldout": 100}],
    "training": {"preset": "pocket", "iterations": 60, "validate_every": 20},
    "evaluation": {"prompt": "{problem}", "max_tokens": 200},
    "cluster": {"workers": 2, "shard_s": 5.0, "retries": 6},
}


def write_small_study(folder: Path, **changes: Any) -> Path:
    """Write a study of two levels and few steps, some of its sections changed."""
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 24, "valid": 8, "heldout": 12}]
    raw["levels"] = ["R1", "R6"]
    raw["training"] = {"preset": "pocket", "iterations": 2, "validate_every": 1}
    raw["evaluation"]["max_tokens"] = 24
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw | changes))
    return path


def without_times(report: Report) -> Report:
    """Copy a report but for what may differ between two runs: times, and what was spent twice."""
    kept = json.loads(json.dumps(report))
    kept["reproduction"].pop("created", None)
    kept["reproduction"].pop("command", None)
    for call in kept["calls"]:
        call.pop("retries")
    return dict(kept)


def keys_in(directory: Path) -> set[str]:
    """Read the keys of all replies that a study bought."""
    with sqlite3.connect(f"file:{directory}/ledger.sqlite?mode=ro", uri=True) as db:
        return {row[0] for row in db.execute("select key from replies")}


def kill_and_resume(
    path: Path,
    directory: Path,
    kills: int,
    seed: int,
    *options: str,
    between: tuple[float, float] = (0.3, 9.0),
) -> tuple[int, Report]:
    """Run a study killed at random moments until it ends: the kills that hit, and the report."""
    command = [sys.executable, "-m", "potstill", "run", str(path), "--out", str(directory)]
    command += options
    draw = random.Random(seed)
    hits = 0
    committed: set[str] = set()
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        killed = _kill_after(process, draw.uniform(*between) if hits < kills else 280)
        hits += killed
        output = process.communicate()[0].decode()
        if (directory / "ledger.sqlite").exists():
            now = keys_in(directory)
            assert committed <= now, "a committed reply was lost"
            committed = now
        if not killed:
            assert process.returncode == 0, output
            return hits, json.loads((directory / "report" / "report.json").read_text())


def _kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process that may run for some seconds was killed at their end."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    return True
