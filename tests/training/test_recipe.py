from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from potstill.errors import InputError
from potstill.training.recipe import Recipe


def test_paper_preset_trains_the_papers_number_of_parameters() -> None:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from potstill.training.lora import attach_adapter

    qwen_7b = Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(qwen_7b)
        adapted = attach_adapter(model, Recipe.preset("paper"))
    trained = {name: p.numel() for name, p in adapted.named_parameters() if p.requires_grad}
    assert sum(trained.values()) == 11_534_336
    assert {int(name.split(".layers.")[1].split(".")[0]) for name in trained} == set(range(12, 28))


def test_paper_preset_is_the_papers() -> None:
    paper = Recipe.preset("paper")
    assert (paper.rank, paper.scale, paper.layers, paper.batch_size) == (8, 20.0, 16, 4)
    assert (paper.iterations, paper.optimizer) == (200, "adam_no_bias_correction")
    assert {paper.learning_rate_at(step) for step in range(1, 201)} == {1e-5}


@pytest.mark.parametrize(
    ("kind", "width", "rate"),
    [
        # 5e-4 * (2000 / width) ** 0.781, and ** 0.0775, by hand
        ("llama", 2000, 5e-4),
        ("llama", 576, 1.3e-3),  # SmolLM2-135M
        ("llama", 4096, 2.9e-4),
        ("qwen2", 896, 5.3e-4),
        ("qwen3", 3584, 4.8e-4),
        ("gemma2", 576, 5.5e-4),  # of no family that was tried: the lower of both
        ("mistral", 4096, 2.9e-4),
    ],
)
def test_the_learning_rate_is_of_the_bases_family_and_width(
    kind: str, width: int, rate: float
) -> None:
    assert Recipe().for_base(kind, width).learning_rate == rate
    assert Recipe(learning_rate=1e-4).for_base(kind, width).learning_rate == 1e-4


def test_schedules_warm_up_and_fall() -> None:
    cosine = Recipe.preset("pocket", warmup_steps=10, iterations=110, learning_rate=1.0)
    rates = [cosine.learning_rate_at(step) for step in range(1, 111)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01
    linear = cosine.model_copy(update={"schedule": "linear"})
    assert linear.learning_rate_at(61) == pytest.approx(0.5)


def test_a_study_files_values_are_read_strictly() -> None:
    assert Recipe(target_modules=["q_proj"], betas=[0.9, 0.95]).target_modules == ("q_proj",)
    for wrong in (
        {"rnak": 8},
        {"rank": "8"},
        {"rank": 0},
        {"layers": 0},
        {"layers": "top"},
        {"betas": [0.9, 1.0]},
        {"optimizer": "adam_no_bias_correction", "weight_decay": 0.1},
    ):
        with pytest.raises(ValidationError):
            Recipe(**wrong)
    with pytest.raises(InputError, match="default, paper, pocket"):
        Recipe.preset("papre")


def test_threads_do_not_change_a_recipes_hash() -> None:
    assert Recipe(threads=3).recipe_hash == Recipe(threads=1).recipe_hash
    assert Recipe(rank=8).recipe_hash != Recipe(rank=16).recipe_hash


def test_the_recipe_is_light() -> None:
    code = (
        "import sys, potstill.training.recipe, potstill.solvers.torch;"
        "sys.exit(bool({'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
