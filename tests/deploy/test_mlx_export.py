"""The MLX export is loaded by mlx-lm's own loader and says what the student said in its study."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from potstill.analysis.students import FoundStudent
from potstill.chat import render_messages
from potstill.deploy.export.exporting import Export, export_student
from potstill.deploy.export.mlx_adapter import convert_adapter, write_mlx_adapter
from potstill.errors import InputError
from potstill.pocket import STUDENT_PATH


def test_mlx_lm_loads_it_and_says_the_same(found: FoundStudent, tmp_path: Path) -> None:
    mlx_lm = pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    out = tmp_path / "mlx"
    reasked = export_student(found, Export("mlx", out, reask=20))
    assert (reasked.engine, reasked.asked, reasked.same) == ("mlx-lm", 20, 20)
    model, tokenizer = mlx_lm.load(str(STUDENT_PATH), adapter_path=str(out))
    answers = found.answers()[:20]
    said = []
    for problem, _ in answers:
        messages = render_messages(problem, found.condition)
        chat = [{"role": m.role, "content": m.content} for m in messages]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True)
        said.append(mlx_lm.generate(model, tokenizer, prompt, max_tokens=64))
    assert said == [response.text for _, response in answers]


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


def convert(adapter: Path, to: str, out: Path) -> Path:
    convert_adapter(adapter, to, STUDENT_PATH, out)
    return out


def test_there_and_back_every_byte_is_the_same(found: FoundStudent, tmp_path: Path) -> None:
    mlx = convert(found.folder, "mlx", tmp_path / "mlx")
    back = convert(mlx, "peft", tmp_path / "peft")
    again = convert(back, "mlx", tmp_path / "again")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (back / name).read_bytes() == (found.folder / name).read_bytes(), name
    for name in ("adapters.safetensors", "adapter_config.json"):
        assert (again / name).read_bytes() == (mlx / name).read_bytes(), name


def test_logits_are_the_same_on_both_sides(found: FoundStudent, tmp_path: Path) -> None:
    mlx_lm = pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    import mlx.core as mx
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    mlx = convert(found.folder, "mlx", tmp_path / "mlx")
    peft = convert(mlx, "peft", tmp_path / "peft")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(STUDENT_PATH), peft)
    twin, _ = mlx_lm.load(str(STUDENT_PATH), adapter_path=str(mlx))
    plain, _ = mlx_lm.load(str(STUDENT_PATH))
    tokens = [[(7 * i) % 300 + 3 for i in range(64)]]
    with torch.inference_mode():
        ours = model(torch.tensor(tokens)).logits.numpy()
    theirs = np.array(twin(mx.array(tokens)).astype(mx.float32))
    assert np.abs(ours - theirs).max() < 1e-4
    assert np.abs(np.array(plain(mx.array(tokens))) - theirs).max() > 0.1


def written_by_mlx_lm(folder: Path, **changes: object) -> Path:
    """An adapter in mlx-lm's own words, by mlx-lm's own code."""
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    model, _ = load_model(STUDENT_PATH)
    model.freeze()
    keys = ["self_attn.q_proj", "mlp.up_proj"]
    parameters = {"rank": 8, "scale": 20.0, "dropout": 0.0, "keys": keys}
    dora = changes.get("fine_tune_type") == "dora"
    linear_to_lora_layers(model, 2, parameters, use_dora=dora)
    folder.mkdir()
    weights = dict(tree_flatten(model.trainable_parameters()))
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}
    (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_what_mlx_lm_trained_loads_in_peft(tmp_path: Path) -> None:
    adapter = written_by_mlx_lm(tmp_path / "theirs")
    peft = convert(adapter, "peft", tmp_path / "peft")
    config = json.loads((peft / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (8, 160)
    assert config["target_modules"] == ["q_proj", "up_proj"]
    assert config["layers_to_transform"] == [2, 3]
    weights = load_file(peft / "adapter_model.safetensors")
    assert len(weights) == 2 * 2 * 2
    theirs = load_file(adapter / "adapters.safetensors")
    name = "model.layers.3.mlp.up_proj"
    ours = weights[f"base_model.model.{name}.lora_A.weight"]
    assert ours.equal(theirs[f"{name}.lora_a"].T)
    assert ours.abs().sum() > 0


def test_what_peft_has_no_exact_words_for_is_refused(tmp_path: Path) -> None:
    dora = written_by_mlx_lm(tmp_path / "dora", fine_tune_type="dora")
    with pytest.raises(InputError, match="of the type dora"):
        convert(dora, "peft", tmp_path / "out")
    scale = next(x / 997 for x in range(1, 997) if all(a / 7 != x / 997 for a in near(x / 997 * 7)))
    adapter = written_by_mlx_lm(tmp_path / "scale")
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["lora_parameters"] |= {"scale": scale, "rank": 7}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="which no alpha over the rank 7"):
        convert(adapter, "peft", tmp_path / "out")
    with pytest.raises(InputError, match="no readable mlx-lm adapter"):
        convert(tmp_path, "peft", tmp_path / "out")
    with pytest.raises(InputError, match=r"no layout .gguf.; there are: peft, mlx"):
        convert(adapter, "gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def near(alpha: float) -> tuple[float, ...]:
    return (math.nextafter(alpha, 0.0), alpha, math.nextafter(alpha, math.inf))


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path) -> None:
    adapter = written_by_mlx_lm(tmp_path / "theirs")
    weights = load_file(adapter / "adapters.safetensors")
    key = "model.layers.3.mlp.up_proj.lora_a"
    weights[key] = torch.zeros(3, 8)
    save_file(weights, adapter / "adapters.safetensors")
    with pytest.raises(InputError, match=r"changes model\.layers\.3\.mlp\.up_proj"):
        convert(adapter, "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists()
