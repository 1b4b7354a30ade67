"""A GGUF file made a model folder: its header by transformers' reader, its weights as float32.

The reader is handed a copy of the file without vocabulary and merges, over which it takes longer
than over the weights, and which the tokenizer brings by itself.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.models.gguf_header import GgufHeader, StoredTensor, read_header, require_gguf
from potstill.models.gguf_tokenizer import check_vocabulary, end_tokens, write_tokenizer
from potstill.models.rope import llama3_factors

__all__ = ["checked_header", "convert", "describe"]

_SLIM = "model.gguf"
_COPY_BYTES = 16 << 20
_ROPE_FACTORS = "rope_freqs.weight"
# Two roundings of one matrix differ by some hundredths of its size, at 2 bits by a third; two
# matrices that were trained apart by more than all of it.
_ONE_MATRIX = 0.5


def checked_header(path: Path) -> GgufHeader:
    """Return a file's header, once all was looked at that it says of itself.

    Raises InputError for what stands in the way of its being a base.
    """
    require_gguf("A base from a GGUF file")
    header = read_header(path)
    check_vocabulary(header)
    _refuse_unreadable_types(header)
    return header


def _refuse_unreadable_types(header: GgufHeader) -> None:
    """Raise InputError for weights of a type that the gguf package cannot make float32."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    for kind in {tensor.kind for tensor in header.tensors}:
        named = GGMLQuantizationType[kind]
        block = np.zeros((1, GGML_QUANT_SIZES[named][1]), dtype=np.uint8)
        try:
            if kind not in ("F32", "F16"):
                dequantize(block, named)
        except NotImplementedError as exc:
            raise InputError(
                f"{header.path} holds weights as {kind}, which gguf {version('gguf')} cannot make "
                "float32; take the model in another quantisation, such as Q8_0."
            ) from exc


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers' bars and remarks from the terminal, where ours are."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)


def describe(header: GgufHeader, folder: Path) -> None:
    """Write configuration, tokenizer and end tokens of a GGUF file into a folder.

    Raises InputError for what transformers' reader does not read.
    """
    from transformers import GenerationConfig

    slim = folder / _SLIM
    with slim.open("wb") as file:
        file.write(header.slim)
        # the reader wants the weights' room and not the weights; a hole in a file takes no disk
        file.truncate(len(header.slim) + header.data_size)
    with _quietly():
        config = _read_config(header, folder)
        slim.unlink()
        config.save_pretrained(str(folder))
        write_tokenizer(header, config, folder)
    ends = end_tokens(header)
    generation: Any = GenerationConfig
    generation(eos_token_id=ends).save_pretrained(str(folder))


def _read_config(header: GgufHeader, folder: Path) -> Any:
    """Return the configuration as transformers' reader makes it of the header in a folder."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(folder), gguf_file=_SLIM, trust_remote_code=False)
    except Exception as exc:  # an unknown architecture, a value that is missing
        raise _not_read(header, exc) from exc
    embedded = header.tensor("token_embd.weight")
    if embedded is None:
        raise _not_read(header, "it holds no token_embd.weight")
    config.vocab_size = embedded.shape[0]
    vars(config).pop("_model_name_or_path", None)  # the model's title, taken for a path
    _set_rope(header, config)
    return config


def _set_rope(header: GgufHeader, config: Any) -> None:
    """Give a configuration the stretched positions that transformers' reader leaves out.

    Raises InputError for a stretching that is not known here.
    """
    rope = dict(getattr(config, "rope_parameters", None) or {})
    said = header.fields.get(f"{header.architecture}.rope.scaling.type", "none")
    if rope.get("rope_type", "default") != "default":
        return
    if said not in ("none", ""):
        raise InputError(
            f"{header.path} stretches its positions ({said}), which transformers' GGUF reader does "
            "not take over; give the model's own folder."
        )
    if header.tensor(_ROPE_FACTORS) is None:
        return
    found = _stored_factors(header)
    stretched = {
        "rope_type": "llama3",
        "factor": float(max(found)),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    expected = llama3_factors(rope | stretched, 2 * len(found))
    if any(abs(a - b) > 1e-3 * b for a, b in zip(found, expected, strict=True)):
        raise InputError(
            f"{header.path} stretches its positions in a way that is not Llama 3's, and "
            "transformers' GGUF reader does not take it over; give the model's own folder."
        )
    config.rope_parameters = rope | stretched


def _stored_factors(header: GgufHeader) -> list[float]:
    import numpy as np

    tensor = header.tensor(_ROPE_FACTORS)
    if tensor is None or tensor.kind != "F32":
        raise _not_read(header, f"{_ROPE_FACTORS} is not float32")
    with header.path.open("rb") as file:
        file.seek(header.data_start + tensor.offset)
        return [float(x) for x in np.frombuffer(file.read(tensor.size), dtype="<f4")]


def convert(header: GgufHeader, folder: Path) -> None:
    """Write a GGUF file's weights into a folder that describes it, the configuration with them.

    Raises InputError for weights that are missing, or that the model would leave out.
    """
    import torch
    from transformers import GenerationConfig

    model, info = _read_model(header, folder)
    _refuse_left_out(header, model, info)
    model.requires_grad_(False)
    state, config = model.state_dict(), model.config
    del config.quantization_config
    config.architectures = [type(model).__name__]
    if not config.tie_word_embeddings:
        _tie_roundings(header, model, state)
    # a model that was read from GGUF is not saved by transformers; one of the same weights is
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(state, assign=True, strict=False)
    plain.tie_weights()
    plain.generation_config = GenerationConfig.from_pretrained(str(folder))
    plain.save_pretrained(str(folder))
    for weights in folder.glob("*.safetensors"):  # safetensors lets no one else read them
        shutil.copymode(folder / "config.json", weights)


def _read_model(header: GgufHeader, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    """Return the model as transformers' reader makes it, and what it says of the loading."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    load: Any = AutoModelForCausalLM.from_pretrained
    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    slim = folder / _SLIM
    with header.path.open("rb") as source, slim.open("wb") as file:
        file.write(header.slim)
        source.seek(header.data_start)
        shutil.copyfileobj(source, file, _COPY_BYTES)
    try:
        with _quietly():
            model, info = load(
                str(folder),
                gguf_file=_SLIM,
                config=config,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
            )
    except Exception as exc:  # shapes that do not fit, a family it does not know
        raise _not_read(header, exc) from exc
    slim.unlink()
    return model, info


def _refuse_left_out(header: GgufHeader, model: Any, info: Mapping[str, Any]) -> None:
    """Raise InputError where the model has weights that are not in the file, or the reverse."""
    missing = sorted(info["missing_keys"])
    if missing or info["mismatched_keys"]:
        name = missing[0] if missing else str(next(iter(info["mismatched_keys"])))
        raise _not_read(header, f"it holds no weight for {name}")
    beside = header.tensor(_ROPE_FACTORS)
    stored = header.parameters - (beside.elements if beside else 0)
    held = sum(parameter.numel() for parameter in model.parameters())
    if stored != held:
        raise _not_read(header, f"of {stored:,} numbers the model takes {held:,}")


def _tie_roundings(header: GgufHeader, model: Any, state: dict[str, Any]) -> None:
    """Make one matrix of an embedding and a head that are two roundings of one.

    Quantisers store a tied matrix twice where they round it finer for the head: in Qwen2.5-Coder's
    Q4_K_M, token_embd.weight is Q5_0 and output.weight Q8_0. transformers' reader takes two
    matrices for two, a third more weights than the model has, one of them the coarser copy. The
    finer one is nearer to the original in both places: with it the model is tied again, as it was
    trained and as every backend holds it.
    """
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    if embedding.shape != head.shape:
        return
    if float((embedding - head).norm()) >= _ONE_MATRIX * float(head.norm()):
        return
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    inner, outer = names[id(embedding)], names[id(head)]
    if _bits(header.tensor("token_embd.weight")) <= _bits(header.tensor("output.weight")):
        state[inner] = state[outer]
    del state[outer]
    model.config.tie_word_embeddings = True


def _bits(tensor: StoredTensor | None) -> float:
    return tensor.bits if tensor else 0.0


def _not_read(header: GgufHeader, why: object) -> InputError:
    import transformers

    return InputError(
        f"{header.path} (architecture {header.architecture!r}) cannot be read by transformers "
        f"{transformers.__version__}'s GGUF reader ({one_line(why, 200)}); a newer transformers "
        "may, or give the model's own folder."
    )
