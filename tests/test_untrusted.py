"""Files and replies made to fill the memory, take for ever, or speak to the terminal."""

from __future__ import annotations

import email.utils
import gzip
import json
import sqlite3
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from multidict import CIMultiDict

from potstill.chat import Ask, Completion, Message
from potstill.errors import InputError, PotstillError, StoreError
from potstill.ledger.ledger import Entry, Ledger, key_of_request, request_json
from potstill.protocol.parse import completion_bytes, parse_completion
from potstill.protocol.server import create_app, listen, serve
from potstill.protocol.stream import Assembly
from potstill.records import Finish, Sampling
from potstill.solvers.api import ApiSolver, Options
from potstill.solvers.transport import retry_after_s
from potstill.store.cells import Store
from potstill.store.rows import load_json, read_rows
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from potstill.text import literal, shown
from support.command_line import run_cli
from support.raw_server import endpoint

MARKUP = "\x1b]0;owned\x07[/red][bold]m\x9b31m"


def _study(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(12)
)
REFUSED_STUDIES = {
    "code": ("!!python/object/apply:os.system [id]", "not valid YAML"),
    "a name of python": ("name: !!python/name:os.system", "not valid YAML"),
    "aliases that multiply": (BOMB, "write it out plainly"),
    "an alias of itself": ("a: &a [*a]", "write it out plainly"),
    "a thousand brackets": ("a: " + "[" * 5_000, "cannot be read"),
    "a day that is none": ("a: 2001-99-99", "cannot be read"),
    "a day": ("name: 2001-01-01", "put a date in quotes"),
    "thousands of digits": ("a: " + "9" * 5_000, "cannot be read"),
    "a number beyond 64 bits": ("a: 99999999999999999999", "ordinary size"),
    "infinity": ("budget_usd: .inf", r"ordinary size.* \(found \.inf, .*; give a number"),
    "no number": ("budget_usd: .nan", r"ordinary size.* \(found \.nan, .*; give a number"),
    "less than infinity": ("budget_usd: -.inf", r"\(found -\.inf, "),
    "bytes": ("name: !!binary YQ==", "write it as text"),
    "half a character": ('name: "\\ud800"', "a character that no text has"),
    "a nought": ('problems: [{source: table, path: "a\\0b"}]', "a character that no text has"),
    "a list as preset": ("training: {preset: [a]}", "there is no"),
    "two megabytes": ("a: " + "x" * (2 << 20), "check that it is the right one"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED_STUDIES.values(), ids=REFUSED_STUDIES)
def test_a_study_file_that_is_a_trap_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match=says) as caught:
        load_study(_study(tmp_path, text))
    assert len(str(caught.value)) < 1_300


def test_a_plain_alias_in_a_study_still_holds(tmp_path: Path) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    agent = {"solver": "pocket", "model": "pocket-teacher"}
    raw["verifier"] = raw["teacher"] = agent
    text = yaml.dump(raw)
    assert "&id001" in text
    study = load_study(_study(tmp_path, text))
    assert study.verifier == study.teacher


def test_what_is_wrong_with_a_table_is_never_more_than_a_line(tmp_path: Path) -> None:
    for name, data in {
        "deep.jsonl": b"[" * 100_000,
        "digits.jsonl": b'{"problem": ' + b"9" * 5_000 + b"}",
        "digits.json": b"[" + b"9" * 5_000 + b"]",
        "column.jsonl": b'{"' + b"x" * 100_000 + b'": 1}\n[]',
        "escape.jsonl": b'{"\\u001b[2J": 1}\n{',
        "half.parquet": b"PAR1" + b"\x00" * 100 + b"PAR1",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            list(load_json(path) if path.suffix == ".json" else read_rows(path))
        said = str(caught.value)
        assert "\n" not in said
        assert "\x1b" not in said
        assert len(said) < 1_300


# --- replies ------------------------------------------------------------------------------------


def _reply(head: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body


def _ask(base_url: str, folder: Path) -> Completion:
    options = Options(model="m", base_url=base_url, api_key_env="", retries=0, backoff_s=0.01)
    ask = Ask("p", (Message("user", "2?"),), Sampling())
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        (result,) = ApiSolver(options, ledger).complete([ask], "t")
    assert result.asked
    return result


def test_a_reply_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    import psutil

    packed = gzip.compress(b" " * (200 << 20), 1)
    head = (
        f"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}"
    )
    before = psutil.Process().memory_info().rss
    with endpoint(_reply(head, packed)) as base_url:
        result = _ask(base_url, tmp_path)
    assert "more than 64 MiB" in result.error
    assert psutil.Process().memory_info().rss - before < 200 << 20


def test_a_stream_without_a_line_end_takes_linear_time() -> None:
    assembly = Assembly()
    # were the pieces joined at each of them, the test would outlast its time
    for _ in range(1_000_000):
        assembly.feed(b"x" * 20)
    assembly.feed(b'\ndata: {"choices": [{"delta": {"content": "5"}, "finish_reason": "stop"}]}\n')
    assert parse_completion(assembly.raw()).text == "5"


def test_counts_and_parts_of_a_reply_that_cannot_be_are_left_out() -> None:
    raw = json.loads(completion_bytes("m", Completion("5", "", Finish.STOP, 1, 1)))
    raw["usage"] = {"prompt_tokens": 10**30, "completion_tokens": True}
    raw["choices"][0]["message"]["content"] = [{"text": 5}, {"text": "5"}, 7]
    parsed = parse_completion(json.dumps(raw).encode())
    assert (parsed.text, parsed.tokens_in, parsed.tokens_out) == ("5", 0, 0)


def test_a_day_that_no_calendar_has_is_no_time_to_wait() -> None:
    assert retry_after_s({"retry-after": "Fri, 31 Dec 9999999999 23:59:59 GMT"}) == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2),
        ("1.5", 1.5),
        ("+2", 2),
        (" 2 ", 2),
        ('"2"', 2),
        ("2s", 2),
        ("2 seconds", 2),
        ("500ms", 0.5),
        ("3m", 180),
        ("2 minutes", 120),
        ("1m30s", 90),
        ("6m0s", 360),
        ("1h", 3600),
        ("1, 1", 1),
        ("1,3", 3),
        ("0", 0),
        ("-5", 0),
        ("inf", 0),
        ("nan", 0),
        ("", 0),
        ("soon", 0),
        ("2000-01-01T00:00:00Z", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("1" * 300, 0),
        ("1h" * 300, 0),
    ],
)
def test_a_wait_is_read_in_any_form(value: str, seconds: float) -> None:
    assert retry_after_s({"retry-after": value}) == seconds


@pytest.mark.parametrize(
    "written",
    [
        lambda moment: email.utils.format_datetime(moment, usegmt=True),
        lambda moment: moment.isoformat(),
        lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        lambda moment: str(int(moment.timestamp())),
    ],
)
def test_a_wait_may_be_a_moment(written: Callable[[datetime], str]) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < retry_after_s({"retry-after": written(moment)}) <= 100


def test_of_two_waits_the_longer_holds() -> None:
    headers = CIMultiDict([("Retry-After", "1"), ("Retry-After", "4"), ("retry-after", "2")])
    assert retry_after_s(headers) == 4


@pytest.mark.parametrize("error", [b'{"error": ' + b"[" * 9_000, b"[" * 9_000])
def test_an_error_nested_too_deep_is_an_error(error: bytes, tmp_path: Path) -> None:
    head = f"Content-Type: application/json\r\nContent-Length: {len(error)}"
    with endpoint(_reply(head, error)) as base_url:
        assert _ask(base_url, tmp_path).error


# --- ledgers ------------------------------------------------------------------------------------


def _entry(**changes: object) -> Entry:
    request = request_json("p", "m", [Message("user", "2?")], Sampling(), 0, 0)
    raw = completion_bytes("m", Completion("2", "", Finish.STOP, 1, 1))
    fields: dict[str, object] = {"stage": "teach", "provider": "p", "model": "m"} | changes
    return Entry(
        key_of_request(request), request=request, raw=raw, tokens_in=1, tokens_out=1, **fields
    )  # type: ignore[arg-type]


def _with_ledger(
    folder: Path, *statements: tuple[str, tuple[object, ...]], **changes: object
) -> Path:
    path = folder / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.put(_entry(**changes))
    with sqlite3.connect(path) as db:
        for statement, values in statements:
            db.execute(statement, values)
    db.close()
    return path


def test_a_reply_packed_from_gigabytes_is_damaged_and_not_unpacked(tmp_path: Path) -> None:
    packed = zlib.compress(b" " * (300 << 20), 1)
    path = _with_ledger(tmp_path, ("UPDATE replies SET raw = ?", (packed,)))
    with Ledger.open(path, readonly=True) as ledger, pytest.raises(StoreError, match="is damaged"):
        ledger.get(_entry().key)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON replies BEGIN DELETE FROM replies; END",
        "CREATE VIEW v AS SELECT * FROM replies",
    ],
)
def test_a_ledger_brings_no_sql_of_its_own(statement: str, tmp_path: Path) -> None:
    path = _with_ledger(tmp_path, (statement, ()))
    for readonly in (True, False):
        with pytest.raises(StoreError, match="SQL that no ledger has"):
            Ledger.open(path, readonly=readonly)


@pytest.mark.parametrize(
    ("column", "value"),
    [("model", b"\xff"), ("cost_usd", "x"), ("priced", 7), ("tokens_in", "many"), ("request", b"")],
)
def test_a_value_of_another_kind_is_damage(column: str, value: object, tmp_path: Path) -> None:
    path = _with_ledger(tmp_path, (f"UPDATE replies SET {column} = ?", (value,)))
    with Ledger.open(path, readonly=True) as ledger:
        assert ledger.verify() == [_entry().key]
        with pytest.raises(StoreError, match="is damaged"):
            list(ledger.entries())


# --- the terminal and the local servers -----------------------------------------------------------


@pytest.mark.parametrize("command", ["ledger", "status"])
def test_names_in_a_ledger_are_neither_markup_nor_escapes(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    Store(tmp_path)
    study = json.dumps(load_study(DEMO_STUDY).model_dump(mode="json"))
    (tmp_path / "study.json").write_text(study)
    _with_ledger(tmp_path, model=MARKUP, stage=MARKUP)
    code, out, err = run_cli(capsys, monkeypatch, command, tmp_path)
    assert code == 0, err
    assert "[/red]" in out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)


def test_a_complaint_speaks_no_escape_sequence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({MARKUP: "a"}))
    code, _, err = run_cli(capsys, monkeypatch, "problems", path)
    assert code == 2
    assert not {"\x1b", "\x07", "\x9b"} & set(err)


def test_text_is_shown_as_it_stands() -> None:
    from rich.text import Text

    assert Text.from_markup(literal(MARKUP)).plain == shown(MARKUP)


def test_the_local_server_listens_here_alone_and_answers_to_its_own_name() -> None:
    import http.client

    app = create_app(lambda chat: Completion("2", "", Finish.STOP, 1, 1), ["m"])
    with serve(app) as base_url:
        host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
        assert host == "127.0.0.1"
        for name, status in (("127.0.0.1", 200), ("localhost", 200), ("evil.example", 403)):
            connection = http.client.HTTPConnection(host, int(port))
            connection.request("GET", "/v1/models", headers={"Host": f"{name}:{port}"})
            reply = connection.getresponse()
            told = json.loads(reply.read())
            assert reply.status == status
            assert (status == 200) == ("error" not in told)
            connection.close()
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_numbers_that_are_none_are_a_bad_request() -> None:
    from potstill.protocol.requests import BadRequest, _call

    for value in ("NaN", "Infinity", "1e400", "9" * 30):
        body = (
            f'{{"model": "m", "messages": [{{"role": "user", "content": "x"}}], "seed": {value}}}'
        )
        with pytest.raises(BadRequest, match="seed must be a number"):
            _call(body.encode())


@pytest.mark.parametrize(
    "text",
    [
        "<" + " " * 1_000_000 + "x",
        "<|channel|>" + "a" * 1_000_000,
        "<|start|>" * 200_000,
        "analysis" + "assistantcommentary" * 100_000,
        "<seed:cot_budget_reflect>" * 50_000 + "</seed:cot_budget_reflect>",
        "<think" + " " * 1_000_000,
        "<think>" * 200_000,
        "</think>" * 200_000,
        "4" + "<|end|>\n" * 100_000 + "x",
    ],
    ids=lambda text: text[:20].strip(),
)
def test_marks_in_a_reply_are_read_in_one_pass(text: str) -> None:
    """What looks at each place again for each other would take hours."""
    said = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    parsed = parse_completion(said.encode())
    assert len(parsed.text) + len(parsed.reasoning) <= len(text)
