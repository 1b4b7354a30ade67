"""The command as a user types it, and a study whose teacher is asked over an API."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from potstill.cli.main import main
from potstill.study.templates import DEMO_STUDY


def run_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Run ``potstill`` in this process: its exit status and what it said on both streams."""
    monkeypatch.setattr(sys, "argv", ["potstill", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0), out, err


def one_sentence(err: str) -> str:
    """Take the complaint, which is one line and no traceback."""
    assert err.startswith("potstill: ")
    assert err.count("\n") == 1
    return err.strip()


def api_study(folder: Path, base_url: str, **agent: object) -> Path:
    """Write a tiny study whose teacher is at a base URL, its agent's options changed."""
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 4, "valid": 2, "heldout": 3}]
    raw["teacher"] = {
        "solver": "api",
        "model": "some-model",
        "base_url": base_url,
        "api_key_env": "MARKED_KEY",
        "retries": 1,
        "backoff_s": 0.01,
        "backoff_max_s": 0.02,
    } | agent
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path
