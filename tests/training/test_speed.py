"""What a step is counted to cost, beside what torch counts while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.flop_counter import FlopCounterMode

from potstill.models.torch_base import load_base
from potstill.training.batches import collate
from potstill.training.examples import EncodedExample
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import Recipe
from potstill.training.speed import matrix_flops, step_flop
from potstill.training.torch_trainer import open_torch_trainer
from random_model import write_random_model


@pytest.mark.parametrize("layers", ["all", 2])
@pytest.mark.parametrize("checkpointing", ["on", "off"])
def test_step_costs_what_torch_counts(
    tmp_path: Path, layers: int | str, checkpointing: str
) -> None:
    # wide against its length and rank, so that attention and the adapter cost little
    folder = write_random_model(
        tmp_path, ["What is 12 + 30?"] * 20, hidden=256, layers=4, feed_forward=1024, spread=0.02
    )
    base = load_base(folder)
    recipe = Recipe.model_validate({"rank": 1, "layers": layers, "checkpointing": checkpointing})
    examples = [EncodedExample(str(n), tuple(range(5, 37)), 8) for n in range(4)]
    batch = collate(examples)
    expected = step_flop(base, recipe, batch, checkpointed=checkpointing == "on")
    unfused = Optimizations(fused_lora=False)  # torch does not count products added in place
    with (
        open_torch_trainer(base, recipe, 0, unfused) as trainer,
        FlopCounterMode(display=False) as counted,
    ):
        trainer.step([batch], 1e-4)
    # the lowest adapted layer's first products have nothing to pass a gradient on to
    assert 0.95 * expected <= counted.get_total_flops() <= 1.15 * expected
    assert matrix_flops(base, 128) > 0
