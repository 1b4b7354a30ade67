"""Who is let into a served page, over real HTTP, and with which headers."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from potstill.deploy.serve.middleware import AccessMiddleware, is_loopback, new_token
from potstill.protocol.server import serve

TOKEN = new_token()


def inside(request: Request) -> PlainTextResponse:
    return PlainTextResponse("inside")


@pytest.fixture(params=["", TOKEN], ids=["loopback", "token"], scope="module")
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    app = Starlette(routes=[Route("/", inside)])
    with serve(AccessMiddleware(app, request.param)) as url:  # type: ignore[arg-type]
        yield request.param, int(urlsplit(url).port or 0)


def get(port: int, path: str = "/", **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    return reply, body


def test_who_is_let_in(place: tuple[str, int]) -> None:
    token, port = place
    if not token:
        assert get(port)[1] == "inside"
        assert get(port, Host="localhost:80")[1] == "inside"
        assert get(port, Host="[::1]:80")[1] == "inside"
        assert get(port, Host="evil.example")[0].status == 403
        assert get(port, Host=f"127.0.0.1.evil.example:{port}")[0].status == 403
        return
    for path in ("/", "/?token=", "/?token=wrong", f"/?token={token}x", "/?token=%ff", "/absent"):
        assert get(port, path)[0].status == 403, path
    for cookie in ("", f"potstill_{port}=wrong", f"other={token}", "potstill=\x7f;;="):
        assert get(port, Cookie=cookie)[0].status == 403, cookie
    reply, _ = get(port, f"/?token={token}")
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    given = reply.headers["Set-Cookie"]
    assert "HttpOnly" in given
    assert "SameSite=lax" in given
    assert get(port, Cookie=given.partition(";")[0])[1] == "inside"


def test_every_answer_has_the_headers(place: tuple[str, int]) -> None:
    token, port = place
    for path in ("/", "/absent", f"/?token={token}"):
        reply, _ = get(port, path)
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_what_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "localhost.evil", "::", ""])
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_tokens_are_long_and_differ() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43
