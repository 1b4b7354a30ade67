"""Lessons of several traces a problem: from the teacher's draws to the page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.deploy.export.corpus import export_corpus
from potstill.errors import StudyError
from potstill.lessons.listing import gate_totals
from potstill.pipeline.directory import StudyDirectory, open_study
from potstill.pipeline.run import run_study
from potstill.planning.plan import planned_calls
from potstill.progress import quiet
from potstill.records import Outcome
from potstill.study.intake import problems_of_study
from potstill.study.schema import load_study
from potstill.study.unused_settings import unused_settings
from potstill.training import likelihood
from potstill.training.examples import Example
from support.command_line import run_cli
from support.small_study import write_small_study

TAUGHT = 24 + 8
HELD_OUT = 12
SAMPLES = 3
TEACHER = {
    "solver": "pocket",
    "model": "pocket-teacher",
    "prompt": "{problem}",
    "temperature": 0.8,
    "samples": SAMPLES,
}
CHANGES: dict[str, Any] = {
    "teacher": TEACHER,
    "levels": ["R0", "R1", "R6"],
    "training": {"preset": "pocket", "iterations": 4, "warmup_steps": 2, "validate_every": 1},
}


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[int]]:
    """A study of likeliest traces whose first run ended in the second chunk of likelihoods: its
    directory, its report, and how many traces each pass of the base was over."""
    folder = tmp_path_factory.mktemp("traces")
    lessons = {"take": "most_likely", "most": 2}
    controls = ["one_trace", "one_trace_epochs"]
    path = write_small_study(folder, **CHANGES, lessons=lessons, controls=controls)
    passes: list[int] = []
    score = likelihood.mean_logprobs

    def counted(base: Any, examples: Sequence[Example]) -> list[tuple[int, float]]:
        passes.append(len(examples))
        if len(passes) == 2:
            raise Killed
        return score(base, examples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "mean_logprobs", counted)
        with pytest.raises(Killed):
            run_study(load_study(path), folder / "run")
        report = run_study(load_study(path), folder / "run")
    assert report is not None
    return folder / "run", report, passes


def test_a_run_that_ended_among_the_likelihoods_repeats_one_chunk_of_them(
    done: tuple[Path, dict[str, Any], list[int]],
) -> None:
    directory, _, passes = done
    found = open_study(directory)
    right = sum(v.outcome is Outcome.CORRECT for v in found.made.taught.verdicts)
    assert 64 < right < 128
    assert passes == [64, right - 64, right - 64]
    assert len(found.made.traces) == right


def test_the_likeliest_two_of_each_problem_are_taught(
    done: tuple[Path, dict[str, Any], list[int]],
) -> None:
    made = open_study(done[0]).made
    for problem in {x.problem_id for x in made.traces}:
        own = [x for x in made.traces if x.problem_id == problem]
        assert all(x.tokens > 0 and x.mean_logprob < 0 for x in own)
        apart = sorted((x for x in own if x.copy_of < 0), key=lambda x: -x.mean_logprob)
        assert [x.rank for x in apart] == list(range(1, len(apart) + 1))
        best = sorted(x.sample for x in apart[:2])
        for level in ("R0", "R1", "R6"):
            lessons = [x for x in made.lessons if (x.problem_id, x.level) == (problem, level)]
            passed = {x.sample for x in lessons if not x.flags}
            chosen = [x.sample for x in made.chosen[level] if x.problem_id == problem]
            assert set(chosen) <= passed & set(best)
            assert chosen == sorted(chosen)
    counts = Counter(x.problem_id for x in made.chosen["R0"])
    assert max(counts.values()) == 2


def test_a_trace_is_taught_at_all_levels_or_at_none(
    done: tuple[Path, dict[str, Any], list[int]],
) -> None:
    chosen = open_study(done[0]).made.chosen
    keys = [[(x.problem_id, x.sample) for x in chosen[x]] for x in ("R0", "R1", "R6")]
    assert keys[0] == keys[1] == keys[2]
    for control in ("one_trace-R0", "one_trace_epochs-R0"):
        assert [x.problem_id for x in chosen[control]] == list(dict.fromkeys(i for i, _ in keys[0]))


def test_epochs_are_equal_where_steps_are_not(
    done: tuple[Path, dict[str, Any], list[int]],
) -> None:
    found = open_study(done[0])
    steps = {x.student.variant: x.history[-1].step for x in found.made.students}
    assert steps.pop("one_trace_epochs-R0") in (2, 3)
    assert steps == dict.fromkeys(("R0", "R1", "R6", "one_trace-R0"), 4)
    sizes = {x.student.variant: x.student.trained_examples for x in found.made.students}
    assert sizes["one_trace-R0"] == sizes["one_trace_epochs-R0"] < sizes["R0"]


def test_a_problem_counts_once_whatever_its_lessons(
    done: tuple[Path, dict[str, Any], list[int]],
) -> None:
    _, report, _ = done
    pairs = [c for c in report["comparisons"] if c["a"] == "R0" and "one_trace" in c["b"]]
    assert [(c["b"], c["n"]) for c in pairs] == [
        ("one_trace-R0", HELD_OUT),
        ("one_trace_epochs-R0", HELD_OUT),
    ]
    assert {x["n"] for x in report["levels"] if x["group"] == "all"} == {HELD_OUT}
    assert report["corpus"]["trained"] <= 24
    kept = {x["level"]: x["kept"] for x in report["corpus"]["lessons"]}
    assert kept["one_trace-R0"] <= TAUGHT < kept["R0"] <= 2 * TAUGHT
    told = [x["text"] for x in report["claims"] if x["about"] == "control"]
    assert len(told) == 2
    assert "one trace a problem, at equal steps" in told[0]
    assert "one trace a problem, at equal epochs" in told[1]
    (note,) = [x for x in report["notes"] if x.startswith("Lessons of several traces")]
    assert "a problem at R0" in note
    assert "a problem at R6" in note


def test_gates_count_every_lesson(done: tuple[Path, dict[str, Any], list[int]]) -> None:
    found = open_study(done[0])
    made = found.made
    rows = found.gates()
    totals = gate_totals(rows, made.taught.responses, made.lessons)
    flagged = Counter((x.level, flag) for x in made.lessons if x.level != "R0" for flag in x.flags)
    assert {(x.level, x.gate): x.excluded for x in totals if x.level != "R0" and x.excluded} == (
        flagged
    )


def test_a_second_run_makes_nothing_anew_and_verify_finds_all_in_order(
    done: tuple[Path, dict[str, Any], list[int]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory, report, passes = done
    before, asked = sorted(str(x) for x in (directory / "cells").rglob("*")), list(passes)
    assert run_study(load_study(directory.parent / "study.yaml"), directory) == report
    assert sorted(str(x) for x in (directory / "cells").rglob("*")) == before
    assert passes == asked
    assert run_cli(capsys, monkeypatch, "verify", directory)[0] == 0


def test_the_corpus_holds_every_lesson_with_its_own_text(
    done: tuple[Path, dict[str, Any], list[int]], tmp_path: Path
) -> None:
    exported = export_corpus(done[0], tmp_path / "corpus", "messages", ("R0",))
    chosen = open_study(done[0]).made.chosen["R0"]
    assert sum(exported.lessons["R0"].values()) == len(chosen)
    files = sorted((tmp_path / "corpus" / "R0").glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    texts = [line["messages"][-1]["content"] for line in lines]
    assert sorted(texts) == sorted(x.text for x in chosen)


def test_inspect_shows_both_tails_and_the_rank_of_each_reply(
    done: tuple[Path, dict[str, Any], list[int]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = done[0]
    traces = open_study(directory).made.traces
    listed = " ".join(run_cli(capsys, monkeypatch, "inspect", directory)[1].split())
    scored = sorted(traces, key=lambda x: x.mean_logprob)
    assert f"finds likeliest (nats a token): {scored[-1].problem_id} reply" in listed
    assert f"({scored[0].mean_logprob:.2f})." in listed
    several = Counter(x.problem_id for x in traces if x.taken)
    problem = next(i for i, n in several.items() if n == 2)
    shown = run_cli(capsys, monkeypatch, "inspect", directory, problem)[1]
    assert "rank 1, taken" in shown
    assert shown.count("R1 of reply") >= 2


def test_first_is_what_a_study_without_the_section_does(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    plain = write_small_study(tmp_path / "without", **CHANGES)
    said = write_small_study(tmp_path / "with", **CHANGES, lessons={"take": "first"})
    assert load_study(said).model_dump(mode="json") == load_study(plain).model_dump(mode="json")
    assert "lessons" not in load_study(plain).model_dump(mode="json")
    run_study(load_study(plain), tmp_path / "run", until="condense")
    cells = sorted(str(x) for x in (tmp_path / "run" / "cells").rglob("*"))
    run_study(load_study(said), tmp_path / "run", until="condense")
    assert sorted(str(x) for x in (tmp_path / "run" / "cells").rglob("*")) == cells
    made = StudyDirectory.open(tmp_path / "run").made
    assert made.traces == ()
    assert max(Counter((x.problem_id, x.level) for x in made.lessons).values()) == 1
    right = {v.problem_id for v in made.taught.verdicts if v.outcome is Outcome.CORRECT}
    assert {x.problem_id for x in made.lessons} == right


@pytest.mark.parametrize(
    ("lessons", "controls", "calls"),
    [
        ({"take": "all"}, [], 3),
        ({"take": "all", "most": 2}, [], 2),
        ({"take": "shortest"}, [], 1),
        ({"take": "shortest"}, ["one_trace"], 2),
        ({"take": "all"}, ["one_trace"], 3),
    ],
)
def test_the_plan_counts_the_condensing_of_every_trace(
    lessons: dict[str, Any], controls: list[str], calls: int, tmp_path: Path
) -> None:
    path = write_small_study(tmp_path, **CHANGES, lessons=lessons, controls=controls)
    study = load_study(path)
    _, planned = planned_calls(study, problems_of_study(study))
    condensed = next(x for x in planned if x.stage == "condense")
    assert condensed.calls == TAUGHT * 2 * calls


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": TEACHER | {"samples": 1}, "lessons": {"take": "all"}}, "samples of 2 or more"),
        ({"lessons": {"take": "all", "most": 4}}, "most .4. is more than teacher.samples .3."),
        ({"controls": ["one_trace"]}, "one_trace is what take: first trains anyway"),
        (
            {"lessons": {"take": "shortest"}, "controls": ["one_trace_epochs"]},
            "one_trace_epochs is the same as one_trace",
        ),
        ({"lessons": {"take": "all"}, "controls": ["unverified"]}, "unverified is one trace"),
        ({"lessons": {"take": "longest"}}, "lessons.take"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write_small_study(tmp_path, **CHANGES | changes)
    with pytest.raises(StudyError, match=said):
        load_study(path)


def test_recorded_levels_are_of_no_draw(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, **CHANGES, lessons={"take": "all"})
    raw = yaml.safe_load(path.read_text())
    del raw["condenser"]
    levels = tmp_path / "levels.csv"
    levels.write_text("id,r1\npocket/1,So \\boxed{2}.\n")
    raw["recorded"] = {"files": [{"path": str(levels), "id": ["id"], "levels": {"R1": "r1"}}]}
    path.write_text(yaml.safe_dump(raw | {"levels": ["R1"]}))
    with pytest.raises(StudyError, match="take: all chooses among the teacher's draws"):
        load_study(path)


def test_draws_at_temperature_0_are_told_at_the_start(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, **CHANGES | {"teacher": TEACHER | {"temperature": 0}})
    assert any("3 draws at temperature 0" in told for told in unused_settings(load_study(path)))


def test_copies_are_told_when_the_traces_are_ranked(tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(type(quiet)):  # type: ignore[misc]
        def note(self, text: str) -> None:
            notes.append(text)

    path = write_small_study(tmp_path, **CHANGES, lessons={"take": "distinct"})
    run_study(load_study(path), tmp_path / "run", progress=Notes(), until="condense")
    made = StudyDirectory.open(tmp_path / "run").made
    copies = [x for x in made.traces if x.copy_of >= 0]
    same = sum(x.similarity == 1 for x in copies)
    assert all(x.similarity >= 0.7 and not x.taken for x in copies)
    (told,) = [x for x in notes if x.startswith("traces: ")]
    assert f"{same} word for word and {len(copies) - same} nearly" in told
    assert f"of {len(made.traces)} right traces" in told
    taken = {(x.problem_id, x.sample) for x in made.traces if x.taken}
    assert {(x.problem_id, x.sample) for x in made.lessons} == taken
