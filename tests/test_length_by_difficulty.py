"""A base that rates the problems: each taught at a length of its own, and a mixture by shares."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import StudyError
from potstill.ledger.ledger import Entry, Ledger, key_of_request, request_json
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.planning.estimate import PlannedCalls, with_time
from potstill.planning.plan import planned_calls
from potstill.records import Sampling, Split
from potstill.study.intake import problems_of_study
from potstill.study.schema import load_study
from support.small_study import keys_in, kill_and_resume, without_times, write_small_study

TRAIN, VALID, HELDOUT, DRAWS = 24, 8, 12, 3
LADDER = ["R1", "R3", "R6"]
EASY: dict[str, Any] = {
    "levels": LADDER,
    "difficulty": {"by": "student", "samples": DRAWS, "temperature": 0.8, "max_tokens": 120},
    "auto_levels": True,
    "mix": {"R1": 1, "R6": 2},
    "primary": ["auto", "R1"],
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("levels")
    path = write_small_study(folder, **EASY)
    report = run_study(load_study(path), folder / "run")
    assert report is not None
    return path, folder / "run", report


def rate_rows(directory: Path) -> list[dict[str, Any]]:
    """The requests that the ledger keeps of the stage that rates."""
    with sqlite3.connect(f"file:{directory}/ledger.sqlite?mode=ro", uri=True) as db:
        rows = db.execute("select request from replies where stage = 'rate'").fetchall()
    return [json.loads(row[0]) for row in rows]


def calls(report: dict[str, Any]) -> dict[str, int]:
    return {x["stage"]: x["calls"] for x in report["calls"] if x["stage"] in ("rate", "teach")}


def test_the_base_alone_rates_and_only_what_is_to_be_taught(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, directory, report = done
    asked = rate_rows(directory)
    assert len(asked) == (TRAIN + VALID) * DRAWS
    assert {x["provider"] for x in asked} == {"local"}
    assert {x["sampling"]["temperature"] for x in asked} == {0.8}
    assert {x["sampling"]["max_tokens"] for x in asked} == {120}
    (row,) = [x for x in report["calls"] if x["stage"] == "rate"]
    assert (row["who"], row["cost_usd"]) == ("base", 0)
    problems = open_study(directory).problems
    splits = open_study(directory).splits
    assert problems is not None
    assert splits is not None
    rated = {splits[p.id] for p in problems if "difficulty" in p.groups}
    assert rated == {Split.TRAIN, Split.VALID}
    texts = {p.text for p in problems if splits[p.id] is not Split.HELDOUT}
    assert {x["messages"][-1]["content"] for x in asked} == texts, "not the evaluation's prompt"


def test_each_problem_is_taught_at_the_level_that_its_draws_ask_for(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, directory, report = done
    made = open_study(directory).made
    taught = made.chosen["auto"]
    assert len({made.pass_rates[x.problem_id].right for x in taught}) > 1, "all are alike"
    # of 3 draws and 3 levels: none right R1, 1 and 2 of 3 are nearest to the middle, all right R6
    of_right = {0: "R1", 1: "R3", 2: "R3", 3: "R6"}
    assert [x.level for x in taught] == [
        of_right[made.pass_rates[x.problem_id].right] for x in taught
    ]
    assert [x.problem_id for x in taught] == [x.problem_id for x in made.chosen["R1"]]
    bins = Counter({0: 10, 3: 1}.get(x.right, 5) for x in made.pass_rates.values())
    (rated,) = [x for x in report["notes"] if x.startswith("The base before training")]
    assert (
        f"(difficulty 1) {bins[1]}, in some (2 to 9) {bins[5]}, in none (10) {bins[10]}." in rated
    )
    groups = {p.id: p.groups["difficulty"] for p in made.problems if p.id in made.pass_rates}
    of_group = {0: "10", 1: "07", 2: "04", 3: "01"}
    assert groups == {i: of_group[x.right] for i, x in made.pass_rates.items()}


def test_the_report_sets_auto_beside_every_level(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    path, directory, report = done
    pairs = {(c["a"], c["b"]): c["kind"] for c in report["comparisons"] if c["a"] == "auto"}
    assert pairs == {
        ("auto", "base"): "exploratory",
        ("auto", "R1"): "primary",
        ("auto", "R3"): "exploratory",
        ("auto", "R6"): "exploratory",
        ("auto", "teacher"): "descriptive",
    }
    lessons = {x["level"]: x for x in report["corpus"]["lessons"]}
    counts = Counter(x.level for x in open_study(directory).made.chosen["auto"])
    assert lessons["auto"]["kept"] == counts.total()
    told = ", ".join(f"{level} {n}" for level, n in sorted(counts.items()))
    assert any(x.endswith(f"never right: {told}.") for x in report["notes"])
    assert "a length of its own" in json.dumps(report["opening"])
    auto = [x["text"] for x in report["claims"] if x["about"] == "auto"]
    assert [x.partition(":")[0] for x in auto] == ["auto beside R3", "auto beside R6"]
    before = sorted(str(x) for x in (directory / "cells").rglob("*"))
    assert run_study(load_study(path), directory) == report
    assert sorted(str(x) for x in (directory / "cells").rglob("*")) == before


def test_the_mixed_students_examples_stand_in_their_shares(
    done: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, directory, report = done
    files = [json.loads(x.read_text())["student"] for x in directory.rglob("student.json")]
    trained = {x["variant"]: x["trained_examples"] for x in files}
    assert trained["mix"] == 3 * trained["R1"] == 3 * trained["R6"]
    (note,) = [x for x in report["notes"] if x.startswith("The mixed student's")]
    assert f"R1 {trained['R1']} from" in note
    assert f"R6 {2 * trained['R6']} from" in note


def test_equal_shares_train_the_very_student_of_a_list(tmp_path: Path) -> None:
    found = []
    for mix in (["R1", "R6"], {"R1": 2, "R6": 2}):
        path = write_small_study(tmp_path, mix=mix)
        run_study(load_study(path), tmp_path / "out", until="train")
        found.append({x.parent.name for x in (tmp_path / "out").rglob("student.json")})
    assert found[0] == found[1]
    assert len(found[0]) == 3


def test_killed_and_resumed_it_draws_nothing_twice(
    done: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, directory, report = done
    hits, resumed = kill_and_resume(path, tmp_path / "out", kills=2, seed=3)
    assert hits > 0
    assert without_times(resumed) == without_times(report)
    assert keys_in(tmp_path / "out") == keys_in(directory)


def test_what_the_base_always_has_right_is_never_put_to_the_teacher(
    done: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    """And nothing at all is, before the last draw is there."""
    rates = open_study(done[1]).made.pass_rates.values()
    dropped = sum(x.right == DRAWS for x in rates)
    assert 0 < dropped < len(rates), "nothing would be dropped, or all"
    difficulty = {**EASY["difficulty"], "train": [2, 10]}
    study = load_study(write_small_study(tmp_path, **EASY | {"difficulty": difficulty}))
    run_study(study, tmp_path / "out", until="rate")
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as db:
        stages = dict(db.execute("select stage, count(*) from replies group by stage"))
    assert stages.keys() - {"verify"} == {"rate"}
    report = run_study(study, tmp_path / "out")
    assert report is not None
    samples = study.teacher.samples
    assert calls(report) == {
        "rate": (TRAIN + VALID) * DRAWS,
        "teach": (TRAIN + VALID - dropped) * samples + HELDOUT,
    }
    assert any(x.endswith(f"not trained on: {dropped} problems.") for x in report["notes"])


def test_the_plan_counts_the_draws(done: tuple[Path, Path, dict[str, Any]]) -> None:
    study = load_study(done[0])
    _, planned = planned_calls(study, problems_of_study(study))
    (rate,) = [x for x in planned if x.stage == "rate"]
    assert (rate.calls, rate.role) == ((TRAIN + VALID) * DRAWS, "")
    assert "3 draws of each problem to be taught, 120 tokens each at most" in rate.why
    # auto is one more student: R1, R3, R6, auto, mix at two levels; the base plain and at both
    (answer,) = [x for x in planned if x.stage == "answer"]
    assert answer.calls == HELDOUT * (4 + 2 + 3)


def test_the_plan_tells_how_long_the_draws_left_will_take(tmp_path: Path) -> None:
    call = PlannedCalls("rate", "", "pocket", 100, "the base")
    assert with_time(call, None).why.endswith("how long it takes is told once 20 are drawn")
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        # 10 at once, then 10 in 5 s, a night of rest, and 20 in 10 s more: 30 in 15 s
        for i, at in enumerate([0] * 10 + [5] * 10 + [30_000] * 10 + [30_010] * 10):
            when = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).isoformat()
            request = request_json("local", "m", (), Sampling(), i, 0)
            entry = Entry(
                *(key_of_request(request), "rate", "local", "m", request, b"{}", 1, 1),
                created_at=when,
            )
            ledger.put(entry)
        told = with_time(call, ledger).why
        assert told == "the base; 60 left: 30 seconds, as the 30 before them"
        done = with_time(replace(call, calls=40), ledger).why
        assert done == "the base; all are drawn"


def test_a_study_that_sets_none_of_it_is_hashed_as_it_was(tmp_path: Path) -> None:
    told = load_study(write_small_study(tmp_path, mix=["R1"])).model_dump(mode="json")
    assert "auto_levels" not in told
    assert told["mix"] == ["R1"]


STUDENT = {"by": "student"}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no draws": ({"auto_levels": True}, "add difficulty: {by: student}"),
    "one level": (
        {"auto_levels": True, "difficulty": STUDENT, "levels": ["R1"]},
        "auto_levels has R1 alone to choose from",
    ),
    "greedy": (
        {"difficulty": STUDENT | {"temperature": 0}},
        "4 draws at temperature 0 are all the same",
    ),
    "no level": ({"mix": {"R9": 1}}, r"mix.R9.*'R6' \(found 'R9'\)"),
    "not here": ({"mix": {"R1": 1, "R2": 1}}, "mix may hold only levels that the study has"),
    "nothing": ({"mix": {"R1": 0, "R6": 1}}, r"mix.R1.*more than 0 \(found 0\)"),
    "below": ({"mix": {"R1": -1, "R6": 1}}, r"mix.R1.*more than 0 \(found -1\)"),
    "nan": ({"mix": {"R1": float("nan"), "R6": 1}}, "mix.R1.*found .nan"),
    "too far": ({"mix": {"R1": 1, "R6": 101}}, "more than 100 times another"),
    "quoted": ({"mix": {"R1": "1", "R6": 1}}, r"mix.R1.*a number \(found '1'\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case: str, tmp_path: Path) -> None:
    changes, says = BAD[case]
    path = write_small_study(tmp_path, **changes)
    with pytest.raises(StudyError, match=says) as told:
        load_study(path)
    assert "\n" not in str(told.value)
