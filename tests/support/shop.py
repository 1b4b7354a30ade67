"""A teacher who is paid: every reply takes tokens out, and a study that buys them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from potstill.chat import Completion
from potstill.pocket import generate
from potstill.pocket.teacher import TEACHER, PocketTeacher
from potstill.protocol.requests import ChatRequest
from potstill.study.templates import DEMO_STUDY

CONCURRENCY = 4
PROBLEMS = 60


class Shop:
    """The pocket teacher, where every reply takes 10,000 tokens out."""

    def __init__(self) -> None:
        known = [p for s in ("train", "valid", "heldout") for p in generate(s, PROBLEMS, 0)]
        self.teacher = PocketTeacher(known)
        self.sold = 0

    def reply(self, request: ChatRequest) -> Completion:
        self.sold += 1
        reply = self.teacher.reply(request)
        return replace(reply, tokens_in=0, tokens_out=10_000)


def write_study(folder: Path, url: str, **changes: Any) -> Path:
    """Write the demo study with a shop's teacher, some of its sections changed."""
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": PROBLEMS, "valid": 4, "heldout": 4}]
    raw["teacher"] = {
        "solver": "api",
        "model": TEACHER,
        "base_url": url,
        "api_key_env": "",
        "prompt": "{problem}",
        "concurrency": CONCURRENCY,
        "price": {"input": 0.0, "output": 1.0},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw | changes))
    return path
