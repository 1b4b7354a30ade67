"""What stands in the way of a base is said before anything is paid for, without opening it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.errors import InputError, StudyError
from potstill.models.torch_base import load_base
from potstill.pocket import STUDENT_PATH
from potstill.training.preflight import WantedBase, check_base, look_at_base
from potstill.training.recipe import Recipe
from support.small_bases import CHATML, THINKING, set_config, write_small_base

NEEDS_MLX = pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed")
RECIPE = Recipe.preset("pocket", max_sequence_tokens=200)
NO_SYSTEM = (
    "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "[{{ message['role'] }}] {{ message['content'] }} {% endfor %}[assistant]"
)
ALTERNATING = ["sliding_attention", "full_attention"] * 2
DROPS_SYSTEM = "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}>"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_base(tmp_path_factory.mktemp("bases") / "base", "llama")


@pytest.fixture(scope="module")
def phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_base(tmp_path_factory.mktemp("bases") / "phi", "phi3")


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


def wanted(path: Path | str, **changes: Any) -> WantedBase:
    return dataclasses.replace(WantedBase(str(path), RECIPE, device="cpu"), **changes)


def said(path: Path | str, **changes: Any) -> str:
    """The one thing that stands in the way."""
    (sentence,) = look_at_base(wanted(path, **changes)).errors
    assert "\n" not in sentence
    return sentence


def recipe(**changes: Any) -> Recipe:
    return RECIPE.model_copy(update=changes)


@pytest.mark.parametrize("backend", ["torch", pytest.param("mlx", marks=NEEDS_MLX)])
def test_a_base_that_fits_passes_without_a_word(base: Path, backend: str) -> None:
    asked = {"system": "Be brief.", "answer_tokens": 40, "problems": ["What is 3 + 4?"]}
    for path in (base, STUDENT_PATH):
        assert check_base(wanted(path, backend=backend, **asked)) == ()
    assert check_base(WantedBase(str(base))) == ()


@pytest.mark.parametrize("backend", ["torch", pytest.param("mlx", marks=NEEDS_MLX)])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda whole: whole[: len(whole) // 2],
            r"is not a whole safetensors file \([\d,]+ bytes\)",
        ),
        (lambda whole: whole[:100], "is not a whole safetensors file"),
        (lambda whole: b"", "is not a whole safetensors file"),
        (
            lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
            "is a pointer of Git LFS and holds no weights; fetch them with git lfs pull",
        ),
    ],
)
def test_a_weight_file_that_is_not_whole_is_named(
    copy: Path, damage: Callable[[bytes], bytes], says: str, backend: str
) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    assert re.search(says, said(copy, backend=backend))
    with pytest.raises(InputError, match="cannot be loaded"):
        load_base(copy, device="cpu")


def spoil(folder: Path, name: str, value: torch.Tensor | None) -> None:
    """Write another tensor of that name into a base's weights, or take it out."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors |= {name: value} if value is not None else {}
    kept = {key: x for key, x in tensors.items() if value is not None or key != name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


NORM, LAST = "model.layers.1.input_layernorm.weight", "model.layers.2.mlp.down_proj.weight"
NAN = torch.tensor([1.0] * 63 + [float("nan")])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (LAST, None, f"lack {LAST}, which would be random numbers"),
        ("model.embed_tokens.weight", None, "which would be random numbers"),
        (NORM, NAN, rf"hold values that are no finite numbers \({NORM}\)"),
        (NORM, NAN.to(torch.bfloat16), "no finite numbers"),
        (LAST, torch.full((64, 128), float("-inf")), "no finite numbers"),
        (NORM, torch.ones(7), f"{NORM} in the shape 7 and its config.json says 64"),
    ],
)
def test_weights_that_are_not_all_there_or_no_numbers_are_named(
    copy: Path, name: str, value: torch.Tensor | None, says: str
) -> None:
    spoil(copy, name, value)
    assert re.search(says, said(copy))
    with pytest.raises(InputError, match=says):
        load_base(copy, device="cpu")


@pytest.mark.parametrize("value", [NAN, torch.full((4,), float("-inf"))])
def test_a_tensor_that_the_model_does_not_use_may_hold_anything(
    copy: Path, value: torch.Tensor
) -> None:
    spoil(copy, "model.layers.0.self_attn.attention_mask_bias", value)
    assert check_base(wanted(copy)) == ()
    with load_base(copy, device="cpu").lease("a test"):
        pass
    spoil(copy, NORM, NAN)
    assert f"no finite numbers ({NORM})" in said(copy)


@NEEDS_MLX
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [(LAST, None, f"Missing 1 parameters: {LAST}"), (NORM, NAN, "no finite numbers")],
)
def test_weights_are_looked_at_for_mlx_too(
    copy: Path, name: str, value: torch.Tensor | None, says: str
) -> None:
    from potstill.models.mlx_base import load_mlx_base

    spoil(copy, name, value)
    assert re.search(says, said(copy, backend="mlx"))
    with pytest.raises(InputError, match=says):
        load_mlx_base(copy)


def test_of_a_large_base_the_first_values_are_looked_at(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.models import weights

    monkeypatch.setattr(weights, "_WHOLE_BYTES", 1)
    assert check_base(wanted(copy)) == ()
    spoil(copy, LAST, torch.full((64, 128), float("nan")))
    assert "no finite numbers" in said(copy)


def test_other_files_beside_the_weights_are_no_weights(copy: Path) -> None:
    (copy / "adapter_model.safetensors").write_bytes(b"of something else")
    assert check_base(wanted(copy)) == ()


def test_a_base_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert re.search(r"no model folder at .*nowhere; give a folder", said(tmp_path / "nowhere"))


@pytest.mark.parametrize("backend", ["torch", pytest.param("mlx", marks=NEEDS_MLX)])
def test_an_unknown_architecture_is_named_with_the_nearest(copy: Path, backend: str) -> None:
    set_config(copy, model_type="qwen33")
    sentence = said(copy, backend=backend)
    assert "'qwen33', which transformers" in sentence
    assert "did you mean 'qwen3'?" in sentence


@NEEDS_MLX
def test_an_architecture_that_mlx_lm_lacks_is_named(tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "base", "persimmon")
    assert re.search(r"'persimmon', which mlx-lm does not know.*torch", said(folder, backend="mlx"))


@NEEDS_MLX
def test_a_window_that_mlx_lm_does_not_compute_is_named(tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "base", "qwen2")
    assert "without its sliding window of 12 tokens" in said(folder, backend="mlx")
    assert check_base(wanted(folder)) == ()


@pytest.mark.parametrize(
    ("architecture", "changes", "says"),
    [
        ("mamba", {}, r"layers that are no plain attention \(linear_attention\)"),
        ("bloom", {"n_layer": 2, "n_head": 4}, "as it does through transformers"),
        ("bert", {}, "as it does through transformers"),
        ("gpt2", {"n_embd": 64, "n_layer": 2, "n_head": 4}, "no linear modules that LoRA"),
        ("granite", {"logits_scaling": 8.0}, r"changes its logits after the head"),
    ],
)
def test_an_architecture_that_would_answer_otherwise_is_refused(
    architecture: str, changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    folder = write_small_base(tmp_path / "base", architecture, **changes)
    assert re.search(says, said(folder))
    if architecture != "gpt2":  # which can be asked, and not trained
        with pytest.raises(InputError, match=says):
            load_base(folder, device="cpu")


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("olmo3", {"sliding_window": 8, "layer_types": ALTERNATING}),
        ("granite", {"embedding_multiplier": 3.0, "residual_multiplier": 0.4}),
        (
            "gpt_oss",
            {
                "head_dim": 16,
                "num_local_experts": 4,
                "sliding_window": 8,
                "layer_types": ALTERNATING,
            },
        ),
    ],
)
def test_an_untried_architecture_that_answers_alike_is_taken(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_small_base(tmp_path / "base", architecture, num_hidden_layers=4, **changes)
    assert check_base(wanted(folder, recipe=None)) == ()
    opened = load_base(folder, device="cpu")
    assert opened.context_tokens == 256
    assert getattr(opened.model.config, "sliding_window", 8) == 8


def test_a_model_of_images_too_is_refused(copy: Path) -> None:
    text = json.loads((copy / "config.json").read_text()) | {"model_type": "gemma3_text"}
    set_config(copy, model_type="gemma3", text_config=text)
    assert "is a model of more than text (gemma3)" in said(copy)


def test_a_tokenizer_without_a_template_is_named(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    assert "has no chat template; use the instruct model" in said(copy)


def test_a_tokenizer_without_an_end_token_is_named(copy: Path) -> None:
    set_config(copy, "tokenizer_config.json", eos_token=None)
    assert "names no eos_token" in said(copy)


def test_a_tokenizer_of_another_model_is_named(copy: Path) -> None:
    set_config(copy, vocab_size=100)
    assert re.search(r"gives the token \d+ and the model has 100: they are of two", said(copy))


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (NO_SYSTEM, r"takes no system text \(.*System role not supported.*evaluation\.prompt"),
        (DROPS_SYSTEM, r"leaves out the system text.*begin evaluation\.prompt with it"),
    ],
)
def test_a_template_without_system_turns_is_named_where_there_is_a_system_text(
    copy: Path, template: str, says: str
) -> None:
    (copy / "chat_template.jinja").write_text(template)
    assert re.search(says, said(copy, system="You are a teacher."))
    assert check_base(wanted(copy)) == ()


def test_a_template_that_cannot_be_rendered_is_named(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text("{{ messages[0].content | no_such_filter }}")
    assert "no_such_filter" in said(copy)
    (copy / "chat_template.jinja").write_text("{{ messages[0].role }}>")
    assert "leaves out what the user says" in said(copy)


def test_thinking_is_spoken_of_and_a_wrong_argument_refused(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(THINKING)
    (warning,) = check_base(wanted(copy))
    assert "student.template: {enable_thinking: false}" in warning
    assert check_base(wanted(copy, template={"enable_thinking": False})) == ()
    assert check_base(wanted(copy, template={"enable_thinking": True})) == ()
    sentence = said(copy, template={"thinking": False})
    assert "knows no 'thinking'; did you mean 'enable_thinking'?" in sentence
    (copy / "chat_template.jinja").write_text(CHATML)
    assert check_base(wanted(copy)) == ()


@pytest.mark.parametrize("backend", ["torch", pytest.param("mlx", marks=NEEDS_MLX)])
def test_target_modules_of_another_family_are_named_with_those_that_fit(
    phi: Path, base: Path, backend: str
) -> None:
    fits = "training.target_modules: [qkv_proj, o_proj, gate_up_proj, down_proj]"
    assert fits in said(phi, backend=backend)
    chosen = recipe(target_modules=("qkv_proj", "o_proj", "gate_up_proj", "down_proj"))
    assert check_base(wanted(phi, backend=backend, recipe=chosen)) == ()
    typo = recipe(target_modules=("q_prj", "v_proj"))
    sentence = said(base, backend=backend, recipe=typo)
    assert "names q_prj, which" in sentence
    assert "training.target_modules: [q_proj, v_proj]." in sentence


@pytest.mark.parametrize("backend", ["torch", pytest.param("mlx", marks=NEEDS_MLX)])
def test_more_layers_than_there_are_are_refused(base: Path, backend: str) -> None:
    sentence = said(base, backend=backend, recipe=recipe(layers=16))
    assert "has 3; set training.layers to 3 or less, or to all" in sentence
    assert check_base(wanted(base, backend=backend, recipe=recipe(layers=3))) == ()


def test_a_sequence_shorter_than_the_prompt_is_refused(base: Path) -> None:
    asked = {"problems": ["What is 3 + 4?", "Say what 11 + 8 + 7 is."], "answer_tokens": 60}
    sentence = said(base, recipe=recipe(max_sequence_tokens=3), **asked)
    assert re.search(r"max_sequence_tokens is 3 and the shortest prompt alone has 23", sentence)
    assert "set it to 128 or so" in sentence
    assert check_base(wanted(base, recipe=recipe(max_sequence_tokens=25), **asked)) == ()
    assert "shortest prompt" in said(base, recipe=recipe(max_sequence_tokens=24), **asked)


def test_limits_beyond_the_context_are_said(base: Path) -> None:
    (warning,) = check_base(wanted(base, recipe=recipe(max_sequence_tokens=257)))
    assert "more than the context" in warning
    assert "256 tokens" in warning
    (warning,) = check_base(wanted(base, answer_tokens=250))
    assert "such answers are cut there" in warning
    sentence = said(base, recipe=None, problems=["What is 29 + 8? " * 40])
    assert "shorten evaluation.prompt" in sentence


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_a_device_that_is_not_there_is_named(base: Path) -> None:
    assert "'cuda' cannot be used here" in said(base, device="cuda")
    assert "nf4 needs a CUDA GPU and the device is cpu" in said(base, precision="nf4")
    there = {"device": "cuda", "precision": "nf4", "elsewhere": True}
    assert check_base(wanted(base, **there)) == ()


@pytest.mark.parametrize("told", [None, [], "gptq"])
def test_a_quantisation_that_is_told_in_no_known_way_is_named(copy: Path, told: Any) -> None:
    content = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(content | {"quantization_config": told}))
    assert "give the full-precision model" in look_at_base(wanted(copy)).errors[0]


@NEEDS_MLX
def test_a_precision_that_mlx_lacks_is_named(base: Path) -> None:
    assert "set student.precision: bfloat16" in said(base, backend="mlx", precision="nf4")


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed here")
def test_a_package_that_is_not_installed_is_named(base: Path) -> None:
    assert "pip install wandb" in said(base, trackers=["wandb"])


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("quantization", {"bits": 4, "group_size": 64}, r"set student\.backend: mlx"),
        (
            "quantization_config",
            {"quant_method": "gptq", "bits": 4},
            r"holds quantised weights \(gptq\).*nf4",
        ),
    ],
)
def test_weights_that_are_quantised_otherwise_are_named(
    copy: Path, key: str, value: dict[str, Any], says: str
) -> None:
    set_config(copy, **{key: value})
    assert re.search(says, said(copy))


def test_a_weight_file_that_is_missing_is_named(copy: Path) -> None:
    names = {"lm_head.weight": "model-00002-of-00002.safetensors"}
    set_config(copy, "model.safetensors.index.json", weight_map=names)
    assert "has no model-00002-of-00002.safetensors, which its index names" in said(copy)


def test_a_hub_model_needs_no_weights_here(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its description was fetched some day; the hub does not answer now."""
    from huggingface_hub import constants

    place = tmp_path / "models--some--model"
    weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(base, place / "snapshots" / ("0" * 40), ignore=weights)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert check_base(wanted("some/model")) == ()
    assert "layers" in said("some/model", recipe=recipe(layers=9))
    assert "nor to be had from the hub" in said("some/other")


def test_the_first_of_several_is_raised_with_their_number(base: Path) -> None:
    asked = {"recipe": recipe(layers=9, max_sequence_tokens=3), "template": {}, "backend": "torch"}
    assert len(look_at_base(wanted(base, **asked)).errors) == 2
    with pytest.raises(StudyError, match=r"set training\.layers to 3.* \(1 more beside it\.\)$"):
        check_base(wanted(base, **asked))


@pytest.mark.parametrize(("threads", "told"), [(0, 0), (2, 0), (3, 1)])
def test_more_threads_than_cores_are_told(
    threads: int, told: int, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.training.preflight.core_count", lambda: 2)
    recipe = RECIPE.model_copy(update={"threads": threads})
    said = look_at_base(wanted(base, recipe=recipe)).warnings
    assert sum("training.threads: 3 is more than the 2 cores here" in x for x in said) == told
    elsewhere = look_at_base(wanted(base, recipe=recipe, elsewhere=True)).warnings
    assert not [x for x in elsewhere if "training.threads" in x]
