"""A wrong setting is told in words that an engineer knows, with the value that is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.errors import StudyError
from potstill.study.schema import Study, load_study
from potstill.study.templates import DEMO_STUDY

_PYDANTIC = ("valid ", "instance of", "constrained", "pattern", "tuple", "parse", "Input", "ctx")


def _load(folder: Path, where: str, value: Any) -> Study:
    """Load the demo study with one setting changed, written as YAML writes it."""
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    *outer, last = where.split(".")
    section = raw
    for name in outer:
        section = section[int(name)] if name.isdigit() else section.setdefault(name, {})
    section[last] = value
    if where.startswith("recorded"):
        del raw["condenser"]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load_study(path)


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        ("levels", ["R1", "R9"], "'levels[1]': should be 'R0', 'R1', 'R2', 'R3', 'R4', 'R5' or"),
        ("levels", "R1, r3", "(found 'R1, r3'); write a list: [R1, R3]."),
        ("levels", "R4-R6", "(found 'R4-R6'); write a list: [R4, R5, R6]."),
        ("levels", "R1, R9", "(found 'R1, R9'); did you mean"),
        ("levels", 6, "(found 6); did you mean 'R6', or [R1, R2, R3, R4, R5, R6]?"),
        ("levels", ["R1", 3], "'R5' or 'R6' (found 3); did you mean 'R3'?"),
        ("levels", ["R1", "R7"], "(found 'R7'); did you mean 'R6'?"),
        ("levels", "r12", "(found 'r12'); did you mean 'R6'?"),
        ("levels", 12, "'R5' or 'R6' (found 12)."),
        ("levels", "all", "(found 'all'); write a list: [R1, R2, R3, R4, R5, R6]."),
        ("levels", [], "'levels': should be a list of 1 or more"),
        ("seeds", 3, "'seeds': should be a list of seeds: give [0, 1, 2] for 3 seeds (found 3)"),
        ("seeds", [1.5], "'seeds[0]': should be a whole number (found 1.5)"),
        ("seeds", [-1], "'seeds[0]': should be 0 or more (found -1)"),
        ("seeds", [2**40], "'seeds[0]': should be 4,294,967,295 or less"),
        ("problems", "exams.csv", "its keys beneath it: source: table and path: exams.csv"),
        ("verify", "symbolic, both", "(found 'symbolic, both')"),
        ("split.by", "shar", "(found 'shar'); did you mean 'share'?"),
        ("split.by", "year", "(found 'year'); did you mean 'group', with group: year beside it?"),
        ("split.by", "Topic", "did you mean 'group', with group: Topic beside it?"),
        ("split.by", "random", "(found 'random'); did you mean 'share'?"),
        ("split", "share", "'split': should be a section, its keys beneath it: by: share"),
        ("split.heldout_share", "20%", "'split.heldout_share': should be a number (found '20%')"),
        ("split.heldout_share", 1, "should be less than 1 (found 1)"),
        ("training.learning_rate", "fast", "should be a number or 'auto' (found 'fast')"),
        ("training.rank", 16.5, "should be a whole number (found 16.5)"),
        ("training.rank", -1, "should be 1 or more (found -1)"),
        ("training.iterations", "autos", "iterations': should be a whole number or 'auto'"),
        ("training.iterations", "4", "(found '4'); write 4 without quotes."),
        ("training.iterations", "1_000", "write 1000 without an underscore."),
        ("training.iterations", "010", "(found '010'); write 10 without a nought before it."),
        ("training.learning_rate", "0.001", "(found '0.001'); write 0.001 without quotes."),
        ("training.layers", "top", "'training.layers': should be a whole number or 'all'"),
        ("training.betas", [0.9], "'training.betas': should be 2 values"),
        ("training.betas", [0.9, 0.99, 0.999], "should be 2 values and no more"),
        ("training", "paper", "its keys beneath it: preset: paper"),
        ("teacher", None, "'teacher': is empty; give a value, or take the line out"),
        ("teacher", "pocket", "its keys beneath it: solver: pocket"),
        ("teacher.temperature", 3, "should be 2 or less (found 3)"),
        ("teacher.max_tokens", "8k", "should be a whole number (found '8k')"),
        ("teacher.max_tokens", 0, "should be more than 0 (found 0)"),
        ("teacher.prompt", 5, "'teacher.prompt': should be text (put it in quotes) (found 5)"),
        ("teacher.latency_s", "slow", "teacher: 'latency_s': should be a number (found 'slow')"),
        ("name", "my study", "'name': should be letters, digits, dots, dashes and underscores"),
        ("problems", ["pocket"], "should be a section, its keys beneath it: source: pocket"),
        ("problems.0.train", -4, "problems[0]: 'train': should be 0 or more (found -4)"),
        ("primary", "R1", "'primary': should be a list, such as [a, b] (found 'R1')"),
        ("budget_usd", "$5", "'budget_usd': should be a number (found '$5')"),
        ("student.device", "gpu", "or 'mps' (found 'gpu'); did you mean 'cuda'?"),
        ("student", "qwen", "its keys beneath it: base: qwen"),
        ("kinds", {"numeric": {"tolerance": "x"}}, "kinds.numeric: 'tolerance': should be a num"),
        ("kinds", ["numeric"], "'kinds': should be a section, its keys beneath it"),
        ("cluster.workers", "a", "'cluster.workers': should be a whole number (found 'a')"),
        ("recorded.files", {"path": "x.csv", "levels": {"R9": "a"}, "id": "i"}, "recorded.files"),
        (
            "published",
            [{"table": "T", "label": "L", "correct": 10, "n": 5}],
            "correct (10) is more than the n (5) problems that it is a count of; mend one",
        ),
        (
            "published",
            [{"table": "T", "label": "L", "correct": 1, "n": 5, "seen": 6}],
            "seen (6) is more than the n (5) problems",
        ),
        ("kinds", {"integer": {"tolerance": 0.1}}, "kinds.integer: this kind has no settings"),
        ("foo", 1, "unknown key 'foo'; did you mean 'forms'?"),
        ("name", "a" * 300, "'name': should be 100 characters or fewer (found 'aaaa"),
        ("levels", ["r1"], "(found 'r1'); did you mean 'R1'?"),
        ("levels", ["R1", "R1"], "levels names R1 twice; take one of them out"),
        ("problems.0.train", True, "problems[0]: 'train': should be a number (found True)"),
        ("verifier", "none", "'verifier': should be a section (found 'none'); take the line out."),
        ("difficulty", "none", "'difficulty': should be a section (found 'none'); take the line"),
        ("optimizations", "none", "(found 'none'); each of its keys is switched alone, such as "),
        ("optimizations", False, "(found False); each of its keys is switched alone, such as bu"),
        ("teacher", "none", "its keys beneath it, solver (api, "),
        ("optimizations.buckets", "yes", "buckets': should be true or false (found 'yes')."),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_plain_sentence(
    tmp_path: Path, where: str, value: Any, says: str
) -> None:
    with pytest.raises(StudyError) as refused:
        _load(tmp_path, where, value)
    said = str(refused.value)
    assert says in said
    assert not [word for word in _PYDANTIC if word in said]
    assert said.endswith((".", "?"))


def test_a_key_in_place_of_its_variable_is_refused_and_never_shown(tmp_path: Path) -> None:
    key = "sk-abcdef1234567890"
    api = {"solver": "api", "model": "m", "base_url": "http://127.0.0.1:1/v1", "provider": "p"}
    with pytest.raises(StudyError, match="teacher: 'api_key_env': should be the name") as refused:
        _load(tmp_path, "teacher", api | {"api_key_env": key})
    assert key not in str(refused.value)


@pytest.mark.parametrize(
    ("where", "value", "field", "means"),
    [
        ("levels", "R1", "levels", ["R1"]),
        ("mix", "R1", "mix", ["R1"]),
        ("controls", "truncate", "controls", ["truncate"]),
        ("training_log", "wandb", "training_log", ["wandb"]),
        ("split", {"by": "group", "group": "year", "heldout": 2020}, "split.heldout", ("2020",)),
        ("training.target_modules", "q_proj", "training.target_modules", ("q_proj",)),
        ("evaluation.base_at", "R1", "evaluation.base_at", ["R1"]),
        ("problems", {"source": "pocket"}, "problems.0.source", "pocket"),
        (
            "recorded",
            {"files": {"path": "x.csv", "levels": {"R1": "a"}, "id": "i"}, "made_by": "us"},
            "recorded.files.0.id",
            ("i",),
        ),
    ],
)
def test_a_single_value_is_a_list_of_one(
    tmp_path: Path, where: str, value: Any, field: str, means: Any
) -> None:
    found: Any = _load(tmp_path, where, value)
    for name in field.split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    assert found == means


@pytest.mark.parametrize(
    ("text", "means"), [("1e-3", 1e-3), ("1E-4", 1e-4), ("2.5e-05", 2.5e-5), ("1.e-3", 1e-3)]
)
def test_a_number_with_an_exponent_is_a_number(tmp_path: Path, text: str, means: float) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        DEMO_STUDY.read_text().replace("training: {", f"training: {{learning_rate: {text}, ", 1)
    )
    assert load_study(path).training.learning_rate == means


@pytest.mark.parametrize(
    "text", ["010", "08", "0o10", "0x10", "0b11", "1:30", "1:30.5", "1_000", "1_0.5", "=", "<<"]
)
def test_what_only_old_yaml_takes_for_a_number_is_text(tmp_path: Path, text: str) -> None:
    demo = DEMO_STUDY.read_text()
    path = tmp_path / "study.yaml"
    path.write_text(f"{demo}\npublished: {{table: {text}, n: 1, correct: 1, label: x}}\n")
    assert load_study(path).published[0].table == text
    for setting in ("rank", "learning_rate"):
        path.write_text(demo.replace("training: {", f"training: {{{setting}: {text}, ", 1))
        with pytest.raises(StudyError, match=rf"training.{setting}.*(found '{text}')"):
            load_study(path)


@pytest.mark.parametrize(
    ("text", "means"), [("10", 10), ("+5", 5), ("-3", -3), ("0", 0), ("1.5e3", 1500), ("1.", 1)]
)
def test_a_plain_number_is_a_number(tmp_path: Path, text: str, means: int) -> None:
    path = tmp_path / "study.yaml"
    demo = DEMO_STUDY.read_text()
    path.write_text(demo.replace("split: {by: given", f"split: {{by: given, seed: {text}", 1))
    assert load_study(path).split.seed == means


@pytest.mark.parametrize(("text", "means"), [("on", "on"), ("off", "off"), ("auto", "auto")])
def test_on_and_off_are_words_where_a_setting_has_them(
    tmp_path: Path, text: str, means: str
) -> None:
    path = tmp_path / "study.yaml"
    demo = DEMO_STUDY.read_text()
    path.write_text(demo.replace("training: {", f"training: {{checkpointing: {text}, ", 1))
    assert load_study(path).training.checkpointing == means


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("<<: x", "<<: takes what was named before with &NAME, as *NAME"),
        ("mix: !foo x", "no study has the tag !foo"),
        ("? [a]\n: b", "a list or a section stands where a key belongs"),
        ("mix: *x", "*x is named nowhere before it with &x"),
        ("mix: a: b", "a colon too many"),
        ("mix:\n\t- R1", "a tab where blanks belong"),
        ("mix: @x", "text that begins with @ needs quotes"),
        ("mix: [R1", "a bracket that is not closed"),
        ("mix: 'R1", "a quote or a bracket that is not closed"),
    ],
)
def test_what_is_no_yaml_is_told_in_plain_words(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"{DEMO_STUDY.read_text()}\n{line}\n")
    with pytest.raises(StudyError) as refused:
        load_study(path)
    assert f"not valid YAML ({says}" in str(refused.value)


def test_the_path_of_a_base_starts_at_the_study_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "studies", tmp_path / "here"
    for folder in (there / "models" / "base", there / "bare", here / "models" / "other"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    means = {
        "models/base": str(there / "models" / "base"),
        "bare": str(there / "bare"),
        "./none": str(there / "none"),
        "../here/models/other": str(here / "models" / "other"),
        "Qwen/Qwen2.5-0.5B": "Qwen/Qwen2.5-0.5B",
        "pocket": "pocket",
        "~/base": "~/base",
        "package:none": "package:none",
        str(here): str(here),
    }
    for given, found in means.items():
        assert _load(there, "student.base", given).student.base == found
    with pytest.raises(StudyError, match="models/other is in the working directory and not beside"):
        _load(there, "student.base", "models/other")
    api = {"solver": "api", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    read = _load(there, "teacher", api | {"api_key_file": "keys/one"}).teacher.options
    assert read["api_key_file"] == str(there / "keys" / "one")


@pytest.mark.parametrize("text", ["1234e56", "71e8892", "12e", "e-3"])
def test_what_may_be_a_hash_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(DEMO_STUDY.read_text() + f"\npublished: {{table: {text}, n: 1, correct: 1, "
                    "label: x}\n")  # fmt: skip
    assert load_study(path).published[0].table == text


def test_a_decimal_comma_in_braces_is_told(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = DEMO_STUDY.read_text().replace("training: {", "training: {learning_rate: 1,5, ", 1)
    path.write_text(text)
    with pytest.raises(StudyError, match=r"a key 5 that is no name; decimals .* a point"):
        load_study(path)
