"""What an endpoint, a judge and a client of the local server may send: bodies, streams, headers."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import strategies as st

from potstill.chat import Ask, Completion, Message
from potstill.errors import EndpointError
from potstill.ledger.ledger import Ledger
from potstill.records import Sampling
from potstill.solvers.api import ApiSolver, Options
from support.fuzzing import Target, fuzzed
from support.mutations import mangled_json
from support.reply_targets import ERROR, PARTS, REPLY, STREAMS, TARGETS

RETRY_AFTER = ["1", "nan", "-1", "1e400", "Fri, 31 Dec 9999999999 23:59:59 GMT", "x", "9" * 400]


RETRY_AFTER += ["Fri, 31 Dec 1999 99:99:99 GMT", "Wed, 21 Oct 2015 07:28:00 +9999999999"]


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A whole HTTP response: any status, odd headers, a body that may not be what they say."""
    status = draw(
        st.sampled_from([200, 200, 200, 204, 302, 400, 401, 402, 404, 418, 429, 500, 503])
    )
    streamed = draw(st.booleans())
    body = draw(STREAMS if streamed else mangled_json([REPLY, PARTS, ERROR]))
    kind = "text/event-stream" if streamed else draw(st.sampled_from(["application/json", "", "x"]))
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}"]
    if draw(st.booleans()):
        head.append(f"Retry-After: {draw(st.sampled_from(RETRY_AFTER))}")
    match draw(st.integers(0, 9)):
        case 0:
            head.append("Content-Encoding: gzip")  # which it is not
        case 1:
            head.append(f"Content-Length: {len(body) + 7}")
        case 2:
            head.append("Content-Length: 99999999999999999999")
        case 3:
            head.append("Transfer-Encoding: chunked")
        case _:
            head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


class Endpoint:
    """Answers any request with the bytes it was last given, and asks itself through ApiSolver."""

    def __init__(self, folder: Path) -> None:
        self.response = b""
        self.ledger = Ledger.open(folder / "ledger.sqlite")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._samples = count()
        options = Options(
            model="m",
            base_url=f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1",
            api_key_env="",
            retries=0,
            backoff_s=0.001,
            timeout_read_s=2,
            timeout_total_s=3,
        )
        self.solver = ApiSolver(options, self.ledger)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(5)
                    connection.recv(1 << 16)
                    connection.sendall(self.response)
                except OSError:
                    continue

    def ask(self, response: bytes) -> None:
        self.response = response
        sample = next(self._samples)
        ask = Ask("p", (Message("user", "What is 2 + 3?"),), Sampling(), sample)
        try:
            (result,) = self.solver.complete([ask], "fuzz")
        except EndpointError:
            return
        assert isinstance(result, Completion)
        assert self.ledger.spent_usd == 0.0

    def close(self) -> None:
        self._listener.close()
        self.ledger.close()


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    with tempfile.TemporaryDirectory() as folder:
        opened = Endpoint(Path(folder))
        try:
            yield opened
        finally:
            opened.close()


@fuzzed(TARGETS)
def test_a_message_is_read_or_refused(target: Target, cases: int) -> None:
    target.hold(cases)


@pytest.mark.parametrize("cases", [50, pytest.param(10_000, marks=pytest.mark.soak)])
def test_an_http_response_of_any_kind_ends_in_a_result(cases: int) -> None:
    with endpoint() as opened:
        Target("HTTP response", responses(), lambda data, _: opened.ask(data)).hold(cases)
