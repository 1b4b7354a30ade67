"""The API solver against well-behaved endpoints and clear refusals, over real HTTP."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from potstill.chat import Ask, Completion, Message, Solver
from potstill.errors import EndpointError, InputError
from potstill.ledger.ledger import Ledger
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion, create_app, serve
from potstill.records import Finish, Sampling
from potstill.solvers import api
from potstill.solvers.api import ApiSolver, Options, PriceOptions, open_solver
from potstill.solvers.ledger_solver import KeptReplies
from potstill.solvers.transport import Transport
from potstill.store.setting_errors import first_error
from support.fault_server import FaultServer, http, running

SECRET = "sk-marked-2f9c1e7ab04d"


def ask(question: str, sample: int = 0, attempt: int = 0) -> Ask:
    return Ask(question, (Message("user", question),), Sampling(0.5, 1.0, 7, 99), sample, attempt)


class Teacher:
    """Answers every question and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []

    def reply(self, request: ChatRequest) -> Completion:
        self.asked.append(request)
        question = request.messages[-1]["content"]
        if question.startswith("unknown"):
            raise UnknownQuestion("no record")
        finish = Finish.LENGTH if question.startswith("long") else Finish.STOP
        return Completion(f"answer {question}", "because", finish, 100, 1000)


class Refusing(FaultServer):
    """Answers every request with the same bytes."""

    def __init__(self, response: bytes) -> None:
        super().__init__()
        self.response = response

    async def answer(self, asked, writer):  # type: ignore[no-untyped-def]
        self.tries["all"] += 1
        writer.write(self.response)
        await writer.drain()
        return True


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def settings(base_url: str, **more: object) -> Options:
    plain = {"model": "m", "base_url": base_url, "api_key_env": "", "backoff_s": 0.01}
    return Options(**(plain | more))


def test_a_short_key_for_a_local_server_leaves_replies_whole(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_KEY", "x")
    with serve(create_app(Teacher().reply, ["m"])) as url:
        solver = ApiSolver(settings(url, api_key_env="LOCAL_KEY"), ledger)
        (reply,) = solver.complete([ask("\\boxed{x}")], "teach")
    assert reply.text == "answer \\boxed{x}"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_asks_are_answered_kept_and_never_bought_twice(ledger: Ledger, stream: bool) -> None:
    teacher = Teacher()
    questions = [f"q{n % 40}" for n in range(60)] + ["long one", "unknown"]
    with serve(create_app(teacher.reply, ["m"])) as url:
        solver = ApiSolver(
            settings(url, stream=stream, price=PriceOptions(input=1, output=2)), ledger
        )
        assert isinstance(solver, Solver)
        for turn in range(2):
            results = list(solver.complete((ask(q) for q in questions), "teach"))
            assert sorted(r.tag for r in results) == sorted(questions), turn
            by_tag = {r.tag: r for r in results}
            assert by_tag["long one"].finish is Finish.LENGTH
            unknown = by_tag["unknown"]
            assert (unknown.asked, unknown.text, unknown.error) == (False, "", "no record")
            q3 = by_tag["q3"]
            assert (q3.text, q3.reasoning, q3.tokens_in, q3.tokens_out) == (
                "answer q3",
                "because",
                100,
                1000,
            )
            assert q3.ledger_key == solver.key_of(ask("q3"))
    assert len(teacher.asked) == 41 + 2
    (row,) = ledger.spend()
    assert (row.group, row.calls, row.tokens_out) == (("teach", "m"), 41, 41_000)
    assert row.cost_usd == pytest.approx(41 * (100 * 1 + 1000 * 2) / 1e6)
    assert ledger.spent_usd == pytest.approx(row.cost_usd)


def test_the_key_ignores_the_address_and_samples_differ(ledger: Ledger) -> None:
    teacher = Teacher()
    app = create_app(teacher.reply, ["m"])
    for _ in range(2):
        with serve(app) as url:
            solver = ApiSolver(settings(url), ledger)
            list(solver.complete([ask("a"), ask("a", sample=1), ask("a", attempt=1)], "teach"))
    assert len(teacher.asked) == 3
    assert len({r.seed for r in teacher.asked}) == 3
    assert {(r.max_tokens, r.temperature) for r in teacher.asked} == {(99, 0.5)}


def test_extra_body_is_sent_and_part_of_the_key(ledger: Ledger) -> None:
    with running(FaultServer(rate=0.0)) as server:
        plain = ApiSolver(settings(server.base_url), ledger)
        more = ApiSolver(settings(server.base_url, extra_body={"reasoning_effort": "high"}), ledger)
        assert plain.key_of(ask("a")) != more.key_of(ask("a"))
        assert json.loads(more._body(ask("a")))["reasoning_effort"] == "high"
        null = ApiSolver(settings(server.base_url, extra_body={"temperature": None}), ledger)
        assert "temperature" not in json.loads(null._body(ask("a")))


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("model", "other", "set model"),
        ("model", None, "set model"),
        ("messages", [], "set system and prompt"),
        ("temperature", 0.7, "set temperature beside model"),
        ("top_p", 0.9, "set top_p beside model"),
        ("seed", 1, "set seed beside model"),
        ("max_tokens", 9, "set max_tokens beside model"),
        ("max_completion_tokens", 9, "set max_tokens beside model"),
        ("n", 2, "set samples"),
        ("stream", False, "set stream beside model"),
        ("stream", None, "set stream beside model"),
    ],
)
def test_extra_body_replaces_nothing_that_has_a_setting(
    name: str, value: object, setting: str
) -> None:
    with pytest.raises(ValidationError, match=f"leave '{name}' out and {setting}"):
        settings("http://127.0.0.1:9/v1", extra_body={"top_k": 5, name: value})


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "max_tokens", "stream_options"])
def test_extra_body_may_leave_out_what_an_endpoint_does_not_take(ledger: Ledger, name: str) -> None:
    solver = ApiSolver(settings("http://127.0.0.1:9/v1", extra_body={name: None}), ledger)
    assert name not in json.loads(solver._body(ask("a")))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"thinking": True}, {"thinking": {"type": "enabled"}}),
        ({"thinking": False}, {"thinking": {"type": "disabled"}}),
        ({"thinking": "auto"}, {"thinking": {"type": "auto"}}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
        ),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        (
            {"reasoning_effort": "low", "extra_body": {"reasoning_effort": "max", "top_k": 5}},
            {"reasoning_effort": "max", "top_k": 5},
        ),
    ],
)
def test_how_much_it_thinks_is_sent_and_part_of_the_identity(
    ledger: Ledger, given: dict[str, object], sent: dict[str, object]
) -> None:
    teacher: list[dict[str, object]] = []

    class Listening(FaultServer):
        async def answer(self, asked, writer):  # type: ignore[no-untyped-def]
            teacher.append(asked)
            return await super().answer(asked, writer)

    usual = {"model", "messages", "temperature", "top_p", "seed", "max_tokens", "stream"}
    usual.add("stream_options")
    with running(Listening(rate=0.0)) as server:
        options = settings(server.base_url, **given)
        list(ApiSolver(options, ledger).complete([ask("a")], "t"))
    (body,) = teacher
    assert {name: value for name, value in body.items() if name not in usual} == sent
    plain = {"provider": "openai-compatible", "model": "m"}
    assert options.identity() == plain | ({"extra_body": sent} if sent else {})
    (kept,) = KeptReplies.of(api, options, ledger).complete([ask("a")], "t")
    assert kept.asked, "found again when nothing may be bought"
    as_body = settings("http://h/v1", extra_body=sent)
    assert options.identity() == as_body.identity(), "said either way it is one"
    keys = {ApiSolver(one, ledger).key_of(ask("a")) for one in (options, as_body)}
    assert len(keys) == 1


def test_asks_are_drawn_lazily_and_leaving_early_cancels(ledger: Ledger) -> None:
    drawn = 0

    def asks():  # type: ignore[no-untyped-def]
        nonlocal drawn
        for n in range(10_000):
            drawn += 1
            yield ask(f"q{n}")

    with running(FaultServer(rate=0.0, latency_s=0.02)) as server:
        results = ApiSolver(settings(server.base_url, concurrency=8), ledger).complete(asks(), "t")
        for _ in range(20):
            next(results)
        results.close()
        assert drawn < 100
        assert not [t for t in threading.enumerate() if t.name == "api-client"]
    assert server.most_in_flight <= 8


def test_the_callers_error_ends_the_thread(ledger: Ledger) -> None:
    def asks():  # type: ignore[no-untyped-def]
        yield ask("a")
        raise RuntimeError("the caller's own")

    with (
        running(FaultServer(rate=0.0)) as server,
        pytest.raises(RuntimeError, match="own"),
    ):
        list(ApiSolver(settings(server.base_url), ledger).complete(asks(), "t"))
    assert not [t for t in threading.enumerate() if t.name == "api-client"]


@pytest.mark.timeout(60)
def test_ctrl_c_while_the_thread_starts_ends_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Transport.__init__

    def slow(self: Transport, *rest: Any) -> None:
        time.sleep(1.0)
        honest(self, *rest)

    monkeypatch.setattr(Transport, "__init__", slow)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    ctrl_c = threading.Timer(0.3, signal.pthread_kill, [main_thread, signal.SIGINT])
    with running(FaultServer(rate=0.0)) as server:
        results = ApiSolver(settings(server.base_url), ledger).complete([ask("a")], "t")
        ctrl_c.start()
        with pytest.raises(KeyboardInterrupt):
            next(results)
    assert not [t for t in threading.enumerate() if t.name == "api-client"]


def test_a_stop_buys_no_more_and_waits_for_what_is_in_flight(ledger: Ledger) -> None:
    def stop() -> str:
        return "the budget is spent" if ledger.spent_usd >= 0.01 else ""

    with running(FaultServer(rate=0.0, latency_s=0.005)) as server:
        price = PriceOptions(input=0, output=20)  # 50 tokens a reply: a thousandth of a dollar
        solver = ApiSolver(settings(server.base_url, concurrency=4, price=price), ledger, stop=stop)
        results = list(solver.complete((ask(f"q{n}") for n in range(200)), "t"))
        assert len(results) == 200
        bought = [r for r in results if r.asked]
        assert 10 <= len(bought) <= 10 + 4
        assert {r.error for r in results if not r.asked} == {"the budget is spent"}
        assert len(server.tries) == len(bought)
        list(
            ApiSolver(settings(server.base_url), ledger).complete(
                (ask(f"q{n}") for n in range(20)), "t"
            )
        )
        assert max(server.tries.values()) == 1


def error(status: int, message: str, code: str = "") -> bytes:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return http(status, "application/json", body)


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (error(401, "bad key"), r"m at http.* refused the API key \(401\): set MARKED_KEY"),
        (error(403, "no"), r"refused the API key \(403\)"),
        (error(402, "Insufficient Balance"), r"asks for payment"),
        (error(404, "no such model"), r"answers 404: no such model; check the model's name"),
        (http(302, "text/html", b"", "location: /login\r\n"), r"redirects \(302\) to /login; set"),
        (error(429, "no money", "insufficient_quota"), r"no quota left"),
        (http(429, "text/plain", b"later", "retry-after: 7200\r\n"), r"asks to wait 7200 s"),
    ],
)
def test_what_no_ask_can_survive_is_one_sentence(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, response: bytes, sentence: str
) -> None:
    monkeypatch.setenv("MARKED_KEY", SECRET)
    with running(Refusing(response)) as server:
        solver = ApiSolver(settings(server.base_url, api_key_env="MARKED_KEY"), ledger)
        with pytest.raises(EndpointError, match=sentence) as raised:
            list(solver.complete((ask(f"q{n}") for n in range(50)), "t"))
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_refused_connection_is_told_after_few_tries(ledger: Ledger) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    solver = ApiSolver(settings(f"http://127.0.0.1:{port}/v1", retries=50), ledger)
    with pytest.raises(EndpointError, match="cannot be reached"):
        list(solver.complete([ask("a")], "t"))
    (tries,) = ledger.failures(("kind",))
    assert tries.n < 5, "it was tried as often as an endpoint that had answered"


def test_a_refused_request_is_its_own_error_unless_all_are(ledger: Ledger) -> None:
    with running(Refusing(error(400, "too long"))) as server:
        solver = ApiSolver(settings(server.base_url), ledger)
        (result,) = solver.complete([ask("a")], "t")
        assert result.finish is Finish.ERROR
        assert result.error == "the endpoint refused the request (400): too long"
        assert server.tries["all"] == 1, "a 400 was retried"
        with pytest.raises(EndpointError, match="answered none of the last 5"):
            list(solver.complete((ask(f"q{n}") for n in range(50)), "t"))


def test_the_api_key_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    key_file = tmp_path / "key.txt"
    key_file.write_text(SECRET + "\n")
    study = tmp_path / "study"
    body = {"choices": [{"message": {"content": f"your key is {SECRET}"}, "finish_reason": "stop"}]}
    good = http(200, "application/json", json.dumps(body).encode())
    texts = [caplog.text]
    with Ledger.open(study / "ledger.sqlite") as ledger:
        for response in (good, error(400, f"bad key {SECRET}"), error(500, f"bad key {SECRET}")):
            with running(Refusing(response)) as server:
                options = settings(server.base_url, api_key_file=str(key_file), retries=1)
                solver = ApiSolver(options, ledger)
                texts += [repr(solver), repr(options)]
                results = list(solver.complete([ask(f"q{response[:13]!r}")], "t"))
                texts.append(repr(results))
                assert SECRET.encode() in server.headers[0]
        ledger.export_jsonl(study / "export.jsonl")
        written = [p.read_bytes() for p in study.rglob("*") if p.is_file()]
    written += [p.read_bytes() for p in study.rglob("*") if p.is_file()]
    assert any("[redacted]" in text for text in texts)
    assert not [w for w in written if SECRET.encode() in w]
    assert not [t for t in texts if SECRET in t]
    with Ledger.open(study / "ledger.sqlite", readonly=True) as ledger:
        assert not [e for e in ledger.entries() if SECRET.encode() in e.raw]
        assert [e for e in ledger.entries() if b"[redacted]" in e.raw]


def head_sent(ledger: Ledger, **key: str) -> bytes:
    """Return the head of the request that a solver with this key sends."""
    with running(FaultServer(rate=0.0)) as server:
        with open_solver(settings(server.base_url, **key), ledger) as solver:
            list(solver.complete([ask("a")], "t"))
        return server.headers[0]


def test_the_key_is_sent(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKED_KEY", SECRET)
    assert f"Bearer {SECRET}".encode() in head_sent(ledger, api_key_env="MARKED_KEY")


@pytest.mark.parametrize(
    "wrong",
    [
        {"modell": "m"},
        {"concurrency": 0},
        {"concurrency": "8"},
        {"base_url": "localhost:80/v1"},
        {"base_url": f"https://user:{SECRET}@host/v1"},
        {"base_url": f"https://host/v1?api-version=2024-10-21&key={SECRET}"},
        {"base_url": f"https://host/v1?x-api-key={SECRET}"},
        {"retries": -1},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options(**({"model": "m", "base_url": "http://h/v1"} | wrong))


def test_an_address_may_name_a_version_and_never_shows_a_secret() -> None:
    url = "https://host/v1?api-version=2024-10-21"
    assert Options(model="m", base_url=url).base_url == url
    raw = {"model": "m", "base_url": f"https://host/v1?token={SECRET}"}
    with pytest.raises(ValidationError) as refused:
        Options(**raw)
    said = first_error(refused.value, Options)
    assert "must not hold a secret" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "written", [f'"{SECRET}"', "${OPENAI_API_KEY}", f"OPENAI_API_KEY={SECRET}", "<your key>"]
)
def test_what_is_plainly_no_key_is_not_sent(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("MARKED_KEY", written)
    with running(FaultServer(rate=0.0)) as server:
        solver = ApiSolver(settings(server.base_url, api_key_env="MARKED_KEY"), ledger)
        with pytest.raises(EndpointError, match="in MARKED_KEY") as raised:
            list(solver.complete([ask("a")], "t"))
        assert SECRET not in str(raised.value)
        assert not server.headers


@pytest.mark.parametrize("written", ["pa$$word", "YWJjZGVm==", "a=b", "k{1}"])
def test_what_may_be_a_servers_own_key_is_sent(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("MARKED_KEY", written)
    assert f"Bearer {written}".encode() in head_sent(ledger, api_key_env="MARKED_KEY")


def test_the_mark_that_an_editor_writes_is_no_part_of_a_key(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbf" + SECRET.encode() + b"\r\n")
    head = head_sent(ledger, api_key_file=str(tmp_path / "key"))
    assert f"Bearer {SECRET}".encode() in head


def test_a_missing_key_file_is_named(ledger: Ledger) -> None:
    solver = ApiSolver(settings("http://127.0.0.1:1/v1", api_key_file="/nowhere/key"), ledger)
    with pytest.raises(InputError, match="/nowhere/key"):
        list(solver.complete([ask("a")], "t"))


def test_rates_per_minute_are_kept(ledger: Ledger) -> None:
    with running(FaultServer(rate=0.0)) as server:
        solver = ApiSolver(settings(server.base_url, requests_per_minute=1200), ledger)
        started = time.monotonic()
        list(solver.complete((ask(f"q{n}") for n in range(40)), "t"))
        assert time.monotonic() - started > 0.9  # 20 at once, the others at 20 a second
