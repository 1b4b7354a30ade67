"""Base and students that answer every problem several times, from the study to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import StudyError
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.study.schema import load_study
from support.small_study import write_small_study

DRAWS = 3
PROBLEMS = 12
EVALUATION = {"prompt": "{problem}", "max_tokens": 24, "temperature": 0.8, "top_p": 0.95}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("draws")
    path = write_small_study(folder, evaluation=EVALUATION | {"samples": DRAWS})
    report = run_study(load_study(path), folder / "run")
    assert report is not None
    return folder / "run", report


def of_all(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of each solver over all held-out problems."""
    rows = [x for x in report["levels"] if x["group"] == "all"]
    return {x["level"] or x["role"]: x for x in rows}


def test_everybody_but_the_teacher_answers_each_problem_several_times(
    done: tuple[Path, dict[str, Any]],
) -> None:
    directory, report = done
    found = of_all(report)
    counts = {who: (x["n"], x["responses"], x["draws"]) for who, x in found.items()}
    several = (PROBLEMS, PROBLEMS * DRAWS, DRAWS)
    assert counts == {
        **dict.fromkeys(("base", "R1", "R6"), several),
        "teacher": (PROBLEMS, PROBLEMS, 1),
    }
    answers = open_study(directory).responses.to_pylist()
    base = [x for x in answers if x["solver"] == "base"]
    assert sorted({x["sample"] for x in base}) == [0, 1, 2]
    assert len({(x["problem_id"], x["text"]) for x in base}) > PROBLEMS, "all draws are the same"


def test_an_accuracy_is_the_mean_over_all_draws(done: tuple[Path, dict[str, Any]]) -> None:
    _, report = done
    for row in of_all(report).values():
        assert row["accuracy"] == pytest.approx(row["outcomes"]["CORRECT"] / row["responses"])
        assert sum(row["outcomes"].values()) == row["responses"]
        assert row["low"] <= row["accuracy"] <= row["high"]
    base = of_all(report)["base"]
    assert [x["k"] for x in base["at_k"]] == [1, 2, 3]
    assert base["at_k"][0]["passed"]["value"] == pytest.approx(base["accuracy"])
    passed = [x["passed"]["value"] for x in base["at_k"]]
    assert passed == sorted(passed)
    assert 0 <= base["agreement"] <= 1
    assert of_all(report)["teacher"]["at_k"] == []
    pair = next(c for c in report["comparisons"] if c["kind"] == "primary")
    assert (pair["n"], pair["draws_a"], pair["draws_b"]) == (PROBLEMS, DRAWS, DRAWS)


def test_the_page_says_how_often_each_problem_was_answered(
    done: tuple[Path, dict[str, Any]],
) -> None:
    directory, report = done
    page = (directory / "report" / "index.html").read_text()
    assert "Each problem was answered 3 times." in page
    assert "<dt>draws of each problem</dt><dd>3</dd>" in page
    assert "mean of 3 draws of each problem" in json.dumps(report["claims"])
    assert "counts the problems and answers that were drawn" in json.dumps(report["opening"])
    assert "| base | 3 |" in (directory / "report" / "report.md").read_text()


def test_a_second_run_makes_nothing_anew(done: tuple[Path, dict[str, Any]]) -> None:
    directory, report = done
    before = sorted(str(x) for x in (directory / "cells").rglob("*"))
    study = load_study(directory.parent / "study.yaml")
    assert run_study(study, directory) == report
    assert sorted(str(x) for x in (directory / "cells").rglob("*")) == before


def test_draws_at_temperature_0_are_refused(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, evaluation=EVALUATION | {"temperature": 0, "samples": 4})
    with pytest.raises(StudyError, match=r"evaluation.*4 draws at temperature 0 are all the same"):
        load_study(path)
