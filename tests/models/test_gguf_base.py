"""A GGUF file as a base: what is made of it is what it says, once, or it is refused beforehand."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from potstill.chat import Message
from potstill.errors import InputError, PotstillError
from potstill.models import gguf_base, gguf_header
from potstill.models.decoding import Request
from potstill.models.folder import (
    find_described_folder,
    find_model_folder,
    hash_base,
    hash_model_folder,
    stop_tokens,
)
from potstill.models.gguf_base import gguf_of, origin_in
from potstill.models.gguf_header import read_header
from potstill.models.loading import load_language_model, open_decoder
from potstill.models.model import prompt_tokens
from potstill.models.torch_base import load_base, load_tokenizer
from potstill.records import Sampling
from potstill.training.preflight import WantedBase, look_at_base
from potstill.training.recipe import Recipe
from support.decoded import decode_all
from support.gguf_files import rewritten, small_gguf
from support.small_bases import CHATML

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

TEXT = "Add 12 and 345:\n  12 + 345   = 357, or 3.57e2. Ein Bär\t\n\n1234567"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of this module's own."""
    from huggingface_hub import constants

    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("hf") / "assets"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_ASSETS_CACHE", str(place))
        yield place


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tied Qwen2 in float16."""
    return small_gguf(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama in float16."""
    return small_gguf(tmp_path_factory.mktemp("llama"), "llama")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def whole(cache: Path) -> list[Path]:
    return sorted(x for x in cache.glob("potstill/gguf/*") if x.is_dir())


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_every_weight_is_the_originals_in_float16(architecture: str, tmp_path: Path) -> None:
    tied = architecture == "qwen2"
    file = small_gguf(tmp_path, architecture, tie_word_embeddings=tied, seed=3)
    made, original = find_model_folder(file), tmp_path / "original"
    expected = {
        name: weight.half().float() if weight.ndim > 1 else weight
        for name, weight in weights(original).items()
    }
    found = weights(made)
    assert found.keys() == expected.keys()
    assert ("lm_head.weight" in found) is not tied
    for name, weight in expected.items():
        assert torch.equal(found[name], weight), name
    config = json.loads((made / "config.json").read_text())
    assert config["tie_word_embeddings"] is tied
    assert config["dtype"] == "float32"
    assert "quantization_config" not in config


def test_the_tokenizer_is_the_originals(small: Path) -> None:
    made = find_described_folder(small)
    ours, original = load_tokenizer(made), load_tokenizer(small.parent / "original")
    known = {token: i for token, i in ours.get_vocab().items() if not token.startswith("[PAD")}
    assert known == original.get_vocab()
    assert ours(TEXT)["input_ids"] == original(TEXT)["input_ids"]
    assert ours.chat_template == original.chat_template == CHATML
    assert ours.eos_token == "<|im_end|>"
    ends = {original.convert_tokens_to_ids(x) for x in ("<|im_end|>", "<|endoftext|>")}
    assert set(stop_tokens(made, ours)) == ends
    assert stop_tokens(made, ours)[0] == original.eos_token_id


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("smollm", "a  12", ["a", "ĠĠ", "1", "2"]),  # the spaces stay together
        ("gpt-2", "a  12", ["a", "Ġ", "Ġ12"]),
        ("llama-bpe", "1234", ["123", "4"]),
        ("qwen2", "12 x", ["1", "2", "Ġx"]),
    ],
)
def test_text_is_cut_as_llama_cpp_cuts_it(
    name: str, text: str, parts: Sequence[str], llama: Path, tmp_path: Path
) -> None:
    file = rewritten(llama, tmp_path / "m.gguf", {"tokenizer.ggml.pre": name})
    backend = load_tokenizer(find_described_folder(file)).backend_tokenizer
    cut = backend.pre_tokenizer.pre_tokenize_str(text)
    assert [part for part, _ in cut] == list(parts)


def test_the_hash_is_the_files_and_nothing_is_converted_for_it(
    small: Path, cache: Path, tmp_path: Path
) -> None:
    file = shutil.copy(small, tmp_path / "renamed.gguf")
    with Path(file).open("ab") as grown:
        grown.write(b"\0")  # another file, which nobody has opened yet
    before = whole(cache)
    expected = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert hash_base(file) == expected
    assert whole(cache) == before
    told = hash_base(file, {"enable_thinking": False})
    assert told != expected
    assert load_base(file, device="cpu").base_hash == expected
    made = find_model_folder(file)
    assert hash_model_folder(made) == expected
    assert hash_model_folder(made, {"enable_thinking": False}) == told


def test_a_folder_changed_since_is_no_longer_the_files(small: Path) -> None:
    made = find_model_folder(small)
    assert hash_model_folder(made) == hash_base(small)
    generation = made / "generation_config.json"
    generation.write_text(generation.read_text() + "\n")
    assert hash_model_folder(made) != hash_base(small)
    assert origin_in(made) is None
    assert hash_model_folder(find_model_folder(small)) == hash_base(small)  # made anew


def test_a_folder_from_elsewhere_does_not_pass_for_the_files(small: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(find_model_folder(small), own)
    assert hash_model_folder(own) != hash_base(small)
    assert origin_in(own) is None


def test_a_file_is_converted_once_and_again_where_the_cache_was_damaged(small: Path) -> None:
    made = find_model_folder(small)
    first = (made / "model.safetensors").stat()
    assert find_model_folder(small) == find_described_folder(small) == made
    assert (made / "model.safetensors").stat().st_ino == first.st_ino
    (made / "model.safetensors").write_bytes(b"torn")
    assert find_model_folder(small) == made
    assert (made / "model.safetensors").stat().st_size == first.st_size
    assert not [x for x in made.parent.iterdir() if ".partial-" in x.name]


def test_the_header_alone_is_read_before_anything_is_bought(small: Path, tmp_path: Path) -> None:
    file = rewritten(small, tmp_path / "m.gguf", {"general.name": "another"})
    header = read_header(file)
    data = bytearray(file.read_bytes())
    data[header.data_start :] = b"\xff" * header.data_size  # not one sound weight
    file.write_bytes(data)
    found = look_at_base(
        WantedBase(str(file), recipe=Recipe(max_sequence_tokens=300), device="cpu")
    )
    assert found.errors == ()
    assert "context of" in found.warnings[0]
    assert "256 tokens" in found.warnings[0]
    assert not list(find_described_folder(file).glob("*.safetensors"))


def two_roundings(small: Path, target: Path, embedding: str, head: str) -> np.ndarray[Any, Any]:
    """Write a file that holds its tied matrix twice; return the matrix."""
    matrix = weights(small.parent / "original")["model.embed_tokens.weight"].numpy()
    stored = {"token_embd.weight": (matrix, embedding), "output.weight": (matrix, head)}
    rewritten(small, target, tensors=stored)
    return matrix


@pytest.mark.parametrize(
    ("embedding", "head", "finer"),
    [("Q5_0", "Q8_0", "Q8_0"), ("Q4_0", "Q8_0", "Q8_0"), ("F16", "Q8_0", "F16")],
)
def test_of_two_roundings_of_a_tied_matrix_the_finer_is_taken_for_both(
    small: Path, tmp_path: Path, embedding: str, head: str, finer: str
) -> None:
    matrix = two_roundings(small, tmp_path / "m.gguf", embedding, head)
    kind = gguf.GGMLQuantizationType[finer]
    expected = gguf.quants.dequantize(gguf.quants.quantize(matrix, kind), kind)
    base = load_base(tmp_path / "m.gguf", device="cpu")
    body, out = base.model.get_input_embeddings().weight, base.head.weight
    assert body is out
    np.testing.assert_array_equal(out.numpy(), expected)
    assert "lm_head.weight" not in weights(find_model_folder(tmp_path / "m.gguf"))


def test_two_matrices_that_differ_stay_two(small: Path, tmp_path: Path) -> None:
    own = weights(small.parent / "original")["model.embed_tokens.weight"].numpy()
    other = np.random.default_rng(0).normal(0, own.std(), own.shape).astype(np.float32)
    file = rewritten(small, tmp_path / "m.gguf", tensors={"output.weight": (other, "F32")})
    base = load_base(file, device="cpu")
    np.testing.assert_array_equal(base.head.weight.numpy(), other)
    embedding = base.model.get_input_embeddings().weight.numpy()
    np.testing.assert_array_equal(embedding, own.astype(np.float16))


def test_llama_3s_stretched_positions_are_taken_over(tmp_path: Path) -> None:
    rope = {
        "rope_theta": 500000.0,
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    file = small_gguf(tmp_path, "llama", rope_parameters=rope)
    config = json.loads((find_described_folder(file) / "config.json").read_text())
    assert config["rope_parameters"] == rope
    odd = {"rope_freqs.weight": (np.full(8, 3.0, dtype=np.float32), "F32")}
    other = rewritten(file, tmp_path / "odd.gguf", tensors=odd)
    with pytest.raises(InputError, match="not Llama 3's"):
        find_described_folder(other)


def test_both_backends_answer_alike_from_it(small: Path) -> None:
    pytest.importorskip("mlx_lm", reason="mlx-lm is not installed")
    said = []
    for backend in ("torch", "mlx"):
        base = load_language_model(str(small), "float32", "cpu", backend)
        assert (base.name, base.from_hub) == (small.name, False)
        prompts = [
            tuple(prompt_tokens(base.tokenizer, [Message("user", f"What is {k} + {k}?")]))
            for k in range(6)
        ]
        asked = [Request(i, p, Sampling(max_tokens=12), 0) for i, p in enumerate(prompts)]
        with open_decoder(base, None, 200, 6) as decoder:
            said.append({done.key: done.tokens for done in decode_all(decoder, asked)})
    assert said[0] == said[1]
    assert len(said[0]) == 6


@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_workers_base_has_the_files_name(named: str, small: Path, tmp_path: Path) -> None:
    shutil.copy(small, tmp_path / small.name)
    first = load_base(small if named == "file" else tmp_path, device="cpu")
    again = load_base(first.path, device="cpu")
    assert (
        (again.name, again.base_hash)
        == (first.name, first.base_hash)
        == (
            small.name,
            hash_base(small),
        )
    )


def package(site: Path, name: str, files: Sequence[str], source: Path) -> None:
    """Install a package whose code must never run, with such GGUF files."""
    inner = site / name.replace("-", "_")
    inner.mkdir()
    (inner / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for file in files:
        shutil.copy(source, inner / file)
    info = site / f"{inner.name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    recorded = [f"{inner.name}/{file},," for file in ("__init__.py", *files)]
    (info / "RECORD").write_text("\n".join(recorded) + "\n")


def test_a_package_that_holds_one_is_a_base(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package(tmp_path, "one-model", ["a.gguf"], small)
    package(tmp_path, "two-models", ["a.gguf", "b.gguf"], small)
    package(tmp_path, "no-model", [], small)
    base = load_base("package:one-model", device="cpu")
    assert (base.name, base.from_hub) == ("package:one-model", False)
    assert base.base_hash == hash_base(small)
    assert "one_model" not in sys.modules
    for name, says in (
        ("two-models", r"2 GGUF files \(a\.gguf, b\.gguf\)"),
        ("no-model", "holds no GGUF file"),
        ("never-heard-of", "not installed here; pip install never-heard-of"),
        ("../etc", "names no package"),
    ):
        with pytest.raises(InputError, match=says):
            gguf_of(f"package:{name}")


def cut(at: float) -> Callable[[Path, Path], Path]:
    def write(small: Path, folder: Path) -> Path:
        data = small.read_bytes()
        (folder / "m.gguf").write_bytes(data[: int(len(data) * at)])
        return folder / "m.gguf"

    return write


def fields(**changes: Any) -> Callable[[Path, Path], Path]:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return lambda small, folder: rewritten(small, folder / "m.gguf", named)


def text(content: bytes) -> Callable[[Path, Path], Path]:
    def write(small: Path, folder: Path) -> Path:
        (folder / "m.gguf").write_bytes(content)
        return folder / "m.gguf"

    return write


def several(small: Path, folder: Path) -> Path:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(small, folder / name)
    return folder


def unknown_type(small: Path, folder: Path) -> Path:
    """The type of the embedding, which follows its name, its two dimensions and their number."""
    data = bytearray(small.read_bytes())
    at = data.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 16
    data[at : at + 4] = struct.pack("<I", 999)
    (folder / "m.gguf").write_bytes(data)
    return folder / "m.gguf"


WRONG: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "cut in its weights": (cut(0.7), r"is cut \(it has [\d,]+ bytes and its header speaks of"),
    "a byte short": (cut(0.999999), r"is cut \(it has"),
    "cut in its header": (cut(0.01), r"is cut \(in its header\)"),
    "empty": (text(b""), "is no GGUF file"),
    "another file": (text(b"PK\x03\x04" + b"\0" * 99), "is no GGUF file"),
    "only its magic": (text(b"GGUF"), "is cut"),
    "an old version": (text(b"GGUF" + struct.pack("<IQQ", 1, 0, 0)), "the GGUF version 1"),
    "big-endian": (text(b"GGUF" + struct.pack(">IQQ", 3, 0, 0)), "big-endian"),
    "not there": (lambda _, folder: folder / "none.gguf", "There is no file"),
    "several in a folder": (several, r"2 GGUF files \(a\.gguf, b\.gguf\)"),
    "one of several parts": (fields(split__count=3), "one of the 3 parts.*llama-gguf-split"),
    "an unknown architecture": (
        fields(general__architecture="potato"),
        r"architecture 'potato'.*transformers [\d.]+'s GGUF reader",
    ),
    "no template": (fields(tokenizer__chat_template=None), "no chat template.*instruct model"),
    "no vocabulary": (fields(tokenizer__ggml__tokens=None), r"vocabulary of .* no tokenizer"),
    "no merges": (fields(tokenizer__ggml__merges=None), "vocabulary of .*no tokenizer.ggml.merges"),
    "too many tokens": (
        fields(
            tokenizer__ggml__tokens=[f"t{k}" for k in range(500)],
            tokenizer__ggml__token_type=[1] * 500,
        ),
        "vocabulary of .*500 tokens and 384 rows",
    ),
    "another kind of vocabulary": (fields(tokenizer__ggml__model="rwkv"), "vocabulary of .*'rwkv'"),
    "cut in its own way": (fields(tokenizer__ggml__pre="poro-chat"), "vocabulary of .*poro-chat"),
    "no end": (fields(tokenizer__ggml__eos_token_id=None), "names no end token"),
    "an end beyond": (fields(tokenizer__ggml__eos_token_id=99_999), "names no end token"),
    "cut in another architecture's way": (
        fields(tokenizer__ggml__pre="gpt-2"),
        "vocabulary of .*reads it back as another one",
    ),
    "stretched": (fields(qwen2__rope__scaling__type="yarn"), "stretches its positions .yarn"),
    "an unknown type": (unknown_type, "weights of the type 999, which gguf .* does not know"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_sentence_before_anything_is_bought(
    what: str, small: Path, tmp_path: Path
) -> None:
    make, says = WRONG[what]
    path = make(small, tmp_path)
    found = look_at_base(WantedBase(str(path), device="cpu"))
    assert len(found.errors) == 1
    with pytest.raises(InputError, match=says) as raised:
        find_described_folder(path)
    assert str(raised.value) == found.errors[0]


def test_weights_that_are_missing_or_left_over_are_refused(small: Path, tmp_path: Path) -> None:
    lost = rewritten(small, tmp_path / "lost.gguf", tensors={"blk.1.ffn_up.weight": None})
    with pytest.raises(InputError, match=r"no weight for model\.layers\.1\.mlp\.up_proj"):
        find_model_folder(lost)
    extra = {"blk.0.attn_q_norm.weight": (np.ones(64, dtype=np.float32), "F32")}
    more = rewritten(small, tmp_path / "more.gguf", tensors=extra)
    with pytest.raises(InputError, match=r"of [\d,]+ numbers the model takes"):
        find_model_folder(more)


def test_a_missing_package_is_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "find_spec", lambda name: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf_base, "_is_whole", lambda folder: False)
        with pytest.raises(InputError, match=r"pip install 'potstill\[gguf\]'"):
            find_described_folder(small)


def test_a_disk_without_room_is_told_before_anything_is_bought(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = rewritten(small, tmp_path / "m.gguf", {"general.name": "a third"})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(gguf_base.shutil, "disk_usage", lambda _: usage._replace(free=1_000))
    found = look_at_base(WantedBase(str(file), device="cpu"))
    assert "as float32 needs 0.0" in found.errors[0]
    assert "HF_HOME" in found.errors[0]


def test_no_header_of_a_stranger_does_more_than_be_refused(small: Path, tmp_path: Path) -> None:
    data = small.read_bytes()
    start = read_header(small).data_start
    draw = random.Random(7)
    path = tmp_path / "m.gguf"
    refused = 0
    for turn in range(120):
        changed = bytearray(data)
        if turn % 2:
            del changed[draw.randrange(start) :]
        else:
            for _ in range(3):
                changed[draw.randrange(4, start)] = draw.randrange(256)
        path.write_bytes(changed)
        try:
            read_header(path)
        except PotstillError:
            refused += 1
    assert refused >= 60  # every one that ends early


@pytest.mark.skipif("POTSTILL_MODELS" not in os.environ, reason="POTSTILL_MODELS is not set")
def test_the_real_smollm2_is_read_and_answers() -> None:
    files = list(Path(os.environ["POTSTILL_MODELS"]).rglob("SmolLM2-135M-Instruct.Q4_1.gguf"))
    if not files:
        pytest.skip("POTSTILL_MODELS holds no SmolLM2-135M-Instruct.Q4_1.gguf")
    base = load_base(files[0], device="cpu")
    assert (base.parameters, base.context_tokens) == (134_515_008, 8_192)
    tokenizer = base.tokenizer
    assert tokenizer("a  12")["input_ids"] == tokenizer.convert_tokens_to_ids(["a", "ĠĠ", "1", "2"])
    prompt = tuple(prompt_tokens(tokenizer, [Message("user", "What is the capital of France?")]))
    with open_decoder(base, None, 200, 1) as decoder:
        (done,) = decode_all(decoder, [Request(0, prompt, Sampling(max_tokens=60), 0)])
    assert "Paris" in tokenizer.decode(done.tokens)
