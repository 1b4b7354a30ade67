"""A small study on the MLX backend, end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from potstill.errors import InputError
from potstill.pipeline.run import run_study
from potstill.study.schema import load_study
from support.small_study import write_small_study

pytest.importorskip("mlx_lm", reason="mlx-lm is not installed on this machine")


def mlx_study(folder: Path, backend: str) -> Path:
    path = write_small_study(folder, levels=["R6"], student={"base": "pocket", "backend": backend})
    raw = yaml.safe_load(path.read_text())
    raw["problems"] = [{"source": "pocket", "train": 12, "valid": 4, "heldout": 8}]
    raw["training"] = {"preset": "pocket", "iterations": 3, "validate_every": 1, "layers": 1}
    path.write_text(yaml.safe_dump(raw))
    return path


def test_a_study_runs_on_mlx_and_ends_as_on_torch(tmp_path: Path) -> None:
    reports = {}
    for backend in ("torch", "mlx"):
        (tmp_path / backend).mkdir()
        path = mlx_study(tmp_path / backend, backend)
        reports[backend] = run_study(load_study(path), tmp_path / backend / "out")
    ours, theirs = reports["mlx"], reports["torch"]
    assert ours is not None
    assert theirs is not None
    curves = [
        [p["validation_loss"] for p in report["training"][0]["history"]]
        for report in (ours, theirs)
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    assert len(curves[0]) == 4
    rows = [
        {(s["role"], s["level"]): s["outcomes"] for s in report["scores"] if s["group"] == "all"}
        for report in (ours, theirs)
    ]
    assert rows[0] == rows[1]
    assert ours["versions"]["mlx-lm"]


def test_a_precision_that_mlx_does_not_have_is_a_sentence(tmp_path: Path) -> None:
    path = mlx_study(tmp_path, "mlx")
    raw = yaml.safe_load(path.read_text())
    raw["student"]["precision"] = "nf4"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(InputError, match="backend: mlx knows float32 and bfloat16, not 'nf4'"):
        run_study(load_study(path), tmp_path / "out")
