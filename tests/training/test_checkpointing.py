"""Activations made again in the backward pass: the same losses and weights, and less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from potstill.errors import InputError
from potstill.models.torch_base import Base, load_base
from potstill.training.batches import collate
from potstill.training.checkpointing import checkpointed_torch, wants_checkpointing
from potstill.training.examples import EncodedExample
from potstill.training.loading import open_trainer
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import Recipe
from support.small_bases import write_small_base

LONGEST = 8_192
RECIPE = Recipe.preset("pocket", layers=2, rank=4, batch_size=2, max_sequence_tokens=LONGEST)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "base"
    return write_small_base(folder, "llama", max_position_embeddings=LONGEST)


@pytest.fixture(scope="module")
def base(folder: Path) -> Base:
    return load_base(folder, device="cpu")


def example(tokens: int, seed: int) -> EncodedExample:
    drawn = np.random.default_rng(seed).integers(3, 380, tokens)
    return EncodedExample(f"p{seed}", tuple(map(int, drawn)), tokens // 4)


def trained(
    base: Any, how: str, tokens: int, optimizations: Optimizations | None = None
) -> tuple[list[float], dict[str, np.ndarray[Any, Any]]]:
    """The losses of two steps over two examples, and the weights after them."""
    recipe = RECIPE.model_copy(update={"checkpointing": how})
    batch = collate([example(tokens, 1), example(tokens - 100, 2)])
    with open_trainer(base, recipe, 0, optimizations) as trainer:
        losses = [trainer.step([batch], 1e-3) for _ in range(2)]
        return losses, {k: np.asarray(v) for k, v in trainer.snapshot().items()}


@pytest.mark.parametrize("tokens", [512, 2_048, pytest.param(LONGEST, marks=pytest.mark.soak)])
def test_torch_trains_to_the_bit_as_without(base: Base, tokens: int) -> None:
    losses, weights = trained(base, "off", tokens)
    again, as_well = trained(base, "on", tokens)
    assert again == losses
    assert all(np.array_equal(as_well[name], weight) for name, weight in weights.items())


@pytest.mark.parametrize("off", [name for name in Optimizations.model_fields if name != "buckets"])
def test_it_goes_with_every_optimization_on_or_off(base: Base, off: str) -> None:
    plain = Optimizations(**dict.fromkeys(Optimizations.model_fields, False))
    losses, _ = trained(base, "off", 200, plain)
    for optimizations in (Optimizations(**{off: False}), plain):
        assert trained(base, "on", 200, optimizations)[0] == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize(
    "tokens",
    [512, *(pytest.param(n, marks=pytest.mark.soak) for n in (2_048, LONGEST))],
)
def test_mlx_trains_as_without_and_as_torch(folder: Path, base: Base, tokens: int) -> None:
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed on this machine")
    from potstill.models.mlx_base import load_mlx_base

    on_mlx = load_mlx_base(folder)
    losses, weights = trained(on_mlx, "off", tokens)
    again, as_well = trained(on_mlx, "on", tokens)
    assert again == pytest.approx(losses, rel=1e-6)
    for name, weight in weights.items():
        assert np.allclose(as_well[name], weight, atol=1e-6), name
    assert losses == pytest.approx(trained(base, "off", tokens)[0], rel=2e-4)
    assert type(on_mlx.model.layers[0]).__call__.__name__ == "__call__"


def test_dropout_is_drawn_alike_when_a_layer_is_made_again(base: Base) -> None:
    recipe = RECIPE.model_copy(update={"dropout": 0.3})
    batch = collate([example(300, 1)])
    found = []
    for how in ("off", "on"):
        with open_trainer(base, recipe.model_copy(update={"checkpointing": how}), 0) as trainer:
            found.append([trainer.step([batch], 1e-2) for _ in range(3)])
    assert found[0] == found[1]


def test_it_keeps_less(base: Base) -> None:
    kept = []
    for how in ("off", "on"):
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        layers = base.body.layers[1:] if how == "on" else []
        with (
            open_trainer(base, RECIPE, 0) as trainer,
            checkpointed_torch(layers, "base"),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            trainer._peft_model.train()
            hidden = trainer._hidden(collate([example(2_048, 1)]), backward=True)
            assert hidden.requires_grad
        kept.append(sum(sizes.values()))
    assert kept[1] < 0.5 * kept[0]


@pytest.mark.parametrize(
    ("how", "step", "free", "expected"),
    [
        ("auto", 6, 10, True),
        ("auto", 4, 10, False),
        ("on", 0, 10, True),
        ("off", 99, 10, False),
    ],
)
def test_auto_goes_by_the_memory_that_is_free(
    how: Any, step: int, free: int, expected: bool
) -> None:
    assert wants_checkpointing(how, step, free) is expected


def test_layers_that_cannot_are_named() -> None:
    with (
        pytest.raises(InputError, match=r"layers of tiny cannot be checkpointed; set training.ch"),
        checkpointed_torch([torch.nn.Linear(2, 2)], "tiny"),
    ):
        pass


def test_a_student_is_the_same_student_however_its_activations_were_kept() -> None:
    hashes = {
        RECIPE.model_copy(update={"checkpointing": how}).recipe_hash
        for how in ("auto", "on", "off")
    }
    assert len(hashes) == 1
