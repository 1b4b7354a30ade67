"""Each lever alone leaves the losses what a plain loop of transformers and peft gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_cell import make_examples, state_of
from torch.nn import functional

from potstill.training import trunk as trunks
from potstill.training.adapters import attach_adapter, seed_adapter
from potstill.training.base import Base, load_base
from potstill.training.batches import Batch, BatchStream
from potstill.training.examples import encode_examples
from potstill.training.levers import Levers
from potstill.training.loop import Cell, train_cell
from potstill.training.recipe import Recipe
from potstill.training.torch_trainee import open_trainee
from potstill.training.trunk import open_trunk

RECIPE = Recipe(rank=4, layers=1, learning_rate=2e-3, warmup_steps=2, batch_size=4, iterations=20)
STEPS = 20
OFF = dict.fromkeys(Levers.model_fields, False)


@pytest.fixture
def batches(base: Base) -> list[Batch]:
    encoded = encode_examples(base.tokenizer, make_examples(30), 512).examples
    stream = BatchStream(encoded, 4, np.random.default_rng(1))
    return [next(stream) for _ in range(STEPS)]


def plain_curve(base: Base, batches: list[Batch], recipe: Recipe) -> list[float]:
    """A loop that anyone would write: peft's modules, all logits, torch's own optimizer."""
    peft_model = attach_adapter(base.model, recipe)
    seed_adapter(peft_model, 5)
    peft_model.train()
    parameters = [p for p in peft_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, betas=recipe.betas, weight_decay=0.0)
    losses = []
    for step, batch in enumerate(batches, 1):
        logits = peft_model(input_ids=torch.from_numpy(batch.tokens_BT)).logits
        picked = logits[torch.from_numpy(batch.row_N), torch.from_numpy(batch.column_N)]
        loss = functional.cross_entropy(picked, torch.from_numpy(batch.target_N))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        optimizer.step()
        losses.append(float(loss.item()))
    peft_model.unload()
    return losses


def our_curve(base: Base, batches: list[Batch], levers: Levers) -> tuple[list[float], str]:
    with open_trainee(base, RECIPE, 5, levers) as trainee:
        why = trainee.prepare([x for batch in batches for x in batch.examples], 10.0)
        losses = [
            trainee.step([batch], RECIPE.learning_rate_at(step))
            for step, batch in enumerate(batches, 1)
        ]
    return losses, why


@pytest.mark.parametrize(
    "levers",
    [
        pytest.param(Levers(), id="all"),
        pytest.param(Levers(**OFF), id="none"),
        *(pytest.param(Levers(**(OFF | {name: True})), id=name) for name in OFF),
        *(pytest.param(Levers(**{name: False}), id=f"no {name}") for name in OFF),
    ],
)
def test_the_losses_are_those_of_a_plain_loop(
    base: Base, batches: list[Batch], levers: Levers
) -> None:
    before = state_of(base)
    plain = plain_curve(base, batches, RECIPE)
    ours, why = our_curve(base, batches, levers)
    assert ours == pytest.approx(plain, rel=1e-4)
    assert why == ("" if levers.trunk else "switched off")
    for name, tensor in state_of(base).items():
        assert torch.equal(tensor, before[name]), name


def test_the_trunk_gives_what_the_whole_gives(base: Base, batches: list[Batch]) -> None:
    depth = base.model.config.num_hidden_layers
    for first in range(1, depth):
        trunk, why = open_trunk(base, first)
        assert trunk is not None, why
        trunk.keep([x for batch in batches for x in batch.examples])
        for batch in batches[:5]:
            tokens = torch.from_numpy(batch.tokens_BT)
            with torch.no_grad():
                whole = base.body(input_ids=tokens, use_cache=False).last_hidden_state
                with trunks.above_trunk(base.body, first):
                    split = base.body(inputs_embeds=trunk(batch), use_cache=False).last_hidden_state
            for row, example in enumerate(batch.examples):
                real = slice(0, len(example.tokens))
                apart = (whole[row, real] - split[row, real]).norm() / whole[row, real].norm()
                assert apart < 1e-5
        trunk.close()
    assert len(base.body.layers) == depth == base.model.config.num_hidden_layers


def test_no_logits_are_larger_than_a_chunk_and_no_gradient_goes_below_lora(
    base: Base, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.training.torch_trainee._LOGITS_PER_CHUNK", 5_000)
    sizes: list[int] = []
    reached: list[int] = []
    hooks = [base.head.register_forward_hook(lambda m, i, out: sizes.append(out.numel()))]
    for index, layer in enumerate(base.body.layers):

        def tell(module: Any, got: Any, gave: Any, index: int = index) -> None:
            reached.append(index)

        hooks.append(layer.register_full_backward_hook(tell))
    our_curve(base, batches[:2], Levers(trunk=False))
    for hook in hooks:
        hook.remove()
    assert 0 < max(sizes) <= 5_000
    assert len(sizes) > 4
    assert set(reached) <= {len(base.body.layers) - 1}


@pytest.fixture
def examples() -> Any:
    found = make_examples(40)
    return found[:30], found[30:]


def cell_curve(model: Path, out: Path, examples: Any, **changes: Any) -> tuple[Any, Base]:
    base = load_base(model, device="cpu")
    recipe = RECIPE.model_copy(update={"threads": 1})
    cell = train_cell(base, Cell("R1", 3), *examples, recipe, out, data_hash="d", **changes)
    return [p.validation_loss for p in cell.history if p.validation_loss is not None], base


def test_a_trunk_for_which_the_disk_has_no_room_is_not_made(
    model_folder: Path, tmp_path: Path, examples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, base = cell_curve(model_folder, tmp_path / "a", examples)
    trunk, _ = base.trunk(base.model.config.num_hidden_layers - 1)
    assert trunk is not None
    monkeypatch.setattr(trunks.Trunk, "room_bytes", lambda self: 1000)
    without, base = cell_curve(model_folder, tmp_path / "b", examples)
    assert without == pytest.approx(usual, rel=1e-5)
    trunk, _ = base.trunk(base.model.config.num_hidden_layers - 1)
    assert trunk is not None
    assert "are to be had" in trunks.worth_it(
        trunk, encode_examples(base.tokenizer, examples[0], 512).examples, 10.0
    )


def test_a_trunk_is_not_made_for_one_use_nor_under_all_layers(base: Base) -> None:
    trunk, why = open_trunk(base, 0)
    assert trunk is None
    assert "lowest layer" in why
    trunk, _ = open_trunk(base, 1)
    assert trunk is not None
    encoded = encode_examples(base.tokenizer, make_examples(3), 512).examples
    assert "used 1.2 times" in trunks.worth_it(trunk, encoded, 1.2)
    trunk.keep(encoded)
    assert trunks.worth_it(trunk, encoded, 1.2) == "", "what is kept already costs nothing"
