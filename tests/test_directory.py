"""A study's directory read as it stands, and Potstill as a library: nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import potstill
from potstill.errors import StoreError
from potstill.ledger.ledger import Ledger
from potstill.pipeline.directory import StudyDirectory, directory_of
from potstill.pipeline.run import run_study
from potstill.records import Role, Split
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import keys_in, write_small_study


def listed(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def finished(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "run"
    run_study(load_study(study_file), out)
    return out


def test_all_that_a_finished_study_made(finished: Path) -> None:
    before = listed(finished)
    there = StudyDirectory.open(finished)
    assert there.unfinished == ""
    assert there.finished[-1] == "answer"
    for value in (there.problems, there.splits, there.taught, there.lessons, there.students):
        assert value
    assert there.answers
    assert there.report is not None
    assert there.report["format_version"]
    assert sum(row.calls for row in there.spend()) > 0
    assert listed(finished) == before


def test_tables_hold_every_response_lesson_and_problem(finished: Path) -> None:
    there = StudyDirectory.open(finished)
    responses, lessons, problems = there.responses, there.lesson_table, there.problem_table
    assert isinstance(responses, pa.Table)
    assert there.answers is not None
    assert responses.num_rows == sum(len(cell.responses) for cell in there.answers)
    assert {"role", "level", "seed", "problem_id", "outcome", "text"} <= set(responses.column_names)
    assert lessons is not None
    assert lessons.num_rows == len(there.lessons or ())
    assert problems is not None
    assert set(problems["split"].to_pylist()) <= {split.value for split in Split}


@pytest.mark.parametrize("until", ["split", "teach", "condense", "train"])
def test_what_a_study_has_not_made_yet_is_none(
    study_file: Path, tmp_path: Path, until: str
) -> None:
    run_study(load_study(study_file), tmp_path, until=until)
    before = listed(tmp_path)
    there = StudyDirectory.open(tmp_path)
    assert there.unfinished
    assert there.finished[-1] in (until, "rate", "verify")
    assert there.answers is None
    assert there.report is None
    assert there.responses is None
    assert (there.lessons is None) == (until in ("split", "teach"))
    assert (there.students is None) == (until != "train")
    assert listed(tmp_path) == before


def test_a_study_file_stands_for_its_directory(
    study_file: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = load_study(study_file).name
    shutil.copytree(finished, tmp_path / "runs" / name)
    assert directory_of(study_file) == Path("runs") / name
    assert StudyDirectory.open(study_file).finished[-1] == "answer"
    assert directory_of(finished / "study.json") == finished


def test_a_folder_that_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no study directory"):
        StudyDirectory.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_lost_a_file_says_which(finished: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(finished, lost)
    (lost / "potstill.json").unlink()
    with pytest.raises(StoreError, match=r"potstill\.json is missing; run the study again into"):
        StudyDirectory.open(lost)
    shutil.copy(finished / "potstill.json", lost)
    (lost / "study.json").unlink()
    with pytest.raises(StoreError, match=r"lost its study\.json; run the study again into it"):
        StudyDirectory.open(lost)
    write_small_study(tmp_path)
    with pytest.raises(StoreError, match=r"give .*study\.yaml, or the directory"):
        StudyDirectory.open(tmp_path)


def test_a_directory_keeps_the_study_that_it_holds(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = write_small_study(tmp_path, name="other")
    before = listed(finished)
    for dry in ([], ["--dry-run"]):
        code, out, err = run_cli(capsys, monkeypatch, "run", other, "--out", finished, *dry)
        assert (code, out) == (2, "")
        assert "holds the study 'demo' and not 'other'" in one_sentence(err)
    assert listed(finished) == before


def test_a_ledger_is_named_by_its_study_file_and_no_other_file_is_one(
    finished: Path,
    study_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/demo").symlink_to(finished)
    by_file = run_cli(capsys, monkeypatch, "ledger", study_file)
    assert by_file == run_cli(capsys, monkeypatch, "ledger", finished)
    assert by_file[0] == 0
    Path("table.csv").write_text("question,answer\n")
    for options in ([], ["--verify"], ["--export", "new.jsonl"], ["--import", finished]):
        code, _, err = run_cli(capsys, monkeypatch, "ledger", "table.csv", *options)
        assert code == 2
        assert "table.csv is no ledger" in one_sentence(err)
    assert Path("table.csv").read_text() == "question,answer\n"


@pytest.mark.parametrize("how", ["emptied", "begun anew", "missing"])
def test_a_lost_ledger_is_refused_by_all_who_would_begin_it_anew(
    finished: Path,
    study_file: Path,
    tmp_path: Path,
    how: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    ledger = out / "ledger.sqlite"
    if how == "emptied":
        ledger.write_bytes(b"")
    else:
        ledger.unlink()
    if how == "begun anew":
        Ledger.open(ledger).close()
    says = "ledger.sqlite is " + ("missing" if how == "missing" else "empty") + ", though answers"
    before = listed(out).keys()
    for command in (
        ("run", study_file, "--out", out, "--until", "problems"),
        ("ledger", out, "--verify"),
        ("ledger", out),
        ("status", out),
    ):
        code, _, err = run_cli(capsys, monkeypatch, *command)
        assert code == 2
        assert says in one_sentence(err)
    assert listed(out).keys() == before
    code, told, _ = run_cli(capsys, monkeypatch, "ledger", out, "--import", finished)
    assert code == 0
    assert f"{len(keys_in(finished))} replies added" in told
    assert StudyDirectory.open(out).unfinished == ""


def test_lost_cells_are_one_sentence(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "cells")
    for command in ("inspect", "status"):
        code, _, err = run_cli(capsys, monkeypatch, command, tmp_path / "out")
        assert code == 2
        assert "cells is missing, and the report was made from it" in one_sentence(err)
    code, told, _ = run_cli(capsys, monkeypatch, "verify", tmp_path / "out")
    assert code == 2
    assert told.count("damaged: ") == 1
    # both lost: what is made anew would be bought again
    (tmp_path / "out" / "ledger.sqlite").unlink()
    with pytest.raises(StoreError, match=r"ledger\.sqlite is missing, though answers"):
        Ledger.open(tmp_path / "out" / "ledger.sqlite", readonly=True)


def test_status_names_base_and_students(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, told, _ = run_cli(capsys, monkeypatch, "status", finished)
    assert code == 0
    who = [line.split()[1:3] for line in told.splitlines() if line.split()[:1] == ["answer"]]
    assert sorted(who, key=str) == [["R1", "s0"], ["R6", "s0"], ["base", "12"]]
    assert "@float32" not in told


API = {
    "KindPlugin", "Lesson", "LoadedStudent", "PotstillError", "Problem", "ProblemSource",
    "Response", "Score", "Solver", "SolverPlugin", "Study", "StudyDirectory", "TextGold", "Verdict",
    "__version__", "compare", "equal", "grade", "load_student", "load_study", "open_study", "run",
    "verify",
}  # fmt: skip


def test_the_library_offers_these_names_and_each_is_there() -> None:
    assert set(potstill.__all__) == API == set(dir(potstill))
    for name in API:
        assert getattr(potstill, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        potstill.distil  # noqa: B018
    assert (Path(potstill.__file__).parent / "py.typed").is_file()


def test_a_study_from_a_script(study_file: Path, finished: Path, tmp_path: Path) -> None:
    there = potstill.run(study_file, tmp_path / "run")
    assert there.report is not None
    assert potstill.open_study(tmp_path / "run").finished == there.finished
    assert not potstill.verify(tmp_path / "run").damaged
    assert potstill.compare(finished, tmp_path / "run").sets
    assert potstill.equal("1/2", "0.5").opinion == "EQUAL"


def test_a_loaded_student_answers_as_it_did_in_its_study(finished: Path) -> None:
    there = potstill.open_study(finished)
    assert there.answers is not None
    assert there.problems is not None
    problems = {problem.id: problem.text for problem in there.problems}
    cells = {x.name: x for x in there.answers if x.role is Role.STUDENT}
    with potstill.load_student(finished) as student:
        for cell in cells.values():
            first = cell.responses[0]
            assert student.ask(problems[first.problem_id], level=cell.level) == first.text
        with pytest.raises(potstill.PotstillError, match="no problem to answer"):
            student.ask(" ")
    with pytest.raises(potstill.PotstillError, match="is closed"):
        student.ask(problems[first.problem_id])
    assert len(repr(there)) < 200


# what takes long to import, and none of which a command that only looks has a use for
HEAVY = {
    *("torch", "transformers", "peft", "tokenizers", "mlx", "ray", "scipy", "sympy", "matplotlib"),
    *("math_verify", "pandas", "httpx", "starlette", "potstill.grading.pool"),
    *("potstill.grading.extraction", "potstill.pipeline.assemble", "potstill.training.loop"),
}
LOOK = """
import sys
from potstill.cli.main import main
for arguments in ARGUMENTS:
    sys.argv = ["potstill", *arguments]
    try:
        main()
    except SystemExit as exc:
        assert not exc.code
    print(arguments[0], sorted(HEAVY & set(sys.modules)), file=sys.stderr)
"""


def test_commands_that_only_look_load_nothing_heavy(finished: Path, study_file: Path) -> None:
    before = listed(finished)
    commands = [["status", finished], ["inspect", finished]]
    commands.append(["run", study_file, "--out", finished])  # nothing is left to do
    commands += [["gap", finished], ["compare", finished, finished]]
    asked = [[str(word) for word in command] for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", f"ARGUMENTS, HEAVY = {asked!r}, {HEAVY!r}\n{LOOK}"],
        capture_output=True,
        text=True,
        check=True,
    )
    statistics = "['potstill.pipeline.assemble', 'scipy']"
    expected = ["status []", "inspect []", "run []", f"gap {statistics}", f"compare {statistics}"]
    assert done.stderr.splitlines() == expected
    assert "= report " in done.stdout
    changed = {name for name, at in listed(finished).items() if before.get(name) != at}
    assert not {name for name in changed if name.startswith(("cells", "report", "study.lock"))}


def test_a_script_without_a_guard_is_told_to_have_one(tmp_path: Path) -> None:
    study = write_small_study(tmp_path)
    script = tmp_path / "plain.py"
    script.write_text(f"import potstill\npotstill.run({str(study)!r}, {str(tmp_path / 'out')!r})\n")
    # of one core no process is started
    asked: dict[str, Any] = {"env": os.environ | {"PYTHON_CPU_COUNT": "2"}, "cwd": tmp_path}
    asked |= {"capture_output": True, "text": True}
    failed = subprocess.run([sys.executable, str(script)], **asked)
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert 'put the call beneath if __name__ == "__main__":' in last
