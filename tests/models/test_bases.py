"""One contract, seven architectures: greedy answers are those of transformers' own ``generate``.

Base, student and merged student, on both backends, past the sliding window, in batches of uneven
lengths; or the base is refused when it is opened, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from potstill.chat import Message
from potstill.deploy.export.merging import read_delta, write_merged
from potstill.errors import InputError
from potstill.models.decoding import Request
from potstill.models.folder import stop_tokens
from potstill.models.loading import load_language_model, open_decoder
from potstill.models.model import LanguageModel, prompt_tokens
from potstill.models.torch_base import load_base, load_tokenizer
from potstill.records import Sampling
from potstill.training.activation_cache import ActivationCache, open_cache, plan_cache
from potstill.training.batches import Batch, BatchStream
from potstill.training.examples import EncodedExample, Example, encode_examples
from potstill.training.loading import open_trainer
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import SEVEN_PROJECTIONS, Recipe
from support.decoded import decode_all
from support.small_bases import ARCHITECTURES, WINDOW, set_config, write_small_base

NEW_TOKENS = 20
QUESTIONS = (
    "What is 3 + 4?",
    "Add 11 and 8, then 7, and say what the sum of all of them together is.",
    "Hi",
    "What is 29 + 8? What is 29 + 8? What is 29 + 8? What is 5 + 3?",
    "What is 29 + 8? What is 29 + 8? What is 29 + 8? What is 6 + 8? Say it.",
)
TARGETS = {"phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")}
NOT_ON_MLX = {
    "gemma2": r"cannot answer several problems side by side.*torch",
    "qwen2": r"without its sliding window of 12 tokens in .*torch",
}

Answers = Mapping[str, Sequence[tuple[int, ...]]]


@dataclass(frozen=True)
class Made:
    """A base, an adapter on it and the two merged, as folders, and what ``generate`` says."""

    base: Path
    adapter: Path
    merged: Path
    prompts: tuple[tuple[int, ...], ...]
    told: Answers


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.fixture(params=ARCHITECTURES)
def made(request: pytest.FixtureRequest, room: Path) -> Made:
    return make(request.param, room)


@cache
def make(architecture: str, room: Path) -> Made:
    base = write_small_base(room / architecture, architecture)
    adapter, merged = room / f"{architecture}-adapter", room / f"{architecture}-merged"
    for folder in (adapter, merged):
        folder.mkdir()
    write_adapter(base, adapter, TARGETS.get(architecture, SEVEN_PROJECTIONS))
    write_merged(base, read_delta(adapter), merged)
    tokenizer = load_tokenizer(base)
    prompts = tuple(tuple(prompt_tokens(tokenizer, (Message("user", q),))) for q in QUESTIONS)
    told = {"base": generated(load(base), tokenizer, prompts)}
    student = PeftModel.from_pretrained(load(base), str(adapter))
    told["student"] = generated(student, tokenizer, prompts)
    told["merged"] = generated(load(merged), tokenizer, prompts)
    return Made(base, adapter, merged, prompts, told)


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def write_adapter(base: Path, folder: Path, targets: tuple[str, ...]) -> None:
    """An adapter on every layer whose product is far from zero."""
    recipe = Recipe.preset("default", rank=4, target_modules=targets)
    rng = np.random.default_rng(5)
    with open_trainer(load_base(base, device="cpu"), recipe, 1) as trainer:
        weights = {
            name: torch.from_numpy(rng.normal(0, 0.2, tuple(x.shape)).astype(np.float32))
            for name, x in sorted(trainer.snapshot().items())
        }
        trainer.save(weights, folder)


def generated(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]]
) -> list[tuple[int, ...]]:
    """What ``generate`` says to all of them in one batch, padded on the left."""
    tokenizer.padding_side = "left"
    batch = tokenizer.pad({"input_ids": [list(x) for x in prompts]}, return_tensors="pt")
    with torch.no_grad():
        out = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False)
    width = batch["input_ids"].shape[1]
    return [ended(row, tokenizer.eos_token_id) for row in out[:, width:].tolist()]


def ended(tokens: Sequence[int], end: int) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(end)] if end in tokens else tokens)


def answered(
    base: LanguageModel, adapter: Path | None, prompts: Sequence[tuple[int, ...]], slots: int = 3
) -> list[tuple[int, ...]]:
    """What Potstill's decoder says, fewer at once than there are: they enter and leave."""
    requests = [
        Request(key, prompt, Sampling(max_tokens=NEW_TOKENS)) for key, prompt in enumerate(prompts)
    ]
    with open_decoder(base, adapter, 200, slots) as decoder:
        found = {done.key: done.tokens for done in decode_all(decoder, requests)}
    return [found[key] for key in range(len(prompts))]


def test_the_reference_has_something_to_say(made: Made) -> None:
    """Else equal answers would show little: they are long, varied, and reach past the window."""
    assert made.told["base"] != made.told["student"] == made.told["merged"]
    for answers in made.told.values():
        assert max(len(set(answer)) for answer in answers) >= 7
        assert all(len(x) > WINDOW for x in made.prompts)
        assert len({len(x) for x in made.prompts}) > 3


def test_one_by_one_generate_says_the_same(made: Made) -> None:
    """Padding is not what the answers hang on."""
    model, tokenizer = load(made.base), load_tokenizer(made.base)
    alone = [generated(model, tokenizer, [prompt])[0] for prompt in made.prompts[:2]]
    assert alone == made.told["base"][:2]


def test_torch_answers_as_generate_does(made: Made) -> None:
    base = load_base(made.base, device="cpu")
    assert base.context_tokens == 256
    assert answered(base, None, made.prompts) == made.told["base"]
    assert answered(base, made.adapter, made.prompts) == made.told["student"]
    merged = load_base(made.merged, device="cpu")
    assert answered(merged, None, made.prompts, slots=5) == made.told["merged"]


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed")
def test_mlx_answers_as_generate_does_or_refuses(made: Made) -> None:
    if made.base.name in NOT_ON_MLX:
        with pytest.raises(InputError, match=NOT_ON_MLX[made.base.name]):
            load_language_model(str(made.base), "float32", "auto", "mlx")
        return
    base = load_language_model(str(made.base), "float32", "auto", "mlx")
    assert base.context_tokens == 256
    assert answered(base, None, made.prompts) == made.told["base"]
    assert answered(base, made.adapter, made.prompts) == made.told["student"]
    merged = load_language_model(str(made.merged), "float32", "auto", "mlx")
    assert answered(merged, None, made.prompts, slots=5) == made.told["merged"]


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed")
def test_mlx_takes_a_window_no_narrower_than_the_context(tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "wide", "qwen2", sliding_window=256)
    base = load_language_model(str(folder), "float32", "auto", "mlx")
    tokenizer = load_tokenizer(folder)
    prompts = [tuple(prompt_tokens(tokenizer, (Message("user", q),))) for q in QUESTIONS[:3]]
    assert answered(base, None, prompts) == generated(load(folder), tokenizer, prompts)


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed")
def test_mlx_refuses_full_layers_at_no_regular_distance(tmp_path: Path) -> None:
    """Its rotations differ by layer, so a window as wide as the context does not help."""
    kinds = [f"{kind}_attention" for kind in ("full", "sliding", "sliding")]
    for window in (WINDOW, 256):
        folder = write_small_base(
            tmp_path / str(window), "gemma3_text", layer_types=kinds, sliding_window=window
        )
        with pytest.raises(InputError, match=rf"its sliding window of {window} tokens in.*torch"):
            load_language_model(str(folder), "float32", "auto", "mlx")


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed")
def test_mlx_turns_the_layers_of_gemma_3_apart_where_the_window_is_wide(tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "wide", "gemma3_text", sliding_window=256)
    base = load_language_model(str(folder), "float32", "auto", "mlx")
    tokenizer = load_tokenizer(folder)
    prompts = [tuple(prompt_tokens(tokenizer, (Message("user", q),))) for q in QUESTIONS[:3]]
    assert answered(base, None, prompts) == generated(load(folder), tokenizer, prompts)


def test_layers_that_are_not_what_they_are_said_to_be_are_refused(tmp_path: Path) -> None:
    """transformers masks all of Phi-3's by the window and keeps the keys of each by its kind."""
    folder = write_small_base(tmp_path / "base", "phi3")
    set_config(folder, layer_types=[f"{x}_attention" for x in ("full", "sliding", "full")])
    with pytest.raises(InputError, match="names layer_types, which transformers' phi3"):
        load_base(folder, device="cpu")


def test_a_mistral_of_unlike_layers_answers_as_generate_does(tmp_path: Path) -> None:
    """transformers takes it for a Ministral, which is tried when it is opened."""
    folder = write_small_base(tmp_path / "base", "mistral")
    set_config(folder, layer_types=[f"{x}_attention" for x in ("full", "sliding", "full")])
    base = load_base(folder, device="cpu")
    tokenizer = load_tokenizer(folder)
    prompts = [tuple(prompt_tokens(tokenizer, (Message("user", q),))) for q in QUESTIONS[:3]]
    assert answered(base, None, prompts) == generated(load(folder), tokenizer, prompts)


def encoded_examples(base: LanguageModel) -> tuple[EncodedExample, ...]:
    examples = [
        Example(q, (Message("user", q),), f"{q} The sum is {number} of all of them.")
        for number, q in enumerate(QUESTIONS)
    ]
    return encode_examples(base.tokenizer, examples, 250).examples


def batches(base: LanguageModel) -> list[Batch]:
    stream = BatchStream(encoded_examples(base), 3, np.random.default_rng(2))
    return [next(stream) for _ in range(4)]


def plain_loss(model: Any, batches: Sequence[Batch]) -> float:
    """The mean cross-entropy by transformers' own forward pass."""
    losses = []
    for batch in batches:
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(batch.tokens_BT)).logits
        wanted = torch.from_numpy(batch.target_N)
        rows = logits[torch.from_numpy(batch.row_N), torch.from_numpy(batch.column_N)]
        losses.append(torch.nn.functional.cross_entropy(rows, wanted, reduction="none"))
    return float(torch.cat(losses).mean())


def test_training_sees_the_losses_of_transformers(made: Made) -> None:
    """Both heads, the gathered and the whole, take the same step from the same loss."""
    base = load_base(made.base, device="cpu")
    given = batches(base)
    wanted = plain_loss(load(made.base), given)
    recipe = Recipe.preset(
        "default", rank=4, target_modules=TARGETS.get(made.base.name, SEVEN_PROJECTIONS)
    )
    after = []
    for gathered in (True, False):
        optimizations = Optimizations(gathered_head=gathered)
        with open_trainer(base, recipe, 3, optimizations) as trainer:
            assert trainer.validate(given) == pytest.approx(wanted, rel=1e-4)
            assert trainer.step(given, 0.01) == pytest.approx(wanted, rel=1e-4)
            after.append(trainer.validate(given))
    assert after[0] < wanted
    assert after[0] == pytest.approx(after[1], rel=1e-4)
    if find_spec("mlx_lm") is not None and made.base.name not in NOT_ON_MLX:
        mlx = load_language_model(str(made.base), "float32", "auto", "mlx")
        with open_trainer(mlx, recipe, 3) as trainer:
            assert trainer.step(given, 0.01) == pytest.approx(wanted, rel=1e-3)
            assert trainer.validate(given) == pytest.approx(after[0], rel=1e-2)


def test_cached_lower_layers_see_their_windows_too(made: Made) -> None:
    """The upper layers run alone give the losses of the whole, past the window."""
    base = load_base(made.base, device="cpu")
    targets = TARGETS.get(made.base.name, SEVEN_PROJECTIONS)
    recipe = Recipe.preset("default", rank=4, layers=1, target_modules=targets)
    encoded = encoded_examples(base)
    plan = plan_cache(base.model, recipe, encoded, runs=50)
    with open_cache(base.body, plan, lambda note: None) as cache:
        assert isinstance(cache, ActivationCache)
        with open_trainer(base, recipe, 3, None, cache) as trainer:
            cached = trainer.validate(batches(base))
    assert cached == pytest.approx(plain_loss(load(made.base), batches(base)), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("config.json", [2, 7, 9]),
        ("generation_config.json", [9, 2]),
        ("generation_config.json", 11),
    ],
)
def test_an_end_token_of_either_file_ends_an_answer(name: str, ends: Any, tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "base", "llama")
    (folder / "generation_config.json").unlink()
    set_config(folder, eos_token_id=None)
    set_config(folder, name, eos_token_id=ends)
    base = load_base(folder, device="cpu")
    wanted = {base.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
    assert base.stop_tokens == wanted
    if find_spec("mlx_lm") is not None:
        mlx: Any = load_language_model(str(folder), "float32", "auto", "mlx")
        assert mlx.stop_tokens == wanted


@pytest.mark.parametrize("ends", ["</s>", [7, "</s>", None, True], {"a": 1}])
def test_end_tokens_that_are_none_are_left_out(ends: Any, tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "base", "llama")
    tokenizer = load_tokenizer(folder)
    set_config(folder, "generation_config.json", eos_token_id=ends)
    assert stop_tokens(folder, tokenizer) == ([2, 7] if isinstance(ends, list) else [2])
    (folder / "generation_config.json").write_text("[not json")
    with pytest.raises(InputError, match=r"generation_config\.json is not readable JSON"):
        stop_tokens(folder, tokenizer)


def test_the_context_of_gemma_3_is_not_its_window(tmp_path: Path) -> None:
    base = load_base(write_small_base(tmp_path / "base", "gemma3_text"), device="cpu")
    assert base.context_tokens == 256


def test_longrope_ends_where_its_keys_would_turn(tmp_path: Path) -> None:
    factors = [1.0] * 8
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": factors,
        "long_factor": [2.0] * 8,
        "original_max_position_embeddings": 64,
    }
    folder = write_small_base(
        tmp_path / "base", "phi3", rope_parameters=rope, original_max_position_embeddings=64
    )
    base = load_base(folder, device="cpu")
    assert base.context_tokens == 64
    if find_spec("mlx_lm") is not None:
        with pytest.raises(InputError, match=r"LongRoPE.*torch"):
            load_language_model(str(folder), "float32", "auto", "mlx")
