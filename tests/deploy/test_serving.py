"""``potstill serve`` in a process of its own, asked over HTTP by the official client."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest

from potstill.deploy.finding import FoundStudent

# A seed of its own and a temperature keep an untrained tail going for as long as it may.
LONG = {"max_tokens": 400, "temperature": 2.0}


class Served:
    def __init__(self, process: subprocess.Popen[str], url: str, model: str) -> None:
        self.process, self.url, self.model = process, url, model
        self.client = openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=120)

    def ask(self, text: str, **more: object) -> openai.types.chat.ChatCompletion:
        messages = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model=self.model, messages=messages, **more)


@contextmanager
def serving(directory: Path, student: str) -> Iterator[Served]:
    command = [sys.executable, "-u", "-m", "potstill", "serve", str(directory)]
    command += ["--student", student, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=None
    )
    assert process.stdout
    try:
        line = next((line for line in process.stdout if " at http" in line), "")
        assert line, process.stderr and process.stderr.read()
        yield Served(process, line.split(" at ")[1].split()[0], line.split(" answers at ")[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def served(study_directory: Path) -> Iterator[Served]:
    with serving(study_directory, "R4") as opened:
        yield opened


def test_it_answers_as_the_student_did_in_its_study(served: Served, found: FoundStudent) -> None:
    assert [m.id for m in served.client.models.list()] == [found.student.id]
    for answer in found.answers()[:5]:
        reply = served.ask(answer.problem.text)
        assert reply.choices[0].message.content == answer.response.text
        assert reply.usage is not None
        assert reply.usage.prompt_tokens == answer.response.tokens_in
        assert reply.usage.completion_tokens == answer.response.tokens_out
        assert reply.choices[0].finish_reason == answer.response.finish.value.lower()


def test_a_stream_adds_up_to_the_answer_and_comes_in_pieces(
    served: Served, found: FoundStudent
) -> None:
    answer = max(found.answers(), key=lambda answer: len(answer.response.text))
    chunks = list(
        served.client.chat.completions.create(
            model=served.model,
            messages=[{"role": "user", "content": answer.problem.text}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(pieces) == answer.response.text
    assert sum(map(bool, pieces)) > 5
    assert chunks[-1].usage.completion_tokens == answer.response.tokens_out


def test_two_hundred_at_once_are_all_answered(served: Served, found: FoundStudent) -> None:
    answers = (found.answers() * 4)[:200]

    def ask(number: int) -> str:
        text = answers[number].problem.text
        if number % 2:
            return served.ask(text).choices[0].message.content or ""
        stream = served.client.chat.completions.create(
            model=served.model, messages=[{"role": "user", "content": text}], stream=True
        )
        return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)

    with ThreadPoolExecutor(200) as pool:
        said = list(pool.map(ask, range(200)))
    assert said == [answer.response.text for answer in answers]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"text": "why? " * 5000}, "context_length_exceeded"),
        ({"text": "why?", "max_tokens": 5000}, "context_length_exceeded"),
        ({"text": "why?", "max_tokens": 0}, "invalid_field"),
        ({"text": "why?", "temperature": 3.0}, "invalid_field"),
    ],
)
def test_what_it_cannot_answer_is_a_400_and_it_lives_on(
    served: Served, more: dict[str, object], code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.ask(**more)
    assert refused.value.code == code
    assert served.ask("1 + 1?").choices[0].message.content


def test_a_broken_request_and_an_unknown_model_leave_it_alive(served: Served) -> None:
    parts = urlsplit(served.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("POST", "/v1/chat/completions", b'{"model": "x", "mess')
    assert connection.getresponse().status == 400
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
        model=served.model, messages=[{"role": "user", "content": "2 + 2?"}], stream=True, **LONG
    )
    next(iter(stream))
    stream.close()
    assert served.ask("1 + 1?").choices[0].message.content


def test_at_sigterm_what_was_accepted_is_answered_and_new_ones_get_503(
    study_directory: Path,
) -> None:
    with serving(study_directory, "R4") as served, ThreadPoolExecutor(40) as pool:
        streams = [
            served.client.chat.completions.create(
                model=served.model,
                messages=[{"role": "user", "content": f"What is {number} + 2?"}],
                stream=True,
                seed=number,
                **LONG,
            )
            for number in range(32)
        ]  # each has its first event: it was accepted
        parts = urlsplit(served.url)
        waiting = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        waiting.connect()
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        waiting.request("POST", "/v1/chat/completions", b"{}")
        late = waiting.getresponse()
        assert late.status == 503
        assert b"shutting_down" in late.read()
        ended = list(pool.map(lambda s: [c.choices[0].finish_reason for c in s][-1], streams))
        assert set(ended) <= {"stop", "length"}
        assert "length" in ended  # so it was still under way when the signal came
        assert served.process.wait(30) == 0


def test_a_taken_port_is_one_sentence(served: Served, study_directory: Path) -> None:
    port = str(urlsplit(served.url).port)
    done = subprocess.run(
        [sys.executable, "-m", "potstill", "serve", str(study_directory), "--port", port],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"potstill: Port {port} on 127.0.0.1 cannot be used")
    assert done.stderr.count("\n") == 1
