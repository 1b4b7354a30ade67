"""``potstill tutor`` in a process of its own, over HTTP: every level answers as in the study."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.students import find_ladder, find_student
from potstill.grading import grade
from support.command_line import one_sentence, run_cli


class Tutor:
    """A running tutor, and how it is asked."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address
        self.port = int(re.findall(r":(\d+)/", address)[0])
        self.cookie = ""

    def open(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, str) else json.dumps(body)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        headers = {"Cookie": self.cookie} | kind | headers
        connection.request(method, path, None if body is None else sent, headers)
        return connection.getresponse()

    def get(self, path: str) -> Any:
        return json.loads(self.open("GET", path).read())

    def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        reply = self.open("POST", path, body, **headers)
        return reply.status, json.loads(reply.read())

    def answer(self, level: str, **question: str) -> tuple[str, dict[str, Any]]:
        """All of the text that streamed in, and the last event."""
        events = list(stream(self.open("POST", "/answer", {"level": level} | question)))
        return "".join(event.get("piece", "") for event in events), events[-1]


def stream(reply: Any) -> Iterator[dict[str, Any]]:
    for line in reply:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


@contextmanager
def tutoring(directory: Path, *options: str) -> Iterator[Tutor]:
    command = [sys.executable, "-u", "-m", "potstill", "tutor", str(directory), "--port", "0"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        line = next((line for line in process.stdout if " is at http" in line), "")
        assert line
        yield Tutor(process, line.split(" is at ")[1].strip())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.fixture(scope="module")
def tutor(study_directory: Path) -> Iterator[Tutor]:
    with tutoring(study_directory) as opened:
        yield opened


def test_the_page_and_its_files_are_served(tutor: Tutor) -> None:
    page = tutor.open("GET", "/").read().decode()
    wanted = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    assert len(wanted) == 6
    for path in wanted:
        reply = tutor.open("GET", path)
        assert reply.status == 200, path
        assert len(reply.read()) > 500
    assert "//" not in re.sub(r"<!.*?>", "", page)  # nothing from elsewhere


def test_the_dial_and_the_problems_are_the_studys(tutor: Tutor, study_directory: Path) -> None:
    study = tutor.get("/study")
    assert [x["level"] for x in study["levels"]] == ["R1", "R4"]
    assert all("of 60 held-out problems of pocket" in x["sure"] for x in study["levels"])
    right = {
        x["level"]: x["accuracy"]
        for x in json.loads((study_directory / "report" / "report.json").read_text())["levels"]
        if x["group"] == "all" and x["level"] in ("R1", "R4")
    }
    assert study["best"] == max(right, key=lambda level: right[level])
    assert len(right) == 2
    assert len(study["problems"]) == 108
    assert study["problems"][0]["split"].startswith("held out")
    assert study["problems"][-1]["split"].startswith("training: ")
    shown = tutor.get(f"/problem?id={study['problems'][0]['id']}")
    assert shown["text"] == study["problems"][0]["text"]
    assert shown["teacher"]["reasoning"]
    assert shown["teacher"]["verdict"]["word"]
    assert shown["lessons"] == {}
    taught = [tutor.get(f"/problem?id={x['id']}")["lessons"] for x in study["problems"][-5:]]
    assert any(set(lessons) == {"R1", "R4"} for lessons in taught)
    assert tutor.open("GET", "/problem?id=none").status == 404


def test_every_level_answers_as_it_did_in_its_study(tutor: Tutor, study_directory: Path) -> None:
    wanted = [
        (student.level, answer)
        for pair in zip(*(x.answers()[:6] for x in find_ladder(study_directory)), strict=True)
        for student, answer in zip(find_ladder(study_directory), pair, strict=True)
    ]
    with ThreadPoolExecutor(6) as pool:  # at once, and level after level: the adapters change
        said = list(pool.map(lambda x: tutor.answer(x[0], problem=x[1][0].id), wanted))
    assert [text for text, _ in said] == [response.text for _, (_, response) in wanted]
    ends = [end["end"] for _, end in said]
    assert [end["tokens"] for end in ends] == [response.tokens_out for _, (_, response) in wanted]
    assert {end["finish"] for end in ends} <= {"STOP", "LENGTH"}
    assert all(end["verdict"]["word"] for end in ends)


def test_it_comes_in_pieces_and_the_verdict_is_the_graders(
    tutor: Tutor, study_directory: Path
) -> None:
    problem, response = max(
        find_student(study_directory, "R1").answers(), key=lambda x: len(x[1].text)
    )
    reply = tutor.open("POST", "/answer", {"level": "R1", "problem": problem.id})
    events = list(stream(reply))
    assert sum("piece" in event for event in events) > 5
    graded = grade(problem, response.text, finish=response.finish)
    assert events[-1]["end"]["verdict"]["outcome"] == graded.outcome
    asked = {"problem": problem.id, "said": "", "own": f" {problem.gold_text} "}
    assert tutor.post("/compare", asked)[1]["key"]["outcome"] == "CORRECT"


def test_ones_own_problem_and_answer(tutor: Tutor) -> None:
    text, last = tutor.answer("R4", text="What is 6 times 7?")
    assert last["end"]["verdict"] is None
    assert last["end"]["words"] == len(text.split())
    asked = {"text": "What is 6 times 7?", "said": "So it is \\boxed{\\frac{84}{2}}."}
    _, found = tutor.post("/compare", asked | {"own": "42"})
    assert (found["student"]["outcome"], found["key"]) == ("CORRECT", None)
    assert tutor.post("/compare", asked | {"own": "43"})[1]["student"]["outcome"] == "WRONG"
    assert tutor.post("/compare", asked | {"own": "42", "said": ""})[1]["student"] is None


def test_who_leaves_early_holds_no_one_up(tutor: Tutor, study_directory: Path) -> None:
    problem, response = find_student(study_directory, "R4").answers()[0]
    for _ in range(3):
        reply = tutor.open("POST", "/answer", {"level": "R1", "text": "A long one? " * 20})
        next(stream(reply))
        reply.close()
    assert tutor.answer("R4", problem=problem.id)[0] == response.text


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/answer", {"level": "R9", "text": "x"}, 404, "no student of level 'R9'"),
        ("/answer", {"level": "R1", "problem": "none"}, 404, "no such problem"),
        ("/answer", {"level": "R1"}, 400, "text must be a text"),
        ("/answer", {"level": 1, "text": "x"}, 400, "level must be a text"),
        ("/answer", [], 400, "not a JSON object"),
        ("/answer", "{", 400, "not JSON"),
        ("/compare", {"text": "x", "said": "1", "own": " "}, 400, "type one"),
        ("/compare", "[" * 200_000, 400, "not JSON"),
    ],
)
def test_what_it_cannot_do_is_said(
    tutor: Tutor, path: str, body: object, status: int, told: str
) -> None:
    found, error = tutor.post(path, body)
    assert (found, told in error["error"]["message"]) == (status, True), error


def test_another_sites_page_gets_nothing(tutor: Tutor) -> None:
    body = {"level": "R1", "text": "x"}
    plain = {"Content-Type": "text/plain", "Origin": "http://evil.example"}
    assert tutor.post("/answer", body, **plain)[0] == 415
    assert tutor.open("OPTIONS", "/answer", Origin="http://evil.example").status == 405
    assert tutor.open("GET", "/study", Host="evil.example").status == 403


def test_a_problem_without_room_or_text_is_an_event(tutor: Tutor) -> None:
    assert "holds 4,096; ask a shorter one" in tutor.answer("R1", text="why? " * 5000)[1]["error"]
    assert "no problem to answer" in tutor.answer("R1", text=" ")[1]["error"]
    assert tutor.answer("R1", text="1 + 1?")[1]["end"]


def test_opened_wider_it_asks_for_its_token_and_the_mix_answers(study_directory: Path) -> None:
    with tutoring(study_directory, "--mix", "--host", "0.0.0.0") as wide:
        token = wide.address.partition("?token=")[2]
        assert len(token) >= 43
        for path in ("/", "/tutor.js", "/study", "/?token=x"):
            assert wide.open("GET", path).status == 403
        assert wide.open("POST", "/answer", {"level": "R1", "text": "x"}).status == 403
        reply = wide.open("GET", f"/?token={token}")
        wide.cookie = reply.headers["Set-Cookie"].partition(";")[0]
        assert [x["level"] for x in wide.get("/study")["levels"]] == ["R1", "R4"]
        for level in ("R1", "R4"):
            student = find_student(study_directory, f"mix-{level}")
            assert student.student.variant == "mix"
            for problem, response in student.answers()[:3]:
                said, _ = wide.answer(level, problem=problem.id)
                assert said == response.text


def test_it_ends_well_at_once(study_directory: Path) -> None:
    with tutoring(study_directory) as opened:
        assert opened.process.poll() is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "llama"], "mounted on transformers or mlx"),
        (["--engine", "onnx"], "no engine 'onnx'; there are: auto"),
        (["--host", "256.1.1.1"], "on 256.1.1.1 cannot be used"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    study_directory: Path,
    options: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("tutor", study_directory, "--port", "0", *options)
    code, _, err = run_cli(capsys, monkeypatch, *command)
    assert code == 2
    assert told in one_sentence(err)


def test_a_folder_that_is_no_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, "tutor", tmp_path)
    assert code == 2
    assert "is no study directory" in one_sentence(err)
