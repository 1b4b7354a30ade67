"""Killed at any step, a run goes on from its last whole checkpoint and ends with the same bits."""

from __future__ import annotations

import json
import random
import shutil
import signal
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import InputError
from potstill.models.adapters import ADAPTER_WEIGHTS
from potstill.models.torch_base import load_base
from potstill.training.loop import train_cell
from potstill.training.metrics import check_trackers
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, TrainedCell
from potstill.training.resume import Checkpoint, Checkpoints
from support.processes import start
from support.tiny_cell import make_examples
from support.training_process import RECIPE
from support.training_process import main as train_to_the_end

needs_mlx = pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed")


def kill_after(step: int, backend: str, model: Path, out: Path, optimizer: str) -> None:
    """Train in a process that is killed once it told that ``step`` is done."""
    with start("training_process", backend, model, out, optimizer) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= step:
                process.kill()
                break
        assert process.wait() == -signal.SIGKILL
    assert not out.exists()


@pytest.fixture(scope="module")
def calm(
    model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Path]:
    """The student of a backend and an optimizer that nothing disturbed."""

    @cache
    def make(backend: str, optimizer: str) -> Path:
        out = tmp_path_factory.mktemp("calm") / "calm"
        train_to_the_end(backend, model_folder, out, optimizer)
        return out

    return make


@pytest.fixture(scope="module")
def cut(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run into ``out`` was killed."""
    folder = tmp_path_factory.mktemp("cut")
    kill_after(12, "torch", model_folder, folder / "out", "adamw")
    return folder


@pytest.mark.parametrize(
    ("backend", "optimizer", "kills"),
    [
        ("torch", "adamw", (1, 8, 18)),
        ("torch", "adam_no_bias_correction", (8,)),
        pytest.param("mlx", "adamw", (8,), marks=needs_mlx),
    ],
)
def test_a_run_that_was_killed_ends_with_the_same_bits(
    model_folder: Path,
    tmp_path: Path,
    calm: Callable[[str, str], Path],
    backend: str,
    optimizer: str,
    kills: tuple[int, ...],
) -> None:
    undisturbed, killed = calm(backend, optimizer), tmp_path / "killed"
    draw = random.Random(f"{backend}{optimizer}")
    for low in kills:
        kill_after(low + draw.randrange(8), backend, model_folder, killed, optimizer)
    train_to_the_end(backend, model_folder, killed, optimizer)
    folders = (undisturbed, killed)
    assert (killed / ADAPTER_WEIGHTS).read_bytes() == (undisturbed / ADAPTER_WEIGHTS).read_bytes()
    records = [json.loads((x / "student.json").read_text()) for x in folders]
    losses = [[(p["train_loss"], p["validation_loss"]) for p in x["history"]] for x in records]
    assert losses[0] == losses[1]
    assert records[0]["student"] == {**records[1]["student"], "adapter": "calm"}
    for folder in folders:
        steps = [json.loads(x)["step"] for x in (folder / "metrics.jsonl").read_text().splitlines()]
        assert steps == list(range(RECIPE.iterations + 1))
        assert not list(folder.parent.glob(".*"))


def train(model: Path, out: Path, data_hash: str, recipe: Recipe = RECIPE) -> TrainedCell:
    examples = make_examples(40)
    return train_cell(
        load_base(model, device="cpu"),
        GridCell("R1", 3),
        examples[:30],
        examples[30:],
        recipe,
        out,
        data_hash=data_hash,
    )


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    model_folder: Path, tmp_path: Path, calm: Callable[[str, str], Path], cut: Path
) -> None:
    folder = shutil.copytree(cut, tmp_path / "cut")
    kept = sorted((folder / ".out.checkpoint").glob("*.safetensors"))
    assert len(kept) == 2
    kept[-1].write_bytes(kept[-1].read_bytes()[:-7])
    train_to_the_end("torch", model_folder, folder / "out", "adamw")
    weights = [(x / ADAPTER_WEIGHTS).read_bytes() for x in (calm("torch", "adamw"), folder / "out")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("data_hash", "change", "told"),
    [("other", {}, "another data"), ("d", {"learning_rate": 1e-3}, "another recipe")],
)
def test_a_run_that_changed_is_refused_with_what_changed(
    model_folder: Path,
    tmp_path: Path,
    cut: Path,
    data_hash: str,
    change: dict[str, float],
    told: str,
) -> None:
    folder = shutil.copytree(cut, tmp_path / "cut")
    with pytest.raises(InputError, match=told):
        train(model_folder, folder / "out", data_hash, RECIPE.model_copy(update=change))
    assert list((folder / ".out.checkpoint").glob("*.safetensors")), "the old run was thrown away"


def test_two_checkpoints_are_kept_and_damage_to_both_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", {"data": "d"})
    assert checkpoints.newest() is None
    for step in range(4):
        arrays = {"a": np.full(3, step, dtype=np.float32)}
        checkpoints.save(Checkpoint(step, {"n": step}, arrays))
    assert len(list((tmp_path / "c").iterdir())) == 4
    newest = checkpoints.newest()
    assert newest is not None
    assert (newest.step, newest.values["n"], newest.arrays["a"][0]) == (3, 3, 3.0)
    (tmp_path / "c/00000003.json").write_text("{")
    before = checkpoints.newest()
    assert before is not None
    assert before.step == 2
    flipped = bytearray((tmp_path / "c/00000002.safetensors").read_bytes())
    flipped[-1] ^= 1
    (tmp_path / "c/00000002.safetensors").write_bytes(flipped)
    assert checkpoints.newest() is None


@given(data=st.data())
def test_a_flipped_bit_anywhere_in_a_checkpoint_is_no_checkpoint(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), {"data": "d", "seed": 3})
        arrays = {"a": np.arange(3, dtype=np.float32)}
        values = {"best_loss": 1.5, "history": [{"step": 4, "train_loss": 2.25}]}
        checkpoints.save(Checkpoint(7, values, arrays))
        path = data.draw(st.sampled_from(sorted(Path(folder).iterdir())))
        whole = path.read_bytes()
        at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
        found = checkpoints.newest()
        if found is not None:  # white space, or the case of an escape
            assert json.loads(path.read_bytes()) == json.loads(whole)


def test_a_tracker_that_is_not_there_names_what_to_install() -> None:
    with pytest.raises(InputError, match="no tracker 'wandbb'"):
        check_trackers(["wandbb"])
    if find_spec("wandb") is None:
        with pytest.raises(InputError, match="pip install wandb"):
            check_trackers(["wandb"])
