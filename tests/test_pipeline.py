"""A small study end to end, in the pocket world: real HTTP, real training, a real report."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml
from rapidfuzz import fuzz

from potstill.errors import InputError, StudyError
from potstill.ledger.ledger import Ledger
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.run import open_run, run_study
from potstill.problems.overlap.pairs import split_numbers
from potstill.problems.raw import normalise
from potstill.progress import quiet
from potstill.records import Finish, Opinion, Problem, Response, Split, TextGold
from potstill.store import cells as stores
from potstill.store.cells import Store
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.command_line import run_cli
from support.small_study import Report, keys_in, kill_and_resume, without_times, write_small_study


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    """A finished study: its file, its directory and its report."""
    folder = tmp_path_factory.mktemp("pipeline")
    path = write_small_study(folder)
    report = run_study(load_study(path), folder / "out")
    assert report is not None
    return path, folder / "out", dict(report)


def test_the_report_holds_every_solver_with_counts_that_add_up(
    done: tuple[Path, Path, Report],
) -> None:
    _, directory, report = done
    schema = json.loads((files("potstill.report") / "report.schema.json").read_text("utf-8"))
    jsonschema.validate(report, schema)
    whole = [s for s in report["scores"] if s["group"] == "all"]
    assert [(s["role"], s["level"]) for s in whole] == [
        ("teacher", ""),
        ("base", ""),
        ("student", "R1"),
        ("student", "R6"),
    ]
    for score in report["scores"]:
        assert sum(score["outcomes"].values()) == score["n"]
        assert score["split"] == "heldout"
    assert {s["n"] for s in whole} == {12}
    for name in ("index.html", "report.md", "report.json"):
        assert (directory / "report" / name).stat().st_size > 0


def test_teacher_verifier_and_condenser_were_asked_over_http(
    done: tuple[Path, Path, Report],
) -> None:
    calls = Counter({(c["stage"], c["model"]): c["calls"] for c in done[2]["calls"]})
    assert calls["teach", "pocket-teacher"] == 24 + 8 + 12
    assert calls["verify", "pocket-verifier"] > 0
    assert calls["condense", "pocket-condenser"] > 0


def test_the_report_calls_local_models_by_name_and_says_how_to_run_it_again(
    done: tuple[Path, Path, Report],
) -> None:
    _, directory, report = done
    local = {c["who"]: c["model"] for c in report["calls"] if c["stage"] == "answer"}
    assert sorted(local) == ["R1", "R6", "base"]
    assert all("@float32" in model for model in local.values())
    assert {c["who"] for c in report["calls"] if c["stage"] != "answer"} == {""}
    assert report["reproduction"]["command"] == "potstill reproduce out"
    markdown = (directory / "report" / "report.md").read_text("utf-8")
    assert "| answer | R1 | 12 |" in markdown
    assert "@float32" not in markdown


def test_every_heldout_problem_like_one_of_the_training_side_is_counted(
    done: tuple[Path, Path, Report],
) -> None:
    _, directory, report = done
    made = StudyDirectory.open(directory).made
    masked = {p.id: split_numbers(normalise(p.text))[0] for p in made.problems}
    heldout = [p.id for p in made.in_split(Split.HELDOUT)]
    training = [p.id for p in made.in_split(Split.TRAIN, Split.VALID)]
    alike = {i for i in heldout if any(fuzz.ratio(masked[i], masked[j]) >= 90 for j in training)}
    assert 0 < len(alike) < len(heldout)
    assert {pair["heldout_id"] for pair in report["overlap"]} == alike
    parts = {(x["role"], x["level"], x["group"]): x for x in report["near_duplicates"]["scores"]}
    whole = [x for x in report["levels"] if x["group"] == "all"]
    for x in whole:
        on, off = (parts[x["role"], x["level"], f"overlap={part}"] for part in ("alike", "apart"))
        assert (on["n"], off["n"]) == (len(alike), len(heldout) - len(alike))
        rights = [y["outcomes"]["CORRECT"] for y in (on, off, x)]
        assert rights[0] + rights[1] == rights[2]


def test_a_student_folder_is_pefts_own_layout(done: tuple[Path, Path, Report]) -> None:
    store = Store(done[1])
    folders = [
        Path(done[1], "cells", m.stage, m.key) for m in store.cells() if m.stage == "student"
    ]
    assert len(folders) == 2
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "student.json"} <= names
        assert "tokenizer.json" in names


def test_tables_too_large_for_memory_give_the_same_report(
    done: tuple[Path, Path, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, directory, report = done
    monkeypatch.setattr(stores, "HELD_BYTES", 0)
    again = run_study(load_study(path), tmp_path / "out")
    assert again is not None
    assert without_times(dict(again)) == without_times(report)
    for name in ("gates.csv", "problems.jsonl"):
        (then,), (now,) = directory.rglob(name), (tmp_path / "out").rglob(name)
        assert now.read_bytes() == then.read_bytes()
    assert {m.key for m in Store(tmp_path / "out").cells()} == {
        m.key for m in Store(directory).cells()
    }


def test_grading_workers_end_when_told_and_start_again(done: tuple[Path, Path, Report]) -> None:
    path, directory, _ = done
    with ExitStack() as stack:
        run = open_run(load_study(path), directory, quiet, stack, read_only=True)
        assert run.graders.open().equal("1/2", "0.5").opinion is Opinion.EQUAL
        (member, *_) = run.graders.open().processes.members
        assert member.process is not None
        process = member.process
        run.graders.close()
        assert process.poll() is not None
        assert run.graders.open().equal("1/2", "0.5").opinion is Opinion.EQUAL


def test_a_second_run_does_nothing_and_says_the_same(done: tuple[Path, Path, Report]) -> None:
    path, directory, report = done
    cells = {m.key for m in Store(directory).cells()}
    before = keys_in(directory)
    written = {p: p.stat().st_mtime_ns for p in directory.rglob("*") if p.is_file()}
    again = run_study(load_study(path), directory)
    assert again == report
    files = [p for p in directory.rglob("*") if p.is_file()]
    made = {p.name for p in files if written.get(p) != p.stat().st_mtime_ns}
    assert made <= {"study.json", "ledger.sqlite", "ledger.lock"}, "no report anew"
    assert {m.key for m in Store(directory).cells()} == cells
    assert keys_in(directory) == before


@pytest.mark.parametrize("what", ["about", "report", "lock", "ruling"])
def test_a_report_is_written_anew_where_it_is_no_longer_what_it_would_be(
    what: str, done: tuple[Path, Path, Report], tmp_path: Path
) -> None:
    path, directory, report = done
    copy = shutil.copytree(directory, tmp_path / "out")
    study = load_study(path)
    page = copy / "report" / "index.html"
    before = page.stat().st_mtime_ns
    if what == "about":
        study = study.model_copy(update={"about": "Said later."})
    elif what == "report":
        page.write_text("not the report")
    elif what == "lock":
        (copy / "study.lock.json").unlink()
    else:
        (copy / "rulings.jsonl").write_text('{"key": "of no response", "correct": true}\n')
    again = run_study(study, copy)
    assert page.stat().st_mtime_ns != before
    assert again is not None
    assert again["scores"] == report["scores"]
    assert ("Said later." in page.read_text()) == (what == "about")


def test_the_ledger_calls_base_and_students_by_name(
    done: tuple[Path, Path, Report],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, _ = run_cli(capsys, monkeypatch, "ledger", done[1])
    assert code == 0
    asked = [line.removeprefix("answer").strip() for line in out.splitlines() if "answer" in line]
    # in the order of their hashes, which hang on the machine's arithmetic
    assert sorted(line.split("  ")[0] for line in asked) == ["R1 s0", "R6 s0", "base"]


def test_a_changed_recipe_trains_anew_and_buys_nothing(
    done: tuple[Path, Path, Report], tmp_path: Path
) -> None:
    _, directory, report = done
    copy = shutil.copytree(directory, tmp_path / "out")
    changed = write_small_study(
        tmp_path, training={"preset": "pocket", "iterations": 1, "validate_every": 1}
    )
    before = Counter(m.stage for m in Store(copy).cells())
    again = run_study(load_study(changed), copy)
    after = Counter(m.stage for m in Store(copy).cells())
    assert again is not None
    assert after - before == Counter(student=2, answers=2, verdicts=2)
    bought = [c for c in again["calls"] if c["stage"] in ("teach", "condense")]
    assert bought == [c for c in report["calls"] if c["stage"] in ("teach", "condense")]


def test_until_stops_and_a_further_run_goes_on(tmp_path: Path) -> None:
    study = load_study(write_small_study(tmp_path))
    assert run_study(study, tmp_path / "out", until="verify") is None
    assert Counter(m.stage for m in Store(tmp_path / "out").cells()) == Counter(
        problems=1, split=1, answers=1, verdicts=1
    )


def test_killed_and_resumed_it_ends_with_the_same_report(
    done: tuple[Path, Path, Report], tmp_path: Path
) -> None:
    path, directory, report = done
    hits, resumed = kill_and_resume(path, tmp_path / "out", kills=2, seed=1)
    assert hits > 0
    assert without_times(resumed) == without_times(report)
    assert keys_in(tmp_path / "out") == keys_in(directory)


@pytest.mark.soak
def test_killed_at_ten_moments(done: tuple[Path, Path, Report], tmp_path: Path) -> None:
    path, directory, report = done
    hits, resumed = kill_and_resume(path, tmp_path / "out", kills=10, seed=2)
    assert hits == 10
    assert without_times(resumed) == without_times(report)
    assert keys_in(tmp_path / "out") == keys_in(directory)


def test_a_second_sample_takes_the_place_of_a_wrong_first(tmp_path: Path) -> None:
    from potstill.records import Outcome, Verdict
    from potstill.store.cells import Cell

    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 100, "valid": 4, "heldout": 4}]
    raw["teacher"]["samples"] = 2
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    assert run_study(load_study(path), tmp_path / "out", until="verify") is None
    store = Store(tmp_path / "out")
    cells = {m.stage: Cell(m.stage, m.key) for m in store.cells()}
    responses = store.read(cells["answers"], "responses", Response)
    verdicts = store.read(cells["verdicts"], "verdicts", Verdict)
    assert Counter(r.sample for r in responses) == Counter({0: 104, 1: 104})
    right = Counter(
        r.sample for r, v in zip(responses, verdicts, strict=True) if v.outcome is Outcome.CORRECT
    )
    assert 0 < right[0] < 104

    from potstill.pipeline.outputs import AnswerSet
    from potstill.pipeline.traces import verified
    from potstill.records import Condition, Role, Sampling

    condition = Condition("", "", "", Sampling(), "")
    taught = AnswerSet(
        "t", Role.TEACHER, "", 0, "train", condition, tuple(responses), (), tuple(verdicts)
    )
    chosen = verified(taught)
    assert len({r.problem_id for r in chosen}) == len(chosen) > right[0]


def test_a_changed_recording_is_another_teacher_and_a_moved_one_is_not(tmp_path: Path) -> None:
    from potstill.pipeline.context import agent_identity
    from potstill.study.schema import Agent

    def identity(path: Path) -> object:
        files = [{"path": str(path), "text": "reply"}]
        return agent_identity(
            Agent.model_validate({"solver": "replay", "model": "m", "files": files}, strict=False)
        )

    path = tmp_path / "replies.csv"
    path.write_text("question,reply\n1+1?,2\n")
    before = identity(path)
    (tmp_path / "elsewhere").mkdir()
    assert identity(shutil.copy(path, tmp_path / "elsewhere" / path.name)) == before
    path.write_text("question,reply\n1+1?,3\n")
    assert identity(path) != before


def test_seen_problems_are_scored_only_when_asked_and_never_with_the_unseen(
    tmp_path: Path,
) -> None:
    path = write_small_study(tmp_path, levels=["R1"])
    raw = yaml.safe_load(path.read_text())
    raw["evaluation"]["seen"] = "report"
    path.write_text(yaml.safe_dump(raw))
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    whole = [s for s in report["scores"] if s["group"] == "all"]
    sizes = {(s["role"], s["split"]): s["n"] for s in whole}
    trained = report["corpus"]["trained"]
    assert 0 < sizes["student", "train"] <= trained
    assert sizes["student", "heldout"] == sizes["base", "heldout"] == 12
    assert {c["split"] for c in report["comparisons"] if c["kind"] == "primary"} == {"heldout"}
    assert not any(c["split"] == "train" and c["n"] > trained for c in report["comparisons"])


def test_a_cut_answer_is_asked_again_where_the_study_says_so(tmp_path: Path) -> None:
    outcomes = {}
    for when_cut in ("keep", "again"):
        folder = tmp_path / when_cut
        folder.mkdir()
        raw = yaml.safe_load(write_small_study(folder).read_text())
        raw["problems"] = [{"source": "pocket", "train": 150, "valid": 8, "heldout": 4}]
        raw["teacher"]["when_cut"] = when_cut
        (folder / "study.yaml").write_text(yaml.safe_dump(raw))
        run_study(load_study(folder / "study.yaml"), folder / "out", until="verify")
        with sqlite3.connect(folder / "out/ledger.sqlite") as db:
            outcomes[when_cut] = db.execute(
                "select count(*) from replies where stage = 'teach'"
            ).fetchone()[0]
    assert outcomes["keep"] == 158
    assert 158 < outcomes["again"] < 2 * 158


def test_verified_traces_are_set_beside_all_traces_and_the_wrong_ones(tmp_path: Path) -> None:
    path = write_small_study(
        tmp_path,
        problems=[{"source": "pocket", "train": 60, "valid": 20, "heldout": 12}],
        levels=["R0"],
        condenser=None,
        controls=["unverified", "wrong"],
        primary=["R0", "unverified"],
        seeds=[0],
    )
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    pairs = {(c["a"], c["b"]): c["kind"] for c in report["comparisons"]}
    assert pairs["R0", "unverified"] == "primary"
    assert pairs["R0", "wrong"] == "exploratory"
    taught = Counter(report["corpus"]["teacher_outcomes"])
    kept = {x["level"]: x["kept"] for x in report["corpus"]["lessons"]}
    assert kept["wrong"] == taught["WRONG"] > 0
    whole = taught.total() - taught["TRUNCATED"] - taught["BLANK"]
    assert kept["unverified"] == whole > kept["R0"] > 0
    told = " ".join(x["text"] for x in report["claims"] if x["about"] == "control")
    assert "R0 beside every trace of the teacher, right or wrong:" in told
    assert "R0 beside the teacher’s wrong traces:" in told
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "a control: trained on every solution of the teacher, right or wrong" in page


def test_controls_and_the_mixed_student_stand_beside_the_ladder(tmp_path: Path) -> None:
    path = write_small_study(
        tmp_path, controls=["truncate", "answer_only"], mix=["R1", "R6"], seeds=[0]
    )
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    whole = [s for s in report["scores"] if s["group"] == "all"]
    variants = ["R1", "R6", "truncate-R6", "answer_only", "mix-R1", "mix-R6"]
    assert [s["level"] for s in whole if s["role"] == "student"] == variants
    assert [s["level"] for s in whole if s["role"] == "base"] == ["", "base-R1", "base-R6"]
    pairs = {(c["a"], c["b"]): c for c in report["comparisons"] if c["kind"] != "descriptive"}
    assert set(pairs) == {
        *((x, "base") for x in variants[:4]),
        ("mix-R1", "base-R1"),
        ("mix-R6", "base-R6"),
        ("R6", "R1"),
        ("R6", "truncate-R6"),
    }
    assert all(not c["differs"] for c in pairs.values())
    templates = {c["condition_id"]: c["template"] for c in report["conditions"]}
    asked = {s["level"]: templates[s["condition_id"]] for s in whole}
    assert asked["mix-R6"] == asked["base-R6"] != asked["mix-R1"]
    assert "Level R6: reason in about 1 words" in asked["mix-R6"]
    assert "{" not in asked["mix-R6"].replace("{problem}", "")
    lengths = {
        json.loads(f.read_text())["student"]["variant"]: json.loads(f.read_text())["student"][
            "trained_examples"
        ]
        for f in (tmp_path / "out").rglob("student.json")
    }
    assert lengths["mix"] == lengths["R1"] + lengths["R6"]
    assert lengths["answer_only"] == lengths["R1"] >= lengths["truncate-R6"]
    assert any(claim["about"] == "control" for claim in report["claims"])


def test_the_base_is_asked_at_a_levels_length_and_others_figures_stand_beside(
    tmp_path: Path,
) -> None:
    theirs = {"table": "Table 2", "label": "R1, theirs", "correct": 452, "n": 651, "who": "R1"}
    path = write_small_study(tmp_path, published=[theirs | {"seen": 480}], seeds=[0])
    raw = yaml.safe_load(path.read_text())
    raw["evaluation"]["base_at"] = ["R6"]
    path.write_text(yaml.safe_dump(raw))
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    whole = {(s["role"], s["level"]): s for s in report["scores"] if s["group"] == "all"}
    assert [level for role, level in whole if role == "base"] == ["", "base-R6"]
    templates = {c["condition_id"]: c["template"] for c in report["conditions"]}
    assert (
        "Level R6: reason in about 1 words" in templates[whole["base", "base-R6"]["condition_id"]]
    )
    assert whole["student", "R6"]["condition_id"] == whole["base", ""]["condition_id"]
    (table,) = report["published"]
    (figure,) = table["figures"]
    # scipy.stats.binomtest(452, 651).proportion_ci(method="wilson")
    assert (figure["low"], figure["high"]) == pytest.approx((0.657873, 0.728480), abs=1e-5)
    assert "480 of the 651 problems had been trained on" in table["limits"][0]
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "Published figures beside these" in page
    raw["published"] = [theirs | {"correct": 700}]
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyError, match=r"correct .700. is more than the n .651. problems"):
        load_study(path)


def test_difficulty_is_a_group_of_every_table_and_chooses_what_is_taught(tmp_path: Path) -> None:
    path = write_small_study(
        tmp_path, levels=["R1"], difficulty={"by": "failures", "train": [1, 4]}
    )
    raw = yaml.safe_load(path.read_text())
    raw["problems"] = [{"source": "pocket", "train": 60, "valid": 8, "heldout": 30}]
    raw["teacher"]["samples"] = 2
    path.write_text(yaml.safe_dump(raw))
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    groups = {s["group"]: s["n"] for s in report["scores"] if s["role"] == "base"}
    rated = {name: n for name, n in groups.items() if name.startswith("difficulty=")}
    assert sum(rated.values()) == groups["all"] == 30
    assert len(rated) > 1
    (note,) = [note for note in report["notes"] if "difficulty" in note]
    taught = sum(report["corpus"]["teacher_outcomes"].values())
    outside = 2 * 68 - taught
    assert outside > 0, "no problem was left out of teaching"
    calls = {c["stage"]: c["calls"] for c in report["calls"]}
    assert calls["teach"] == 2 * 98, "an answer was bought twice, or not at all"
    assert note.endswith(f"not trained on: {outside // 2} problems.")


def test_a_difficulty_that_no_problem_has_ends_the_run_before_condensing(tmp_path: Path) -> None:
    path = write_small_study(
        tmp_path, levels=["R1"], difficulty={"by": "failures", "train": [10, 10]}
    )
    raw = yaml.safe_load(path.read_text())
    raw["problems"] = [{"source": "pocket", "train": 12, "valid": 2, "heldout": 2}]
    raw["teacher"]["samples"] = 2
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(
        InputError, match=r"difficulty.train: \[10, 10\] leaves none of the"
    ) as told:
        run_study(load_study(path), tmp_path / "out")
    assert "which are rated 1 (" in str(told.value)
    with Ledger.open(tmp_path / "out" / "ledger.sqlite", readonly=True) as ledger:
        assert {x.group for x in ledger.spend(("stage",))} == {("teach",), ("verify",)}
    assert StudyDirectory.open(tmp_path / "out").problems is not None


def test_every_answer_meets_the_teachers_solution_of_its_problem() -> None:
    """Several samples of a problem, a problem nobody solved, and one that was not asked."""
    from potstill.pipeline.stages import _solution_of_each

    problems = [Problem(x, "?", TextGold("1"), "integer", "test") for x in "abcd"]

    def said(problem: str, text: str) -> Response:
        return Response("s", problem, "c", 0, 0, "", text, Finish.STOP, 0, 0, "")

    solutions = [said("a", "1 + 0 = 1"), said("b", "2 - 1 = 1"), said("d", "1 * 1 = 1")]
    answers = [said("a", "first"), said("a", "second"), said("c", "third"), said("d", "fourth")]
    by_id = {p.id: p for p in problems}
    pairs = [(by_id[x.problem_id], x) for x in answers]
    met = [(r.text, s) for _, r, s in _solution_of_each(pairs, problems, solutions)]
    assert met == [
        ("first", "1 + 0 = 1"),
        ("second", "1 + 0 = 1"),
        ("third", ""),
        ("fourth", "1 * 1 = 1"),
    ]
    assert [s for _, _, s in _solution_of_each(pairs, problems, [])] == [""] * 4


@pytest.mark.parametrize(("most", "answered"), [(5, 5), (0, 0)])
def test_a_teacher_is_asked_as_many_held_out_problems_as_the_study_says(
    tmp_path: Path, most: int, answered: int
) -> None:
    path = write_small_study(tmp_path, levels=["R1"])
    raw = yaml.safe_load(path.read_text())
    raw["evaluation"]["teacher_problems"] = most
    path.write_text(yaml.safe_dump(raw))
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    whole = {s["role"]: s["n"] for s in report["scores"] if s["group"] == "all"}
    assert whole == {"base": 12, "student": 12} | ({"teacher": answered} if answered else {})
    calls = Counter({c["stage"]: c["calls"] for c in report["calls"]})
    assert calls["teach"] == 24 + 8 + answered
    compared = {(c["a"], c["b"]): c["n"] for c in report["comparisons"] if c["group"] == "all"}
    assert compared["R1", "base"] == 12
    assert compared.get(("R1", "teacher"), 0) == answered
    text = (tmp_path / "out" / "report" / "report.md").read_text()
    assert ("of 5 of them" in text) == bool(answered)
