"""Two teachers in one study: from their replies to the page, and what of them is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.deploy.export.corpus import export_corpus
from potstill.errors import StudyError
from potstill.lessons.teachers import (
    MOST_SAMPLES,
    FellAway,
    PooledResponses,
    lessons_of_each,
    reply_name,
    taught_by_all,
    teachers_sentence,
)
from potstill.pipeline.directory import open_study, study_of
from potstill.pipeline.lock import read_lock, study_hash
from potstill.pipeline.run import run_study
from potstill.planning.plan import planned_calls
from potstill.pocket import generate
from potstill.pocket.render import render
from potstill.progress import quiet
from potstill.records import Finish, Lesson, Problem, Response, TextGold, is_taken, teacher_of
from potstill.study.intake import problems_of_study
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from potstill.study.unused_settings import unused_settings
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

STUDIES = Path(__file__).resolve().parents[1] / "studies"
TRAIN, VALID, HELD_OUT = 24, 8, 12
WRONG_OF_R1, WRONG_OF_QWQ, UNASKED_OF_QWQ = {1, 2, 3}, {3, 4}, {5}
"""Problems of the training split, by their place, that a teacher has wrong or no record of."""
TAUGHT = TRAIN + VALID - 5
NAMES = ("r1", "qwq")
LIMITS = {"r1": 5000, "qwq": 6000}
POCKET = {"solver": "pocket", "model": "pocket-teacher", "prompt": "{problem}"}
TWO = [{"name": "r1", **POCKET}, {"name": "qwq", **POCKET, "seed": 1}]


class Notes(type(quiet)):  # type: ignore[misc]
    """A progress that keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def write_recording(path: Path, draw: int, wrong: set[int], unasked: set[int]) -> None:
    """Write a teacher's replies to the pocket's problems, each teacher's in words of its own."""
    with path.open("w", encoding="utf-8") as file:
        for split, count in (("train", TRAIN), ("valid", VALID), ("heldout", HELD_OUT)):
            for place, problem in enumerate(generate(split, count, 0)):
                if split == "train" and place in unasked:
                    continue
                text = render(problem, "R0", draw=draw)
                if split == "train" and place in wrong:
                    text = "I think that it is \\boxed{123456789}."
                file.write(json.dumps({"question": problem.text, "said": text}) + "\n")


def write_study(folder: Path, teachers: list[dict[str, Any]], **changes: Any) -> Path:
    """Write a small study of several teachers."""
    path = write_small_study(folder, **changes)
    raw = yaml.safe_load(path.read_text())
    del raw["teacher"]
    path.write_text(yaml.safe_dump(raw | {"teachers": teachers}))
    return path


def recorded(folder: Path) -> list[dict[str, Any]]:
    write_recording(folder / "r1.jsonl", 0, WRONG_OF_R1, set())
    write_recording(folder / "qwq.jsonl", 1, WRONG_OF_QWQ, UNASKED_OF_QWQ)
    return [
        {
            "name": name,
            "solver": "replay",
            "model": f"the-{name}",
            "prompt": "{problem}",
            "max_tokens": LIMITS[name],
            "files": [{"path": str(folder / f"{name}.jsonl"), "text": "said"}],
        }
        for name in NAMES
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A finished study of two recorded teachers: its directory, its report, and its notes."""
    folder = tmp_path_factory.mktemp("teachers")
    # of this seed the condenser makes no fault, which would keep a lesson from training
    condenser = {"solver": "pocket", "model": "pocket-condenser", "seed": 3}
    changes = {"levels": ["R0", "R1"], "verify": "symbolic", "condenser": condenser}
    path = write_study(folder, recorded(folder), **changes)
    progress = Notes()
    report = run_study(load_study(path), folder / "run", progress=progress)
    assert report is not None
    return folder / "run", report, progress.notes


Done = tuple[Path, dict[str, Any], list[str]]


def test_the_three_students_of_a_level_have_the_same_problems(done: Done) -> None:
    made = open_study(done[0]).made
    chosen = made.chosen
    assert not any(x.flags for x in made.lessons)
    assert list(chosen) == ["R0", "R1", "r1-R0", "r1-R1", "qwq-R0", "qwq-R1"]
    for level in ("R0", "R1"):
        mixture, *each = (chosen[x] for x in (level, f"r1-{level}", f"qwq-{level}"))
        ids = [[x.problem_id for x in lessons] for lessons in each]
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == len(ids[0]) == TAUGHT
        assert Counter(x.problem_id for x in mixture) == dict.fromkeys(ids[0], 2)
        assert {x.sample for x in each[0]} == {0}
        assert {x.sample for x in each[1]} == {MOST_SAMPLES}
        both = {(x.problem_id, x.text) for lessons in each for x in lessons}
        assert both == {(x.problem_id, x.text) for x in mixture}


def test_students_train_at_equal_steps_and_the_mixture_on_twice_the_lessons(done: Done) -> None:
    students = {x.student.variant: x for x in open_study(done[0]).made.students}
    assert set(students) == {"R0", "R1", "r1-R0", "r1-R1", "qwq-R0", "qwq-R1"}
    assert len({x.history[-1].step for x in students.values()}) == 1
    sizes = {name: x.student.trained_examples for name, x in students.items()}
    assert sizes["R0"] == 2 * sizes["r1-R0"] == 2 * sizes["qwq-R0"]


def test_the_run_and_the_report_say_what_fell_away_and_for_whom(done: Done) -> None:
    _, report, notes = done
    fallen = len(WRONG_OF_R1 ^ (WRONG_OF_QWQ | UNASKED_OF_QWQ))
    (told,) = [x for x in notes if x.startswith("At R0 every teacher")]
    assert told in report["notes"]
    assert f"the same {TAUGHT} problems: r1 {TAUGHT} lessons of " in told
    assert f"; {fallen} problems fell away" in told
    assert told.endswith("(r1 2, qwq 2).")
    (asked,) = [x for x in report["notes"] if x.startswith("Of the teachers")]
    assert asked.startswith("Of the teachers (r1, qwq) the first alone is asked held-out problems")
    kept = {x["level"]: x["kept"] for x in report["corpus"]["lessons"]}
    assert kept["r1-R0"] == kept["qwq-R0"] == TAUGHT
    assert report["corpus"]["samples"] == []


def test_no_problem_is_condensed_that_some_teacher_has_wrong(done: Done) -> None:
    made = open_study(done[0]).made
    assert len({x.problem_id for x in made.lessons}) == TAUGHT
    assert len(made.lessons) == 2 * 2 * TAUGHT  # of two teachers, R0 and R1


def test_the_condition_of_each_teacher_is_in_the_report(done: Done) -> None:
    limits = [x["sampling"]["max_tokens"] for x in done[1]["conditions"]]
    # r1 answered the problems to be taught and the held-out ones, each a condition of its own
    assert (limits.count(5000), limits.count(6000)) == (2, 1)


def test_every_two_of_the_three_and_the_base_are_compared_in_pairs(done: Done) -> None:
    pairs = {(c["a"], c["b"]): c for c in done[1]["comparisons"] if c["group"] == "all"}
    for level in ("R0", "R1"):
        of_level = [
            (level, f"r1-{level}"),
            (level, f"qwq-{level}"),
            (f"r1-{level}", f"qwq-{level}"),
        ]
        for pair in [*of_level, (f"r1-{level}", "base"), (f"qwq-{level}", "base")]:
            assert pairs[pair]["n"] == HELD_OUT
            assert pairs[pair]["p_holm"] >= pairs[pair]["p"]
    assert ("r1-R0", "qwq-R1") not in pairs
    teacher = [x for x in done[1]["levels"] if x["role"] == "teacher" and x["group"] == "all"]
    assert [x["solvers"] for x in teacher] == [["the-r1"]]


def test_claims_name_the_teachers(done: Done) -> None:
    claims = [x["text"] for x in done[1]["claims"] if x["about"] == "teachers"]
    begins = ["r1-R0, of r1’s lessons alone, answers", "r1-R1, of", "qwq-R0, of", "qwq-R1, of"]
    begins += [f"r1-{x} beside qwq-{x}, both of the same problems: " for x in ("R0", "R1")]
    assert [a.startswith(b) for a, b in zip(claims, begins, strict=True)] == [True] * 6
    mixtures = [x["text"] for x in done[1]["claims"] if x["about"] == "control"]
    assert [x.partition(", beside ")[0] for x in mixtures] == [
        f"{level}, of every teacher’s lessons" for _ in NAMES for level in ("R0", "R1")
    ]
    who = {x["name"]: x["told"] for x in done[1]["opening"]["who"]}
    assert who["qwq-R1"] == "R1 again, of the same problems: trained on qwq’s solutions alone"


def test_a_second_run_makes_nothing_anew_and_verify_finds_all_in_order(
    done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, report, _ = done
    before = sorted(str(x) for x in (directory / "cells").rglob("*"))
    study = load_study(directory.parent / "study.yaml")
    assert run_study(study, directory) == report
    assert sorted(str(x) for x in (directory / "cells").rglob("*")) == before
    assert study_of(directory) == study
    assert run_cli(capsys, monkeypatch, "verify", directory)[0] == 0
    lock = read_lock(directory)
    assert lock is not None
    agents = lock["decides"]["agents"]
    assert [x for x in agents if x.startswith("teacher")] == ["teacher r1", "teacher qwq"]
    assert "teachers" not in lock["decides"]


def test_inspect_and_status_tell_the_teachers_apart(
    done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = done[0]
    made = open_study(directory).made
    lines = run_cli(capsys, monkeypatch, "inspect", directory)[1].splitlines()
    assert lines[0].split()[:5] == ["problem", "split", "key", "r1", "qwq"]
    wrong = {
        place: [r.problem_id for r, v in made.taught.judged() if v.outcome == "WRONG"
                if r.sample // MOST_SAMPLES == place]
        for place in (0, 1)
    }  # fmt: skip
    assert [len(wrong[place]) for place in (0, 1)] == [3, 2]
    shown = run_cli(capsys, monkeypatch, "inspect", directory, made.chosen["R0"][0].problem_id)[1]
    for name in NAMES:
        assert f"teacher's reply 1 of {name}" in shown
        assert f"R1 of reply 1 of {name}" in shown
    status = run_cli(capsys, monkeypatch, "status", directory)[1]
    assert "teacher r1 · train" in status
    assert "teacher qwq · train" in status


def test_the_corpus_says_whose_each_lesson_is(done: Done, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    export_corpus(done[0], tmp_path / "corpus", "dataset", ("R0", "qwq-R0"))
    rows = [
        row
        for file in sorted((tmp_path / "corpus" / "R0").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]
    assert Counter(x["teacher"] for x in rows) == {"the-r1": TAUGHT, "the-qwq": TAUGHT}
    card = (tmp_path / "corpus" / "README.md").read_text()
    assert "the-qwq" in card
    assert "the-r1" in card


def test_each_takes_its_own_traces(tmp_path: Path) -> None:
    drawn = {"temperature": 0.8, "samples": 3}
    teachers = [TWO[0] | drawn, TWO[1] | drawn | {"samples": 2}]
    lessons = {"take": "all", "most": 2}
    path = write_study(tmp_path, teachers, levels=["R0", "R1"], lessons=lessons)
    run_study(load_study(path), tmp_path / "run", until="condense")
    made = open_study(tmp_path / "run").made
    draws = {x.sample for x in made.taught.responses}
    assert draws == {0, 1, 2, MOST_SAMPLES, MOST_SAMPLES + 1}
    for place, name in enumerate(NAMES):
        own = Counter(x.problem_id for x in made.chosen[f"{name}-R0"])
        assert 1 <= min(own.values()) <= max(own.values()) == 2
        ranks = [x for x in made.traces if x.sample // MOST_SAMPLES == place]
        first = Counter(x.problem_id for x in ranks if x.first)
        assert set(first.values()) == {1}
        assert {x.rank for x in ranks if x.taken} == {1, 2}


def test_the_plan_counts_the_calls_to_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    priced = {"price": {"input": 1.0, "output": 2.0}, "api_key_env": ""}
    teachers = [
        {"name": name, "solver": "api", "model": f"some-{name}", "samples": draws,
         "temperature": 0.6, "base_url": "http://127.0.0.1:9/v1", **priced}
        for name, draws in (("r1", 1), ("qwq", 2))
    ]  # fmt: skip
    path = write_study(tmp_path, teachers)
    study = load_study(path)
    _, planned = planned_calls(study, problems_of_study(study))
    calls = {x.role: x.calls for x in planned if x.role}
    assert calls["teacher r1"] == TRAIN + VALID + HELD_OUT
    assert calls["teacher qwq"] == 2 * (TRAIN + VALID)
    assert calls["condenser"] == 2 * (TRAIN + VALID) * 2
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_cli(capsys, monkeypatch, "run", path, "--dry-run")
    assert code == 0
    shown = " ".join(out.split())
    assert "some-r1" in shown
    assert "teacher qwq, as often as samples says" in shown
    assert "teachers[1].name" in shown
    assert "r1-R1" in shown
    assert not any(x.startswith("teacher ") for x in unused_settings(study))


def test_training_is_timed_before_there_are_lessons_of_any_teacher(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_study(tmp_path, TWO, levels=["R0", "R1"])
    code, out, err = run_cli(
        capsys, monkeypatch, "train", path, "--dry-run", "--out", tmp_path / "run"
    )
    assert code == 0, err
    assert "qwq-R1" in out


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "one": (TWO[:1], {}, "teachers: name two or more"),
    "both": (TWO, {"teacher": POCKET}, "give either teacher or teachers"),
    "twice": ([TWO[0], TWO[1] | {"name": "r1"}], {}, "two are called 'r1'"),
    "a level": ([TWO[0], TWO[1] | {"name": "R1"}], {}, "none may be called 'R1'"),
    "a control": ([TWO[0], TWO[1] | {"name": "one_trace"}], {}, "none may be called 'one_trace'"),
    "begins as another": ([TWO[0], TWO[1] | {"name": "mix-2"}], {}, "none may be called 'mix-2'"),
    "the base": ([TWO[0], TWO[1] | {"name": "base"}], {}, "none may be called 'base'"),
    "no name": ([TWO[0], POCKET], {}, "'teachers[1].name' is missing"),
    "a name with a blank": ([TWO[0], TWO[1] | {"name": "a b"}], {}, "'teachers[1].name': should"),
    "no list": ("r1", {}, "teachers: name two or more"),
    "the same": ([TWO[0], TWO[1] | {"seed": 0}], {}, "r1 and qwq are the same model"),
    "an unknown key": ([TWO[0], TWO[1] | {"modell": "x"}], {}, "teacher qwq: unknown key 'modell'"),
    "a temperature": ([TWO[0] | {"temperature": 3}, TWO[1]], {}, "'teachers[0].temperature'"),
    "one trace": (
        [x | {"samples": 2, "temperature": 0.8} for x in TWO],
        {"lessons": {"take": "all"}, "controls": ["one_trace"]},
        "controls: one_trace is of one teacher's traces",
    ),
    "unverified": (TWO, {"levels": ["R0"], "controls": ["wrong"]}, "controls: wrong is"),
    "no problem in the prompt": (
        [TWO[0], TWO[1] | {"prompt": "Solve it."}], {}, "teacher qwq.prompt holds no {problem}"
    ),
    "primary of two levels": (
        TWO, {"primary": ["r1-R1", "qwq-R6"]}, "primary: r1-R1 is not compared with qwq-R6"
    ),
    "a cut that nothing reads": (
        [TWO[0], TWO[1] | {"cut_max_tokens": 9999}], {}, "teacher qwq.cut_max_tokens decides"
    ),
    "no price within a budget": (
        [TWO[0], {"name": "qwq", "solver": "api", "model": "some-qwq", "base_url": "http://x/v1"}],
        {"budget_usd": 1.0}, "no price is known for some-qwq, the teacher qwq"
    ),
    "another world": (
        [TWO[0], {"name": "qwq", "solver": "replay", "model": "m",
                  "files": [{"path": "none.jsonl", "text": "said"}]}],
        {}, "teacher qwq: "
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_one_sentence(
    case: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teachers, changes, says = REFUSED[case]
    path = write_small_study(tmp_path)
    raw = yaml.safe_load(path.read_text())
    del raw["teacher"]
    path.write_text(yaml.safe_dump(raw | {"teachers": teachers} | changes))
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "run")
    assert code == 2, err
    assert says in one_sentence(err)


def test_recorded_levels_are_of_no_teacher(tmp_path: Path) -> None:
    path = write_study(tmp_path, TWO)
    raw = yaml.safe_load(path.read_text())
    del raw["condenser"]
    (tmp_path / "levels.csv").write_text("id,r1\npocket/1,So \\boxed{2}.\n")
    files = [{"path": "levels.csv", "id": ["id"], "levels": {"R1": "r1"}}]
    path.write_text(yaml.safe_dump(raw | {"levels": ["R1"], "recorded": {"files": files}}))
    with pytest.raises(StudyError, match="teachers and recorded levels do not go together"):
        load_study(path)


def test_a_key_that_one_of_them_lacks_is_asked_for_before_the_other_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    lacking = {"solver": "api", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    teachers = [TWO[0], {"name": "qwq", **lacking, "api_key_env": "NO_SUCH_KEY"}]
    path = write_study(tmp_path, teachers)
    with pytest.raises(StudyError, match=r"^teacher qwq: .*NO_SUCH_KEY.*before the teacher r1"):
        run_study(load_study(path), tmp_path / "run", until="teach")


HASHES = {
    "clinical.yaml": "5327ef4ed5aca038fc29b4293d5874822cf494635cde1fb3322f0b86874c558a",
    "code.yaml": "bc3b07c1472c91fca6708b1a053658914e7faa31397d3ae7aded3ed1e798de32",
    "competition-recorded.yaml": "e7ffa10b61166bf2dd6f4bf4ec368abfaa9b547c61b2d5280b90314ffcfd0450",
    "gsm8k-r1.yaml": "10f750f7204a82ced48958fd9f5e92f1ffe624e723f4d093e192806f498fa33f",
    "gsm8k.yaml": "1f3c659f2d0625aee6df0bf5a3ae2104c4637effe753cc9a4df6a2d2ef9deaa7",
    "law.yaml": "2b82f9531e13a2aa1c23bbeea926cb75c43f8165550acd312dc42741c68dfc33",
    "paper.yaml": "4429005390ffe112f264a79f7351a12ddf4571edce02bb790274846a60cd5c8b",
    "word-problems.yaml": "a720906e2a485c7d759ced984c29efd0b04ca01e74ba2ec1ac7b06d92d4a6152",
    "demo.yaml": "5d7055aa9140c17c43822a16df04231deeb7dd4e21f85029f74d5d5c61d8a9ea",
}
"""Of the studies that shipped before a study could have several teachers, as they were then."""


@pytest.mark.parametrize("name", HASHES)
def test_a_study_of_one_teacher_keeps_its_hash(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_DATA", "/data")
    monkeypatch.setenv("POTSTILL_LEVELS", "/levels")
    for unset in ("POTSTILL_TEACHER", "POTSTILL_ENDPOINT", "POTSTILL_BASE", "POTSTILL_PRECISION"):
        monkeypatch.delenv(unset, raising=False)
    path = DEMO_STUDY if name == "demo.yaml" else STUDIES / name
    study = load_study(path)
    assert study_hash(study) == HASHES[name]
    assert list(study.teaching()) == ["teacher"]


@pytest.mark.parametrize(
    ("variant", "teacher"),
    [
        *[("r1-R1", "r1"), ("deepseek-r1-R0", "deepseek-r1"), ("DeepSeek-R1-R6", "DeepSeek-R1")],
        *[("truncate-R4", ""), ("one_trace-R1", ""), ("mix-R1", ""), ("base-R1", ""), ("R1", "")],
        *[("auto", ""), ("answer_only", ""), ("r1", ""), ("r1-R9", "")],
    ],
)
def test_the_teacher_of_a_student_is_in_its_name(variant: str, teacher: str) -> None:
    assert teacher_of(variant) == teacher


def test_names_of_others_are_taken() -> None:
    assert all(map(is_taken, ("R1", "truncate", "wrong", "auto", "mix", "base", "base-2")))
    assert not any(map(is_taken, ("r1", "qwq", "deepseek-r1", "DeepSeek-R1", "basement")))


def said(problem: str, sample: int) -> Response:
    return Response.of_text("t", problem, f"{problem} {sample}", sample=sample)


def problems(*ids: str) -> list[Problem]:
    return [Problem(i, i, TextGold("1"), "integer", "s") for i in ids]


def test_responses_stand_by_problem_and_then_by_teacher() -> None:
    first = [said("a", 0), said("a", 1), said("c", 0)]
    second = [said("b", 0), said("c", 0), said("c", 1)]
    pooled = PooledResponses([first, second], problems("a", "b", "c"))
    wanted = [("a", 0), ("a", 1), ("b", 64), ("c", 0), ("c", 64), ("c", 65)]
    assert [(x.problem_id, x.sample) for x in pooled] == wanted
    assert [(x.problem_id, x.sample) for x in (pooled[i] for i in range(6))] == wanted
    assert [x.text for x in pooled] == ["a 0", "a 1", "b 0", "c 0", "c 0", "c 1"]
    assert len({x.response_id for x in pooled}) == len(pooled) == 6
    assert all(x.finish is Finish.STOP for x in pooled[1:3])


def lesson(problem: str, sample: int, level: str = "R1") -> Lesson:
    return Lesson(problem, level, "R0", "text", 1, 10, "c", sample=sample)


def test_a_problem_is_taught_only_where_every_teacher_has_a_lesson_of_it() -> None:
    lessons = [lesson("a", 0), lesson("a", 65), lesson("b", 0), lesson("c", 0), lesson("d", 64)]
    kept, fell = taught_by_all({"R1": lessons, "R4": lessons[:2]}, [{"a", "b", "c"}, {"a", "d"}])
    assert {level: [x.problem_id for x in rows] for level, rows in kept.items()} == {
        "R1": ["a", "a"],
        "R4": ["a", "a"],
    }
    assert fell == {"R1": FellAway(3, (1, 2)), "R4": FellAway(3, (1, 2))}
    own = lessons_of_each(kept, NAMES, ["R1"])
    assert {name: [x.sample for x in rows] for name, rows in own.items()} == {
        "r1-R1": [0],
        "qwq-R1": [65],
    }
    told = teachers_sentence(NAMES, "R1", {**kept, **own}, fell)
    assert told == (
        "At R1 every teacher teaches the same 1 problem: r1 1 lesson of 10 tokens, qwq 1 lesson of "
        "10 tokens; 3 problems fell away, for a teacher has no lesson there that passed (r1 1, "
        "qwq 2)."
    )
    assert teachers_sentence((), "R1", kept, fell) == ""


def test_a_reply_is_called_by_its_number_and_its_teacher() -> None:
    assert reply_name(2, ()) == "reply 3"
    assert [reply_name(x, NAMES) for x in (2, 64)] == ["reply 3 of r1", "reply 1 of qwq"]
