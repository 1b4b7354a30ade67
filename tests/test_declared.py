"""Which comparison is said to have been set before the held-out problems were answered."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from potstill.pipeline.declared import DECLARED_FILE, declare, is_declared
from potstill.pipeline.run import open_run
from potstill.progress import quiet
from potstill.study.schema import load_study
from support.small_study import write_small_study


def declared(folder: Path, *, read_only: bool = False, **changes: Any) -> bool:
    """Begin to answer a study as a run does; say whether its primary comparison is declared."""
    study = load_study(write_small_study(folder, **changes))
    with ExitStack() as stack:
        run = open_run(study, folder / "out", quiet, stack, read_only=read_only)
        declare(run.context)
        return is_declared(run.context)


def test_the_first_primary_comparison_is_the_declared_one(tmp_path: Path) -> None:
    assert declared(tmp_path)
    kept = json.loads((tmp_path / "out" / DECLARED_FILE).read_text())
    assert kept["primary"] == ["R1", "base"]
    assert declared(tmp_path, primary=["R1", "base"])
    assert not declared(tmp_path, primary=["R6", "base"])
    assert not declared(tmp_path, levels=["R6"])
    assert declared(tmp_path)


def test_looking_declares_nothing(tmp_path: Path) -> None:
    assert declared(tmp_path)
    (tmp_path / "out" / DECLARED_FILE).unlink()
    assert not declared(tmp_path, read_only=True)
    assert not (tmp_path / "out" / DECLARED_FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"primary": 3}'])
def test_what_cannot_be_read_declares_nothing(tmp_path: Path, text: str) -> None:
    assert declared(tmp_path)
    (tmp_path / "out" / DECLARED_FILE).write_text(text)
    assert not declared(tmp_path)
