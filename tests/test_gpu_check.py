"""``tools/gpu_check.py``: what ended is kept, what was stopped goes on, in slices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tools.gpu_check import Check, checks_of, run_checks

ROOT = Path(__file__).resolve().parents[1]


def python(name: str, code: str, *, goes_on: bool = False) -> Check:
    return Check(name, [sys.executable, "-c", code], goes_on)


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "checks.jsonl").read_text().splitlines()]


def test_each_check_runs_once_whatever_its_end_and_its_words_are_kept(tmp_path: Path) -> None:
    checks = [python("good", "print('well')"), python("bad", "import sys; sys.exit(3)")]
    assert run_checks(checks, tmp_path, 60) == []
    assert run_checks(checks, tmp_path, 60) == []
    assert [(row["name"], row["status"]) for row in rows(tmp_path)] == [("good", 0), ("bad", 3)]
    assert (tmp_path / "good.txt").read_text() == "well\n"


def test_one_that_goes_on_is_interrupted_and_ends_in_a_later_slice(tmp_path: Path) -> None:
    place = tmp_path / "steps"
    code = (
        "import pathlib, time\n"
        f"place = pathlib.Path({str(place)!r})\n"
        "if not place.exists():\n"
        "    place.write_text('1')\n"
        "    time.sleep(60)\n"
        "print('went on')"
    )
    checks = [python("study", code, goes_on=True), python("next", "print(1)")]
    assert run_checks(checks, tmp_path, 3) == ["study", "next"]
    assert not (tmp_path / "checks.jsonl").exists()
    assert run_checks(checks, tmp_path, 60) == []
    assert [row["status"] for row in rows(tmp_path)] == [0, 0]
    assert (tmp_path / "study.txt").read_text().endswith("went on\n")


def test_one_too_long_for_a_slice_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    checks = [python("endless", "import time; time.sleep(60)"), python("next", "print(1)")]
    assert run_checks(checks, tmp_path, 2) == ["next"]
    assert rows(tmp_path)[0]["why"] == "too long for a slice"
    assert run_checks(checks, tmp_path, 60) == []


def test_a_line_that_was_torn_off_is_none_and_harms_no_other(tmp_path: Path) -> None:
    checks = [python("good", "print('well')"), python("other", "print('too')")]
    assert run_checks(checks[:1], tmp_path, 60) == []
    with (tmp_path / "checks.jsonl").open("a") as kept:
        kept.write('{"name": "other", "comm')
    assert run_checks(checks, tmp_path, 60) == []
    kept_names = []
    for line in (tmp_path / "checks.jsonl").read_text().splitlines():
        try:
            kept_names.append(json.loads(line)["name"])
        except ValueError:
            continue
    assert kept_names == ["good", "other"]


def _is_there(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process_id}/stat")  # one that nobody has waited for is still listed
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_what_a_check_started_ends_with_the_tool_even_if_that_is_killed(tmp_path: Path) -> None:
    names = tmp_path / "ids"
    child = "import time; time.sleep(120)"
    check = (
        "import os, pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"pathlib.Path({str(names)!r}).write_text(f'{{os.getpid()}} {{child.pid}} ')\n"
        "time.sleep(120)"
    )
    tool = (
        "import sys\nfrom pathlib import Path\nfrom tools.gpu_check import Check, run_checks\n"
        f"run_checks([Check('c', [sys.executable, '-c', {check!r}])], Path({str(tmp_path)!r}), 120)"
    )
    process = subprocess.Popen([sys.executable, "-c", tool], cwd=ROOT)
    end = time.monotonic() + 60
    while not (names.exists() and names.read_text().endswith(" ")) and time.monotonic() < end:
        time.sleep(0.05)
    started = [int(x) for x in names.read_text().split()]
    assert [_is_there(x) for x in started] == [True, True]
    time.sleep(1)  # the guard is begun right after the check
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 60
    while any(map(_is_there, started)) and time.monotonic() < end:
        time.sleep(0.05)
    assert [_is_there(x) for x in started] == [False, False]


def test_a_relative_folder_of_levels_starts_where_the_tool_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POTSTILL_LEVELS", "levels")
    monkeypatch.setenv("POTSTILL_BASE", "base")
    (study,) = [check for check in checks_of(tmp_path, "cuda") if check.name == "gsm8k"]
    assert study.env["POTSTILL_LEVELS"] == str(tmp_path / "levels")
    assert study.env["POTSTILL_BASE"] == str(tmp_path / "base")
    monkeypatch.setenv("POTSTILL_BASE", "org/model")  # a name of the hub stays one
    (study,) = [check for check in checks_of(tmp_path, "cuda") if check.name == "gsm8k"]
    assert "POTSTILL_BASE" not in study.env


def test_minutes_that_hold_no_check_are_refused(tmp_path: Path) -> None:
    tool = [sys.executable, "tools/gpu_check.py", str(tmp_path / "out"), "--device", "cpu"]
    done = subprocess.run([*tool, "--minutes", "0.3"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--minutes 0.3 leaves no time for a check" in done.stderr
    assert not (tmp_path / "out").exists()


def test_study_of_the_grid_is_one_that_potstill_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.study.schema import load_study

    monkeypatch.setenv("POTSTILL_LEVELS", str(tmp_path))
    names = [check.name for check in checks_of(tmp_path, "cuda")]
    assert names[:2] == ["cuda-tests", "gsm8k"]
    study = load_study(tmp_path / "gsm8k.yaml")
    assert (study.seeds, study.student.precision) == ([0, 1, 2, 3, 4], "bfloat16")


def test_commands_are_ones_that_their_scripts_know(tmp_path: Path) -> None:
    scripts = [c.command for c in checks_of(tmp_path, "cpu") if "benchmarks/" in c.command[1]]
    assert len(scripts) == 4
    for command in scripts:
        # an option that is not there ends argparse before anything is measured
        done = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0
        for option in (word for word in command if word.startswith("--")):
            assert option in done.stdout
