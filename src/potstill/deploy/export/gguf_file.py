"""A merged student as one GGUF file, as llama.cpp and what is built on it load it.

Names, fields and the order of a Llama's query and key rows are those of llama.cpp's
convert_hf_to_gguf.py; the file itself is written by the ``gguf`` package. Qwen2 and Llama with a
byte-level BPE tokenizer are known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.deploy.export.merging import Delta, read_weights
from potstill.errors import InputError
from potstill.models.gguf_header import require_gguf
from potstill.models.gguf_tokenizer import SPLITS
from potstill.models.rope import llama3_factors
from potstill.models.torch_base import load_tokenizer

if TYPE_CHECKING:
    import torch

__all__ = [
    "GGUF_NAME",
    "QUANTISATIONS",
    "gguf_bytes",
    "is_written",
    "require_gguf",
    "tensor_name",
    "write_gguf",
]

GGUF_NAME = "model.gguf"
QUANTISATIONS = ("f16", "q8_0")

_FAMILIES = {"Qwen2ForCausalLM": "qwen2", "LlamaForCausalLM": "llama"}
_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_PRE_TOKENIZERS = {pattern: name for name, pattern in SPLITS.items()}
_INSTEAD = "export with --to merged and convert that with llama.cpp's own convert_hf_to_gguf.py."
_LARGEST_F16 = 65504.0
_Q8_0_BLOCK = 32
# Beside the tensors: the vocabulary, its merges and the chat template.
_METADATA_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class _Model:
    """What decides names and layout: llama.cpp's architecture, the model's own configuration."""

    architecture: str
    config: Mapping[str, Any]

    @property
    def heads(self) -> int:
        return int(self.config["num_attention_heads"])

    @property
    def key_value_heads(self) -> int:
        return int(self.config.get("num_key_value_heads") or self.heads)

    @property
    def head_size(self) -> int:
        return int(self.config.get("head_dim") or self.config["hidden_size"] // self.heads)

    @property
    def rope(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (
            self.config.get("rope_parameters") or self.config.get("rope_scaling") or {}
        )
        return {"rope_theta": self.config.get("rope_theta", 10000.0)} | dict(found)


def gguf_bytes(weight_bytes: int, base: Path, quantise: str) -> int:
    """Return about how large the file will be, for weights of that many bytes; a little too
    large.
    """
    config = json.loads((base / "config.json").read_text("utf-8"))
    width = 4 if config.get("dtype", config.get("torch_dtype")) == "float32" else 2
    per_weight = 2 if quantise == "f16" else 34 / _Q8_0_BLOCK
    return int(weight_bytes / width * per_weight * 1.02) + _METADATA_BYTES


def is_written(base: Path) -> bool:
    """Return whether a GGUF file can be written here of a base's architecture."""
    try:
        _read_model(base)
    except InputError:
        return False
    return True


def write_gguf(
    base: Path,
    delta: Delta,
    out: Path,
    name: str,
    quantise: str,
    template: Mapping[str, Any] | None = None,
) -> None:
    """Write the merged model into ``out``: matrices as ``quantise``, vectors in float32.

    ``template`` are arguments of the chat template, which become its defaults. Raises
    InputError for a model or tokenizer of a family that is not known here, or weights beyond
    what float16 holds.
    """
    from gguf import GGUFWriter

    model = _read_model(base)
    writer = GGUFWriter(out, model.architecture)
    _add_shape(writer, model, name, quantise)
    _add_tokenizer(writer, load_tokenizer(base, template), base, int(model.config["vocab_size"]))
    kinds = {}
    for source, target, shape in _tensors(base, model):
        kinds[source] = _kind(shape, quantise)
        _announce(writer, target, shape, kinds[source])
    extra = _rope_factors(model)
    if extra is not None:
        _announce(writer, "rope_freqs.weight", extra.shape, "f32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for file in sorted(base.glob("*.safetensors")):
        for source, weight in read_weights(file):
            if source in kinds:
                values = _laid_out(source, delta.added_to(source, weight), model)
                writer.write_tensor_data(_encoded(source, values, kinds[source]))
    if extra is not None:
        writer.write_tensor_data(extra)
    writer.close()


def tensor_name(name: str) -> str:
    """Return llama.cpp's name of a weight that transformers names ``name``. Raises InputError."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    found = _LAYER.fullmatch(name)
    if found is None or found[2] not in _IN_LAYER:
        raise InputError(
            f"The weight {name} has no place in a GGUF file of this family; {_INSTEAD}"
        )
    return f"blk.{found[1]}.{_IN_LAYER[found[2]]}.{found[3]}"


def _read_model(base: Path) -> _Model:
    config = json.loads((base / "config.json").read_text("utf-8"))
    family = (config.get("architectures") or ["none named"])[0]
    if family not in _FAMILIES:
        raise InputError(
            f"{base} is of the family {family} and GGUF is written here for "
            f"{' and '.join(_FAMILIES)}; {_INSTEAD}"
        )
    model = _Model(_FAMILIES[family], config)
    how = model.rope.get("rope_type", model.rope.get("type", "default"))
    if how not in ("default", "llama3"):
        raise InputError(
            f"{base} stretches its positions by {how}, which is not written to GGUF here; "
            + _INSTEAD
        )
    if config.get("use_sliding_window"):
        raise InputError(
            f"{base} has a sliding window, which llama.cpp does not compute for this family; "
            + _INSTEAD
        )
    return model


def _add_shape(writer: Any, model: _Model, name: str, quantise: str) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    config = model.config
    writer.add_type("model")
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.key_value_heads)
    writer.add_key_length(model.head_size)
    writer.add_value_length(model.head_size)
    writer.add_rope_dimension_count(model.head_size)
    writer.add_rope_freq_base(float(model.rope["rope_theta"]))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    f16 = quantise == "f16"
    writer.add_file_type(LlamaFileType.MOSTLY_F16 if f16 else LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _add_tokenizer(writer: Any, tokenizer: Any, base: Path, size: int) -> None:
    """Return the vocabulary with the kind of every token, the merges, the special ids, the
    template.
    """
    from gguf import TokenType

    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    if raw["model"]["type"] != "BPE" or raw["model"].get("byte_fallback"):
        raise InputError(
            f"The tokenizer in {base} is no byte-level BPE, which is what is written to GGUF here; "
            + _INSTEAD
        )
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    added = {token["id"]: token["special"] for token in raw["added_tokens"]}
    tokens, kinds = [], []
    for number in range(max(size, len(by_id))):
        tokens.append(by_id.get(number, f"[PAD{number}]"))
        if number not in by_id:
            kinds.append(TokenType.UNUSED)
        elif number in added:
            kinds.append(TokenType.CONTROL if added[number] else TokenType.USER_DEFINED)
        else:
            kinds.append(TokenType.NORMAL)
    merges = [x if isinstance(x, str) else " ".join(x) for x in raw["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(raw["pre_tokenizer"], base))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    begins = tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_add_bos_token(begins)
    writer.add_chat_template(tokenizer.chat_template)


def _pre_tokenizer(raw: Mapping[str, Any] | None, base: Path) -> str:
    """Return llama.cpp's name for how text is split before BPE.

    Raises InputError for another way.
    """
    parts = (raw or {}).get("pretokenizers", [raw] if raw else [])
    alone = [part for part in parts[:1] if part["type"] == "Digits" and part["individual_digits"]]
    rest = parts[len(alone) :]
    patterns = [part["pattern"].get("Regex", "") for part in rest if part["type"] == "Split"]
    others = [part for part in rest if part["type"] != "Split"]
    level = others[0] if len(others) == 1 and others[0]["type"] == "ByteLevel" else None
    plain = level is not None and not level["add_prefix_space"]
    if plain and len(patterns) == 1 and patterns[0] in _PRE_TOKENIZERS and not alone:
        return _PRE_TOKENIZERS[patterns[0]]
    if level and plain and not patterns and level.get("use_regex", True):
        return "smollm" if alone else "gpt-2"
    raise InputError(
        f"The tokenizer in {base} splits text in a way that has no name in llama.cpp known here; "
        + _INSTEAD
    )


def _tensors(base: Path, model: _Model) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield the name of every weight here and in the file, and its shape; a tied head is left
    out.
    """
    from safetensors import safe_open

    tied = model.config.get("tie_word_embeddings", False)
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 (no mapping)
                if (tied and name == "lm_head.weight") or name.endswith("rotary_emb.inv_freq"):
                    continue
                yield name, tensor_name(name), tuple(opened.get_slice(name).get_shape())


def _kind(shape: tuple[int, ...], quantise: str) -> str:
    if len(shape) == 1:
        return "f32"
    return "f16" if quantise == "q8_0" and shape[-1] % _Q8_0_BLOCK else quantise


def _announce(writer: Any, name: str, shape: tuple[int, ...], kind: str) -> None:
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

    if kind == "q8_0":
        packed = quant_shape_to_byte_shape(shape, GGMLQuantizationType.Q8_0)
        kind_of_block = GGMLQuantizationType.Q8_0
        writer.add_tensor_info(name, packed, np.dtype(np.uint8), prod(packed), kind_of_block)
    else:
        dtype = np.dtype(np.float16 if kind == "f16" else np.float32)
        writer.add_tensor_info(name, shape, dtype, prod(shape) * dtype.itemsize)


def _laid_out(name: str, weight: torch.Tensor, model: _Model) -> np.ndarray[Any, Any]:
    """Return the values in float32; a Llama's query and key rows in llama.cpp's order.

    transformers rotates the first half of a head against the second, llama.cpp's Llama each row
    against its neighbour.
    """
    values: np.ndarray[Any, Any] = weight.float().numpy()
    heads = {"q_proj": model.heads, "k_proj": model.key_value_heads}
    which = name.split(".")[-2]
    if model.architecture != "llama" or which not in heads:
        return values
    halves = values.reshape(heads[which], 2, len(values) // heads[which] // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _encoded(name: str, values: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    from gguf import GGMLQuantizationType, quants

    if kind == "f32":
        return values
    if not np.abs(values).max(initial=0) <= _LARGEST_F16:
        raise InputError(
            f"The weight {name} has values beyond float16, which a GGUF file of this kind cannot "
            "hold; export with --to merged."
        )
    if kind == "f16":
        return values.astype(np.float16)
    packed: np.ndarray[Any, Any] = quants.quantize(values, GGMLQuantizationType.Q8_0)
    return packed


def _rope_factors(model: _Model) -> np.ndarray[Any, Any] | None:
    """Return what Llama 3.1 divides each frequency by, None for a model that does not."""
    rope = model.rope
    if rope.get("rope_type", rope.get("type")) != "llama3":
        return None
    return np.array(llama3_factors(rope, model.head_size), dtype=np.float32)
