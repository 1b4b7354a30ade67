"""Mistakes that a hundred attempts made: each is refused, or told, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from potstill.analysis.reproduce import _prepare as prepare
from potstill.analysis.verify import verify_study
from potstill.cli.options import terminal
from potstill.errors import InputError, StudyError
from potstill.grading.key_reading import KeyReader
from potstill.lessons.recorded import Options as RecordedLevels
from potstill.lessons.recorded import refuse_unmatched
from potstill.pipeline.preflight import check_problems
from potstill.pipeline.run import run_study
from potstill.problems import Columns, guess_source
from potstill.problems.split import SplitOptions, split
from potstill.records import Problem, RubricGold, Split, TestsGold, TextGold
from potstill.solvers.api import PriceOptions
from potstill.study.agents import options_of
from potstill.study.checks import check_splits
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from potstill.study.unused_settings import unused_settings
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

TABLE = {"source": "table", "path": "own.csv", "text": "question", "key": "answer"}
LEVELS = {"path": "own.csv", "levels": {"R1": "long", "R6": "short"}, "question": "question"}
API = {"solver": "api", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
POCKET = {"source": "pocket", "train": 24, "valid": 8, "heldout": 12}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "mix": ({"mix": ["R1", "R1", "R6"]}, "mix names R1 twice; take one of them out"),
    "controls": ({"controls": ["truncate", "truncate"]}, "controls names truncate twice"),
    "projections": (
        {"training": {"target_modules": ["q_proj", "q_proj"]}},
        "training.target_modules names q_proj twice",
    ),
    "trackers": ({"training_log": ["trackio", "trackio"]}, "training_log names trackio twice"),
    "held out": (
        {"split": {"by": "group", "group": "year", "heldout": ["2020", "2020"]}},
        "split.heldout names 2020 twice",
    ),
    "gates": ({"gates": {"off": ["cut", "cut"]}}, "gates.off names cut twice"),
    "sources": (
        {"problems": [POCKET, POCKET]},
        "two sources are called 'pocket'; give one of them another name, such as name: pocket-2.",
    ),
    "rater": ({"rater": {"solver": "pocket", "model": "pocket-verifier"}}, "take rater: out"),
    "no rater": ({"difficulty": {"by": "model"}}, "add rater:"),
    "spread": (
        {"published": [{"table": "T", "label": "L", "correct": 1, "n": 2, "spread": 17}]},
        "'published[0].spread': should be 1 or less (found 17)",
    ),
    "threads": ({"training": {"threads": 5_000}}, "should be 1,024 or less (found 5000)"),
    "no path": ({"problems": [TABLE | {"path": ""}]}, "'problems[0].path' is empty; give a file"),
    "an empty variable": (
        {"problems": [TABLE | {"path": "${POTSTILL_NOWHERE:-}"}]},
        "'problems[0].path' is empty; give a file",
    ),
    "its own answer": (
        {"problems": [TABLE | {"key": "question"}]},
        "text and key are both the column 'question'",
    ),
    "its own solution": (
        {"problems": [TABLE | {"solution": "question"}]},
        "text and solution are both the column 'question'",
    ),
    "tolerance": (
        {"problems": [TABLE | {"tolerance": 0.1}]},
        "tolerance decides nothing with key_is: text; set key_is: number",
    ),
    "two levels of a column": (
        {"condenser": None, "recorded": {"files": [LEVELS | {"levels": {"R1": "a", "R6": "a"}}]}},
        "levels: R1, R6 are all of the column 'a'",
    ),
    "id and question": (
        {"condenser": None, "recorded": {"files": [LEVELS | {"id": ["question"]}]}},
        "question decides nothing beside id",
    ),
    "a file twice": (
        {"condenser": None, "recorded": {"files": [LEVELS, LEVELS]}},
        "files[1]: R1 of own.csv stands there twice",
    ),
    "a base of no name": ({"student": {"base": ""}}, "'student.base': should be some text"),
    "a wait beyond the longest": (
        {"teacher": API | {"backoff_s": 60.0, "backoff_max_s": 1.0}},
        "backoff_s (60) is never reached beside backoff_max_s (1)",
    ),
    "a silence longer than the reply": (
        {"teacher": API | {"timeout_read_s": 100.0, "timeout_total_s": 5.0}},
        "timeout_read_s (100) is never reached beside timeout_total_s (5)",
    ),
    "more than can be drawn": (
        {"problems": [POCKET | {"train": 10**9}]},
        "'train': should be 20,000 or less (found 1000000000)",
    ),
    "more than can be known": (
        {"teacher": {"solver": "pocket", "model": "pocket-teacher", "problems": 10**9}},
        "'problems': should be 20,000 or less (found 1000000000)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_as_the_study_is_read(case: str, tmp_path: Path) -> None:
    changes, says = REFUSED[case]
    path = write_small_study(tmp_path, **changes)
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({k: v for k, v in raw.items() if v is not None}))
    with pytest.raises(StudyError) as refused:
        load_study(path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


TOLD: dict[str, tuple[dict[str, Any], str]] = {
    "warm-up": (
        {"training": {"warmup_steps": 100, "iterations": 20, "learning_rate": 1e-3}},
        "training.warmup_steps: 100 is more than the 20 iterations, so the learning rate rises to "
        "0.0002 and never to 0.001",
    ),
    "patience": (
        {"training": {"patience": 5, "iterations": 50, "validate_every": 20}},
        "training.patience: 5 validations without a better one are more than a run has after its "
        "first (2)",
    ),
    "thinking": ({"student": {"thinking": "tags"}}, "student.thinking: it is the form of R0"),
    "seed": ({"evaluation": {"seed": 3}}, "evaluation.seed: with temperature: 0 nothing is drawn"),
    "gates": (
        {"gates": {"off": ["cut"], "advisory": ["cut"]}},
        "gates.advisory: 'cut' is off, so it is not looked at",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_setting_that_another_leaves_without_effect_is_told(case: str, tmp_path: Path) -> None:
    changes, says = TOLD[case]
    told = unused_settings(load_study(write_small_study(tmp_path, **changes)))
    assert [sentence for sentence in told if sentence.startswith(says)]


def test_settings_that_have_an_effect_are_not_told(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "levels": ["R0", "R1"],
        "training": {"warmup_steps": 20, "iterations": 20, "patience": 2, "validate_every": 7},
        "student": {"thinking": "tags"},
        "evaluation": {"seed": 3, "temperature": 0.5},
        "gates": {"off": ["answer not derived"]},
    }
    assert unused_settings(load_study(write_small_study(tmp_path, **changes))) == ()


@pytest.mark.parametrize(
    ("training", "mix", "told"),
    [
        ({"batch_size": 25}, [], True),
        ({"batch_size": 24}, [], False),
        ({"batch_size": 8, "accumulation": 4}, [], True),
        ({"batch_size": 8, "accumulation": 4}, ["R1", "R6"], False),
    ],
)
def test_a_step_of_more_than_there_is_to_train_on_is_told(
    training: dict[str, int], mix: list[str], told: bool, tmp_path: Path
) -> None:
    study = load_study(write_small_study(tmp_path, training=training, mix=mix))
    said = check_splits(study, [], {Split.TRAIN: 24, Split.VALID: 8, Split.HELDOUT: 12})
    assert any("24 problems are trained on, so every step" in x for x in said) == told


def test_no_problem_at_all_is_not_called_excluded() -> None:
    with pytest.raises(StudyError, match="the sources hold none, or every one was excluded"):
        split([], SplitOptions())


def test_a_table_that_is_not_utf_16_is_not_said_to_be_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("question,answer\nWhat is 2+2?,4\n")
    with pytest.raises(InputError) as refused:
        guess_source(path, Columns(encoding="utf-16"))
    assert str(refused.value) == (
        f"{path} does not begin as UTF-16 does; leave the encoding out, or name another."
    )


def test_doctor_reads_the_study_before_it_looks_around(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr("potstill.cli.doctor.look_around", looked.append)
    code, out, err = run_cli(capsys, monkeypatch, "doctor", tmp_path / "none.yaml")
    assert (code, out, looked) == (2, "", [])
    assert "none.yaml does not exist" in one_sentence(err)


def test_a_file_in_the_place_of_a_reproduction_is_not_to_be_deleted(tmp_path: Path) -> None:
    path = write_small_study(tmp_path)
    with pytest.raises(InputError, match=r"study\.yaml is a file; name a new folder with --out\.$"):
        prepare(tmp_path / "out", path, {}, again=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.lock.json").write_text("{}")
    with pytest.raises(InputError, match=r"mine is not empty; name another folder with --out\.$"):
        prepare(tmp_path / "out", tmp_path / "mine", {}, again=False)


@pytest.mark.parametrize("changes", [{"verifier": None}, {"verify": "symbolic"}])
def test_a_rubric_that_nobody_would_judge_by_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    raw = yaml.safe_load(write_small_study(tmp_path).read_text()) | {"verify": "undecided"}
    raw = {k: v for k, v in (raw | changes).items() if v is not None}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    rubric = Problem("a/1", "Why?", RubricGold("Names the cause."), "judge", "a", {})
    with pytest.raises(StudyError, match=r"1 problem \(a/1, ...\) can only be graded by a judge"):
        check_problems(load_study(tmp_path / "study.yaml"), [rubric])


@pytest.mark.parametrize(
    ("tests", "says"),
    [
        ("2", "its tests test nothing"),
        ("x = [1, 2]", "its tests test nothing"),
        ("assert f(2) == ", "its tests are no Python"),
        ("assert f(2) == 4", ""),
        ("check(f)", ""),
    ],
)
def test_tests_that_every_program_passes_are_no_key(tests: str, says: str) -> None:
    problem = Problem("a/1", "Write f.", TestsGold(tests), "code", "a", {})
    fault = KeyReader().fault(problem)
    assert fault.startswith(says)
    assert bool(fault) == bool(says)


@pytest.mark.parametrize(
    ("matched", "says"),
    [
        ({"question": "short"}, "first question is 'So 5.', and the study's first is 'What is 2+3"),
        ({"id": ["short"]}, "first id is 'So 5.', and the study's first is 'a/1'"),
    ],
)
def test_levels_of_other_problems_are_refused(
    matched: dict[str, Any], says: str, tmp_path: Path
) -> None:
    (tmp_path / "own.csv").write_text("key,question,short\na/1,What is 2+3?,So 5.\n")
    file = {"path": tmp_path / "own.csv", "levels": {"R1": "short"}}
    problems = [Problem("a/1", "What is 2+3?", TextGold("5"), "integer", "a", {})]
    refuse_unmatched(recorded(file | {"question": "question"}), problems)
    refuse_unmatched(recorded(file | {"id": ["key"]}), problems)
    with pytest.raises(InputError, match=r"no row of .*own\.csv belongs to a problem") as refused:
        refuse_unmatched(recorded(file | matched), problems)
    assert says in str(refused.value)


def recorded(file: dict[str, Any]) -> RecordedLevels:
    return RecordedLevels.model_validate({"files": [file]}, strict=False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"primary": "R1"}'])
def test_a_damaged_declaration_is_found(text: str, tmp_path: Path) -> None:
    run_study(load_study(write_small_study(tmp_path)), tmp_path / "out", until="problems")
    assert not verify_study(tmp_path / "out").damaged
    (tmp_path / "out" / "declared.json").write_text(text)
    (said,) = verify_study(tmp_path / "out").damaged
    assert said.startswith("declared.json cannot be read")
    (tmp_path / "out" / "declared.json").write_text('{"primary": ["R1", "base"]}')
    assert not verify_study(tmp_path / "out").damaged


@pytest.mark.parametrize(("columns", "width"), [("0", 80), ("00", 80), ("33", 33), ("", 80)])
def test_a_terminal_of_no_width_shows_something(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal().width == width


@pytest.mark.parametrize("price", [{"input": 1e-6, "output": 2.0}, {"input": 1, "output": 2e-6}])
def test_a_price_by_the_token_is_told_by_the_million(price: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"per million tokens, and .*e-06 .*; give [12]"):
        PriceOptions(**price)
    assert PriceOptions(input=0, output=0.003).output == 0.003


def test_a_setting_that_may_be_several_things_is_named_as_it_stands(tmp_path: Path) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["teacher"] = {"solver": "api", "model": "m", "base_url": "http://x/v1", "thinking": 4096}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match=r"'thinking': should be true or false or text"):
        options_of(load_study(path).teacher)


@pytest.mark.parametrize(
    ("text", "leans"),
    [
        ("In question 3 above, what is the remainder?", True),
        ("Use the result of the previous part to find x.", True),
        ("Wie groß ist x in Aufgabe 2 oben?", True),
        ("b) And what is its half?", True),
        ("Using your result from question 3, find x.", True),
        ("Same as above, but with 5 kg.", True),
        ("In the situation of Task 2, who is faster?", True),
        ("Wie in Aufgabe 3, aber mit 5 kg?", True),
        ("What is the answer to problem solving by 5 of part of the class?", False),
        ("A kite flies 30 m above the ground. How high is it?", False),
        ("There are 3 questions above 50 points. How many points are they?", False),
    ],
)
def test_a_problem_that_needs_one_before_it_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    leans: bool,
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f'question,answer\n"{text}",5\nWhat is 2 + 2?,4\n')
    _, out, _ = run_cli(capsys, monkeypatch, "problems", table)
    assert ("1 problem leans on one before it" in " ".join(out.split())) == leans


def test_a_mark_of_exclamation_behind_a_large_number_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("question,answer\nHow many?,120!\nHow many ways for 10 of them?,10!\n")
    said = " ".join(run_cli(capsys, monkeypatch, "problems", table)[1].split())
    assert "1 key may be meant otherwise (120! of t/2); it is read as a factorial" in said


@pytest.mark.parametrize(
    ("off_peak", "told"),
    [
        ({"input": 100, "output": 500, "hours": ["16:30-00:30"]}, "dearer than the price beside"),
        ({"input": 1, "output": 5, "hours": ["16:30-16:30"]}, "are no hours"),
    ],
)
def test_prices_of_other_hours_that_cannot_be_meant(off_peak: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PriceOptions(input=10, output=50, off_peak=off_peak)


def test_choices_in_columns_are_told_in_other_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Frage,Antwort A,Antwort B,Antwort C,Lösung\nWas ist 2+2?,3,4,5,B\n")
    said = " ".join(run_cli(capsys, monkeypatch, "problems", table)[1].split())
    assert "the choices in columns Antwort A, Antwort B, Antwort C are no part of the text" in said
