"""The MLX export is loaded by mlx-lm's own loader and says what the student said in its study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from potstill.deploy.exporting import Export, export_student
from potstill.deploy.finding import FoundStudent
from potstill.deploy.mlx_adapter import write_mlx_adapter
from potstill.errors import InputError
from potstill.pocket import STUDENT_PATH
from potstill.solvers import render_messages


def test_mlx_lm_loads_it_and_says_the_same(found: FoundStudent, tmp_path: Path) -> None:
    mlx_lm = pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    out = tmp_path / "mlx"
    reasked = export_student(found, Export("mlx", out, reask=20))
    assert (reasked.engine, reasked.asked, reasked.same) == ("mlx-lm", 20, 20)
    model, tokenizer = mlx_lm.load(str(STUDENT_PATH), adapter_path=str(out))
    answers = found.answers()[:50]
    said = []
    for answer in answers:
        messages = render_messages(answer.problem, found.condition)
        chat = [{"role": m.role, "content": m.content} for m in messages]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)
        said.append(mlx_lm.generate(model, tokenizer, prompt, max_tokens=64))
    assert said == [answer.response.text for answer in answers]


def test_the_products_are_those_of_the_study_bit_for_bit(
    found: FoundStudent, tmp_path: Path
) -> None:
    export_student(found, Export("mlx", tmp_path / "m", reask=0))
    ours = load_file(tmp_path / "m" / "adapters.safetensors")
    theirs = load_file(found.folder / "adapter_model.safetensors")
    assert len(ours) == len(theirs) == 2 * 4 * 7
    for name, tensor in theirs.items():
        own = name.removeprefix("base_model.model.").removesuffix(".weight")
        assert tensor.T.equal(ours[own.replace("lora_A", "lora_a").replace("lora_B", "lora_b")])
    config = json.loads((tmp_path / "m" / "adapter_config.json").read_text())
    assert config["num_layers"] == 4
    assert config["lora_parameters"]["scale"] == found.study.training.scale
    assert len(config["lora_parameters"]["keys"]) == 7


@pytest.mark.parametrize("missing", ["layers.3.", "layers.1.mlp.up_proj"])
def test_a_scope_that_mlx_lm_cannot_say_is_refused(
    found: FoundStudent, tmp_path: Path, missing: str
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(found.folder, adapter)
    weights = load_file(adapter / "adapter_model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if missing not in name}
    save_file(kept, adapter / "adapter_model.safetensors")
    with pytest.raises(InputError, match="the same modules of the last layers alone"):
        write_mlx_adapter(adapter, tmp_path, STUDENT_PATH)
