from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from potstill.errors import InputError, StudyError
from potstill.grading.plugins import kind_settings
from potstill.grading.pool import GradingPool
from potstill.lessons.ladder import LADDER
from potstill.problems import guess_source
from potstill.records import (
    Finish,
    Level,
    Outcome,
    Problem,
    Response,
    TextGold,
    canonical_json,
)
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY, write_study

ROOT = Path(__file__).resolve().parent.parent


def study(tmp_path: Path, **changes: object) -> Path:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    for name, value in changes.items():
        if value is None:
            del raw[name]
        else:
            raw[name] = value
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_shipped_studies_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POTSTILL_DATA", "POTSTILL_LEVELS"):
        monkeypatch.setenv(name, str(tmp_path))
    taught_raw = ("traces", "verifying", "teachers", "answers")
    raw = ("gsm8k-r1", *(f"what-pays-{x}" for x in taught_raw))
    first = {"law.yaml": Level.R6, **{f"{name}.yaml": Level.R0 for name in raw}}
    for path in [DEMO_STUDY, *sorted((ROOT / "studies").glob("*.yaml"))]:
        study = load_study(path)
        assert study.levels[0] == first.get(path.name, Level.R1)
        assert study.primary is None or study.primary == (study.levels[0], "base")


def test_what_init_writes_is_valid_and_runs_offline(tmp_path: Path) -> None:
    path = write_study("my-study", tmp_path)
    loaded = load_study(path)
    assert loaded.name == "my-study"
    assert {agent.solver for agent in loaded.agents().values()} == {"pocket"}
    demo = load_study(DEMO_STUDY)
    same = ("problems", "split", "teacher", "levels", "training", "evaluation")
    assert [getattr(loaded, f) for f in same] == [getattr(demo, f) for f in same]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sedes": [1]}, r"unknown key 'sedes'; did you mean 'seeds'\?"),
        ({"levers": {"buckets": False}}, r"'levers' is called 'optimizations' now; rename it"),
        (
            {"optimizations": {"cached_trunk": False}},
            r"'optimizations.cached_trunk' is called 'activation_cache' now",
        ),
        ({"training": {"leraning_rate": 1.0}}, r"'training.leraning_rate'; did you mean 'learn"),
        ({"training": {"preset": "papper"}}, r"there is no 'papper'; the presets are default, pa"),
        ({"training": {"rank": "many"}}, r"'training.rank': .*whole number.* \(found 'many'\)"),
        ({"training": {"rank": "8"}}, r"'training.rank': should be a number \(found '8'\)"),
        ({"training": {"rank": True}}, r"'training.rank': should be a number \(found True\)"),
        ({"split": {"bye": "given"}}, r"unknown key 'split.bye'; did you mean 'by'\?"),
        ({"problems": [{"source": "poket"}]}, r"no problem source named 'poket'; did .* 'pocket'"),
        ({"problems": [{"source": "pocket", "trian": 3}]}, r"unknown key 'trian'; did .* 'train'"),
        ({"teacher": {"solver": "pocket"}}, r"teacher: the key 'model' is missing"),
        ({"teacher": None}, r"the key 'teacher' is missing"),
        ({"problems": []}, r"'problems': .*1 or more"),
        ({"verifier": None}, r"verify: both needs a verifier"),
        ({"condenser": None}, r"give a condenser or recorded levels; levels: \[R0\] alone"),
        ({"seeds": [1, 1]}, r"seeds names 1 twice"),
        ({"name": "../elsewhere"}, r"'name'"),
    ],
)
def test_a_wrong_study_is_one_sentence(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    path = study(tmp_path, **changes)
    with pytest.raises(StudyError, match=complaint) as caught:
        load_study(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: [", "line 1: not valid YAML"),
        ("- a\n", "holds no study"),
        (
            "name:a\n# b\nproblems:\n  - c\n",
            "line 3: .*what stands above it is no key with a colon",
        ),
        ("name: a\n---\nname: b\n", "line 2: .*begins a second document"),
        ("name: a\nname: b\n", "line 2: not valid YAML .*'name' stands twice"),
        ("name: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_what_is_no_study_is_one_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=complaint):
        load_study(path)


def test_what_stands_in_a_study_files_place_says_what_to_give(tmp_path: Path) -> None:
    table = tmp_path / "exams.csv"
    for text in ("question,answer\nWhat is 2 + 2?,4\n", '"quoted\n', "\x00"):
        table.write_text(text)
        with pytest.raises(StudyError, match=r"no study .* init NAME --from .*exams\.csv\.$"):
            load_study(table)
    with pytest.raises(StudyError, match=r"is a folder; give a study file"):
        load_study(tmp_path)
    path = study(tmp_path)
    with pytest.raises(StudyError, match=rf"is a folder; give the study file in it: {path}"):
        load_study(tmp_path)
    with pytest.raises(InputError, match=rf"holds a study; give {path}"):
        guess_source(tmp_path)
    with pytest.raises(InputError, match=r"'mine\.yaml' would name a folder"):
        write_study("mine.yaml", tmp_path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no\.yaml does not exist; write one with potstill init"):
        load_study(tmp_path / "no.yaml")


def test_an_unset_environment_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    path = study(tmp_path, problems=[{"source": "competition", "path": "${NOT_THERE}/x"}])
    with pytest.raises(StudyError, match=r"problems\[0\]\.path needs .* NOT_THERE"):
        load_study(path)


def test_relative_paths_start_at_the_study_file(tmp_path: Path) -> None:
    path = study(tmp_path, problems=[{"source": "competition", "path": "years"}])
    assert load_study(path).problems[0].options["path"] == str(tmp_path / "years")


@pytest.mark.parametrize(
    ("written", "is_path"),
    [("./models/qwen", True), ("../qwen", True), ("qwen/qwen", False), ("model.gguf", True)],
)
def test_model_that_says_it_is_a_path_starts_at_the_study_file(
    tmp_path: Path, written: str, is_path: bool
) -> None:
    teacher = {"solver": "torch", "model": written, "prompt": "{problem}"}
    found = load_study(study(tmp_path, teacher=teacher)).teacher.options["model"]
    assert found == (str((tmp_path / written).resolve()) if is_path else written)


def test_a_preset_can_be_changed_in_part(tmp_path: Path) -> None:
    loaded = load_study(study(tmp_path, training={"preset": "paper", "iterations": 7}))
    assert (loaded.training.rank, loaded.training.iterations) == (8, 7)


def test_a_key_that_yaml_takes_for_false_is_text(tmp_path: Path) -> None:
    path = study(tmp_path)
    path.write_text(path.read_text() + "gates: {off: [false equation]}\n")
    assert [gate.value for gate in load_study(path).gates.off] == ["false equation"]


def test_a_study_sets_what_its_answer_kinds_let_one_set(tmp_path: Path) -> None:
    path = study(tmp_path, kinds={"numeric": {"tolerance": 0.5}, "choice": {"letters": "ABCD"}})
    settings = kind_settings(load_study(path).kinds)
    pairs = [
        (Problem("a", "How far?", TextGold("10"), "numeric", "t"), "10.4"),
        (Problem("b", "How far?", TextGold("10"), "numeric", "t"), "10.6"),
    ]
    responses = [
        (p, Response("s", p.id, "c", 0, 0, "", text, Finish.STOP, 0, 0, "")) for p, text in pairs
    ]
    with GradingPool(workers=1, kinds=settings) as pool:
        assert [v.outcome for v in pool.grade(responses)] == [Outcome.CORRECT, Outcome.WRONG]
    with GradingPool(workers=1) as pool:
        assert [v.outcome for v in pool.grade(responses)] == [Outcome.WRONG, Outcome.WRONG]


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        (
            {"numerik": {}},
            r"kinds\.numerik: there is no answer kind .* 'numeric'",
        ),
        (
            {"numeric": {"tolerence": 1}},
            r"kinds\.numeric: unknown key .* 'tolerance'",
        ),
        ({"code": {"limit_s": 0}}, r"kinds\.code: 'limit_s': .* 0.5 or more"),
    ],
)
def test_a_wrong_setting_of_an_answer_kind(tmp_path: Path, kinds: object, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        load_study(study(tmp_path, kinds=kinds))


def test_a_record_that_was_renamed_is_hashed_under_its_old_name() -> None:
    assert '"":"Rung"' in canonical_json(LADDER[0])


def test_a_local_model_of_an_agent_is_found_from_the_study_file_as_a_base_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "studies"
    (folder / "model").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    path = folder / "study.yaml"
    places = {
        "model": str(folder / "model"),
        "small.gguf": str(folder / "small.gguf"),
        "../up": str(tmp_path / "up"),
        "org/name": "org/name",
        str(tmp_path / "whole"): str(tmp_path / "whole"),
    }
    for written, meant in places.items():
        raw["teacher"] = {"solver": "torch", "model": written}
        path.write_text(yaml.safe_dump(raw))
        assert load_study(path).teacher.options["model"] == meant
    raw["teacher"] = {"solver": "torch", "model": "elsewhere"}
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyError, match=r"'teacher.model': elsewhere is in the working directory"):
        load_study(path)
    raw["teacher"] = {"solver": "api", "model": "model", "base_url": "http://127.0.0.1:1"}
    path.write_text(yaml.safe_dump(raw))
    assert load_study(path).teacher.options["model"] == "model"


@pytest.mark.parametrize(
    ("section", "key", "told"),
    [
        ("training", "lora_r", "'training.lora_r'; that is 'rank' here."),
        ("training", "num_train_epochs", "that is 'iterations' here, in steps."),
        ("training", "per_device_train_batch_size", "that is 'batch_size' here."),
        ("student", "model_name_or_path", "that is 'base' here."),
        ("student", "load_in_4bit", "that is 'precision' here."),
        ("evaluation", "max_new_tokens", "that is 'max_tokens' here."),
        ("teacher", "max_new_tokens", "that is 'max_tokens' here."),
        ("", "dataset", "that is 'problems' here."),
        ("", "seed", "that is 'seeds' here."),
        # what no other tool says is still near something, or nothing
        ("training", "iteratons", "did you mean 'iterations'?"),
        ("gates", "lora_r", "here are: advisory, "),
    ],
)
def test_another_tools_name_of_a_setting_is_told_ours(
    tmp_path: Path, section: str, key: str, told: str
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    (raw.setdefault(section, {}) if section else raw)[key] = 1
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert told in str(caught.value)
