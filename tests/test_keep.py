"""Problems that have nothing to do with the lessons: asked before and after, and told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.errors import StudyError
from potstill.pipeline.run import run_study
from potstill.planning.plan import planned_calls
from potstill.report.claims import claims
from potstill.study.intake import problems_of_study
from potstill.study.schema import load_study
from support.small_study import write_small_study

PROMPT = "{problem}"
EVALUATION = {"prompt": PROMPT, "max_tokens": 24}


def write_table(folder: Path, rows: list[tuple[str, str]]) -> Path:
    path = folder / "plain.jsonl"
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("keep")
    table = write_table(folder, [("Which animal barks?", "dog"), ("What falls in winter?", "snow")])
    plain = {"source": "table", "name": "plain", "path": str(table), "text": "question"}
    keep = [{"source": "instructions"}, plain]
    path = write_small_study(folder, evaluation=EVALUATION | {"keep": keep})
    report = run_study(load_study(path), folder / "run")
    assert report is not None
    return folder / "run", report


def test_base_and_students_are_asked_and_the_teacher_is_not(
    done: tuple[Path, dict[str, Any]],
) -> None:
    _, report = done
    kept = [x for x in report["levels"] if x["split"] == "kept" and x["group"] == "all"]
    assert {(x["set"], x["level"] or x["role"], x["n"]) for x in kept} == {
        (name, who, n)
        for name, n in (("instructions", 40), ("plain", 2))
        for who in ("base", "R1", "R6")
    }
    groups = {x["group"] for x in report["levels"] if x["set"] == "instructions"}
    assert "asks=json" in groups
    pairs = {(c["a"], c["b"]) for c in report["comparisons"] if c["set"] == "instructions"}
    assert {("R1", "base"), ("R6", "base")} <= pairs
    assert report["corpus"]["splits"]["kept"] == 42


def test_nothing_of_it_is_in_any_other_figure(done: tuple[Path, dict[str, Any]]) -> None:
    directory, report = done
    primary = [c for c in report["comparisons"] if c["kind"] == "primary"]
    assert {c["set"] for c in primary} == {"pocket"}
    assert {x["set"] for x in report["ladders"]} <= {"pocket"}
    assert not [x for x in report["claims"] if x["set"] != "pocket" and x["about"] != "lost"]
    page = (directory / "report" / "index.html").read_text()
    accuracy = page[page.index('id="accuracy"') : page.index('id="lost"')]
    assert "instructions" not in accuracy
    assert "These were met while the students were trained" not in page
    lost = page[page.index('id="lost"') : page.index('id="outcomes"')]
    assert "instructions" in lost
    assert "plain" in lost


def test_a_kept_problem_is_asked_as_its_own_prompt_says(
    done: tuple[Path, dict[str, Any]],
) -> None:
    _, report = done
    conditions = {c["condition_id"]: c["template"] for c in report["conditions"]}
    asked = {
        conditions[x["condition_id"]]
        for x in report["levels"]
        if x["split"] == "kept" and x["group"] == "all"
    }
    assert asked == {"{problem}"}


def test_a_loss_is_claimed_only_beyond_chance(done: tuple[Path, dict[str, Any]]) -> None:
    _, report = done
    told = {x["set"]: x["text"] for x in report["claims"] if x["about"] == "lost"}
    assert set(told) == {"instructions", "plain"}
    assert told["plain"].startswith(
        "Of 2 problems of plain, which have nothing to do with the lessons, the base answers"
    )
    assert "no loss beyond chance is seen" in told["plain"]
    changed = json.loads(json.dumps(report))
    for c in changed["comparisons"]:
        if (c["set"], c["a"], c["b"], c["group"]) == ("instructions", "R6", "base", "all"):
            c |= {"difference": -0.4, "low": -0.55, "high": -0.2, "p": 1e-4, "p_holm": 2e-4}
            c |= {"accuracy_a": 0.1, "beyond_chance": True}
    text = next(x["text"] for x in claims(changed) if x["set"] == "instructions")
    assert "R6 10.0 % (−40.0 points, 95 % −55.0 to −20.0, p = 0.0002): that much was lost" in text
    assert "R1" not in text


def test_a_dry_run_counts_what_is_kept(done: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = done
    study = load_study(directory.parent / "study.yaml")
    splits, calls = planned_calls(study, problems_of_study(study))
    assert splits["kept"] == 42
    answers = next(x.calls for x in calls if x.stage == "answer")
    assert answers == (splits["heldout"] + 42) * 3  # the base and two students
    raw = yaml.safe_load((directory.parent / "study.yaml").read_text())
    del raw["evaluation"]["keep"]
    (directory.parent / "without.yaml").write_text(yaml.safe_dump(raw))
    without = load_study(directory.parent / "without.yaml")
    assert "kept" not in planned_calls(without, problems_of_study(without))[0]


def test_what_is_kept_must_be_no_problem_of_the_study(tmp_path: Path) -> None:
    from potstill.pocket.problems import generate

    same = generate("train", 1)[0]
    table = write_table(tmp_path, [(same.text, same.answer)])
    keep = [{"source": "table", "name": "plain", "path": str(table), "text": "question"}]
    path = write_small_study(tmp_path, evaluation=EVALUATION | {"keep": keep})
    with pytest.raises(StudyError, match=r"evaluation\.keep: .* says the same as pocket/.*Take it"):
        run_study(load_study(path), tmp_path / "run")
    assert not (tmp_path / "run" / "ledger.sqlite").exists() or not list(
        (tmp_path / "run").rglob("lessons*")
    )


@pytest.mark.parametrize(
    ("keep", "match"),
    [
        ([{"source": "instruction"}], r"evaluation\.keep\[0\].*did you mean 'instructions'"),
        ([{"source": "instructions", "use": "heldout"}], r"keep\[0\]\.use decides nothing"),
        ([{"source": "instructions", "name": "pocket"}], r"two sources are called .pocket."),
        ([{"source": "instructions", "n": 3}], r"evaluation\.keep\[0\].*'n'"),
    ],
)
def test_a_wrong_source_is_named(tmp_path: Path, keep: list[dict[str, Any]], match: str) -> None:
    path = write_small_study(tmp_path, evaluation=EVALUATION | {"keep": keep})
    with pytest.raises(StudyError, match=match):
        load_study(path)
