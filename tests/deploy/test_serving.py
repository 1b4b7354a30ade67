"""``potstill serve`` in a process of its own, asked over HTTP by the official client."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest

from potstill.analysis.students import FoundStudent, find_student
from potstill.errors import EndpointError
from potstill.protocol.server import listen
from support.command_line import one_sentence, run_cli
from support.processes import start


class Served:
    def __init__(self, process: subprocess.Popen[str], url: str, model: str) -> None:
        self.process, self.url, self.model = process, url, model
        self.client = openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=120)

    def ask(self, text: str, **more: object) -> openai.types.chat.ChatCompletion:
        messages = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model=self.model, messages=messages, **more)


@contextmanager
def serving(process: subprocess.Popen[str]) -> Iterator[Served]:
    assert process.stdout
    try:
        line = next((line for line in process.stdout if " at http" in line), "")
        assert line
        yield Served(process, line.split(" at ")[1].split()[0], line.split(" answers at ")[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def served(study_directory: Path) -> Iterator[Served]:
    command = [sys.executable, "-u", "-m", "potstill", "serve", str(study_directory)]
    command += ["--student", "R4", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with serving(process) as opened:
        yield opened
        opened.process.send_signal(signal.SIGTERM)
        assert opened.process.wait(10) == 0


def test_it_answers_as_the_student_did_in_its_study(served: Served, found: FoundStudent) -> None:
    assert [m.id for m in served.client.models.list()] == [found.student.id, found.level]
    for problem, response in found.answers()[:5]:
        reply = served.ask(problem.text)
        assert reply.choices[0].message.content == response.text
        assert reply.usage is not None
        assert reply.usage.prompt_tokens == response.tokens_in
        assert reply.usage.completion_tokens == response.tokens_out
        assert reply.choices[0].finish_reason == response.finish.value.lower()


def test_a_stream_adds_up_to_the_answer_and_comes_in_pieces(
    served: Served, found: FoundStudent
) -> None:
    problem, response = max(found.answers(), key=lambda pair: len(pair[1].text))
    chunks = list(
        served.client.chat.completions.create(
            model=served.model,
            messages=[{"role": "user", "content": problem.text}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(pieces) == response.text
    assert sum(map(bool, pieces)) > 5
    assert chunks[-1].usage.completion_tokens == response.tokens_out


def test_two_hundred_at_once_are_all_answered(served: Served, found: FoundStudent) -> None:
    answers = (found.answers() * 4)[:200]

    def ask(number: int) -> str:
        text = answers[number][0].text
        if number % 2:
            return served.ask(text).choices[0].message.content or ""
        stream = served.client.chat.completions.create(
            model=served.model, messages=[{"role": "user", "content": text}], stream=True
        )
        return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)

    with ThreadPoolExecutor(200) as pool:
        said = list(pool.map(ask, range(200)))
    assert said == [response.text for _, response in answers]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"text": "why? " * 5000}, "context_length_exceeded: and the answer 1 or more."),
        (
            {"text": "why?", "max_tokens": 5000},
            "context_length_exceeded: and the answer 5,000 or more.",
        ),
        ({"text": "why?", "max_tokens": 0}, "invalid_field: max_tokens must be 1 or more"),
        ({"text": "why?", "temperature": 3.0}, "invalid_field: temperature must lie between 0"),
    ],
)
def test_what_it_cannot_answer_is_a_400_and_it_lives_on(
    served: Served, more: dict[str, object], told: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.ask(**more)
    code, says = told.split(": ")
    assert refused.value.code == code
    assert says in str(refused.value)
    assert served.ask("1 + 1?").choices[0].message.content


TOOL = {"type": "function", "function": {"name": "add", "parameters": {}}}


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("n", 2),
        ("tools", [TOOL]),
        ("functions", [{"name": "add"}]),
        ("tool_choice", "required"),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"7": 1}),
        ("stop", ["\n"]),
        ("presence_penalty", 0.5),
        ("frequency_penalty", 0.5),
        ("response_format", {"type": "json_object"}),
        ("reasoning_effort", "high"),
        ("top_p", 0),
    ],
)
def test_what_it_does_not_heed_is_refused_by_its_name(
    served: Served, param: str, value: object
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.ask("1 + 1?", **{param: value})
    error = refused.value
    assert error.param == param
    assert error.code == ("invalid_field" if param == "top_p" else "unsupported_parameter")
    assert error.type == "invalid_request_error"
    assert error.message


def test_what_asks_for_nothing_is_answered(served: Served) -> None:
    plain = served.ask("1 + 1?", temperature=0).choices[0].message.content
    more: dict[str, object] = {
        "n": 1,
        "tools": [],
        "tool_choice": "none",
        "stop": None,
        "logprobs": False,
        "presence_penalty": 0,
        "response_format": {"type": "text"},
        "user": "someone",
        "top_p": 1,
    }
    assert served.ask("1 + 1?", temperature=0, **more).choices[0].message.content == plain


def test_a_broken_request_and_an_unknown_model_leave_it_alive(served: Served) -> None:
    parts = urlsplit(served.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", b'{"model": "x", "mess')
    assert connection.getresponse().status == 400
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    wild = {"model": served.model, "messages": [{"role": "user", "content": "half \ud800"}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(wild).encode())
    reply = connection.getresponse()
    assert reply.status == 400
    told = "messages[0] holds half of a surrogate pair, which is no text"
    assert json.load(reply)["error"]["message"] == told
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        served.client.chat.completions.create(
            model="gpt", messages=[{"role": "user", "content": "hello"}]
        )
    with pytest.raises(openai.BadRequestError, match="nothing from the user"):
        served.client.chat.completions.create(
            model=served.model, messages=[{"role": "assistant", "content": "hello"}]
        )
    assert served.ask("1 + 1?").choices[0].message.content


def test_one_who_hangs_up_leaves_it_alive(served: Served) -> None:
    stream = served.client.chat.completions.create(
        model=served.model, messages=[{"role": "user", "content": "2 + 2?"}], stream=True
    )
    next(iter(stream))
    stream.close()
    assert served.ask("1 + 1?").choices[0].message.content


def test_at_sigterm_what_was_accepted_is_answered_and_new_ones_get_503(
    study_directory: Path,
) -> None:
    student = find_student(study_directory, "R1")
    answers = (student.answers() * 4)[:200]
    accepted = threading.Barrier(201, timeout=60)

    def ask(served: Served, number: int) -> tuple[str, str]:
        stream = served.client.chat.completions.create(
            model=served.model,
            messages=[{"role": "user", "content": answers[number][0].text}],
            stream=True,
        )
        chunks = [next(iter(stream))]  # an event has come: the request was accepted
        accepted.wait()
        chunks += list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        return text, str(chunks[-1].choices[0].finish_reason).upper()

    slow = start("slow_server", study_directory)
    with serving(slow) as served, ThreadPoolExecutor(200) as pool:
        asked = [pool.submit(ask, served, number) for number in range(200)]
        accepted.wait()
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # were nothing under way any more, it would have ended by now
        with pytest.raises(openai.InternalServerError) as refused:
            served.ask("1 + 1?")
        assert (refused.value.status_code, refused.value.code) == (503, "shutting_down")
        said = [future.result() for future in asked]
        assert said == [(response.text, response.finish.value) for _, response in answers]
        assert served.process.wait(30) == 0


def test_a_taken_port_is_one_sentence(
    served: Served,
    study_directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = str(urlsplit(served.url).port)
    code, _, err = run_cli(capsys, monkeypatch, "serve", study_directory, "--port", port)
    assert code == 2
    assert one_sentence(err).startswith(f"potstill: Port {port} on 127.0.0.1 cannot be used")


def test_the_port_is_held_while_the_student_is_loaded(study_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-u", "-m", "potstill", "serve", str(study_directory)]
    command += ["--student", "R1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        line = next((line for line in process.stderr if line.startswith("Loading ")), "")
        assert line
        # who asks before it has loaded waits for its answer, and no other program gets the port
        with socket.create_connection(("127.0.0.1", port)) as early:
            with pytest.raises(EndpointError, match="cannot be used"):
                listen("127.0.0.1", port)
            early.sendall(
                b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            assert early.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


_NEVER_ANSWERS = """
import asyncio
from potstill.deploy.serve.serving import run_until_stopped
from potstill.protocol.server import listen

async def app(scope, receive, send):
    print("asked", flush=True)
    await asyncio.Event().wait()

listener = listen("127.0.0.1", 0)
address = listener.getsockname()[1]
run_until_stopped(app, listener, lambda: print(address, flush=True), patience_s=0.2)
"""


def test_an_answer_that_never_comes_holds_up_the_end_no_longer_than_its_patience() -> None:
    command = [sys.executable, "-u", "-c", _NEVER_ANSWERS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            with socket.create_connection(("127.0.0.1", port)) as waiting:
                waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert process.stdout.readline() == "asked\n"
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
        finally:
            process.kill()
