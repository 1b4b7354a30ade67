"""Who hangs up gives back the place in the batch, whether the answer was streamed or not."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from potstill.deploy.engines import Engine
from potstill.deploy.serve.answering import Answering, Piece
from potstill.deploy.serve.serving import create_app
from potstill.models.decoding import Request, Running
from potstill.protocol.server import serve
from potstill.records import Condition, Finish, Sampling

ENDLESS, SHORT = 1, 2


class OneSlot:
    """A decoder of one slot: an endless prompt is never done, any other at its first token."""

    slots = 1

    def __init__(self) -> None:
        self.running: dict[int, Running] = {}
        self.dropped = 0

    @property
    def active(self) -> int:
        return len(self.running)

    @property
    def wanted(self) -> int:
        return 1 - self.active

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        time.sleep(0.001)
        self.running |= {request.key: Running.begin(request, 100_000) for request in fresh}
        running = list(self.running.values())
        for run in running:
            run.advance(65 if run.request.prompt[0] == ENDLESS else 66, ())
            if run.request.prompt[0] == SHORT:
                run.finish = Finish.LENGTH
        self.running = {run.request.key: run for run in running if run.finish is None}
        return running

    def drop(self, keys: Collection[int]) -> None:
        self.dropped += len(keys)
        self.running = {key: run for key, run in self.running.items() if key not in keys}


class Served:
    def __init__(self, url: str, decoder: OneSlot) -> None:
        self.decoder = decoder
        self._parts = urlsplit(url)

    def ask(self, text: str, stream: bool = False) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._parts.hostname, self._parts.port, timeout=60)
        chat = {"model": "s", "messages": [{"role": "user", "content": text}], "stream": stream}
        connection.request("POST", "/v1/chat/completions", json.dumps(chat))
        return connection

    def said(self, text: str) -> str:
        connection = self.ask(text)
        body = json.loads(connection.getresponse().read())
        connection.close()
        return str(body["choices"][0]["message"]["content"])

    def wait_until(self, active: int) -> None:
        deadline = time.monotonic() + 20
        while self.decoder.active != active:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def one_slot(decoder: OneSlot) -> Engine:
    return Engine(
        name="one slot",
        context_tokens=100_000,
        encode=lambda messages: [ENDLESS if "endless" in messages[-1].content else SHORT],
        text=lambda tokens: "".join(map(chr, tokens)),
        pieces=lambda: chr,
        decoder=decoder,
    )


@pytest.fixture
def served() -> Iterator[Served]:
    decoder = OneSlot()
    engine = one_slot(decoder)
    condition = Condition("", "", "{problem}", Sampling(max_tokens=50_000), "")
    with (
        Answering(engine) as answering,
        serve(create_app(engine, answering, condition, ["s"])) as url,
    ):
        yield Served(url, decoder)


@pytest.mark.parametrize("stream", [True, False])
def test_the_place_of_who_hung_up_goes_to_the_next(served: Served, stream: bool) -> None:
    for times in range(1, 4):
        endless = served.ask("endless", stream)
        if stream:
            assert endless.getresponse().read(10)
        served.wait_until(active=1)
        endless.sock.close() if endless.sock else endless.close()
        endless.close()
        assert served.said("short") == "B"
        assert served.decoder.dropped == times


def test_who_hangs_up_in_the_line_is_never_begun(served: Served) -> None:
    first = served.ask("endless")
    served.wait_until(active=1)
    in_line = [served.ask("endless") for _ in range(3)]
    time.sleep(0.2)
    for waiting in in_line:
        waiting.close()
    time.sleep(0.2)
    first.close()
    assert served.said("short") == "B"
    assert served.decoder.dropped == 1


def test_leaving_ends_what_is_under_way_though_no_slot_is_free() -> None:
    decoder = OneSlot()

    async def leave() -> None:
        with Answering(one_slot(decoder)) as answering:
            events = answering.answer([ENDLESS], Sampling(max_tokens=50_000))
            assert await anext(events) == Piece("A")
            assert decoder.active == 1
        await events.aclose()

    asyncio.run(leave())
    assert decoder.active == 0
