"""Replies whose connection ends badly: what came whole is kept, what did not is asked again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.chat import Ask, Message
from potstill.errors import EndpointError
from potstill.ledger.ledger import Ledger
from potstill.protocol import bodies
from potstill.records import Finish, Sampling
from potstill.solvers.api import ApiSolver, Options
from support.fault_server import FaultServer, abort, http, running

AGAIN = "asked again"
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
COUNTS = {"id": "x", "choices": [], "usage": USAGE}
BUSY = {"error": {"code": 502, "message": "upstream disconnected"}}
FLAGGED = {"error": {"code": "data_inspection_failed", "message": "Output data"}}


def chunk(text: str = "", finish: str | None = None, **more: object) -> dict[str, Any]:
    delta = {"content": text} if text else {}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more


def events(*chunks: object, end: str = "") -> bytes:
    return ("".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + end).encode()


def whole(finish: str | None = "stop") -> bytes:
    choice = {"index": 0, "message": {"content": "It is 4."}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": USAGE}).encode()


STOPPED = (chunk("It is"), chunk(" 4."), chunk(finish="stop"))
CUT = (chunk("It is"), chunk(" 4 or"))
# Every way in which a connection ends before it should.
BREAKS = ("cut", "malformed", "length", "reset", "silence", "comments", "half an event")
# name: the body before the break, then the text, finish and tokens out that are kept
KEPT: dict[str, tuple[bytes, tuple[str, Finish, int]]] = {
    "its finish and its counts": (events(*STOPPED, COUNTS), ("It is 4.", Finish.STOP, 7)),
    "its finish": (events(*STOPPED), ("It is 4.", Finish.STOP, 0)),
    "its finish with the last text": (
        events(chunk("It is"), chunk(" 4.", "stop")),
        ("It is 4.", Finish.STOP, 0),
    ),
    "all so far in each chunk": (
        events(
            chunk("It is"), chunk("It is the 4"), chunk("It is the 4 of them."), chunk("", "stop")
        ),
        ("It is the 4 of them.", Finish.STOP, 0),
    ),
    "the same words again and again": (
        events(*[chunk("ha ")] * 7, chunk(finish="stop")),
        ("ha " * 7, Finish.STOP, 0),
    ),
    "a rule that is drawn longer": (
        events(chunk("="), chunk("=="), chunk("==="), chunk(finish="stop")),
        ("======", Finish.STOP, 0),
    ),
    "all in one chunk": (events(chunk("It is 4.", "stop")), ("It is 4.", Finish.STOP, 0)),
    "a cut": (events(*CUT, chunk(finish="length")), ("It is 4 or", Finish.LENGTH, 0)),
    "stop in every chunk, a cut at last": (
        events(chunk("It is", "stop"), chunk(" 4 or", "stop"), chunk(finish="length")),
        ("It is 4 or", Finish.LENGTH, 0),
    ),
}
NOT_WHOLE: dict[str, bytes] = {
    "half": events(*CUT),
    "half and counts": events(*CUT, COUNTS),
    "counts and more": events(chunk("It is"), COUNTS, chunk(" 4 or")),
    "an early finish": events(chunk("It is", "stop"), chunk(" 4 or")),
    "an early finish of its own": events(chunk("It is"), chunk(finish="stop"), chunk(" 4 or")),
    "stop in every chunk": events(chunk("It is", "stop"), chunk(" 4 or", "stop")),
    "a word of its own in every chunk": events(chunk("It is", "more"), chunk(" 4 or", "more")),
    "stop before a word": events(chunk(finish="stop")),
    "nothing": b"",
}


class Breaking(FaultServer):
    """Answers a question that names a body and a break with them, once."""

    async def answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        question = asked["messages"][-1]["content"]
        self.tries[question] += 1
        name, _, how = question.partition(" | ")
        if self.tries[question] > 1:
            body = whole().replace(b"It is 4.", AGAIN.encode())
            writer.write(http(200, "application/json", body))
            await writer.drain()
            return True
        return await self.broken(BODIES[name], how, writer)

    async def broken(self, body: bytes, how: str, writer: asyncio.StreamWriter) -> bool:
        kind = "application/json" if body.startswith(b"{") else "text/event-stream"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n"
        length = f"content-length: {len(body) + 99}\r\n\r\n"
        framed = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        match how:
            case "length":
                writer.write((head + length).encode() + body)
            case "clean":
                writer.write(http(200, kind, body))
            case "close":
                writer.write((head + "connection: close\r\n\r\n").encode() + body)
            case _:
                writer.write((head + "transfer-encoding: chunked\r\n\r\n").encode())
                await writer.drain()
                await asyncio.sleep(0.2 if how == "malformed" else 0.0)
                writer.write(framed + (b"zz\r\n" if how == "malformed" else b""))
        if how == "half an event":
            writer.write(b'1d\r\ndata: {"choices": [], "usage"\r\n')
        await writer.drain()
        for _ in range(20 if how == "comments" else 0):
            writer.write(b"d\r\n: keep-alive\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
        if how == "silence":
            await asyncio.sleep(2.0)
        if how == "reset":
            await asyncio.sleep(0.05)
            abort(writer)
        return False


BODIES = {name: body for name, (body, _) in KEPT.items()} | NOT_WHOLE
BODIES |= {
    "JSON": whole(),
    "half of the JSON": whole()[:-9],
    "lines": b'{"message":{"content":"It is"},"done":false}\n'
    b'{"message":{"content":" 4."},"done":true,"done_reason":"stop","eval_count":7}\n',
    "half of the lines": b'{"message":{"content":"It is"},"done":false}\n'
    b'{"message":{"content":" 4 or"},"done":false}\n',
    "one of the lines": b'{"message":{"content":"It is"},"done":false}\n',
    "an error at last": events(*STOPPED, COUNTS, BUSY),
    "a filter at last": events(*STOPPED, COUNTS, FLAGGED),
    "an error too soon": events(*CUT, BUSY),
    "an error after an early finish": events(chunk("It is", "stop"), chunk(" 4 or", "stop"), BUSY),
    "HTML at last": events(*STOPPED, end="data: <html>gone</html>\n\n"),
    "half a sentence and counts": events(chunk("We add two"), chunk(" and two and"), COUNTS),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Breaking]:
    with running(Breaking()) as started:
        yield started


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def asked(
    server: Breaking, ledger: Ledger, name: str, how: str, **more: float
) -> tuple[str, Finish, int, int]:
    """Ask, and tell text, finish, tokens out and how many tries it took; then from the ledger."""
    times = {"backoff_s": 0.005, "timeout_read_s": 0.4, "timeout_total_s": 0.8} | more
    options = Options(model="m", base_url=server.base_url, api_key_env="", **times)
    question = f"{name} | {how}"
    server.tries.clear()
    ask = Ask(question, (Message("user", question),), Sampling(0.0, 1.0, 7, 500))
    results = [
        result for _ in range(2) for result in ApiSolver(options, ledger).complete([ask], "teach")
    ]
    first, kept = ((r.text, r.finish, r.tokens_out) for r in results)
    assert kept == first
    return *first, server.tries[question]


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("name", KEPT)
def test_a_whole_stream_is_kept_however_it_breaks(
    server: Breaking, ledger: Ledger, name: str, how: str
) -> None:
    assert asked(server, ledger, name, how) == (*KEPT[name][1], 1)


@pytest.mark.parametrize("how", ["cut", "malformed", "length", "reset", "silence"])
@pytest.mark.parametrize("name", NOT_WHOLE)
def test_a_stream_that_is_not_whole_is_asked_again(
    server: Breaking, ledger: Ledger, name: str, how: str
) -> None:
    assert asked(server, ledger, name, how) == (AGAIN, Finish.STOP, 7, 2)


@pytest.mark.parametrize("how", ["cut", "malformed", "length", "reset", "silence"])
@pytest.mark.parametrize(("name", "tries"), [("JSON", 1), ("half of the JSON", 2)])
def test_json_is_kept_where_it_is_whole(
    server: Breaking, ledger: Ledger, name: str, tries: int, how: str
) -> None:
    text = "It is 4." if tries == 1 else AGAIN
    assert asked(server, ledger, name, how) == (text, Finish.STOP, 7, tries)


@pytest.mark.parametrize("how", ["clean", "close", "cut"])
@pytest.mark.parametrize(
    ("name", "tries"),
    [("lines", 1), ("half of the lines", 2), ("one of the lines", 2)],
)
def test_lines_of_json_are_kept_where_the_last_says_that_it_is_done(
    server: Breaking, ledger: Ledger, name: str, tries: int, how: str
) -> None:
    text = "It is 4." if tries == 1 else AGAIN
    assert asked(server, ledger, name, how) == (text, Finish.STOP, 7, tries)


@pytest.mark.parametrize("how", ["clean", "close"])
@pytest.mark.parametrize(
    "name",
    [
        "half",
        "counts and more",
        "an early finish",
        "an early finish of its own",
        "a word of its own in every chunk",
        "an error too soon",
        "an error after an early finish",
        "half a sentence and counts",
    ],
)
def test_a_clean_end_makes_no_stream_whole(
    server: Breaking, ledger: Ledger, name: str, how: str
) -> None:
    assert asked(server, ledger, name, how) == (AGAIN, Finish.STOP, 7, 2)


@pytest.mark.parametrize("how", ["clean", "close", "cut", "silence"])
@pytest.mark.parametrize(
    ("name", "finish"),
    [
        ("an error at last", Finish.STOP),
        ("HTML at last", Finish.STOP),
        ("a filter at last", Finish.FILTERED),
    ],
)
def test_what_comes_behind_a_whole_reply_costs_no_second_one(
    server: Breaking, ledger: Ledger, name: str, finish: Finish, how: str
) -> None:
    text, ended, _, tries = asked(server, ledger, name, how)
    assert (text, ended, tries) == ("It is 4.", finish, 1)


def test_what_follows_a_whole_reply_is_not_waited_for_without_end(
    server: Breaking, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_TAIL_S", 0.1)
    # who waited for the end would wait for longer than a test may take
    text, _, _, tries = asked(
        server, ledger, "its finish", "silence", timeout_read_s=3_600.0, timeout_total_s=3_600.0
    )
    assert (text, tries) == ("It is 4.", 1)


def test_one_reply_without_counts_does_not_end_a_run_with_a_budget(
    server: Breaking, ledger: Ledger
) -> None:
    options = Options(model="m", base_url=server.base_url, api_key_env="", concurrency=1)
    server.tries.clear()
    names = ["JSON | clean", "its finish | cut", "its finish and its counts | cut"]
    asks = [Ask(name, (Message("user", name),), Sampling(max_tokens=500)) for name in names]
    solver = ApiSolver(options, ledger, stop=lambda: "")
    counted = {r.tag: r.tokens_out for r in solver.complete(asks, "teach")}
    assert [counted[name] for name in names] == [7, 0, 7]
    uncounted = replace(asks[0], messages=(Message("user", "its finish | length"),))
    with pytest.raises(EndpointError, match="does not say how many tokens"):
        list(solver.complete([uncounted], "teach"))
