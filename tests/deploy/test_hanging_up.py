"""Who hangs up gives back the place in the batch, whether the answer was streamed or not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlsplit

import pytest

from potstill.deploy.engines import Engine
from potstill.deploy.serve.answering import Answering
from potstill.deploy.serve.serving import create_app
from potstill.models.decoding import Finished, Request
from potstill.records import Condition, Finish, Sampling
from potstill.solvers.server import serve

ENDLESS, SHORT = 1, 2


class OneSlot:
    """A decoder of one slot: an endless prompt is never done, any other at its first token."""

    slots = 1

    def __init__(self) -> None:
        self.running: dict[int, list[int]] = {}
        self.dropped = 0

    @property
    def active(self) -> int:
        return len(self.running)

    @property
    def wanted(self) -> int:
        return 1 - self.active

    def step(self, fresh: Sequence[Request]) -> list[Finished]:
        time.sleep(0.001)
        for tokens in self.running.values():
            tokens.append(65)
        self.running |= {r.key: [65] for r in fresh if r.prompt[0] == ENDLESS}
        return [Finished(r.key, (66,), Finish.STOP, 2) for r in fresh if r.prompt[0] == SHORT]

    def under_way(self) -> dict[int, Sequence[int]]:
        return dict(self.running)

    def drop(self, keys: Collection[int]) -> None:
        self.dropped += len(keys)
        self.running = {key: said for key, said in self.running.items() if key not in keys}


class Served:
    def __init__(self, url: str, decoder: OneSlot) -> None:
        self.decoder = decoder
        self._parts = urlsplit(url)

    def ask(self, text: str, stream: bool = False) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._parts.hostname, self._parts.port, timeout=20)
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


@pytest.fixture
def served() -> Iterator[Served]:
    decoder = OneSlot()
    engine = Engine(
        name="one slot",
        context_tokens=100_000,
        encode=lambda messages: [ENDLESS if "endless" in messages[-1].content else SHORT],
        text=lambda tokens: "".join(map(chr, tokens)),
        pieces=lambda: chr,
        decoder=decoder,
    )
    condition = Condition("", "", "{problem}", Sampling(max_tokens=50_000), "")
    with (
        Answering(engine) as answering,
        serve(create_app(engine, answering, condition, ["s"])) as url,
    ):
        yield Served(url, decoder)
        decoder.running = {}  # whatever was never dropped ends with its test


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
