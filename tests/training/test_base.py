from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from potstill.errors import InputError, PotstillError
from potstill.models.torch_base import Base, cpu_threads, hash_model_folder, load_base


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def test_a_base_is_frozen_and_named_without_its_path(base: Base, model_folder: Path) -> None:
    assert base.name == "tiny"
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.stop_tokens == {base.tokenizer.eos_token_id}
    assert base.context_tokens == 512
    assert base.base_hash == hash_model_folder(model_folder)


def test_the_hash_is_of_what_decides_the_words(copy: Path, model_folder: Path) -> None:
    (copy / "README.md").write_text("new", encoding="utf-8")
    assert hash_model_folder(copy) == hash_model_folder(model_folder)
    (copy / "chat_template.jinja").write_text("other", encoding="utf-8")
    assert hash_model_folder(copy) != hash_model_folder(model_folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: shutil.rmtree(folder), "There is no model folder"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "not readable JSON"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights"),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "pickled ones are not loaded",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(
                (folder / "model.safetensors").read_bytes()[:500]
            ),
            "cannot be loaded",
        ),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds an adapter"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer in .* cannot"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "no chat template"),
    ],
)
def test_a_bad_model_folder_gets_one_sentence_with_its_name(copy, damage, says) -> None:
    damage(copy)
    with pytest.raises(InputError, match=says) as error:
        load_base(copy, device="cpu")
    assert str(copy) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_device_or_precision_is_an_input_error(model_folder: Path) -> None:
    with pytest.raises(InputError, match="device: auto"):
        load_base(model_folder, device="cuda:99")
    with pytest.raises(InputError, match="none of float32, bfloat16 and nf4"):
        load_base(model_folder, precision="int3", device="cpu")
    with pytest.raises(InputError, match="nf4 needs a CUDA GPU and the device is cpu"):
        load_base(model_folder, precision="nf4", device="cpu")


def test_a_model_that_changes_its_logits_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"logits_scaling": 8.0}))
    with pytest.raises(InputError, match="logits_scaling"):
        load_base(copy, device="cpu")


def test_a_base_is_lent_to_one_at_a_time(base: Base) -> None:
    with base.lease("one"), pytest.raises(PotstillError, match="in use"), base.lease("another"):
        pass
    with base.lease("another"):
        pass


def test_threads_are_set_and_put_back() -> None:
    import torch

    before = torch.get_num_threads()
    with cpu_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
