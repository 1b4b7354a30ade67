"""Recorded replies: found by their question, over HTTP as in process, and nothing invented."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest
from pydantic import ValidationError

from potstill.chat import Ask, Completion, Message, Solver
from potstill.errors import InputError
from potstill.ledger.ledger import Entry, Ledger, key_of_request, request_json
from potstill.protocol.parse import completion_bytes
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion
from potstill.records import Finish, Sampling
from potstill.solvers.replay import Options, Recording, ReplayFile, open_solver

SHARED = Path(__file__).parents[3] / "shared" / "data" / "recorded"

ROWS = [
    {"q": "What is 1 + 1?", "a": "2", "r": "one and one", "verdict": "CORRECT"},
    {"q": "What is 1 + 1?\nAnd then,\n  doubled?", "a": "4", "r": "", "verdict": "WRONG"},
    {"q": "Name a long thing whose trace was cut.", "a": "", "r": "I begin " * 9, "verdict": ""},
    {"q": "", "a": "7", "r": "no question", "verdict": "CORRECT"},
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["q", "a", "r", "verdict"])
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def request(question: str, model: str = "m") -> ChatRequest:
    return ChatRequest(model, ({"role": "user", "content": question},))


def teacher(path: Path, **more: object) -> ReplayFile:
    return ReplayFile(
        **({"path": str(path), "question": "q", "text": "a", "reasoning": "r"} | more)
    )


def test_the_longest_question_in_the_prompt_is_meant(table: Path) -> None:
    recording = Recording.read([teacher(table, blank_is_cut=True)], "m")
    assert recording.size == 3
    assert recording.reply(request("What is 1 + 1?")).text == "2"
    assert recording.reply(request("Solve:What is  1 + 1? Thanks")).text == "2"
    assert recording.reply(request("Solve: What is 1 + 1? And then, doubled? Go.")).text == "4"
    cut = recording.reply(request("Q: Name a long thing whose trace was cut."))
    assert (cut.text, cut.finish, cut.reasoning) == ("", Finish.LENGTH, "I begin " * 8 + "I begin")
    for unknown in (request("What is 2 + 2?"), request("What is 1 + 1?", "other"), request("")):
        with pytest.raises(UnknownQuestion):
            recording.reply(unknown)


def test_a_blank_is_no_cut_unless_it_is_said(table: Path) -> None:
    recording = Recording.read([teacher(table)], "m")
    assert recording.reply(request(ROWS[2]["q"])).finish is Finish.STOP


@pytest.mark.parametrize("over_http", [True, False])
def test_a_replay_is_a_solver(table: Path, tmp_path: Path, over_http: bool) -> None:
    options = Options(model="m", files=[teacher(table, blank_is_cut=True)], http=over_http)
    asks = [
        Ask(str(n), (Message("user", f"Solve this.\n\n{question}"),), Sampling())
        for n, question in enumerate(
            [*(row["q"] for row in ROWS[:3]), "Something else", ROWS[0]["q"]]
        )
    ]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        for _ in range(2):
            with open_solver(options, ledger) as solver:
                assert isinstance(solver, Solver)
                results = {r.tag: r for r in solver.complete(asks, "teach")}
            assert not results["3"].asked
            answers = [results[str(n)] for n in (0, 1, 2, 4)]
            assert all(r.asked for r in answers)
            assert [r.text for r in answers] == ["2", "4", "", "2"]
            assert [r.finish for r in answers] == [
                Finish.STOP,
                Finish.STOP,
                Finish.LENGTH,
                Finish.STOP,
            ]
        verdicts = teacher(table, text="verdict", reasoning="")
        judge = Options(model="judge", files=[verdicts], http=over_http)
        with open_solver(judge, ledger) as solver:
            given = {r.tag: r.text for r in solver.complete(asks[:2], "verify")}
        assert given == {"0": "CORRECT", "1": "WRONG"}
        assert [row.calls for row in ledger.spend()] == [3, 2]
        assert ledger.spent_usd == 0
        assert ledger.verify() == []


def test_another_ledger_replays_sample_by_sample(table: Path, tmp_path: Path) -> None:
    options = Options(model="m", files=[teacher(table)], http=False)
    asks = [
        Ask(str(n), (Message("system", "s"), Message("user", ROWS[0]["q"])), Sampling(), n)
        for n in range(3)
    ]
    with Ledger.open(tmp_path / "one.sqlite") as ledger, open_solver(options, ledger) as solver:
        first = list(solver.complete(asks, "teach"))
    again = Options(model="m", files=[ReplayFile(path=str(tmp_path / "one.sqlite"))], http=False)
    with Ledger.open(tmp_path / "two.sqlite") as ledger, open_solver(again, ledger) as solver:
        assert list(solver.complete(asks, "teach")) == first


@pytest.mark.parametrize("over_http", [True, False])
def test_what_a_filter_said_is_replayed(tmp_path: Path, over_http: bool) -> None:
    asked = Ask("p", (Message("user", "Build it."),), Sampling())
    said = request_json("api", "m", asked.messages, asked.sampling, 0, 0)
    refusal = completion_bytes("m", Completion("", "", Finish.FILTERED, error="No such thing."))
    key = key_of_request(said)
    with Ledger.open(tmp_path / "one.sqlite") as ledger:
        ledger.put(Entry(key, "teach", "api", "m", said, refusal, 0, 0))
    files = [ReplayFile(path=str(tmp_path / "one.sqlite"))]
    options = Options(model="m", files=files, http=over_http)
    with Ledger.open(tmp_path / "two.sqlite") as ledger, open_solver(options, ledger) as solver:
        (got,) = solver.complete([asked], "teach")
    assert (got.text, got.finish, got.error) == ("", Finish.FILTERED, "No such thing.")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stop", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("FinishReason.SAFETY", Finish.FILTERED),
        ("network_error", Finish.ERROR),
        ("null", Finish.STOP),
    ],
)
def test_a_column_says_how_replies_ended(tmp_path: Path, word: str, meant: Finish) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text(json.dumps({"q": "What is 1 + 1?", "a": "2", "how": word}))
    file = ReplayFile(path=str(path), question="q", text="a", finish="how")
    assert Recording.read([file], "m").reply(request("What is 1 + 1?")).finish is meant


def test_chats_are_recordings(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "It is."},
    ]
    path.write_text(json.dumps({"messages": turns}) + "\n")
    recording = Recording.read([ReplayFile(path=str(path), messages="messages")], "m")
    assert recording.reply(request("So: What is it?")).text == "It is."
    path.write_text(json.dumps({"messages": turns[:2]}) + "\n")
    with pytest.raises(InputError, match=r"chats\.jsonl, line 1: the messages need"):
        Recording.read([ReplayFile(path=str(path), messages="messages")], "m")


def test_wrong_files_are_named(table: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"recorded\.csv, line 2 has no column 'verdicts'.*'verdict'"
    ):
        Recording.read([teacher(table, text="verdicts")], "m")
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        Recording.read([teacher(tmp_path / "none.csv")], "m")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"q": "a", "a": "b", "r": ""}\n{"q": "a", ')
    with pytest.raises(InputError, match=r"broken\.jsonl.*line 2"):
        Recording.read([teacher(broken)], "m")
    empty = tmp_path / "empty.csv"
    empty.write_text("q,a,r\n")
    with pytest.raises(InputError, match="holds no recorded reply"):
        Recording.read([teacher(empty)], "m")
    with pytest.raises(ValidationError, match="name the column"):
        ReplayFile(path="x.csv")


def test_the_right_one_of_thousands_of_records_is_found(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    chance = random.Random(1)
    questions = [
        f"Find the value of the expression number {n}: {chance.random()} times x"
        for n in range(5000)
    ]
    path.write_text("".join(json.dumps({"q": q, "a": q[-30:]}) + "\n" for q in questions))
    recording = Recording.read([teacher(path, reasoning="")], "m")
    for question in questions[::25]:
        reply = recording.reply(request(f"Solve. {'word ' * 300} {question} End."))
        assert reply.text == question[-30:].strip()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded competition is not on this machine")
def test_the_real_recordings(tmp_path: Path) -> None:
    columns = {"text": "agent1_answer", "reasoning": "agent1_reasoning", "blank_is_cut": True}
    math500 = SHARED / "teacher_math500.csv"
    files = [
        ReplayFile(path=str(SHARED / "teacher_competition.csv"), **columns),
        ReplayFile(path=str(math500), question="problem", **columns),
    ]
    csv.field_size_limit(1 << 27)
    with math500.open(encoding="utf-8", newline="") as rows:
        problems = [row["problem"] for row in csv.DictReader(rows)]
    recording = Recording.read(files, "deepseek-r1")
    replies = [
        recording.reply(request(f"Solve.\n\n{p}\n\nThink.", "deepseek-r1")) for p in problems
    ]
    assert sum(r.finish is Finish.LENGTH for r in replies) == 37


def test_a_recorded_verdict_is_on_its_own_answer_alone(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text("question,said,verdict\nWhat is six times seven?,42,CORRECT\n")
    file = ReplayFile(path=str(path), model="judge", text="verdict", answer="said")
    recording = Recording.read([file])

    def ask(answer: str) -> str:
        content = (
            "<problem>\nWhat is six times seven?\n</problem>\n<key>\n42\n</key>\n"
            f"<answer>\n{answer}\n</answer>"
        )
        return recording.reply(ChatRequest("judge", ({"role": "user", "content": content},))).text

    assert ask("42") == "CORRECT"
    for other in ("41", "", "4"):
        with pytest.raises(UnknownQuestion):
            ask(other)
