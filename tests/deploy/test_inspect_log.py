"""An exported log opens in Inspect, with its own reader, and says what the study says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from potstill.cli.main import app
from potstill.deploy.export import inspect_log
from potstill.deploy.export.inspect_log import evaluation_logs, export_logs
from potstill.errors import InputError, StoreError
from potstill.pipeline.outputs import AnswerSet
from potstill.records import (
    Condition,
    DecidedBy,
    Finish,
    NotAsked,
    Opinion,
    Outcome,
    Problem,
    Response,
    Role,
    Sampling,
    Split,
    TextGold,
    Verdict,
)
from support.command_line import run_cli

HOSTILE = (
    "<script>alert(1)</script> ]]> attachment://x \x00\x1b \u202e {{7*7}}\r\n\t"
    + "x" * 300
    + " \\boxed{1"
)
CONDITION = Condition("set-1", "Be brief.", "Solve: {problem}", Sampling(0.5, 0.9, 3, 64), "f32")


@pytest.fixture
def inspect_ai() -> Any:
    return pytest.importorskip("inspect_ai.log", reason="pip install 'potstill[inspect]'")


@pytest.fixture(scope="module")
def logs(study_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The logs of a real small study, read back by Inspect."""
    log = pytest.importorskip("inspect_ai.log", reason="pip install 'potstill[inspect]'")
    out = tmp_path_factory.mktemp("logs") / "out"
    written = export_logs(study_directory, out)
    assert sorted(x.path for x in written) == sorted(out.iterdir())
    return [log.read_eval_log(str(x.path)) for x in written]


def response(problem: str, finish: Finish = Finish.STOP, **changes: Any) -> Response:
    made = Response("m", problem, CONDITION.condition_id, 0, 0, "", "4", finish, 5, 7, "key")
    return replace(made, **changes)


def verdict(of: Response, outcome: Outcome, **changes: Any) -> Verdict:
    made = Verdict(of.response_id, of.problem_id, outcome, "4", "boxed", DecidedBy.BOTH)
    return replace(made, **changes)


def cell(said: list[tuple[Response, Verdict]], seed: int = 0, **changes: Any) -> AnswerSet:
    responses, verdicts = zip(*said, strict=True)
    made = AnswerSet("R1-x", Role.STUDENT, "R1", seed, "sums", CONDITION, responses, (), verdicts)
    return replace(made, **changes)


def problems(*ids: str) -> list[Problem]:
    return [
        Problem(i, f"{i}? {HOSTILE}", TextGold("4"), "integer", "sums", {"year": "2017"})
        for i in ids
    ]


def read_back(inspect_ai: Any, log: Any, folder: Path) -> Any:
    path = str(folder / "one.eval")
    inspect_ai.write_eval_log(log, path)
    return inspect_ai.read_eval_log(path, resolve_attachments="full")


def test_one_log_for_every_solver_and_set_with_the_reports_figures(
    logs: list[Any], study_directory: Path
) -> None:
    report = json.loads((study_directory / "report" / "report.json").read_text("utf-8"))
    rows = {
        (x["level"] or x["role"]): x
        for x in report["levels"]
        if x["group"] == "all" and x["split"] == "heldout"
    }
    heldout = {log.eval.metadata["level"] or log.eval.metadata["role"]: log for log in logs[1:]}
    assert set(heldout) == set(rows)
    assert len({log.eval.task_id for log in logs}) == len(logs)  # else the viewer hides all but one
    for who, log in heldout.items():
        metrics = log.results.scores[0].metrics
        assert metrics["accuracy"].value == rows[who]["accuracy"]
        assert (metrics["low_95"].value, metrics["high_95"].value) == (
            rows[who]["low"],
            rows[who]["high"],
        )
        assert log.results.scores[0].metadata["outcomes"] == rows[who]["outcomes"]
        assert log.status == "success"
        assert len(log.samples) == rows[who]["responses"]
    assert logs[0].eval.metadata["split"] == "train"
    assert logs[0].eval.model == "pocket-teacher"


def test_inspects_own_accuracy_of_the_samples_is_the_same(logs: list[Any]) -> None:
    from inspect_ai.scorer import SampleScore, accuracy, value_to_float

    as_float = value_to_float()
    for log in logs:
        scored = [
            SampleScore(
                score=s.scores["potstill"].model_copy(
                    update={"value": as_float(s.scores["potstill"].value)}
                )
            )
            for s in log.samples
        ]
        assert math.isclose(accuracy()(scored), log.results.scores[0].metrics["accuracy"].value)


def test_text_comes_back_as_it_was(inspect_ai: Any, tmp_path: Path) -> None:
    said = response("p1", reasoning=HOSTILE * 2, text=HOSTILE)
    why = {"why": "different values", "symbolic": Opinion.DIFFERENT, "judge": Opinion.EQUAL}
    given = verdict(said, Outcome.WRONG, extracted=HOSTILE, judge_why=HOSTILE, **why)
    (log,) = evaluation_logs("study", [cell([(said, given)])], problems("p1"))
    (sample,) = read_back(inspect_ai, log, tmp_path).samples
    system, user, answer = sample.messages
    assert system.content == "Be brief."
    assert user.content == f"Solve: p1? {HOSTILE}"
    reasoning, text = answer.content
    assert reasoning.reasoning == HOSTILE * 2
    assert text.text == HOSTILE
    assert sample.output.choices[0].message.content[1].text == HOSTILE
    score = sample.scores["potstill"]
    assert score.answer == HOSTILE
    assert score.explanation == (
        "WRONG, decided by both.\n\ndifferent values\n\nsymbolic: DIFFERENT\n\n"
        f"judge: EQUAL ({HOSTILE})"
    )
    assert sample.metadata["year"] == "2017"
    assert sample.output.usage.output_tokens == 7


def test_seeds_and_samples_are_epochs(inspect_ai: Any, tmp_path: Path) -> None:
    seeds = []
    for seed, outcome in enumerate((Outcome.CORRECT, Outcome.WRONG, Outcome.CORRECT)):
        said = [response(i, solver=f"R1-s{seed}") for i in ("p1", "p2")]
        seeds.append(cell([(r, verdict(r, outcome)) for r in said], seed))
    drawn = [response("p1", sample=i, solver="big") for i in range(2)]
    teacher = cell([(r, verdict(r, Outcome.CORRECT)) for r in drawn], role=Role.TEACHER, level="")
    logs = evaluation_logs("study", [*seeds, teacher], problems("p1", "p2"))
    student, taught = (read_back(inspect_ai, log, tmp_path) for log in logs)
    assert student.eval.config.epochs == 3
    assert [(s.id, s.epoch, s.metadata["seed"]) for s in student.samples] == [
        (i, seed + 1, seed) for seed in range(3) for i in ("p1", "p2")
    ]
    assert student.results.scores[0].metrics["accuracy"].value == pytest.approx(2 / 3)
    assert student.eval.metadata["solvers"] == ["R1-s0", "R1-s1", "R1-s2"]
    assert [s.epoch for s in taught.samples] == [1, 2]
    assert taught.eval.model == "big"


def test_every_outcome_stands_as_what_inspect_calls_it(inspect_ai: Any, tmp_path: Path) -> None:
    finishes = {
        Outcome.TRUNCATED: Finish.LENGTH,
        Outcome.ERRORED: Finish.ERROR,
        Outcome.FILTERED: Finish.FILTERED,
    }
    said = []
    for outcome in Outcome:
        error = "the endpoint refused" if outcome is Outcome.ERRORED else ""
        one = response(outcome.value, finishes.get(outcome, Finish.STOP), error=error)
        said.append((one, verdict(one, outcome)))
    asked = cell(said, not_asked=(NotAsked("m", "p9", "c", "no record"),))
    (log,) = evaluation_logs("study", [asked], problems(*(o.value for o in Outcome)))
    log = read_back(inspect_ai, log, tmp_path)
    values = {s.id: s.scores["potstill"].value for s in log.samples}
    assert math.isnan(values.pop("BAD_KEY"))
    assert values.pop("CORRECT") == "C"
    assert {values.pop("BLANK"), values.pop("FILTERED")} == {"N"}
    assert set(values.values()) == {"I"}
    stopped = {s.id: s.output.stop_reason for s in log.samples}
    assert stopped["TRUNCATED"] == "max_tokens"
    assert stopped["FILTERED"] == "content_filter"
    (errored,) = [s for s in log.samples if s.error]
    assert (errored.id, errored.error.message) == ("ERRORED", "the endpoint refused")
    score = log.results.scores[0]
    assert score.metrics["accuracy"].value == 1 / 8
    assert (score.scored_samples, score.unscored_samples) == (8, 1)
    assert log.eval.metadata["not_asked"] == ["p9"]


def test_the_last_attempt_counts_and_the_earlier_ones_are_kept(inspect_ai: Any) -> None:
    cut = response("p1", Finish.LENGTH, text="so far")
    again = response("p1", attempt=1, text="whole")
    both = [(again, verdict(again, Outcome.CORRECT)), (cut, verdict(cut, Outcome.TRUNCATED))]
    (log,) = evaluation_logs("study", [cell(both, split=Split.TRAIN)], problems("p1"))
    (sample,) = log.samples
    assert sample.output.completion == "whole"
    assert sample.metadata["earlier_attempts"] == [
        {"finish": "LENGTH", "reasoning": "", "text": "so far"}
    ]
    assert log.eval.dataset.name == "sums (train)"


def test_without_inspect_one_sentence_names_the_command(
    study_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(inspect_log, "find_spec", lambda name: None)
    out = tmp_path / "logs"
    words = ("log", study_directory, "--to", "inspect", "--out", out)
    code, _, said = run_cli(capsys, monkeypatch, *words)
    assert code == 2
    assert said == (
        "potstill: An Inspect log needs the inspect-ai package, which is not installed; "
        "pip install 'potstill[inspect]'.\n"
    )
    assert not out.exists()


def test_what_cannot_be_written_is_refused(
    inspect_ai: Any, study_directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(InputError, match="not empty; give --out a new folder"):
        export_logs(study_directory, tmp_path / "full")
    with pytest.raises(StoreError, match="is no study directory"):
        export_logs(tmp_path, tmp_path / "out")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("study.json", "ledger.sqlite", "potstill.json"):
        (bare / name).write_bytes((study_directory / name).read_bytes())
    with pytest.raises(StoreError, match=r"holds no verdicts yet \(.* is not finished\)"):
        export_logs(bare, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote(
    inspect_ai: Any, study_directory: Path, tmp_path: Path
) -> None:
    out = tmp_path / "logs"
    done = CliRunner().invoke(
        app, ["log", str(study_directory), "--to", "inspect", "--out", str(out)]
    )
    assert done.exit_code == 0
    assert "R4 on pocket: 60 problems, 1 epoch" in done.output
    assert f"inspect view --log-dir {out}" in done.output
