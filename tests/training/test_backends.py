"""One contract, two backends: the same data and seed give the same losses and the same adapter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill.chat import Ask, Message
from potstill.ledger.ledger import Ledger
from potstill.models import decoding
from potstill.models.decoding import Request
from potstill.models.loading import open_decoder
from potstill.models.model import prompt_tokens
from potstill.models.torch_base import load_base
from potstill.pocket import STUDENT_PATH, generate
from potstill.records import Sampling
from potstill.solvers.local import LocalSolver
from potstill.training.batches import Batch, BatchStream
from potstill.training.examples import Example, encode_examples
from potstill.training.loading import open_trainer
from potstill.training.recipe import Recipe
from potstill.training.records import Trainer
from support.decoded import decode_all
from support.tiny_cell import make_examples

pytest.importorskip("mlx_lm", reason="mlx-lm is not installed on this machine")

from potstill.models.mlx_base import load_mlx_base

RECIPES = {
    "adamw": Recipe.preset("pocket", layers=2, rank=4, warmup_steps=2, batch_size=4),
    "paper": Recipe.preset("paper", layers=2, rank=4, learning_rate=1e-4),
    "clipped": Recipe.preset("pocket", layers=3, rank=4, clip_norm=0.05, weight_decay=0.1),
    "accumulated": Recipe.preset("pocket", layers=2, rank=4, batch_size=2, accumulation=3),
}


@pytest.fixture(scope="module")
def bases(model_folder: Path) -> dict[str, Any]:
    """A small model of random weights on both backends."""
    return {"torch": load_base(model_folder, device="cpu"), "mlx": load_mlx_base(model_folder)}


@pytest.fixture(scope="module")
def pockets() -> dict[str, Any]:
    """The pocket student on both backends: it can answer."""
    return {"torch": load_base(STUDENT_PATH, device="cpu"), "mlx": load_mlx_base(STUDENT_PATH)}


def make_batches(base: Any, examples: Sequence[Example], count: int) -> list[Batch]:
    encoded = encode_examples(base.tokenizer, examples, 512).examples
    endless = BatchStream(encoded, 4, np.random.default_rng(3))
    return [next(endless) for _ in range(count)]


@pytest.fixture(scope="module")
def batches(bases: dict[str, Any]) -> list[Batch]:
    return make_batches(bases["torch"], make_examples(24), 60)


@contextmanager
def trainer(bases: dict[str, Any], backend: str, recipe: Recipe) -> Iterator[Trainer]:
    with open_trainer(bases[backend], recipe, 5) as opened:
        yield opened


def curve(trained: Trainer, recipe: Recipe, batches: list[Batch], steps: int) -> list[float]:
    n = recipe.accumulation
    return [
        trained.step(batches[n * step : n * (step + 1)], recipe.learning_rate_at(step + 1))
        for step in range(steps)
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_both_backends_train_alike(bases: dict[str, Any], batches: list[Batch], name: str) -> None:
    recipe = RECIPES[name]
    losses, weights, validated, sizes = {}, {}, {}, {}
    for backend in bases:
        with trainer(bases, backend, recipe) as opened:
            losses[backend] = curve(opened, recipe, batches, 20)
            weights[backend] = {k: np.asarray(v) for k, v in opened.snapshot().items()}
            validated[backend] = opened.validate(batches[-4:])
            assert opened.validate(batches[-4:]) == validated[backend]
            sizes[backend] = opened.trained_parameters
    assert sizes["mlx"] == sizes["torch"]
    assert losses["mlx"] == pytest.approx(losses["torch"], rel=2e-4)
    assert validated["mlx"] == pytest.approx(validated["torch"], rel=2e-4)
    assert weights["mlx"].keys() == weights["torch"].keys()
    moved = max(np.abs(w).max() for k, w in weights["torch"].items() if "lora_B" in k)
    for key, ours in weights["mlx"].items():
        assert np.abs(ours - weights["torch"][key]).max() <= 0.05 * moved, key


@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_a_step_that_is_not_finite_moves_nothing(
    bases: dict[str, Any], batches: list[Batch], backend: str
) -> None:
    recipe = RECIPES["adamw"]
    with trainer(bases, backend, recipe) as opened:
        curve(opened, recipe, batches, 2)
        opened.step(batches[:1], math.inf)
        before = {k: np.asarray(v) for k, v in opened.snapshot().items()}
        assert not all(np.isfinite(v).all() for v in before.values())
        broken = opened.step(batches[1:2], 0.01)
        after = {k: np.asarray(v) for k, v in opened.snapshot().items()}
    assert math.isnan(broken)
    for key, weights in before.items():
        np.testing.assert_array_equal(after[key], weights)


def pocket_examples(count: int) -> list[Example]:
    return [
        Example(p.text, (Message("user", p.text),), f"The answer is \\boxed{{{p.answer}}}")
        for p in generate("train", count, 0)
    ]


def texts(base: Any, adapter: Path | None, ledger: Ledger) -> list[str]:
    solver = LocalSolver(base, adapter, ledger, solver_id="x", batch_size=8)
    asks = [
        Ask(p.text, (Message("user", p.text),), Sampling(max_tokens=40))
        for p in generate("valid", 12, 0)
    ]
    done = {x.tag: x for x in solver.complete(asks, "answer")}
    return [done[ask.tag].text for ask in asks]


@pytest.mark.parametrize("trained_on", ["torch", "mlx"])
def test_an_adapter_of_either_backend_answers_alike_in_both(
    pockets: dict[str, Any], trained_on: str, tmp_path: Path
) -> None:
    recipe = RECIPES["adamw"]
    batches = make_batches(pockets["torch"], pocket_examples(24), 24)
    folder = tmp_path / "adapter"
    folder.mkdir()
    with trainer(pockets, trained_on, recipe) as opened:
        curve(opened, recipe, batches, 24)
        opened.save(opened.snapshot(), folder)
    found = {}
    for backend, base in pockets.items():
        with Ledger.open(tmp_path / f"{backend}.sqlite") as ledger:
            found[backend] = texts(base, folder, ledger)
            found[f"{backend} base"] = texts(base, None, ledger)
    assert found["mlx"] == found["torch"]
    assert found["mlx base"] == found["torch base"] != found["torch"]


def test_the_saved_folders_are_the_same_but_for_the_last_bits(
    bases: dict[str, Any], tmp_path: Path
) -> None:
    """Untrained, they are the same to the byte: names, shapes, order, configuration."""
    recipe = RECIPES["adamw"]
    for backend in bases:
        (tmp_path / backend).mkdir()
        with trainer(bases, backend, recipe) as opened:
            opened.save(opened.snapshot(), tmp_path / backend)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "mlx" / name).read_bytes() == (tmp_path / "torch" / name).read_bytes()


def test_sampled_answers_do_not_hang_on_the_batch(pockets: dict[str, Any], tmp_path: Path) -> None:
    sampling = Sampling(temperature=0.9, top_p=0.95, seed=3, max_tokens=24)
    problems = generate("valid", 10, 0)
    asks = [Ask(p.text, (Message("user", p.text),), sampling) for p in problems]
    found = []
    for size in (1, 10):
        with Ledger.open(tmp_path / f"{size}.sqlite") as ledger:
            solver = LocalSolver(pockets["mlx"], None, ledger, solver_id="x", batch_size=size)
            done = {r.tag: r for r in solver.complete(asks, "answer")}
            found.append({tag: r.text for tag, r in done.items()})
    assert found[0] == found[1]
    assert len(set(found[0].values())) > 5


@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_who_is_dropped_leaves_and_the_others_answer_as_before(
    pockets: dict[str, Any], backend: str
) -> None:
    base = pockets[backend]
    requests = [
        Request(
            key,
            tuple(prompt_tokens(base.tokenizer, (Message("user", problem.text),))),
            Sampling(max_tokens=40),
        )
        for key, problem in enumerate(generate("valid", 12, 0))
    ]
    with open_decoder(base, None, 200, 12) as decoder:
        told = {done.key: done.tokens for done in decode_all(decoder, requests)}
    heard: dict[int, list[int]] = {request.key: [] for request in requests}
    gone = {0, 2, 4, 9}

    def hear(key: int, token: int) -> bool:
        heard[key].append(token)
        return key not in gone or len(heard[key]) < 3

    with open_decoder(base, None, 200, 6) as decoder:
        steps = list(decoding.generate(decoder, requests, hear))
        assert decoder.active == 0
    assert {done.key: done.tokens for finished in steps for done in finished} == {
        key: tokens for key, tokens in told.items() if key not in gone
    }
    assert heard == {key: list(said[:3] if key in gone else said) for key, said in told.items()}


def test_a_quantised_base_trains_and_answers_with_its_adapter(
    model_folder: Path, tmp_path: Path
) -> None:
    from mlx_lm import convert

    folder = tmp_path / "q4"
    convert(str(model_folder), str(folder), quantize=True, q_bits=4, q_group_size=32)
    base = load_mlx_base(folder)
    assert base.precision == "q4"
    recipe = RECIPES["adamw"].model_copy(update={"learning_rate": 1e-2})
    batches = make_batches(base, make_examples(24), 12)
    (tmp_path / "adapter").mkdir()
    with open_trainer(base, recipe, 1) as opened:
        before = opened.validate(batches[:4])
        curve(opened, recipe, batches, 12)
        assert opened.validate(batches[:4]) < before
        opened.save(opened.snapshot(), tmp_path / "adapter")
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        taught = texts(base, tmp_path / "adapter", ledger)
        assert taught != texts(base, None, ledger)
