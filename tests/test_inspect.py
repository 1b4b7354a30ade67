"""``potstill inspect`` and ``potstill overlap``: what a study holds, told to a person."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from potstill.cli.inspect import print_problem
from potstill.lessons.quality import Gate
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.run import run_study
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.command_line import one_sentence, run_cli

HOSTILE = "\x1b]0;owned\x07\x1b[31m[bold]2 + 2[/bold]"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study up to its lessons, one of whose problems tries to speak to the terminal."""
    folder = tmp_path_factory.mktemp("inspect")
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    table = folder / "extra.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([["id", "problem", "answer", "split"], ["h1", HOSTILE, "4", "heldout"]])
        rows.writerow(["h2", "What is 3 + 4?", "", "heldout"])
    raw["problems"] = [
        {"source": "pocket", "train": 60, "valid": 6, "heldout": 4},
        {"source": "table", "path": str(table), "text": "problem", "key": "answer", "id": "id",
         "groups": {"split": "split"}},
    ]  # fmt: skip
    raw["levels"] = ["R1", "R6"]
    (folder / "study.yaml").write_text(yaml.safe_dump(raw))
    run_study(load_study(folder / "study.yaml"), folder / "out", until="condense")
    return folder / "out"


def test_an_unfinished_study_is_shown_as_far_as_it_goes(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    before = sorted(p.name for p in study.rglob("*") if "-" not in p.name)
    code, out, _ = run_cli(capsys, monkeypatch, "inspect", study)
    assert code == 0
    assert "71 of 71 problems; 1 more excluded" in " ".join(out.split())
    assert "So far: 2 of 2 students are not trained yet" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    after = sorted(p.name for p in study.rglob("*") if "-" not in p.name)
    assert after == before, "looking wrote something"


def test_the_gates_of_replies_and_lessons_are_those_that_kept_them_out(study: Path) -> None:
    found = StudyDirectory.open(study)
    rows = found.gates()
    wrong = {row.problem_id for row in rows if row.gate == Gate.WRONG and row.level == "R0"}
    verdicts = {v.problem_id: v.outcome.value for v in found.taught.verdicts}
    assert wrong == {p for p, outcome in verdicts.items() if outcome == "WRONG"} != set()
    flagged = {(x.problem_id, x.level, flag) for x in found.lessons for flag in x.flags}
    kept_out = {(r.problem_id, r.level, r.gate) for r in rows if r.excludes and r.level != "R0"}
    assert kept_out == {x for x in flagged if x[1] != "R0"}
    for problem_id in {row.problem_id for row in rows}:
        assert found.gates(problem_id) == [row for row in rows if row.problem_id == problem_id]


def test_a_gate_that_never_fired_is_said_to_have_not(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("inspect", study, "--gates", "--flag", "key leaked")
    code, out, _ = run_cli(capsys, monkeypatch, *arguments)
    assert (code, out.splitlines()[0]) == (0, "No such gate fired on any text.")


def test_one_problem_is_shown_with_everything(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = StudyDirectory.open(study)
    lesson = next(x for x in found.lessons if x.level == "R6")
    (problem,) = (p for p in found.problems if p.id == lesson.problem_id)
    _, out, _ = run_cli(capsys, monkeypatch, "inspect", study, lesson.problem_id)
    flat = " ".join(out.split())
    for text in (problem.text, lesson.text, "verdict CORRECT", "R1"):
        assert " ".join(text.split()) in flat
    _, out, _ = run_cli(capsys, monkeypatch, "inspect", study, lesson.problem_id, "--level", "R6")
    assert "teacher's reply" not in out


def test_the_teachers_reasoning_is_shown_where_it_answered_for_the_test(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = StudyDirectory.open(study)
    heldout = [p for p in found.problems if found.splits[p.id].value == "heldout"]
    asked = replace(found.made.taught, responses=[
        replace(x, problem_id=heldout[0].id, reasoning="First I halve it.", text="Then 4.")
        for x in found.made.taught.responses[:1]
    ], verdicts=[])  # fmt: skip
    found.made.answers = [asked]
    console = Console(file=io.StringIO(), width=80)
    print_problem(found, heldout[0].id, "", console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("First I halve it.") < shown.index("answer:") < shown.index("Then 4.")


def test_what_a_model_or_a_problem_says_never_reaches_the_terminal_as_a_command(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (hostile,) = [p.id for p in StudyDirectory.open(study).problems if p.text == HOSTILE]
    _, out, _ = run_cli(capsys, monkeypatch, "inspect", study, hostile)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]2 + 2[/bold]" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--flag", "wrnog"], "there is no flag 'wrnog'"),
        (["--level", "R9"], "there is no level 'R9'"),
        (["pocket/0"], "The study has no problem 'pocket/0'; potstill inspect "),
        (["H1"], "did you mean 'h1'?"),
    ],
)
def test_what_does_not_exist_is_a_sentence(
    study: Path,
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, "inspect", study, *arguments)
    assert code == 2
    assert told in one_sentence(err)


def test_overlap_of_two_files_is_listed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str, *texts: str) -> Path:
        rows = [
            json.dumps({"id": f"{name}{i}", "problem": t, "answer": "1"})
            for i, t in enumerate(texts)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(rows))
        return path

    tank = "A tank of 40 litres is filled at 5 litres a minute; after how many minutes is it full?"
    a = write("a", tank, "What is the sum of the first 20 odd numbers?")
    b = write("b", tank.upper(), tank.replace("40", "60"), "How many sides has a hexagon?")
    out = tmp_path / "pairs.csv"
    code, told, _ = run_cli(capsys, monkeypatch, "overlap", a, b, "--out", out)
    assert code == 0
    assert "2 pairs (1 word for word, 0 nearly, 1 with other numbers)" in " ".join(told.split())
    pairs = list(csv.DictReader(out.open()))
    assert {(p["a_id"], p["b_id"], p["how"]) for p in pairs} == {
        ("a0", "b0", "exact"),
        ("a0", "b1", "masked numbers"),
    }
    code, _, err = run_cli(capsys, monkeypatch, "overlap", a, b, "--threshold", "0.2")
    assert code == 2
    assert "threshold" in one_sentence(err)
