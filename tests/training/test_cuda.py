"""The torch backend on CUDA: the same losses and answers as on a CPU, and a base in 4 bits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from potstill.chat import Ask, Message
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import load_base
from potstill.pocket import STUDENT_PATH, generate
from potstill.records import Sampling
from potstill.solvers.local import LocalSolver
from potstill.training.batches import BatchStream
from potstill.training.examples import encode_examples
from potstill.training.loading import open_trainer
from potstill.training.loop import train_cell
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, TrainedCell
from support.tiny_cell import make_examples

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")

RECIPE = Recipe(
    rank=4, layers=2, learning_rate=1e-3, warmup_steps=2, batch_size=4, iterations=20, threads=1
)


def train(base: Any, out: Path) -> TrainedCell:
    examples = make_examples(40)
    return train_cell(
        base, GridCell("R1", 3), examples[:30], examples[30:], RECIPE, out, data_hash="d"
    )


def losses(cell: TrainedCell) -> list[float]:
    return [p.validation_loss for p in cell.history if p.validation_loss is not None]


def texts(base: Any, ledger: Path) -> list[str]:
    asks = [
        Ask(p.text, (Message("user", p.text),), Sampling(max_tokens=60))
        for p in generate("valid", 40, 0)
    ]
    with Ledger.open(ledger) as opened:
        solver = LocalSolver(base, None, opened, solver_id="x", batch_size=16)
        found = {x.tag: x for x in solver.complete(asks, "answer")}
    return [found[ask.tag].text for ask in asks]


def test_a_student_trains_on_cuda_as_on_a_cpu(tmp_path: Path) -> None:
    found = {
        device: train(load_base(STUDENT_PATH, device=device), tmp_path / device)
        for device in ("cpu", "cuda")
    }
    assert losses(found["cuda"]) == pytest.approx(losses(found["cpu"]), rel=1e-3)
    assert losses(found["cuda"])[-1] < losses(found["cuda"])[0]


def test_the_base_answers_on_cuda_as_on_a_cpu(tmp_path: Path) -> None:
    found = [
        texts(load_base(STUDENT_PATH, device=d), tmp_path / f"{d}.sqlite") for d in ("cpu", "cuda")
    ]
    alike = sum(a == b for a, b in zip(*found, strict=True))
    assert alike >= 39, f"{alike} of 40 answers are the same"


def test_state_and_restore_go_on_with_the_same_losses() -> None:
    base = load_base(STUDENT_PATH, device="cuda")
    encoded = encode_examples(base.tokenizer, make_examples(24), 512).examples
    stream = BatchStream(encoded, 4, np.random.default_rng(1))
    batches = [next(stream) for _ in range(8)]
    recipe = RECIPE.model_copy(update={"dropout": 0.1})
    with open_trainer(base, recipe, 1) as trainer:
        for batch in batches[:4]:
            trainer.step([batch], 1e-3)
        state = {k: np.array(v) for k, v in trainer.state().items()}
        calm = [trainer.step([batch], 1e-3) for batch in batches[4:]]
        trainer.restore(state)
        again = [trainer.step([batch], 1e-3) for batch in batches[4:]]
    assert again == pytest.approx(calm, rel=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "nf4"])
def test_a_smaller_precision_trains(tmp_path: Path, precision: str) -> None:
    if precision == "nf4" and find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    whole = train(load_base(STUDENT_PATH, "float32", "cuda"), tmp_path / "float32")
    base = load_base(STUDENT_PATH, precision, "cuda")
    small = train(base, tmp_path / precision)
    assert losses(small)[-1] < losses(small)[0]
    assert losses(small) == pytest.approx(losses(whole), rel=0.1)
    assert len(set(texts(base, tmp_path / "x.sqlite"))) > 20
