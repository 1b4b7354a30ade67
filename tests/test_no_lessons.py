"""A teacher that has nothing right: what a run says before it comes to training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from potstill.pocket import STUDENT_PATH
from support.command_line import run_cli


def test_a_run_says_that_no_lesson_is_left_and_where_they_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "id": f"p{i}",
            "question": f"What is {i} + {i}?",
            "answer": 2 * i,
            "said": f"It is {900 + i}.",
        }
        for i in range(1, 13)
    ]
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorded = {"path": str(table), "question": "question", "text": "said"}
    named = {"path": str(table), "text": "question", "key": "answer", "id": "id"}
    study = {
        "name": "wrong",
        "problems": [{"source": "table", **named}],
        "split": {"by": "share", "heldout_share": 0.2, "valid_share": 0.2},
        "teacher": {"solver": "replay", "model": "r", "http": False, "files": [recorded]},
        "verify": "symbolic",
        "levels": ["R0"],
        "student": {"base": str(STUDENT_PATH)},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
    out = tmp_path / "out"
    words = ("run", tmp_path / "s.yaml", "--out", out, "--until", "condense")
    code, told, _ = run_cli(capsys, monkeypatch, *words)
    assert code == 0
    assert "no lesson is left to train on; potstill inspect" in " ".join(told.split())
    code, told, _ = run_cli(capsys, monkeypatch, "inspect", out, "--gates")
    assert code == 0
    assert "wrong answer" in told
