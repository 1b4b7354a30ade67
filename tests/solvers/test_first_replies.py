"""What the first replies of an endpoint are worth: a refused key, and answers without a word."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from potstill.chat import Ask, Completion, Message
from potstill.errors import EndpointError
from potstill.ledger.ledger import Ledger
from potstill.records import Finish, Sampling
from potstill.solvers import client
from potstill.solvers.api import ApiSolver, Options
from support.fault_server import FaultServer, running, stream_reply

Reply = Callable[[str], tuple[int, dict[str, Any] | bytes]]


def said(content: str | None, finish: str = "stop", **more: str) -> tuple[int, dict[str, Any]]:
    message = {"role": "assistant", "content": content} | more
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    return 200, {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


@contextmanager
def serving(reply: Reply) -> Iterator[tuple[str, list[str]]]:
    """Serve on loopback what ``reply`` makes of a question; the questions are listed."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body["messages"][-1]["content"])
            status, content = reply(asked[-1])
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def results(url: str, ledger: Ledger, count: int, **settings: Any) -> list[Completion]:
    given = {"model": "m", "base_url": url, "api_key_env": "", "stream": False, "retries": 1}
    solver = ApiSolver(Options(**(given | {"concurrency": 1} | settings)), ledger)
    asks = (Ask(f"q{n}", (Message("user", f"q{n}"),), Sampling(), 0) for n in range(count))
    return list(solver.complete(asks, "teach"))


def ask_all(url: str, ledger: Ledger, count: int, **settings: Any) -> list[str]:
    return [result.text for result in results(url, ledger, count, **settings)]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (said(None), "neither content nor reasoning"),
        (said("  \n"), "neither content nor reasoning"),
        (said("", "length"), "raise max_tokens"),
        (said(None, "tool_calls"), "it calls a tool in place of answering"),
    ],
)
def test_an_endpoint_without_a_word_is_not_paid_for_every_question(
    tmp_path: Path, reply: tuple[int, dict[str, Any]], why: str
) -> None:
    with serving(lambda _: reply) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(
            EndpointError, match=rf"the first 5 questions with an empty text.*{why}"
        ):
            ask_all(url, ledger, 60)
        assert len(asked) <= 6  # one may have gone out as the fifth was read
        assert ledger.spend(())[0].calls >= 5  # paid for, and kept


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b""], ids=["page", "nothing"])
def test_an_address_that_never_gave_a_reply_is_told_soon(tmp_path: Path, page: bytes) -> None:
    with (
        serving(lambda _: (200, page)) as (url, asked),
        Ledger.open(tmp_path / "l.sqlite") as ledger,
    ):
        with pytest.raises(
            EndpointError, match=r"no reply after 3 tries \((HTML|nothing) in place"
        ):
            ask_all(url, ledger, 40, concurrency=8, retries=6, backoff_s=0.01)
        assert len(asked) <= 3 * 16  # each that was under way when the fifth was lost
    with (
        serving(lambda q: (200, page) if q == "q9" else said("2")) as (url, asked),
        Ledger.open(tmp_path / "l.sqlite") as ledger,
    ):
        # once there was a reply, a page is a passing fault
        lost = [r for r in results(url, ledger, 10, retries=6, backoff_s=0.01) if r.error]
    assert [r.tag for r in lost] == ["q9"]
    assert "no reply after 7 tries" in lost[0].error
    assert asked.count("q9") == 7


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stream": True, "timeout_read_s": 0.5}, "not a byte within 0.5 s: timeout_read_s"),
        ({"timeout_total_s": 0.5}, "no whole answer within 0.5 s: timeout_total_s"),
    ],
)
def test_the_time_that_has_passed_is_named(
    tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    never = threading.Event()

    def late(question: str) -> tuple[int, dict[str, Any] | bytes]:
        never.wait(3)
        return said("2")

    with serving(late) as (url, _), Ledger.open(tmp_path / "l.sqlite") as ledger:
        (lost,) = results(url, ledger, 1, retries=0, **settings)
        never.set()
    assert lost.error == f"no reply after 1 tries ({told})"


def test_an_endpoint_slower_than_it_may_be_is_not_asked_for_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_ALONE_S", 0.2)
    never = threading.Event()

    def late(question: str) -> tuple[int, dict[str, Any] | bytes]:
        never.wait(20)
        return said("2")

    with serving(late) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        slow = {"stream": True, "timeout_read_s": 0.5, "retries": 6, "backoff_s": 0.01}
        with pytest.raises(
            EndpointError, match=r"after 2 tries \(not a byte within 0.5 s: timeout_"
        ):
            ask_all(url, ledger, 40, concurrency=32, **slow)
        never.set()
    assert len(asked) <= 2 * 6  # five in flight, and one more where the first was given up


@pytest.mark.timeout(60)
def test_the_first_word_of_a_stream_lets_all_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_ALONE_S", 600.0)

    class Thinking(FaultServer):
        """Answers at the first word at once, and not to its end before eight are under way."""

        async def answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
            reply = stream_reply("?")
            head = reply.index(b"\r\n\r\n") + 4
            first = head + 700  # some words of many
            writer.write(reply[:first])
            await writer.drain()
            while self.most_in_flight < 8:
                await asyncio.sleep(0.01)
            writer.write(reply[first:])
            return True

    with (
        running(Thinking(rate=0.0)) as server,
        Ledger.open(tmp_path / "l.sqlite") as ledger,
    ):
        done = results(server.base_url, ledger, 8, stream=True, concurrency=8)
    assert [r.finish for r in done] == [Finish.STOP] * 8


def test_a_blank_among_answers_is_an_answer(tmp_path: Path) -> None:
    def one_word(question: str) -> tuple[int, dict[str, Any]]:
        return said("7" if question == "q3" else "")

    with serving(one_word) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        assert ask_all(url, ledger, 12) == ["7" if n == 3 else "" for n in range(12)]
        assert len(asked) == 12


def test_reasoning_without_content_is_no_silence(tmp_path: Path) -> None:
    reply = said("", reasoning_content="So it is 7.")
    with serving(lambda _: reply) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        ask_all(url, ledger, 12)
        assert len(asked) == 12


def test_a_model_that_spoke_before_may_end_in_blanks(tmp_path: Path) -> None:
    words = {"q0": "7"}
    with serving(lambda q: said(words.get(q))) as (url, asked):
        with Ledger.open(tmp_path / "l.sqlite") as ledger:
            ask_all(url, ledger, 1)
        with Ledger.open(tmp_path / "l.sqlite") as ledger:
            assert ask_all(url, ledger, 12) == ["7", *[""] * 11]
        assert len(asked) == 12


def test_a_refused_key_costs_one_request(tmp_path: Path) -> None:
    refused = 401, {"error": {"message": "Incorrect API key provided"}}
    with serving(lambda _: refused) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(EndpointError, match="401"):
            ask_all(url, ledger, 40, concurrency=16)
        assert len(asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        said(None),
        (200, {"answer": "7"}),
        (422, {"detail": [{"msg": "Extra inputs are not permitted"}]}),
    ],
)
def test_silence_or_another_protocol_costs_five_requests_however_many_go_side_by_side(
    tmp_path: Path, reply: tuple[int, dict[str, Any]]
) -> None:
    with serving(lambda _: reply) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(EndpointError):
            ask_all(url, ledger, 40, concurrency=32)
        assert len(asked) == 5


def test_a_model_that_never_said_a_word_is_not_paid_for_the_rest_by_a_second_run(
    tmp_path: Path,
) -> None:
    with serving(lambda _: said("")) as (url, asked):
        for _ in range(2):
            with Ledger.open(tmp_path / "l.sqlite") as ledger, pytest.raises(EndpointError):
                ask_all(url, ledger, 40, concurrency=32)
        assert len(asked) == 10


def test_after_the_first_word_all_go_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(8, timeout=60)

    def answer(question: str) -> tuple[int, dict[str, Any]]:
        if question not in {"q0", "q1"}:
            together.wait()  # broken, and so the reply never comes, where they go one by one
        return said("" if question == "q0" else "7")

    with serving(answer) as (url, asked), Ledger.open(tmp_path / "l.sqlite") as ledger:
        assert ask_all(url, ledger, 10, concurrency=8) == ["", *["7"] * 9]
        assert len(asked) == 10
