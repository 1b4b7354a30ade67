"""What a user types, and what they are told when it is wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.ledger.ledger import Ledger
from potstill.study.templates import DEMO_STUDY
from support.command_line import api_study, one_sentence, run_cli
from support.ledger_entries import entry
from support.raw_server import endpoint

KEY = "sk-marked-0123456789abcdef"


def http(status: str, body: bytes, kind: str = "application/json", length: int = -1) -> bytes:
    size = len(body) if length < 0 else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
    return (head + "Connection: close\r\n\r\n").encode() + body


def error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", "code": "x"}}).encode()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (http("401 Unauthorized", error(f"bad key {KEY}")), "401"),
        (http("429 Too Many Requests", error("slow down")), "429"),
        (http("500 Internal Server Error", error("oops")), "500"),
        (http("200 OK", b"<html><body>hello</body></html>", "text/html"), ""),
        (http("200 OK", b'{"choices": [{"mess', length=400), ""),
        (http("404 Not Found", error("no such model")), "404"),
    ],
    ids=["401", "429", "500", "html", "half a body", "404"],
)
def test_a_bad_endpoint_is_one_sentence_and_keeps_the_key_secret(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    reply: bytes,
    says: str,
) -> None:
    monkeypatch.setenv("MARKED_KEY", KEY)
    with endpoint(reply) as base_url:
        path = api_study(tmp_path, base_url)
        code, out, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    complaint = one_sentence(err)
    assert "some-model" in complaint
    assert says in complaint
    assert KEY not in out + err
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert not list((tmp_path / "out" / "cells").glob("answers/*/manifest.json"))


def test_a_refused_connection_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = api_study(tmp_path, f"http://127.0.0.1:{port}/v1")
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    assert "some-model" in one_sentence(err)


def small(folder: Path, **changes: object) -> Path:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 4, "valid": 2, "heldout": 3}]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw | changes))
    return path


def test_bad_problem_files_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "2011.json").write_text('{"section": {"question_1": {"question": "Wha')
    (tmp_path / "shape.json").write_text('[{"a": 1}]')
    (tmp_path / "table.csv").write_text("questoin,answer\nWhat is 1+1?,2\n")
    table = {"source": "table", "path": "table.csv", "text": "question", "key": "answer"}
    for source, says in [
        ({"source": "competition", "path": "2011.json"}, "2011.json"),
        ({"source": "competition", "path": "shape.json"}, "shape.json"),
        (table, "questoin"),
        (table | {"path": "none.csv"}, "none.csv"),
    ]:
        path = small(tmp_path, problems=[source])
        code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
        assert code == 2
        assert says in one_sentence(err)


def test_a_model_folder_without_weights_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "qwen2"}')
    path = small(tmp_path, student={"base": str(model)})
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    assert str(model) in one_sentence(err)


def test_a_newer_directory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "potstill.json").write_text('{"format_version": 999}')
    code, _, err = run_cli(capsys, monkeypatch, "run", small(tmp_path), "--out", out)
    assert code == 2
    assert "newer Potstill" in one_sentence(err)
    assert [p.name for p in out.iterdir()] == ["potstill.json"]


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted as root on Linux")
    try:
        command = ("run", small(tmp_path), "--out", disk / "out", "--until", "verify")
        code, _, err = run_cli(capsys, monkeypatch, *command)
        assert code == 2, err
        one_sentence(err)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        code, _, err = run_cli(capsys, monkeypatch, *command)
        assert code == 0, err
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_stage_that_does_not_exist_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_cli(
        capsys, monkeypatch, "run", small(tmp_path), "--out", tmp_path / "o", "--until", "teech"
    )
    assert code == 2
    assert (
        "no stage 'teech'; did you mean 'teach'? There are: problems, split, rate, teach"
        in one_sentence(err)
    )


def test_status_of_what_is_no_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, "status", tmp_path)
    assert code == 2
    assert "is no study directory" in one_sentence(err)


def test_init_then_problems_then_dry_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(capsys, monkeypatch, "init", "mine")[0] == 0
    code, out, _ = run_cli(capsys, monkeypatch, "problems", "mine/study.yaml")
    assert code == 0
    assert "690 problems by kind" in out
    code, out, _ = run_cli(capsys, monkeypatch, "run", "mine/study.yaml", "--dry-run")
    assert code == 0
    assert "Nothing was sent." in out
    assert not (tmp_path / "runs").exists()
    code, _, err = run_cli(capsys, monkeypatch, "init", "mine")
    assert code == 2
    assert "exists; choose another name" in one_sentence(err)


def test_the_competition_shows_what_is_excluded(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run_cli(capsys, monkeypatch, "problems", data / "competition", "--aside")
    assert code == 0
    assert "20 text not visible" in out


def test_the_papers_study_plans_its_calls(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTSTILL_DATA", str(data))
    paper = Path(__file__).parent.parent / "studies" / "paper.yaml"
    code, out, _ = run_cli(capsys, monkeypatch, "run", paper, "--dry-run")
    assert code == 0
    assert "30 students: 6 variants (R1, R2, R3, R4, R5, R6) x 5 seeds" in out


@contextmanager
def replaying(*arguments: object) -> Iterator[str]:
    """The address at which ``potstill replay`` answers for as long as the context lasts."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "potstill",
        "replay",
        *map(str, arguments),
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        line = next(line for line in process.stdout if " at http" in line)
        yield line.split(" at ")[1].split()[0]
    finally:
        process.terminate()
        process.wait(10)


def chat(address: str, model: str, question: str) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": question}]})
    request = urllib.request.Request(
        f"{address}/chat/completions", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_replay_serves_a_study_over_http(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_DATA", str(data))
    study = Path(__file__).parent.parent / "studies" / "competition-recorded.yaml"
    with replaying(study) as address:
        code, reply = chat(address, "deepseek-r1", "Who was here before?")
    assert (code, reply["error"]["code"]) == (404, "recording_not_found")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "messages.jsonl"])
def test_replay_serves_a_table_for_any_model(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"replies.{ending}"
    question, text = "What is six times seven?", "It is \\boxed{42}."
    if ending == "csv":
        path.write_text(f"problem,response,reasoning\n{question},{text},6 x 7\n")
    elif ending == "jsonl":
        path.write_text(json.dumps({"question": question, "text": text, "reasoning": "6 x 7"}))
    else:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": text}]
        path.write_text(json.dumps({"messages": turns}))
    with replaying(path) as address:
        code, reply = chat(address, "whatever", f"{question}\n\nReason step by step.")
        message = reply["choices"][0]["message"]
        assert (code, message["content"]) == (200, text)
        if ending != "messages.jsonl":
            assert message["reasoning_content"] == "6 x 7"
        assert chat(address, "whatever", "What is six times eight?")[0] == 404


def test_replay_of_a_table_without_replies_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("problem,key\n1+1?,2\n")
    code, _, err = run_cli(capsys, monkeypatch, "replay", tmp_path / "a.csv")
    assert code == 2
    assert "--text" in one_sentence(err)


@pytest.mark.parametrize("named", ["", "study.json"])
def test_replay_of_a_study_directory_serves_its_ledger(tmp_path: Path, named: str) -> None:
    (tmp_path / "study.json").write_text("{}")
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        message = {"role": "assistant", "content": "It is 42."}
        said = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        ledger.put(entry(7, json.dumps(said).encode()))
    with replaying(tmp_path / named) as address:
        code, reply = chat(address, "m", "q7")
    assert (code, reply["choices"][0]["message"]["content"]) == (200, "It is 42.")


def test_replay_of_a_folder_without_a_ledger_names_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, "replay", tmp_path)
    assert code == 2
    assert "is a folder without a ledger.sqlite; give one table" in one_sentence(err)
    (tmp_path / "replies.csv").write_text("question,text\n1+1?,2\n")
    code, _, err = run_cli(capsys, monkeypatch, "replay", tmp_path)
    assert code == 2
    assert one_sentence(err).endswith("give one table of it: replies.csv.")


def test_equal_says_which_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_cli(capsys, monkeypatch, "equal", r"\frac{14}{3}", "14/3")[:2] == (
        0,
        "equal (equal values)\n",
    )
    for key, answer in [("3√5", "3√2"), ("AC", "CA"), ("5 feet", "5 inches")]:
        code, out, _ = run_cli(capsys, monkeypatch, "equal", key, answer)
        assert code == 1
        assert out.startswith("different (")


def test_grade_keeps_the_rows_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text(
        "n,key,said\n1,1/2,The answer is \\boxed{0.5}\n2,7,\n3,(1;2),9\n", encoding="utf-8"
    )
    code, out, _ = run_cli(
        capsys, monkeypatch, "grade", tmp_path / "a.csv", "--gold", "key", "--response", "said",
        "--out", tmp_path / "b.jsonl",
    )  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert code == 0
    assert [(row["n"], row["outcome"]) for row in rows][:2] == [("1", "CORRECT"), ("2", "BLANK")]
    assert out.startswith("3 graded: ")


def test_review_rulings_outlive_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 240, "valid": 2, "heldout": 3}]
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(raw))
    arguments = ("run", study, "--out", tmp_path / "out", "--until", "verify")
    assert run_cli(capsys, monkeypatch, *arguments)[0] == 0
    from potstill.cli.review import disagreements
    from potstill.records import DecidedBy, Outcome, Verdict
    from potstill.store.cells import Store

    store = Store(tmp_path / "out")
    waiting = disagreements(store)
    assert waiting, "the scripted verifier is now and then wrong"
    turned = waiting[0][2].outcome is not Outcome.CORRECT
    typed = f"{'c' if turned else 'w'}\nbecause\nq\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code, _, err = run_cli(capsys, monkeypatch, "review", tmp_path / "out")
    assert code == 0, err
    assert run_cli(capsys, monkeypatch, *arguments)[0] == 0
    ruled = [
        v
        for v in store.rows_of("verdicts", "verdicts", Verdict)
        if v.decided_by is DecidedBy.PERSON
    ]
    assert [v.response_id for v in ruled] == [waiting[0][2].response_id]
    assert (ruled[0].outcome is Outcome.CORRECT) == turned


def test_ctrl_c_says_that_all_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "potstill", "run", str(DEMO_STUDY), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    ledger = out / "ledger.sqlite"
    while not ledger.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().endswith("stopped; what was finished is kept, run again to go on.")


DROPPED = """
import sys, time, weakref
from potstill.cli.main import app, main

class Thing: pass

def interrupted(_):
    raise KeyboardInterrupt

@app.command()
def wait():
    thing = Thing()
    watched = weakref.ref(thing, interrupted)
    del thing
    time.sleep(60)
    print("not heard")

sys.argv = ["potstill", "wait"]
main()
"""


def test_ctrl_c_is_heard_where_python_drops_it() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.startswith("potstill: stopped;")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("-3, 3", "-3, 3"), 0, "equal"),
        (("-3, 3", "3, -3"), 1, "the same values in another order; --kind set"),
        (("-3, 3", "3, -3", "--kind", "set"), 0, "equal"),
        (("-1/2", "-0.5"), 0, "equal"),
        (("1/2", "0.5", "--kind", "nonsense"), 2, "there is no answer kind 'nonsense'"),
        (("1/2", "0.5", "--kind", "fractoin"), 2, "did you mean 'fraction'?"),
        (("1", "The answer is 1.0", "--kind", "numeric"), 0, "equal (within"),
        (("abc", "abc", "--kind", "numeric"), 2, "'abc' cannot be a key: the key is not a number"),
        (("", "5"), 2, "'' cannot be a key: the key is empty; give the right answer first."),
        (("#REF!", "5"), 2, "'#REF!' cannot be a key: the key says that there is none"),
        (("99999999!", "1"), 2, "'99999999!' cannot be a key: the key has no value"),
        (("6/2(1+2)", "9"), 3, "undecided (what follows the slash may be the whole product"),
        (("1/2", r"\boxed{3"), 3, "undecided (the answer cannot be read: expected '}'"),
        (("3/4", "3:4"), 3, "undecided (the answer cannot be read: ':' is not part of an"),
        (("7 (eight)", "7"), 3, "undecided (the key cannot be read: words that are no noun, so"),
        (("0x1F", "31"), 3, "undecided (the same number, if the answer is in base ten)"),
        (("B", "(B)", "--kind", "choice"), 0, "the same letter"),
        (("a", "b", "--kind", "judge"), 2, "a model decides an answer of the kind 'judge'"),
    ],
)
def test_two_answers_are_compared_by_the_kind_that_is_named(
    arguments: tuple[str, ...],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, out, err = run_cli(capsys, monkeypatch, "equal", *arguments)
    assert ended == code
    assert says in (one_sentence(err) if code == 2 else out)


@pytest.mark.parametrize("command", ["serve", "tutor", "replay"])
def test_a_port_that_is_none_is_one_sentence(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, command, tmp_path, "--port", 99_999)
    assert code == 2
    assert "there is no port 99999; ports go from 1 to 65535" in one_sentence(err)


def test_a_kind_that_nobody_grades_is_named_with_its_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"What is {n} + {n}?,{2 * n},Algebra" for n in range(20)]
    (tmp_path / "own.csv").write_text("\n".join(["question,answer,kind", *rows]))
    table = {"source": "table", "path": "own.csv", "text": "question", "key": "answer"}
    raw = yaml.safe_load(DEMO_STUDY.read_text()) | {"problems": [table | {"kind": "kind"}]}
    raw["split"] = {"by": "share"}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    for command in (("problems", path), ("run", path, "--out", tmp_path / "out")):
        code, _, err = run_cli(capsys, monkeypatch, *command)
        assert code == 2
        assert "own/2: there is no answer kind 'Algebra'" in one_sentence(err)


def test_a_file_in_a_directorys_place_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("mine")
    code, _, err = run_cli(capsys, monkeypatch, "run", DEMO_STUDY, "--out", tmp_path / "taken")
    assert code == 2
    assert "a file stands where a folder belongs" in one_sentence(err)
    assert "space" not in err
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_hub_out_of_reach_is_told_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        endpoint_url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    columns = {"text": "question", "key": "answer"}
    raw["problems"] = [{"source": "hub", "dataset": "openai/gsm8k", "config": "main"} | columns]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    command = [sys.executable, "-m", "potstill", "problems", str(path)]
    home = {"HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": endpoint_url}
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | home)
    assert ended.returncode == 2
    assert "fetch it elsewhere with `hf download openai/gsm8k" in one_sentence(ended.stderr)


def test_the_demo_is_not_put_among_other_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exams.csv").write_text("question,answer\n1+1,2\n")
    code, _, err = run_cli(capsys, monkeypatch, "demo", "--out", tmp_path)
    assert code == 2
    assert "holds files that are no study's" in one_sentence(err)
    assert [x.name for x in tmp_path.iterdir()] == ["exams.csv"]
