"""A GGUF file read back by gguf's own reader, and asked through llama-cpp-python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from potstill.analysis.students import FoundStudent
from potstill.deploy.export.exporting import Export, export_student
from potstill.deploy.export.gguf_file import write_gguf
from potstill.deploy.export.merging import Delta
from potstill.errors import InputError
from potstill.pocket import STUDENT_PATH
from random_model import write_random_model
from support.greedy import generated

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

NOTHING = Delta(1.0, {}, {})
# One float16 rounding; one Q8_0 step is the block's largest value over 127, halved by rounding.
RELATIVE_ERROR = {"f16": 2.0**-11, "q8_0": 0.5 / 127 + 2.0**-11}
LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}


def llama_folder(folder: Path, **shape: Any) -> Path:
    """A random Llama with the tokenizer of a random model."""
    write_random_model(folder, [f"{k} and {k * k} make {k + k * k}" for k in range(80)])
    config = LlamaConfig(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=2,
        **shape,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def fields(reader: Any) -> dict[str, Any]:
    return {name: field.contents() for name, field in reader.fields.items()}


@pytest.mark.parametrize("quantise", ["f16", "q8_0"])
def test_the_file_holds_the_merged_weights(
    found: FoundStudent, tmp_path: Path, quantise: str
) -> None:
    export_student(found, Export("merged", tmp_path / "m", reask=0))
    export_student(found, Export("gguf", tmp_path / "g", quantise=quantise, reask=0))
    merged = load_file(tmp_path / "m" / "model.safetensors")
    reader = gguf.GGUFReader(tmp_path / "g" / "model.gguf")
    expected = {"token_embd.weight": "model.embed_tokens.weight"}
    expected["output_norm.weight"] = "model.norm.weight"
    for layer in range(4):
        expected |= {f"blk.{layer}.{k}": f"model.layers.{layer}.{v}" for k, v in LAYER.items()}
    assert {tensor.name for tensor in reader.tensors} == set(expected)
    for tensor in reader.tensors:
        wanted = merged[expected[tensor.name]].numpy()
        assert list(tensor.shape) == list(wanted.shape[::-1])
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(wanted.shape)
        if wanted.ndim == 1:
            assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
            np.testing.assert_array_equal(values, wanted)
            continue
        assert tensor.tensor_type.name == quantise.upper()
        blocks = np.abs(wanted).reshape(-1, 32).max(-1, keepdims=True)
        error = np.abs(values - wanted).reshape(-1, 32)
        assert (error <= blocks * RELATIVE_ERROR[quantise] + 1e-7).all()


def test_the_file_says_what_the_model_and_its_tokenizer_are(
    found: FoundStudent, tmp_path: Path
) -> None:
    export_student(found, Export("gguf", tmp_path / "g", reask=0))
    said = fields(gguf.GGUFReader(tmp_path / "g" / "model.gguf"))
    config = json.loads((STUDENT_PATH / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(STUDENT_PATH)
    assert said["general.architecture"] == "qwen2"
    assert said["general.name"] == found.student.id
    for key, name in {
        "context_length": "max_position_embeddings",
        "embedding_length": "hidden_size",
        "block_count": "num_hidden_layers",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "rope.freq_base": "rope_theta",
    }.items():
        assert said[f"qwen2.{key}"] == config[name], key
    assert said["qwen2.attention.layer_norm_rms_epsilon"] == pytest.approx(config["rms_norm_eps"])
    tokens = said["tokenizer.ggml.tokens"]
    known = len(tokenizer)
    assert {token: i for i, token in enumerate(tokens[:known])} == tokenizer.get_vocab()
    kinds = said["tokenizer.ggml.token_type"]
    assert len(tokens) == len(kinds) == config["vocab_size"]
    types = gguf.TokenType
    assert kinds[:known] == [types.CONTROL] * 3 + [types.NORMAL] * (known - 3)
    assert set(kinds[known:]) == {types.UNUSED}
    assert said["tokenizer.ggml.pre"] == "qwen2"
    assert said["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert said["tokenizer.ggml.add_bos_token"] is False
    assert said["tokenizer.chat_template"] == tokenizer.chat_template
    raw = json.loads((STUDENT_PATH / "tokenizer.json").read_text())["model"]["merges"]
    merges = [x if isinstance(x, str) else " ".join(x) for x in raw]
    assert said["tokenizer.ggml.merges"] == merges


def test_a_llamas_rotated_rows_stand_beside_their_partners(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path / "llama")
    write_gguf(folder, NOTHING, tmp_path / "m.gguf", "llama", "f16")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    stored = {tensor.name: tensor.data for tensor in reader.tensors}
    weights = load_file(folder / "model.safetensors")
    for theirs, ours, heads in (("attn_q", "q_proj", 4), ("attn_k", "k_proj", 2)):
        own = weights[f"model.layers.1.self_attn.{ours}.weight"].half().numpy()
        for head in range(heads):
            for row in range(8):  # a head is 16 wide: row r turns with row r + 8
                first = stored[f"blk.1.{theirs}.weight"][head * 16 + 2 * row]
                second = stored[f"blk.1.{theirs}.weight"][head * 16 + 2 * row + 1]
                np.testing.assert_array_equal(first, own[head * 16 + row])
                np.testing.assert_array_equal(second, own[head * 16 + row + 8])
    assert "output.weight" in stored


def test_what_llama_cpp_would_misread_is_refused(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path / "llama")
    config = json.loads((folder / "config.json").read_text())
    for changed, says in (
        ({"architectures": ["GemmaForCausalLM"]}, "family GemmaForCausalLM"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "positions by yarn"),
    ):
        (folder / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(InputError, match=rf"{says}.*--to merged"):
            write_gguf(folder, NOTHING, tmp_path / "m.gguf", "x", "f16")
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text())
    raw["pre_tokenizer"] = {"type": "Whitespace"}
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError, match="splits text in a way"):
        write_gguf(folder, NOTHING, tmp_path / "m.gguf", "x", "f16")


def test_digits_that_stand_alone_are_smollms_way(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path / "llama")
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text())
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    digits = {"type": "Digits", "individual_digits": True}
    raw["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, level]}
    path.write_text(json.dumps(raw))
    write_gguf(folder, NOTHING, tmp_path / "m.gguf", "llama", "f16")
    assert fields(gguf.GGUFReader(tmp_path / "m.gguf"))["tokenizer.ggml.pre"] == "smollm"
    raw["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = False
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError, match="splits text in a way"):
        write_gguf(folder, NOTHING, tmp_path / "m.gguf", "llama", "f16")


@pytest.mark.soak
@pytest.mark.parametrize("quantise", ["f16", "q8_0"])
def test_llama_cpp_says_what_the_student_said(
    found: FoundStudent, tmp_path: Path, quantise: str
) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    reasked = export_student(found, Export("gguf", tmp_path / "g", quantise=quantise))
    assert (reasked.engine, reasked.asked) == ("llama", 50)
    if quantise == "f16":
        assert reasked.same >= 49  # float16 weights may turn one near tie
    assert abs(reasked.right_now - reasked.right_before) <= 2


@pytest.mark.soak
def test_llama_cpp_says_what_transformers_says_of_a_llama(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    from potstill.chat import Message
    from potstill.deploy.engines import ask_all, llama_engine
    from potstill.records import Sampling

    rope = {
        "rope_theta": 10000.0,
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    folder = llama_folder(tmp_path / "llama", rope_parameters=rope)
    write_gguf(folder, NOTHING, tmp_path / "m.gguf", "llama", "f16")
    model = AutoModelForCausalLM.from_pretrained(folder)
    half = {name: tensor.half().float() for name, tensor in model.state_dict().items()}
    model.load_state_dict(half)  # llama.cpp holds the matrices in float16
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chats = [[{"role": "user", "content": f"{k} and {k * 3} " * (1 + k % 9)}] for k in range(20)]
    expected = generated(model, tokenizer, chats, 40)
    engine = llama_engine(tmp_path / "m.gguf", tokenizer, 512, frozenset({2}))
    asked = [tuple(Message(m["role"], m["content"]) for m in chat) for chat in chats]
    said = [text for text, _ in ask_all(engine, asked, Sampling(max_tokens=40))]
    same = sum(a == b for a, b in zip(said, expected, strict=True))
    assert same >= 18  # a random model has near ties, which float16 arithmetic may turn
