"""A student is found by id, by level, by level and seed, and how it did comes from the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from potstill.analysis.students import FoundStudent, find_student
from potstill.deploy.export.card import model_card
from potstill.deploy.export.reasking import Reasked
from potstill.deploy.serve.asking import how_sure
from potstill.errors import InputError, StoreError
from support.command_line import one_sentence, run_cli


def test_a_student_is_found_by_id_and_by_level(study_directory: Path, found: FoundStudent) -> None:
    assert found.student.variant == "R4"
    for name in (found.student.id, "R4", "R4-s0", "r4", "r4-S0", found.student.id.lower()):
        assert find_student(study_directory, name).student == found.student
    assert found.condition.system == "You solve problems."
    assert found.condition.template == "{problem}\n\nThink first."


def test_the_best_one_is_taken_where_none_is_named(study_directory: Path) -> None:
    report = json.loads((study_directory / "report" / "report.json").read_text())
    rows = [r for r in report["scores"] if r["role"] == "student" and r["group"] == "all"]
    best = max(row["accuracy"] for row in rows)
    chosen = find_student(study_directory)
    assert [row["accuracy"] for row in chosen.scores] == [best]


@pytest.mark.parametrize("name", ["R9", "R4-s7", "R4-s0-00000000"])
def test_an_unknown_student_brings_the_list(study_directory: Path, name: str) -> None:
    with pytest.raises(
        InputError,
        match=rf"no student '{name}'; .*here are: R1-s0-\w+, R4-s0-\w+, mix-s0-\w+\.",
    ):
        find_student(study_directory, name)


@pytest.mark.parametrize("level", ["R1", "R4"])
def test_the_mixed_student_is_asked_for_a_level(study_directory: Path, level: str) -> None:
    mixed = find_student(study_directory, f"mix-{level}")
    assert mixed.student.variant == "mix"
    assert mixed.name == f"{mixed.student.id}:mix-{level}"
    assert mixed.condition.template.startswith("{problem}\n\nThink first.\n\nLevel " + level)
    assert len(mixed.answers()) == 60
    report = json.loads((study_directory / "report" / "report.json").read_text())
    rows = [r for r in report["scores"] if r["level"] == f"mix-{level}" and r["group"] == "all"]
    assert [row["accuracy"] for row in mixed.scores] == [row["accuracy"] for row in rows]


def test_the_mixed_student_is_asked_for_its_best_level_where_none_is_named(
    study_directory: Path,
) -> None:
    mixed = find_student(study_directory, "mix")
    both = [find_student(study_directory, f"mix-{level}") for level in ("R1", "R4")]
    best = max(found.scores[0]["accuracy"] for found in both)
    assert mixed.scores[0]["accuracy"] == best
    with pytest.raises(InputError, match="has not asked its mixed student for R5"):
        find_student(study_directory, "mix-R5")


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no study directory"):
        find_student(tmp_path, "R4")


def test_its_answers_are_those_of_the_study(found: FoundStudent) -> None:
    answers = found.answers()
    assert len(answers) == 60
    assert {response.solver for _, response in answers} == {found.student.id}
    assert all(p.id == response.problem_id for p, response in answers)


def test_how_sure_is_the_reports_own_figure(study_directory: Path, found: FoundStudent) -> None:
    report = json.loads((study_directory / "report" / "report.json").read_text())
    row = next(
        r
        for r in report["scores"]
        if r["solver"] == found.student.id and r["group"] == "all" and r["split"] == "heldout"
    )
    figures = [f"{100 * row[name]:.1f}" for name in ("accuracy", "low", "high")]
    said = how_sure(found)
    assert f"right on {figures[0]} % of 60 held-out problems of pocket" in said
    assert f"(95 % {figures[1]} to {figures[2]})" in said


def test_a_report_from_before_readings_were_counted_is_read(
    study_directory: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "older"
    shutil.copytree(study_directory, directory)
    path = directory / "report" / "report.json"
    report = json.loads(path.read_text())
    del report["unread"]
    for row in (*report["scores"], *report["levels"]):
        del row["readings"], row["readings_right"]
    for row in report["comparisons"]:
        del row["format"], row["survives_format"]
    path.write_text(json.dumps(report))
    found = find_student(directory, "R4")
    assert found.scores
    assert found.unread == ()


def test_the_card_warns_of_a_base_that_could_not_be_read(
    study_directory: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "talks"
    shutil.copytree(study_directory, directory)
    path = directory / "report" / "report.json"
    report = json.loads(path.read_text())
    examples = [
        {"problem_id": f"p{i}", "end": f"<script>{i}</script>\n# It is {i}", "why": "none found"}
        for i in range(3)
    ]
    of = {"set": "pocket", "split": "heldout", "responses": 60, "unread": 6, "examples": examples}
    named = (("base", "base"), ("R1", "student"), ("R4", "student"), ("teacher", "teacher"))
    report["unread"] = [of | {"who": who, "role": role} for who, role in named]
    path.write_text(json.dumps(report))
    found = find_student(directory, "R4")
    assert [row["who"] for row in found.unread] == ["base", "R4"]
    card = model_card(found, "peft", "", Reasked())
    assert "**Warning.** 6 of the base's 60 answers on pocket (10.0 %) could not be read" in card
    assert "**Warning.** 6 of R4's 60 answers" in card
    assert card.count("ends with: &lt;script") == 6
    assert "<script" not in card
    report["unread"][0]["examples"][0]["end"] = 5
    path.write_text(json.dumps(report))
    with pytest.raises(StoreError, match="is damaged"):
        find_student(directory, "R4")


def test_a_damaged_student_is_named_and_not_exported(
    study_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = shutil.copytree(study_directory, tmp_path / "study")
    student = find_student(copy, "R4")
    (student.folder / "adapter_model.safetensors").write_bytes(b"")
    out = tmp_path / "peft"
    for command in (
        ("export", copy, "--student", "R4", "--to", "peft", "--out", out),
        ("ask", copy, "What is 1 + 1?", "--student", "R4"),
    ):
        code, _, err = run_cli(capsys, monkeypatch, *command)
        assert code == 2
        said = one_sentence(err)
        assert "adapter_model.safetensors" in said
        assert "run again" in said or "run the study again" in said
    assert not out.exists()
