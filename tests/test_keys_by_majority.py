"""Problems without a key, from a table to the page: taught by a majority, and told apart."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from potstill.deploy.export.corpus import export_corpus
from potstill.errors import StudyError
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.pipeline.stages import problems_cell
from potstill.planning.plan import planned_calls
from potstill.pocket import generate
from potstill.problems.split import SplitOptions, drop_keyless, split
from potstill.records import (
    DecidedBy,
    ExclusionReason,
    MajorityGold,
    NoGold,
    Outcome,
    Problem,
    Split,
    TextGold,
    is_keyed,
)
from potstill.store.setting_errors import with_lists
from potstill.study.intake import problems_of_study
from potstill.study.schema import Study, load_study
from support.command_line import run_cli
from support.small_study import write_small_study

TRAIN, VALID, HELDOUT, SAMPLES, SHARE = 34, 6, 8, 3, 0.9
BLANKED = range(10, 26)
"""Rows to train on that lose their key; of those before them a few are asked with it."""
TEACHER = {
    "solver": "pocket",
    "model": "pocket-teacher",
    "prompt": "{problem}",
    "temperature": 0.8,
    "samples": SAMPLES,
}
STUDIES = Path(__file__).resolve().parents[1] / "studies"
BEFORE = {
    "clinical": "6ae19dcc4fff343b",
    "code": "29c29e1d6829ed01",
    "competition-recorded": "f72bd38a50494371",
    "gsm8k-r1": "ee7293f8e6f92489",
    "gsm8k": "29a3b152c8fd9525",
    "law": "0e57e88bf1bd8708",
    "paper": "a44dc6f07cf25570",
    "word-problems": "7ab27293e191419f",
}


def write_table(path: Path) -> None:
    """Write pocket problems of which some have no key: most to train on, one for validation, one
    held out; and at the end one of the first again, with its key."""
    rows = []
    for part, count in (("train", TRAIN), ("valid", VALID), ("heldout", HELDOUT)):
        for number, item in enumerate(generate(part, count, 0)):
            lost = number in BLANKED if part == "train" else number == 0
            rows.append([f"{part}-{number}", item.text, "" if lost else item.answer, part])
    again = next(iter(generate("train", BLANKED[0] + 1, 0)[-1:]))
    rows.append(["again", again.text, again.answer, "train"])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "problem", "answer", "part"], *rows])


def write_study(folder: Path, **changes: Any) -> Path:
    write_table(folder / "table.csv")
    source = {"source": "table", "path": "table.csv", "id": "id", "groups": {"part": "part"}}
    settings = {
        "problems": [source],
        "split": {"by": "given", "group": "part"},
        "teacher": TEACHER,
        "keys": {"majority": SHARE},
        "evaluation": {"prompt": "{problem}", "max_tokens": 24, "seen": "report"},
    }
    return write_small_study(folder, **(settings | changes))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("majority")
    path = write_study(folder)
    report = run_study(load_study(path), folder / "run")
    assert report is not None
    return path, folder / "run", report


def test_each_problem_without_a_key_has_a_majority_or_is_excluded_with_the_counts(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    made = open_study(done[1]).made
    lost = {f"train-{n}" for n in BLANKED}
    golds = {p.id: p.gold for p in made.problems if not is_keyed(p)}
    none = {x.id: x for x in made.excluded if x.reason is ExclusionReason.NO_MAJORITY}
    assert set(golds) | set(none) == lost - {f"train-{BLANKED[0]}"}
    assert golds
    assert none, "the scripted teacher was right throughout; another share is wanted"
    assert {g.draws for g in golds.values() if isinstance(g, MajorityGold)} == {SAMPLES}
    assert {g.votes for g in golds.values() if isinstance(g, MajorityGold)} == {SAMPLES}
    for item in none.values():
        assert re.fullmatch(rf"largest group [12] of {SAMPLES}", item.detail)
    # nine in ten of the scripted teacher's answers are right: three that agree all but surely are
    right = {f"train-{n}": x.answer for n, x in enumerate(generate("train", TRAIN, 0))}
    assert {i: g.text for i, g in golds.items() if isinstance(g, MajorityGold)} == {
        i: right[i] for i in golds
    }


def test_what_needs_a_key_and_has_none_is_excluded_with_its_reason(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    made = open_study(done[1]).made
    away = {x.id: x for x in made.excluded if x.reason is ExclusionReason.NO_KEY}
    assert set(away) == {"valid-0", "heldout-0"}
    assert away["valid-0"].detail.startswith("it is for validation")
    assert away["heldout-0"].detail.startswith("it is held out")
    # of one text that stands there with a key and without, the one with the key is kept
    (same,) = [x for x in made.excluded if x.reason is ExclusionReason.DUPLICATE]
    assert (same.id, same.detail) == (f"train-{BLANKED[0]}", "same text as again")
    sides = {made.splits[p.id] for p in made.problems if not is_keyed(p)}
    assert sides == {Split.TRAIN}


def test_verdicts_against_a_majority_are_in_no_score_and_no_accuracy(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, directory, report = done
    made = open_study(directory).made
    lost = {p.id for p in made.problems if not is_keyed(p)}
    by = {v.problem_id in lost: set() for v in made.taught.verdicts}
    for v in made.taught.verdicts:
        by[v.problem_id in lost].add(v.decided_by)
    assert by[True] == {DecidedBy.MAJORITY}
    assert DecidedBy.MAJORITY not in by[False]
    keyed = [v for v in made.taught.verdicts if v.problem_id not in lost]
    counted = Counter(v.outcome.value for v in keyed)
    assert report["corpus"]["teacher_outcomes"] == dict(sorted(counted.items()))
    assert len(keyed) == SAMPLES * (TRAIN - len(BLANKED) + 1 + VALID - 1)
    right = sum(v.outcome is Outcome.CORRECT for v in keyed) / len(keyed)
    first = next(x for x in report["corpus"]["samples"] if x["k"] == 1)
    assert first["passed"]["value"] == pytest.approx(right)
    assert not {v.problem_id for cell in made.answers for v in cell.verdicts} & lost
    assert report["grader"]["decided_by"]["majority"] == SAMPLES * len(lost)


def test_lessons_on_a_majority_are_told_in_report_status_inspect_and_card(
    done: tuple[Path, Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, directory, report = done
    made = open_study(directory).made
    lost = {p.id for p in made.problems if not is_keyed(p)}
    on = [x for level in made.chosen.values() for x in level if x.problem_id in lost]
    assert on
    told = f"{len(on)} lessons ({len({x.problem_id for x in on})} problems) stand on a majority"
    assert any(told in note for note in report["notes"])
    flat = " ".join(run_cli(capsys, monkeypatch, "status", directory)[1].split())
    assert told in flat
    assert "keys by majority" in flat
    one = sorted(lost)[0]
    said = " ".join(run_cli(capsys, monkeypatch, "inspect", directory, one)[1].split())
    assert f"a majority of the teacher's answers, {SAMPLES} of {SAMPLES})" in said
    assert "(decided by majority)" in said
    export_corpus(directory, tmp_path / "rows", "dataset")
    rows = pq.read_table(tmp_path / "rows" / "R1" / "train.parquet").to_pylist()
    by = {row["problem_id"]: row["answer_by"] for row in rows}
    assert {i for i, x in by.items() if x == f"majority {SAMPLES} of {SAMPLES}"} == {
        x.problem_id for x in on
    }
    assert set(by.values()) == {"key", f"majority {SAMPLES} of {SAMPLES}"}
    card = (tmp_path / "rows" / "README.md").read_text()
    assert told in card.replace("\\", "")
    export_corpus(directory, tmp_path / "chats", "messages", ["R1"])
    lines = (tmp_path / "chats" / "R1" / "train.jsonl").read_text().splitlines()
    assert [json.loads(x)["answer_by"] for x in lines] == [row["answer_by"] for row in rows]


def test_a_second_run_makes_nothing_anew(done: tuple[Path, Path, dict[str, Any]]) -> None:
    path, directory, report = done
    before = sorted(str(x) for x in (directory / "cells").rglob("*"))
    assert run_study(load_study(path), directory) == report
    assert sorted(str(x) for x in (directory / "cells").rglob("*")) == before


def test_a_plan_says_how_many_have_no_key_and_are_asked(
    done: tuple[Path, Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = done[0]
    splits, calls = planned_calls(load_study(path), problems_of_study(load_study(path)))
    assert splits == {"train": TRAIN, "valid": VALID - 1, "heldout": HELDOUT - 1}
    (teach,) = [x for x in calls if x.stage == "teach"]
    assert teach.calls == SAMPLES * (TRAIN + VALID - 1) + HELDOUT - 1
    out = path.parent / "other"
    _, said, _ = run_cli(capsys, monkeypatch, "run", path, "--dry-run", "--out", out)
    flat = " ".join(said.split())
    assert f"keys: {len(BLANKED) - 1} problems to be taught have no key; the teacher" in flat
    assert "3 excluded (1 duplicate, 2 no key)" in flat


def test_without_the_section_such_problems_are_excluded_as_before(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    raw = yaml.safe_load(path.read_text())
    del raw["keys"]
    path.write_text(yaml.safe_dump(raw))
    found = problems_of_study(load_study(path))
    reasons = Counter(x.reason for x in found.excluded)
    assert reasons == {ExclusionReason.NO_KEY: len(BLANKED) + 2}
    assert all(map(is_keyed, found.problems))


def test_a_table_may_have_no_column_of_keys(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    (tmp_path / "asked.csv").write_text("problem,part\nHow many legs have 3 cats?,train\n")
    raw = yaml.safe_load(path.read_text())
    groups = {"part": "part"}
    raw["problems"] += [
        {"source": "table", "name": "asked", "path": "asked.csv", "key": "", "groups": groups},
        {"source": "table", "name": "code", "path": "asked.csv", "key": "", "groups": groups}
        | {"key_is": "tests", "text": "problem", "id": "problem"},
    ]
    path.write_text(yaml.safe_dump(raw))
    found = problems_of_study(load_study(path))
    asked = [p for p in found.problems if p.source == "asked"]
    assert [(p.id, p.gold, p.kind) for p in asked] == [("asked/2", NoGold(), "")]
    (tests,) = [x for x in found.excluded if x.source == "code"]
    assert (tests.reason, tests.detail[-29:]) == (
        ExclusionReason.NO_KEY,
        "no majority is taken of tests",
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keys": {"majority": 0.5}}, "0.5 of the draws is no majority, for two answers could"),
        ({"keys": {"majority": 1.1}}, "keys.majority"),
        ({"teacher": TEACHER | {"samples": 2}}, "of teacher.samples: 2 there is no majority"),
        ({"teacher": TEACHER | {"temperature": 0.0}}, "3 draws of the teacher at temperature 0"),
        ({"difficulty": {"by": "student", "train": [2, 9]}}, "would leave all of them out"),
        ({"levels": ["R0", "R1"], "controls": ["wrong"]}, "wrong is of answers that a key says"),
    ],
)
def test_a_study_without_a_possible_majority_is_refused(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = write_study(tmp_path, **changes)
    with pytest.raises(StudyError, match=re.escape(says)):
        load_study(path)


def test_a_majority_of_several_teachers_is_refused() -> None:
    teachers = [TEACHER | {"name": "a"}, TEACHER | {"name": "b", "seed": 1}]
    problems = [{"source": "pocket", "train": 8, "valid": 2, "heldout": 2}]
    study = {"name": "two", "problems": problems, "teachers": teachers, "levels": ["R0"]}
    with pytest.raises(ValueError, match="a majority is of one teacher's draws"):
        Study.model_validate(study | {"keys": {"majority": 0.6}}, strict=False)


def test_draws_that_are_copies_of_one_recording_are_refused(tmp_path: Path) -> None:
    parts = (("train", TRAIN), ("valid", VALID), ("heldout", HELDOUT))
    items = [item for part, count in parts for item in generate(part, count, 0)]
    said = [[x.text, f"It comes to \\boxed{{{x.answer}}}."] for x in items]
    with (tmp_path / "said.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["problem", "reply"], *said])
    recorded = {"path": str(tmp_path / "said.csv"), "question": "problem", "text": "reply"}
    teacher = {"solver": "replay", "model": "r", "files": [recorded], "samples": SAMPLES}
    path = write_study(tmp_path, teacher=teacher | {"prompt": "{problem}"})
    asked = TRAIN + VALID - 1
    with pytest.raises(StudyError, match=f"word for word the same for each of {asked} problems"):
        run_study(load_study(path), tmp_path / "run", until="verify")
    finished = open_study(tmp_path / "run")
    assert finished.unfinished.startswith("keys by majority is not finished")


def keyless(number: int, text: str = "", **groups: str) -> Problem:
    return Problem(f"n{number}", text or f"Problem {number}", NoGold(), "", "table", groups)


def test_a_share_draws_no_problem_without_a_key_out_of_training() -> None:
    keyed = [Problem(f"k{n}", f"Task {n}", TextGold("1"), "integer", "t") for n in range(40)]
    without = [keyless(n) for n in range(200)]
    alone = split(keyed, SplitOptions())
    splits = split([*keyed, *without], SplitOptions())
    assert {splits[p.id] for p in without} == {Split.TRAIN}
    assert {i: splits[i] for i in alone} == alone, "those with a key stand as they stood"
    with pytest.raises(StudyError, match="200 have no key, and only what has one is held out"):
        split(without, SplitOptions())


def test_a_group_that_is_held_out_excludes_what_has_no_key() -> None:
    years = ("2020", "2021", "2022", "2023")
    keyed = [
        Problem(f"k{n}", f"Task {n}", TextGold("1"), "integer", "t", {"year": years[n % 4]})
        for n in range(40)
    ]
    problems = [*keyed, keyless(0, year="2023"), keyless(1, year="2020")]
    options = SplitOptions(by="group", group="year", heldout=("2023",))
    kept, splits, away = drop_keyless(problems, split(problems, options))
    assert [x.id for x in away] == ["n0"]
    assert list(splits) == [p.id for p in kept]
    assert splits["n1"] is Split.TRAIN


def test_studies_without_the_section_keep_every_hash() -> None:
    """The digests were taken of these files by the version before there was such a section: of all
    settings as they are hashed, and of the cell of problems, that all others hang on."""
    found = {}
    for path in sorted(STUDIES.glob("*.yaml")):
        # as where nothing is set in the environment; the tables need not be there
        plain = re.sub(
            r"\$\{(\w+)(?::-([^}]*))?\}", lambda x: x[2] or x[1], path.read_text("utf-8")
        )
        study = Study.model_validate(with_lists(yaml.safe_load(plain), Study), strict=False)
        told = json.dumps(study.model_dump(mode="json"), sort_keys=True)
        whole = f"{told} {problems_cell(study).key}"
        found[path.stem] = hashlib.sha256(whole.encode()).hexdigest()[:16]
    assert {name: found[name] for name in BEFORE} == BEFORE
