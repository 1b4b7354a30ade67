"""What ``potstill status`` says of a study that did not go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from potstill.cli.status import _why
from potstill.errors import InputError, StoreError
from potstill.store.last_run import LAST_RUN_FILE, noting_its_end, why_it_stopped
from support.command_line import run_cli
from support.small_study import write_small_study


def test_a_long_error_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    lost = ["timeout", f"refused: {'a' * 400}\n{'b' * 400}."]
    found: Any = SimpleNamespace(
        study=SimpleNamespace(budget_usd=None),
        unanswered=lambda: lost,
        finished=("problems", "split", "rate"),
        path=tmp_path,
    )
    stage, why = _why(found, 0.0)
    assert stage == "It stands at the stage teach (4 of 9)."
    shown = f"refused: {'a' * 141} [...] {'b' * 149}"
    assert why == f"2 calls had no reply; the last: {shown}."


STOPS = {
    "Ctrl-C": (KeyboardInterrupt(), "stopped: it was interrupted (Ctrl-C)."),
    "an error of ours": (StoreError("The disk is full."), "stopped: The disk is full."),
    "a bug": (ZeroDivisionError("by 0"), "stopped: ZeroDivisionError: by 0."),
}


@pytest.mark.parametrize("case", STOPS)
def test_why_a_run_stopped_is_kept_until_one_comes_to_its_end(case: str, tmp_path: Path) -> None:
    error, says = STOPS[case]

    def run() -> None:
        with noting_its_end(tmp_path):
            now = why_it_stopped(tmp_path)
            assert now.startswith(f"A run is at work (process {os.getpid()}, since ")
            raise error

    with pytest.raises(type(error)):
        run()
    assert why_it_stopped(tmp_path).endswith(says)
    with noting_its_end(tmp_path, until="teach"):
        pass
    assert why_it_stopped(tmp_path).endswith("it was to go no further than teach (--until).")
    with noting_its_end(tmp_path):
        pass
    assert why_it_stopped(tmp_path) == ""
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from potstill.store.last_run import noting_its_end\n"
        "with noting_its_end(Path(sys.argv[1])): os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert killed.returncode == -9
    assert "ended without a word: it was killed, memory ran out" in why_it_stopped(tmp_path)
    # its number may be given to another process
    path = tmp_path / LAST_RUN_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"process": os.getpid()}))
    assert "ended without a word" in why_it_stopped(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "elsewhere"}))
    assert why_it_stopped(tmp_path).startswith("A run was begun on elsewhere (")
    path.write_text("{}")
    with pytest.raises(InputError, match=r"last_run\.json cannot be read .*; delete it;"):
        why_it_stopped(tmp_path)


def test_status_says_at_which_stage_a_study_stands_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_small_study(tmp_path), tmp_path / "out"
    assert run_cli(capsys, monkeypatch, "run", study, "--out", out, "--until", "split")[0] == 0
    code, said, _ = run_cli(capsys, monkeypatch, "status", out)
    told = " ".join(said.split())
    assert code == 0
    assert "It stands at the stage teach (4 of 9). The last run (begun " in told
    assert "stopped: it was to go no further than split (--until)." in told
    assert "No call was made yet." in told
    assert f"with your study file and --out {out}" in told


def test_status_says_of_which_student_the_weights_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_small_study(tmp_path), tmp_path / "out"
    assert run_cli(capsys, monkeypatch, "run", study, "--out", out, "--until", "train")[0] == 0
    code, said, _ = run_cli(capsys, monkeypatch, "status", out)
    assert (code, "has lost its weights" in said) == (0, False)
    weights = next((out / "cells").rglob("adapter_model.safetensors"))
    weights.unlink()
    code, said, _ = run_cli(capsys, monkeypatch, "status", out)
    told = " ".join(said.split())
    assert code == 0
    assert told.count("has lost its weights") == 1
    assert "of seed 0 has lost its weights (adapter_model.safetensors)" in told
    assert "to train it anew" in told
