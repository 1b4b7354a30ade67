"""``potstill compare``: two real studies, paired by what their problems say, not by their ids."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.compare import SetBeside, compare_studies
from potstill.cli.compare import set_sentences
from potstill.evaluation.scores import LevelScore
from potstill.evaluation.side_by_side import Beside
from potstill.evaluation.statistics import mcnemar_exact
from potstill.grading.maths.kinds import infer_kind
from potstill.pipeline.run import run_study
from potstill.problems import load_problems
from potstill.records import Role, Split
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

HELDOUT = 30
PROBLEMS = [{"source": "pocket", "train": 24, "valid": 8, "heldout": HELDOUT}]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose base answers a few problems and whose students are hardly trained."""
    folder = tmp_path_factory.mktemp("compare")
    run_study(load_study(write_small_study(folder, problems=PROBLEMS)), folder / "first")
    return folder / "first"


def changed(first: Path, folder: Path, **changes: Any) -> Path:
    """The first study run on with other settings, in a directory of its own."""
    out = Path(shutil.copytree(first, folder / "other"))
    (out / "study.json").unlink()  # no study of another name takes a directory's place
    path = write_small_study(folder, **({"problems": PROBLEMS, "name": "other"} | changes))
    run_study(load_study(path), out)
    return out


@pytest.fixture(scope="module")
def longer(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = {"preset": "pocket", "iterations": 12, "validate_every": 6}
    return changed(first, tmp_path_factory.mktemp("longer"), training=training, levels=["R6"])


def rows_of(a: Path, b: Path) -> dict[str, Beside]:
    (only,) = compare_studies(a, b).sets
    return {row.who: row for row in only.rows}


def test_the_same_problems_under_the_same_condition_are_paired(first: Path, longer: Path) -> None:
    found = compare_studies(first, longer)
    (only,) = found.sets
    assert (only.problems_a, only.problems_b, only.shared) == (HELDOUT, HELDOUT, HELDOUT)
    rows = {row.who: row for row in only.rows}
    assert list(rows) == ["base", "R1", "R6", "teacher"]
    for who in ("base", "R6", "teacher"):
        assert rows[who].paired
        assert rows[who].n == HELDOUT
    assert (rows["base"].only_a, rows["base"].only_b) == (0, 0)
    assert rows["R1"].why == "study A alone has it"
    r6 = rows["R6"]
    assert r6.p == mcnemar_exact(r6.only_a or 0, r6.only_b or 0)
    for study, report in ((first, "a"), (longer, "b")):
        levels = json.loads((study / "report" / "report.json").read_text())["levels"]
        for level in (x for x in levels if x["group"] == "all"):
            mine = getattr(rows[level["level"] or level["role"]], report)
            assert mine.accuracy == pytest.approx(level["accuracy"])
            assert (mine.low, mine.high) == (level["low"], level["high"])
            assert mine.words == pytest.approx(level["words"])
    names = {x.name for x in found.settings}
    assert {"training.iterations", "levels"} <= names
    assert not names & {"name", "problems[0].source", "the problems (hash)"}


def test_a_study_beside_itself_differs_in_nothing(first: Path) -> None:
    found = compare_studies(first, first)
    assert not found.settings
    assert all(row.paired and row.difference == 0 for x in found.sets for row in x.rows)
    assert set_sentences(found.sets[0]) == [
        "Right and wrong on the same problems: base, R1, R6 and teacher."
    ]


def test_another_condition_or_grader_is_not_paired(first: Path, tmp_path: Path) -> None:
    other = changed(
        first,
        tmp_path,
        verify="symbolic",
        evaluation={"prompt": "{problem}", "max_tokens": 20},
        levels=["R6"],
    )
    rows = rows_of(first, other)
    assert not rows["R6"].paired
    assert rows["R6"].p is None
    assert "they differ in sampling.max_tokens, verify, verifier" in rows["R6"].why
    assert "they differ in verify, verifier" in rows["teacher"].why


def test_problems_are_the_same_by_content(first: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    pocket = load_problems(
        load_study(write_small_study(tmp_path, problems=PROBLEMS)).problems, infer=infer_kind
    )
    heldout = [p.id for p in pocket.problems if p.groups["split"] == "heldout"]
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "problem", "answer", "split"])
        for i, problem in enumerate(pocket.problems):
            key = "123456" if problem.id == heldout[3] else problem.gold_text
            if problem.id not in heldout[20:]:
                rows.writerow([f"mine-{i}", problem.text, key, problem.groups["split"]])
    source = {
        "source": "table", "path": str(table), "text": "problem", "key": "answer", "id": "id",
        "groups": {"split": "split"}, "name": "mine",
    }  # fmt: skip
    path = write_small_study(tmp_path, problems=[source], levels=["R6"])
    run_study(load_study(path), tmp_path / "mine")
    (only,) = compare_studies(first, tmp_path / "mine").sets
    assert (only.set_a, only.set_b) == ("pocket", "mine")
    assert (only.problems_a, only.problems_b, only.shared) == (HELDOUT, 20, 19)
    assert only.other_key == 1
    by_who = {row.who: row for row in only.rows}
    assert by_who["base"].paired
    assert (by_who["base"].n, by_who["base"].only_a, by_who["base"].only_b) == (19, 0, 0)
    assert "1 problem with the same text and another key" in set_sentences(only)[-1]


def test_what_is_said_of_one_seed_is_said_of_these_students() -> None:
    def side(seeds: tuple[int, ...]) -> LevelScore:
        ends = {"accuracy": 0.5, "sd": None, "low": 0.4, "high": 0.6, "words": 9.0, "tokens": 9.0}
        return LevelScore(
            Role.STUDENT, "R1", ("x",), seeds, "c", "s", Split.HELDOUT, "all", 90, 90, {}, **ends
        )  # fmt: skip

    def row(who: str, difference: float, seeds: tuple[int, ...]) -> Beside:
        low, high = difference - 0.05, difference + 0.05
        ends = {"paired": True, "n": 90, "only_a": 3, "only_b": 12, "p": 0.001, "p_holm": 0.004}
        found = Beside(who, Role.STUDENT, side(seeds), side(seeds), difference=difference)
        return dataclasses.replace(found, low=low, high=high, **ends)

    rows = (row("R1", 0.1, (0,)), row("R2", -0.1, (0, 1)), row("R3", 0.01, (0,)))
    said = set_sentences(SetBeside("s", "s", "heldout", 90, 90, 90, 0, rows))
    assert said == [
        "B answers more than A beyond chance: R1 (corrected for 3 comparisons).",
        "B answers less than A beyond chance: R2 (corrected for 3 comparisons).",
        "With one seed a side that is said of these students (R1), not of how they were trained: "
        "another seed may differ as much.",
        "Cannot be told apart: R3.",
    ]


def test_the_command_prints_80_columns_and_writes_json(
    first: Path,
    longer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    before = sorted(p for p in first.rglob("*") if "-" not in p.name)
    code, out, _ = run_cli(capsys, monkeypatch, "compare", first, longer, "--json", tmp_path / "c")
    assert code == 0
    assert sorted(p for p in first.rglob("*") if "-" not in p.name) == before
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("Exploratory: neither study declared this comparison before it ran.")
    assert f"the same {HELDOUT} problems" in out
    assert re.search(r"training.iterations +2 +12", out)
    assert re.search(r" teach +\d+ .*\$0.00", out)
    found = json.loads((tmp_path / "c").read_text())
    assert found["kind"] == "exploratory"
    assert found["b"]["study"] == "other"
    rows = {row["who"]: row for row in found["sets"][0]["rows"]}
    assert rows["base"]["paired"] is True
    assert rows["R1"]["b"] is None
    assert rows["R6"]["a"]["n"] == HELDOUT
    assert {x["name"] for x in found["settings"]} >= {"training.iterations"}


def test_an_unfinished_study_is_one_sentence(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(load_study(write_small_study(tmp_path)), tmp_path / "half", until="split")
    code, _, err = run_cli(capsys, monkeypatch, "compare", first, tmp_path / "half")
    assert code == 2
    assert "half is not finished" in one_sentence(err)
    code, _, err = run_cli(capsys, monkeypatch, "compare", first, tmp_path)
    assert code == 2
    assert "no study directory" in one_sentence(err)
