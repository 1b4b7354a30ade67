"""A model that answers under another name than the one asked for is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from potstill.chat import Ask, Message
from potstill.ledger.ledger import Ledger
from potstill.ledger.names import name_note, other_names
from potstill.records import Finish, Sampling
from potstill.solvers.api import ApiSolver, Options
from support.fault_server import FaultServer, body_of, http, running


class Named(FaultServer):
    """Answers whole, each reply under the next of some names; None for none."""

    def __init__(self, names: list[str | None]) -> None:
        super().__init__(rate=0.0)
        self.names = names

    async def answer(self, asked: dict, writer: asyncio.StreamWriter) -> bool:
        said = self.names[int(asked["messages"][-1]["content"])]
        body = json.loads(body_of("?")) | ({} if said is None else {"model": said})
        data = json.dumps(body).encode()
        if asked.get("stream"):
            events = b"data: " + data + b"\n\ndata: [DONE]\n\n"
            writer.write(http(200, "text/event-stream", events))
        else:
            writer.write(http(200, "application/json", data))
        return True


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_each_other_name_is_told_with_how_often_it_answered(tmp_path: Path, stream: bool) -> None:
    names = ["big", "small-8b", "small-8b", "vendor/Big", None, "big-2026"]
    asks = [Ask(str(n), (Message("user", str(n)),), Sampling()) for n in range(len(names))]
    with (
        running(Named(names)) as server,
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
    ):
        solver = ApiSolver(
            Options(model="big", base_url=server.base_url, api_key_env="", stream=stream), ledger
        )
        results = list(solver.complete(asks, "teach"))
        assert [r.finish for r in results] == [Finish.STOP] * len(names)
        told = list(other_names(ledger))
        assert told == list(other_names(ledger, "teach"))
        assert list(other_names(ledger, "judge")) == []
    assert told == [
        "big was asked for, and the endpoint named big-2026 as what answered (1 answer).",
        "big was asked for, and the endpoint named small-8b as what answered (2 answers).",
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("deepseek-reasoner", "deepseek-reasoner"),
        ("deepseek/deepseek-r1", "DeepSeek-R1"),
        ("qwen2.5-0.5b", "/models/Qwen2.5-0.5B.gguf"),
        ("qwen2.5-0.5b", "C:\\models\\qwen2.5-0.5b.gguf"),
        ("m", ""),
    ],
)
def test_a_path_or_a_provider_before_it_is_no_other_name(asked: str, said: str) -> None:
    assert name_note(asked, said) == ""
