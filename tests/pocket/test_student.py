"""The shipped student loads as any model does, and answers; a new one can be trained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.pocket.pretrain import Pretraining, pretrain

from potstill.errors import InputError
from potstill.pocket import STUDENT_PATH, PocketProblem

_MAX_NEW_TOKENS = 120


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(STUDENT_PATH)


@pytest.fixture(scope="module")
def model() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(STUDENT_PATH, dtype=torch.float32)


def _prompt(tokenizer: Any, problem: PocketProblem) -> str:
    messages = [{"role": "user", "content": problem.text}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _answers(model: Any, tokenizer: Any, problems: list[PocketProblem]) -> list[str]:
    prompts = [_prompt(tokenizer, p) for p in problems]
    batch = tokenizer(
        prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
    )
    made = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=_MAX_NEW_TOKENS,
    )
    new = made[:, batch["input_ids"].shape[1] :]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in new]


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=False) == unicodedata.normalize("NFC", text)


def test_digits_stand_alone(tokenizer: Any) -> None:
    assert tokenizer.tokenize("2026 apples")[:4] == list("2026")


def test_chat_template_adds_no_system_prompt(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


def test_special_tokens_and_context(tokenizer: Any, model: Any) -> None:
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<|endoftext|>"
    assert model.config.max_position_embeddings == 4096
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert len(tokenizer) <= model.config.vocab_size


def test_student_answers_as_well_as_was_measured(
    model: Any, tokenizer: Any, heldout: list[PocketProblem]
) -> None:
    problems = heldout[:110]
    texts = _answers(model, tokenizer, problems)
    found = [re.findall(r"\\boxed\{(.*?)\}", text) for text in texts]
    right = sum(bool(f) and f[-1] == p.answer for f, p in zip(found, problems, strict=True))
    assert 0.50 < right / len(problems) < 0.74  # 61.8 % of 330, docs/log.md 2026-11-28


def test_mlx_answers_the_same(model: Any, tokenizer: Any, heldout: list[PocketProblem]) -> None:
    pytest.importorskip("mlx_lm")
    from mlx_lm import generate, load

    twin, twin_tokenizer = load(str(STUDENT_PATH))[:2]
    for problem in heldout[:6]:
        (ours,) = _answers(model, tokenizer, [problem])
        prompt = _prompt(tokenizer, problem)
        theirs = generate(twin, twin_tokenizer, prompt=prompt, max_tokens=_MAX_NEW_TOKENS)
        assert theirs == ours


def test_two_steps_of_pretraining_write_a_loadable_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = pretrain(Pretraining(tokens=6_000, threads=1, batch_size=8), tmp_path / "new" / "student")
    AutoModelForCausalLM.from_pretrained(out)
    assert AutoTokenizer.from_pretrained(out).chat_template
    assert [p.name for p in out.parent.iterdir()] == ["student"]


def test_pretraining_goes_on_from_a_base(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    recipe = Pretraining(tokens=3_000, threads=1, batch_size=8, start=str(STUDENT_PATH))
    new = load_file(pretrain(recipe, tmp_path / "new") / "model.safetensors")
    old = load_file(STUDENT_PATH / "model.safetensors")
    assert new.keys() == old.keys()
    for name, tensor in new.items():
        assert torch.equal(tensor, tensor.bfloat16().float())
        assert torch.nn.functional.cosine_similarity(tensor.flatten(), old[name].flatten(), 0) > 0.8
    assert any(not torch.equal(new[name], old[name]) for name in new)
    models = [
        json.loads((folder / "tokenizer.json").read_text())["model"]
        for folder in (tmp_path / "new", STUDENT_PATH)
    ]
    assert models[0]["vocab"] == models[1]["vocab"]
    assert models[0]["merges"] == models[1]["merges"]
    with pytest.raises(InputError, match="holds no model to go on from"):
        pretrain(Pretraining(start=str(tmp_path / "nowhere")), tmp_path / "newer")


def test_pretraining_never_overwrites_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="choose another"):
        pretrain(Pretraining(tokens=1), tmp_path)
    with pytest.raises(InputError, match="at least one token"):
        pretrain(Pretraining(tokens=0), tmp_path / "new")


def test_importing_the_room_is_light() -> None:
    program = (
        "import sys, potstill.pocket, potstill.pocket.teacher;"
        "print({'torch', 'transformers', 'mlx', 'tokenizers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
