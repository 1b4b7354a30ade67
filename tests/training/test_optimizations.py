from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from potstill.errors import PotstillError
from potstill.models.adapters import lora_layers
from potstill.models.torch_base import Base, cpu_threads
from potstill.training import activation_cache as cache
from potstill.training import head_loss
from potstill.training.activation_cache import (
    ActivationCache,
    CachePlan,
    CacheUnused,
    open_cache,
    plan_cache,
    split_body,
)
from potstill.training.batches import BatchStream, collate, epoch_batches
from potstill.training.examples import EncodedExample, encode_examples
from potstill.training.grid import Job, train_cells
from potstill.training.lora import attach_adapter, seed_adapter
from potstill.training.lora_product import fuse_lora
from potstill.training.optimizations import Optimizations
from potstill.training.records import GridCell
from potstill.training.torch_trainer import TorchTrainer, open_torch_trainer, step_bytes
from support.plain_training import SHORT, losses, plain_losses
from support.tiny_cell import make_examples

TOP = SHORT.model_copy(update={"layers": 2})


def encode(base: Base, count: int, first: int = 0) -> list[EncodedExample]:
    return list(encode_examples(base.tokenizer, make_examples(count, first), 512).examples)


@contextmanager
def with_cache(base: Base, examples: list[EncodedExample]) -> Iterator[ActivationCache]:
    plan = plan_cache(base.model, TOP, examples, 100 * len(examples))
    with open_cache(base.body, plan, lambda note: None) as cache:
        assert isinstance(cache, ActivationCache)
        yield cache


def curve(
    base: Base,
    optimizations: Optimizations | None = None,
    seed: int = 0,
    cache: ActivationCache | None = None,
) -> list[float]:
    """20 training losses and the validation loss after them."""
    train, valid = encode(base, 37), [collate(encode(base, 9, first=100))]
    batches = BatchStream(train, TOP.batch_size, np.random.default_rng([seed, 1]))
    with open_torch_trainer(base, TOP, seed, optimizations, cache) as trainer:
        found = [trainer.step([next(batches)], TOP.learning_rate_at(k)) for k in range(1, 21)]
        return [*found, trainer.validate(valid)]


@contextmanager
def counted(module: Any) -> Iterator[list[Any]]:
    """What a module gave each time it was called."""
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda module, given, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


@pytest.fixture
def llama(base: Base) -> Base:
    from dataclasses import replace

    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=384, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    return replace(base, model=LlamaForCausalLM(config).eval().requires_grad_(False))


@pytest.mark.parametrize("family", ["base", "llama"])
def test_a_activation_cache_gives_the_losses_of_the_whole_model(request, family: str) -> None:
    base = request.getfixturevalue(family)
    whole = curve(base)
    with (
        with_cache(base, encode(base, 37) + encode(base, 9, first=100)) as cache,
        counted(base.body.layers[0]) as ran,
    ):
        cached = curve(base, cache=cache)
    assert not ran
    assert cached == pytest.approx(whole, rel=1e-5)
    assert cached[19] < cached[0] - 0.1


def test_an_example_that_the_cache_lacks_runs_through_the_whole_model(base: Base) -> None:
    whole = curve(base)
    with with_cache(base, encode(base, 20)) as cache, counted(base.body.layers[0]) as ran:
        assert curve(base, cache=cache) == pytest.approx(whole, rel=1e-5)
    assert ran


@pytest.mark.parametrize(
    "off", ["gathered_head", "activation_cache", "fused_lora", "short_backward", "none", "all"]
)
def test_each_optimization_alone_leaves_the_losses_of_a_plain_loop(base: Base, off: str) -> None:
    names = {"none": [], "all": [k for k in Optimizations.model_fields if k != "buckets"]}
    optimizations = Optimizations(**dict.fromkeys(names.get(off, [off]), False))
    with with_cache(base, encode(base, 37)) as cache:
        found = curve(base, optimizations, cache=cache)[:20]
    assert found == pytest.approx(plain_losses(base, TOP, 0, make_examples(37)), rel=2e-4)


def test_fused_products_have_the_gradients_of_peft(base: Base) -> None:
    found = []
    for fused in (False, True):
        model = attach_adapter(base.model, TOP)
        seed_adapter(model, 3)
        torch.manual_seed(1)
        for _, layer in lora_layers(model):
            torch.nn.init.normal_(layer.lora_B["default"].weight)
        model.double()
        if fused:
            fuse_lora(model)
        tokens = torch.arange(60).view(3, 20)
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        found.append([p.grad for p in model.parameters() if p.requires_grad])
        model.unload()
        base.model.float()
    for peft, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, peft, rtol=1e-9, atol=1e-12)


def test_projections_called_with_unlike_inputs_compute_their_own(base: Base) -> None:
    model = attach_adapter(base.model, TOP)
    seed_adapter(model, 3)
    attention = base.body.layers[-1].self_attn
    one, other = torch.randn(2, 5, 32), torch.randn(2, 5, 32)
    expected = [attention.q_proj(one), attention.k_proj(other), attention.v_proj(one)]
    fuse_lora(model)
    for _ in range(2):
        found = [attention.q_proj(one), attention.k_proj(other), attention.v_proj(one)]
        for mine, peft in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, peft)
    model.unload()


def test_no_more_logits_are_made_than_a_chunk(base: Base, monkeypatch) -> None:
    monkeypatch.setattr(head_loss, "LOGITS_PER_CHUNK", 384 * 7)
    batch = collate(encode(base, 5))
    with open_torch_trainer(base, TOP, 0) as trainer, counted(base.head) as logits:
        trainer.step([batch], 1e-3)
        trainer.validate([batch])
    assert max(made.numel() for made in logits) == 384 * 7
    assert sum(len(made) for made in logits) == 2 * len(batch.target_N)


def test_the_head_gives_the_loss_and_gradient_of_autograd(base: Base) -> None:
    hidden, target = torch.randn(11, 32, requires_grad=True), torch.arange(11)
    loss = torch.nn.functional.cross_entropy(base.head(hidden), target, reduction="sum") / 3
    loss.backward()
    found, gradient = head_loss.head_loss(base.head, hidden.detach(), target, 1 / 3)
    assert found == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(gradient, hidden.grad)


@pytest.mark.parametrize("short", [True, False])
def test_the_backward_pass_ends_at_the_lowest_adapted_layer(base: Base, short: bool) -> None:
    batch = collate(encode(base, 5))
    optimizations = Optimizations(short_backward=short)
    with (
        open_torch_trainer(base, TOP, 0, optimizations) as trainer,
        counted(base.body.layers[0]) as hidden,
    ):
        trainer.step([batch], 1e-3)
    assert [output.requires_grad for output in hidden] == [not short]


def test_buckets_pad_less_and_drop_nothing(base: Base) -> None:
    examples = encode(base, 61)
    padded = {}
    for bucketed in (True, False):
        batches = epoch_batches(examples, 4, np.random.default_rng(0), bucketed)
        assert sorted(e.problem_id for b in batches for e in b) == sorted(
            e.problem_id for e in examples
        )
        padded[bucketed] = sum(collate(batch).padded_tokens for batch in batches)
    assert padded[True] < 0.9 * padded[False]


def test_a_grid_runs_the_lower_layers_once_per_example(
    base: Base, tmp_path: Path, monkeypatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    train, valid = tuple(make_examples(20)), tuple(make_examples(5, first=100))
    notes: list[str] = []
    # two cells use their 25 examples often enough for a cache to pay, and one of them does not
    validations = TOP.steps // TOP.validate_every + 1
    uses_of_one = (TOP.steps * TOP.batch_size + 5 * validations) / 25
    monkeypatch.setattr(cache, "_FEWEST_USES", 1.5 * uses_of_one)

    def train_grid(folder: Path, optimizations: Optimizations, left: int = 2) -> list[Any]:
        jobs = [
            Job(GridCell("R1", seed), train, valid, TOP, folder / str(seed), "data", optimizations)
            for seed in range(2)
        ]
        told = notes.append
        done = train_cells(base, jobs[-left:], workers=1, on_note=told, grid=jobs)
        return [r for _, r in done]

    with counted(base.body.layers[0]) as ran:
        cached = train_grid(tmp_path / "a", Optimizations())
    # Besides, the split was tried out on a few tokens, in parts and whole.
    assert len(ran) == 25 + 2
    size_gb = sum(len(e.tokens) for e in encode(base, 20) + encode(base, 5, 100)) * 32 * 4 / 1e9
    assert notes == [
        f"Caching the lowest 1 layers' outputs of 25 examples in {scratch}: {size_gb:.2f} GB "
        "until the last cell is trained"
    ]
    assert list(scratch.iterdir()) == []
    whole = train_grid(tmp_path / "b", Optimizations(activation_cache=False))
    assert len(notes) == 1
    for mine, plain in zip(cached, whole, strict=True):
        assert losses(mine) == pytest.approx(losses(plain), rel=1e-5)
    # what is left of a grid that was cut off has the same cache, though it alone does not pay
    (last,) = train_grid(tmp_path / "c", Optimizations(), left=1)
    assert losses(last) == losses(cached[1])


def test_the_bits_of_a_cached_example_do_not_hang_on_its_company(base: Base) -> None:
    examples = encode(base, 12)
    batch = collate(examples[3:5])
    found = []
    for company in (examples, examples[4:2:-1]):
        with with_cache(base, company) as cache:
            found.append(cache.hidden(batch, "cpu"))
    assert torch.equal(*found)


def test_examples_cached_side_by_side_have_the_bits_of_those_cached_alone(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = encode(base, 24)
    kept, told = [], []
    for cores in ("1", "2"):
        monkeypatch.setenv("PYTHON_CPU_COUNT", cores)
        plan = plan_cache(base.model, TOP, examples, 100 * len(examples))
        with (
            cpu_threads(1),
            open_cache(
                base.body, plan, lambda note: None, on_cached=lambda *x: told.append(x)
            ) as filled,
        ):
            assert isinstance(filled, ActivationCache)
            kept.append([filled.hidden(collate([x]), "cpu") for x in examples])
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))
    tokens = sum(len(x.tokens) for x in {tuple(x.tokens): x for x in examples}.values())
    assert told.count((tokens, tokens)) == 2


def test_a_disk_too_small_turns_the_cache_off(base: Base, tmp_path: Path) -> None:
    plan = CachePlan(1, tuple(encode(base, 5)), bytes_per_token=2**50)
    notes: list[str] = []
    with open_cache(base.body, plan, notes.append, tmp_path) as cache:
        assert isinstance(cache, CacheUnused)
        assert list(tmp_path.iterdir()) == []
    assert notes[0].startswith("No activation cache: it takes ")
    assert f"GB and {tmp_path} has " in notes[0]


def test_a_cache_that_would_not_pay_or_not_be_exact_is_refused(base: Base) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, GraniteConfig, GraniteForCausalLM

    examples = encode(base, 8)
    shape = {"vocab_size": 384, "hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    granite = GraniteForCausalLM(GraniteConfig(**shape, **heads, embedding_multiplier=12.0))
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=384, n_embd=32, n_layer=3, n_head=4))
    refused = {
        "LoRA is on the lowest layer": plan_cache(base.model, SHORT, examples, 800),
        "used 1.12 times": plan_cache(base.model, TOP, examples, 9),
        "there are no examples": plan_cache(base.model, TOP, [], 9),
        # Granite scales what it is given for embeddings.
        "GraniteModel does more than run its layers": plan_cache(granite, TOP, examples, 800),
        "GPT2Model is not built of layers": plan_cache(gpt2, TOP, examples, 800),
    }
    for reason, plan in refused.items():
        assert isinstance(plan, CacheUnused)
        assert reason in plan.reason
    base.model.config.attention_dropout = 0.1
    dropping = plan_cache(base.model, TOP, examples, 800)
    base.model.config.attention_dropout = 0.0
    assert isinstance(dropping, CacheUnused)


def test_the_parts_of_a_body_leave_it_whole(base: Base) -> None:
    before = dict(base.body.named_modules())
    lower, upper = split_body(base.body, 2)
    assert (len(lower.layers), len(upper.layers), len(base.body.layers)) == (2, 1, 3)
    assert dict(base.body.named_modules()) == before
    assert base.model.config.num_hidden_layers == 3


def test_out_of_memory_names_the_settings_and_what_they_ask_for(base: Base) -> None:
    batch = collate(encode(base, 5))
    wanted = step_bytes(base, TOP, batch.padded_tokens)

    def demand(trainer: TorchTrainer) -> None:
        trainer.step([batch], 1e-3)
        torch.empty(2**60)

    with (
        pytest.raises(PotstillError) as error,
        open_torch_trainer(base, TOP, 0) as trainer,
    ):
        demand(trainer)
    for part in (
        f"a step over {batch.padded_tokens} tokens needs about {wanted / 1e9:.1f} GB",
        "lower batch_size (5, ",
        "max_sequence_tokens (auto)",
    ):
        assert part in str(error.value)
