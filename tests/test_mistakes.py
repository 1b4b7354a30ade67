"""Mistakes that a hundred attempts made: each is refused, or told, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.reproduce import _prepare as prepare
from potstill.errors import InputError, StudyError
from potstill.pipeline.preflight import check_splits
from potstill.pipeline.unused_settings import unused_settings
from potstill.problems import Columns, guess_source
from potstill.problems.split import SplitOptions, split
from potstill.records import Split
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

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
    "a base of no name": ({"student": {"base": ""}}, "'student.base': should be some text"),
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
