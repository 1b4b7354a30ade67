"""What new users write after other tools, or in the wrong place: told with what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.errors import InputError, StoreError, StudyError
from potstill.models.folder import find_model_folder
from potstill.pipeline.directory import study_of
from potstill.pipeline.preflight import check_study
from potstill.plugins import closest
from potstill.problems import guess_source
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

API = {"solver": "api", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "lr": ({"training": {"lr": 1e-4}}, "'training.lr'; that is 'learning_rate' here."),
    "epochs": (
        {"training": {"epochs": 3}},
        "'training.epochs'; that is 'iterations' here, in steps.",
    ),
    "steps": ({"training": {"steps": 3}}, "'training.steps'; that is 'iterations' here."),
    "gpu": ({"student": {"device": "gpu"}}, "(found 'gpu'); did you mean 'cuda'?"),
    "4bit": ({"student": {"precision": "4bit"}}, "(found '4bit'); did you mean 'nf4'?"),
    "tpu": ({"student": {"device": "tpu"}}, "(found 'tpu')."),
    "openai": ({"teacher": {"solver": "openai"}}, "named 'openai'; did you mean 'api'?"),
    "a loop": ({"gates": {"off": ["loop"]}}, "did you mean 'repetition loop'?"),
    "per cent": (
        {"split": {"heldout_share": 20}},
        "'split.heldout_share': should be less than 1 (found 20); 20 % is 0.2.",
    ),
    "per cent in words": (
        {"split": {"heldout_share": "20%"}},
        "should be a number (found '20%'); 20% is 0.2.",
    ),
    "beyond a share": ({"split": {"heldout_share": 200}}, "should be less than 1 (found 200)."),
    "dollars": ({"budget_usd": "$10"}, "'budget_usd': should be a number (found '$10'); give 10."),
    "a word for a section": (
        {"split": "random"},
        "'split': should be a section, its keys beneath it (found 'random').",
    ),
    "a choice for a section": (
        {"split": "share"},
        "should be a section, its keys beneath it: by: share (found 'share').",
    ),
    "a model for an agent": (
        {"teacher": "gpt-4o"},
        "its keys beneath it, solver (api, pocket, replay, torch) first (found 'gpt-4o').",
    ),
    "gates that are not to be": (
        {"gates": False},
        "name under off: what is not to be looked at, such as gates: {off: [cut]}.",
    ),
    "the whole address": (
        {"teacher": API | {"base_url": "http://127.0.0.1:9/v1/chat/completions"}},
        "base_url ends before /chat/completions, which is added to it; take it off",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_sentence_ends_in_what_is_right(case: str, tmp_path: Path) -> None:
    changes, says = REFUSED[case]
    with pytest.raises(StudyError) as refused:
        load_study(write_small_study(tmp_path, **changes))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_name_from_elsewhere_is_known_where_ours_may_stand() -> None:
    assert closest("test", ["train", "valid", "heldout", "kept"]) == "heldout"
    assert closest("test", ["text", "key"]) == "text"
    assert closest("fp16", ["float32", "bfloat16", "float16"]) == "float16"
    assert closest("fp16", ["float32", "bfloat16", "nf4"]) == "bfloat16"


def test_a_prompt_with_doubled_braces_is_refused(tmp_path: Path) -> None:
    raw = yaml.safe_load(write_small_study(tmp_path).read_text())
    raw["teacher"]["prompt"] = "Solve {{problem}}."
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyError) as refused:
        check_study(load_study(tmp_path / "study.yaml"))
    assert str(refused.value) == (
        "teacher.prompt holds {{problem}}, which puts the question between braces; write {problem}."
    )


def test_the_path_of_a_table_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    table = {"source": "table", "path": "~/own.csv"}
    study = load_study(write_small_study(tmp_path, problems=[table]))
    assert study.problems[0].options["path"] == str(tmp_path / "own.csv")


def test_an_address_is_neither_a_table_nor_a_folder() -> None:
    with pytest.raises(InputError, match=r"^own\.csv is at an address; download it and give"):
        guess_source(Path("https://example.com/own.csv"))
    with pytest.raises(InputError, match=r"is an address; give the hub id in it, Qwen/Qwen2\.5-7B"):
        find_model_folder("https://huggingface.co/Qwen/Qwen2.5-7B/tree/main")


def test_of_a_folder_with_tables_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n1+1?,2\n")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"is a folder; give one table of it: a\.csv\.$"):
        guess_source(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match=r"is a study directory; give its study file, or a table"):
        guess_source(tmp_path)


def test_a_study_file_of_nearly_that_name_is_named(tmp_path: Path) -> None:
    write_small_study(tmp_path)
    with pytest.raises(StudyError) as refused:
        load_study(tmp_path / "study.yml")
    assert str(refused.value).endswith(f"did you mean {tmp_path / 'study.yaml'}?")


def test_a_study_that_was_not_run_is_said_not_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_small_study(tmp_path)
    code, _, err = run_cli(capsys, monkeypatch, "status", path)
    assert code == 2
    assert one_sentence(err).startswith(f"potstill: {path} has not been run: runs/")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which none can be made")
def test_a_place_where_no_folder_can_be_is_not_a_full_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_small_study(tmp_path)
    code, _, err = run_cli(capsys, monkeypatch, "run", study, "--out", "/proc/here/out")
    assert code == 2
    assert "no folder can be made there: give another directory with --out" in one_sentence(err)


def test_a_study_of_another_version_is_not_called_damaged(tmp_path: Path) -> None:
    study = load_study(write_small_study(tmp_path)).model_dump(mode="json")
    (tmp_path / "study.json").write_text(json.dumps(study | {"refining": {"rounds": 2}}))
    with pytest.raises(StoreError) as refused:
        study_of(tmp_path)
    assert "written by another version of Potstill, or changed: unknown key 'refining'" in str(
        refused.value
    )
    (tmp_path / "report").mkdir()
    with pytest.raises(StoreError) as refused:
        study_of(tmp_path / "report")
    assert str(refused.value) == (
        f"{tmp_path / 'report'} is a part of a study directory; give the whole, {tmp_path}."
    )
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(StoreError, match=r"study\.json is damaged; run the study again"):
        study_of(tmp_path)


def test_a_key_that_is_named_and_not_there_is_told_before_the_judge_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "own.csv"
    table.write_text("key,reply\n4,4\n")
    command = ["grade", table, "--gold", "key", "--response", "reply", "--out", "-"]
    judge = ["--judge", "m", "--api-key-env", "POTSTILL_NOWHERE"]
    code, _, err = run_cli(capsys, monkeypatch, *command, *judge)
    assert code == 2
    assert one_sentence(err) == (
        "potstill: --judge: POTSTILL_NOWHERE is not set; set it, or leave --api-key-env out."
    )


@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["train"]])
def test_the_copy_of_a_study_that_a_run_keeps_does_not_begin_it_anew(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    study = load_study(write_small_study(tmp_path)).model_dump(mode="json")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "study.json").write_text(json.dumps(study))
    code, _, err = run_cli(capsys, monkeypatch, *command, "done/study.json")
    assert code == 2
    assert one_sentence(err).endswith("go on where it was with --out done.")
    assert not (tmp_path / "runs").exists()
