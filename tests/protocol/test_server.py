"""The server speaks the protocol as a stranger's client reads it, errors included."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import openai
import pytest

from potstill.chat import Completion
from potstill.errors import EndpointError
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion, create_app, serve
from potstill.records import Finish


def answer(request: ChatRequest) -> Completion:
    if request.model != "m":
        raise UnknownQuestion(f"no model {request.model}")
    sampling = (request.max_tokens, request.temperature, request.seed)
    said = "|".join(map(str, (request.messages[-1]["content"], *sampling)))
    return Completion(said * 100, "because " * 200, Finish.LENGTH, 5, 7)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(create_app(answer, ["m", "n"])) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="x", max_retries=0)


MESSAGES = [{"role": "user", "content": "half ½"}]


def test_the_official_client_reads_it(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="m", messages=MESSAGES, max_tokens=9, temperature=0.5, seed=3
    )
    choice = reply.choices[0]
    assert choice.message.content == "half ½|9|0.5|3" * 100
    assert choice.message.reasoning_content == "because " * 200
    assert choice.finish_reason == "length"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 7)
    assert [m.id for m in client.models.list()] == ["m", "n"]
    assert client.models.retrieve("n").id == "n"
    with pytest.raises(openai.NotFoundError, match="there is no model 'other/one' here: m, n"):
        client.models.retrieve("other/one")


@pytest.mark.parametrize("usage", [True, False])
def test_the_official_client_reads_its_stream(client: openai.OpenAI, usage: bool) -> None:
    chunks = list(
        client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": usage}
        )
    )
    deltas = [c.choices[0].delta for c in chunks if c.choices]
    assert "".join(d.content or "" for d in deltas) == "half ½|None|None|None" * 100
    reasoning = "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
    assert reasoning == "because " * 200
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert bool(chunks[-1].usage) == usage


def raw(url: str, method: str, path: str, body: bytes = b"") -> tuple[int, dict]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def chat(**more: object) -> bytes:
    return json.dumps({"model": "m", "messages": MESSAGES} | more).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (chat(model=7), 400, "missing_field"),
        (chat(messages=[]), 400, "missing_field"),
        (chat(messages="hello"), 400, "missing_field"),
        (chat(messages=[{"role": "user"}]), 400, "invalid_field"),
        (chat(messages=["hello"]), 400, "invalid_field"),
        (chat(temperature="hot"), 400, "invalid_field"),
        (chat(max_tokens=1.5), 400, "invalid_field"),
        (chat(n=2), 400, "unsupported_parameter"),
        (chat(n=0), 400, "unsupported_parameter"),
        (chat(tools=[{"type": "function"}]), 400, "unsupported_parameter"),
        (chat(functions=[{"name": "f"}]), 400, "unsupported_parameter"),
        (chat(stream="yes"), 400, "invalid_field"),
        (chat(messages=[{"role": "tool", "content": "4"}]), 400, "invalid_field"),
        (
            chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
            400,
            "unsupported_parameter",
        ),
        (chat(model="other"), 404, "recording_not_found"),
        (chat(pad="x" * (9 << 20)), 413, "body_too_large"),
    ],
)
def test_a_wrong_request_gets_the_apis_own_error(
    url: str, body: bytes, status: int, code: str
) -> None:
    got, error = raw(url, "POST", "/v1/chat/completions", body)
    assert (got, error["error"]["code"]) == (status, code)
    assert error["error"]["message"]


def test_a_wrong_path_or_method_gets_the_apis_own_error(url: str) -> None:
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)):
        got, error = raw(url, method, path)
        assert (got, error["error"]["code"]) == (status, "unknown_url")


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(EndpointError, match=rf"Port {port} .* choose another"),
            serve(create_app(answer, ["m"]), port),
        ):
            pass
