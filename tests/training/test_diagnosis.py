"""Where a long run overfits, and how long the grid will take."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from potstill.analysis.calibrate import (
    CellTime,
    TorchSpeed,
    diagnose_study,
    print_diagnosis,
    print_times,
    time_grid,
)
from potstill.errors import Diverged, InputError
from potstill.pipeline.run import run_study
from potstill.study.schema import load_study
from potstill.training.diagnosis import Diagnosis, RateLoss, diagnose, read_diagnosis
from potstill.training.recipe import Recipe
from support.small_study import write_small_study


def test_the_papers_long_run_is_told_to_stop_at_200(data: Path) -> None:
    with (data / "paper/long_run_losses.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["validation_loss"]]
    found = diagnose(
        [int(row["iteration"]) for row in rows], [float(row["validation_loss"]) for row in rows]
    )
    assert (found.iterations, found.last_step, found.overfits) == (200, 1000, True)


def test_noise_about_a_minimum_does_not_move_it_far() -> None:
    steps = np.arange(0, 1001, 25)
    true = 0.4 + 0.3 * (np.log1p(steps) - np.log1p(300)) ** 2 / 5
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.01, len(steps))
        found = diagnose(steps.tolist(), (true + noise).tolist())
        assert 175 <= found.iterations <= 500
        assert found.overfits


def test_a_curve_that_still_falls_or_only_trembles_is_not_overfitting() -> None:
    steps = list(range(0, 400, 20))
    assert not diagnose(steps, [1 / (1 + s / 50) for s in steps]).overfits
    flat = 0.5 + np.random.default_rng(1).normal(0, 0.01, len(steps))
    assert not diagnose(steps, flat.tolist()).overfits


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ((0.9, 0.8, 0.7), "set training.learning_rate: 0.003 and diagnose again"),
        ((0.9, 0.8, None), "0.003: diverged; the study's own is the best of them"),
        ((0.7, 0.8, 0.9), "set training.learning_rate: 0.0003 and diagnose again"),
        ((0.7, None, None), "set training.learning_rate: 0.0003 and diagnose again"),
        ((None, None, None), "diverged; set training.learning_rate far below 0.0003"),
    ],
)
def test_diagnosis_proposes_the_learning_rate_of_the_least_loss(
    losses: tuple[float | None, ...], says: str
) -> None:
    rates = zip((3e-4, 1e-3, 3e-3), losses, strict=True)
    found = Diagnosis(
        100, 0.5, 200, 0.6, 0.1, 0.01, True, "R1", 0, tuple(RateLoss(r, 50, x) for r, x in rates)
    )
    console = Console(file=io.StringIO(), width=400)
    print_diagnosis(found, Path("diagnosis.json"), console)
    assert says in console.file.getvalue()  # type: ignore[attr-defined]


def test_base_itself_is_no_step_to_train_to() -> None:
    found = diagnose([0, 1, 2, 3, 4, 5], [0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.iterations, found.overfits) == (1, True)


@pytest.mark.parametrize(
    ("rate", "says"),
    [(3.0, "it diverged after step"), (1e5, "too soon for a diagnosis; the least validation loss")],
)
def test_a_run_that_only_worsens_the_base_is_told_and_its_rates_are_not_the_bases_loss(
    tmp_path: Path, rate: float, says: str
) -> None:
    recipe = {"preset": "pocket", "iterations": 2, "learning_rate": rate, "clip_norm": 0.0}
    study = load_study(write_small_study(tmp_path, levels=["R6"], training=recipe))
    out, console = tmp_path / "out", Console(file=io.StringIO(), width=400)
    try:
        found, written = diagnose_study(study, out, 12)
        print_diagnosis(found, written, console)
        said = console.file.getvalue()  # type: ignore[attr-defined]
        assert read_diagnosis(out) == found
        assert 0 < found.iterations <= found.last_step < 12
        assert found.rates[1].rate == rate
        losses = [x.loss for x in found.rates if x.loss is not None]
        assert len(losses) == len(set(losses)) < 3
    except Diverged as exc:
        said = str(exc)
        assert not (out / "diagnosis.json").exists()
    assert says in said
    assert "the study's own is the best" not in said


def test_four_points_are_too_few() -> None:
    with pytest.raises(InputError, match="at least 5 validations and there are 4"):
        diagnose([1, 2, 3, 4], [1.0, 0.9, 0.8, 0.7])


def test_auto_is_not_a_number_before_there_is_a_diagnosis() -> None:
    with pytest.raises(InputError, match="potstill train STUDY --diagnose"):
        _ = Recipe(iterations="auto").steps


def test_iterations_auto_trains_as_far_as_the_diagnosis_says(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, levels=["R6"])
    raw = yaml.safe_load(path.read_text())
    raw["training"] = {"preset": "pocket", "iterations": "auto", "validate_every": 5}
    path.write_text(yaml.safe_dump(raw))
    study, out = load_study(path), tmp_path / "out"
    with pytest.raises(InputError, match=r"iterations: auto needs .*diagnosis\.json"):
        run_study(study, out, until="train")
    with pytest.raises(InputError, match="diagnosis"):
        time_grid(study, out)
    found, written = diagnose_study(study, out, 12)
    assert json.loads(written.read_text())["iterations"] == found.iterations > 0
    own = study.training.learning_rate
    assert [x.rate for x in found.rates] == pytest.approx([own / 3, own, 3 * own], rel=0.02)
    assert all(x.loss is not None and x.steps == 10 for x in found.rates)
    assert read_diagnosis(out) == found
    run_study(study, out, until="train")
    (student,) = (
        json.loads(f.read_text()) for f in out.rglob("student.json") if "diagnosis" not in f.parts
    )
    assert student["history"][-1]["step"] == found.iterations
    (row,) = time_grid(study, out)
    assert (row.variant, row.cells, row.steps) == ("R6", 1, found.iterations)
    assert row.step_s[0] > 0
    assert row.seconds > found.iterations * min(row.step_s)
    assert row.memory_bytes > 10**7


@pytest.mark.parametrize(("bfloat16", "advised"), [(3e11, True), (1.2e11, False), (4e10, False)])
def test_faster_precision_is_advised_where_it_is_measured(bfloat16: float, advised: bool) -> None:
    speed = TorchSpeed(100.0, 1e11, bfloat16, 0.5, 2 * 10**9, 10**9, False)
    row = CellTime("R1", 1, 10, (0.1, 0.2, 0.3), 1.0, 5.0, 10**9, speed=speed)
    console = Console(file=io.StringIO(), width=400)
    print_times([row], console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("In bfloat16 it reaches 300: student.precision: bfloat16" in said) is advised


def test_cells_side_by_side_share_the_time_and_not_the_memory() -> None:
    rows = [CellTime("R1", 4, 10, (0.1, 0.2, 0.3), 1.0, 100.0, 10**9, side_by_side=2)]
    console = Console(file=io.StringIO(), width=200)
    print_times(rows, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4 cells, 2 side by side: about 3 minutes, 2.0 GB." in said


def test_a_dry_run_of_training_asks_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    # a teacher at an address where nobody listens: whoever asked it would fail
    nobody = {"solver": "api", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    path = write_small_study(tmp_path, levels=["R1", "R6"])
    raw = yaml.safe_load(path.read_text())
    raw |= dict.fromkeys(("teacher", "verifier", "condenser"), nobody)
    path.write_text(yaml.safe_dump(raw))
    study, out = load_study(path), tmp_path / "out"
    rows = time_grid(study, out)
    assert [row.variant for row in rows] == ["R1", "R6"]
    assert all(row.stand_in for row in rows)
    assert rows[0].step_s[1] > 0
    assert not out.exists()
    speed = rows[0].speed
    assert speed is not None
    assert 0 < speed.share < 1
    assert speed.checkpointed_bytes < speed.step_bytes
    console = Console(file=io.StringIO(), width=200)
    print_times(rows, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "nothing was asked for" in said
    assert re.search(r"would take \d+% (to \d+% )?of its time at the [\d,]+ GFLOP/s", said)
    assert re.search(r"[\d.]+ GB of activations, [\d.]+ GB with checkpointing; it is not", said)
