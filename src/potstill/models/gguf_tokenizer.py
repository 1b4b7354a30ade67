"""The vocabulary of a GGUF file as a tokenizer's files, its template and end tokens with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.models.gguf_header import GgufHeader

__all__ = ["SPLITS", "check_vocabulary", "end_tokens", "write_tokenizer"]

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {"qwen2": _PATTERN % r"\p{N}", "llama-bpe": _PATTERN % r"\p{N}{1,3}"}
"""The patterns that split text before BPE, by llama.cpp's names for them (llama-vocab.cpp)."""

# llama.cpp's names for the two ways that need no pattern: GPT-2's, and that with every digit alone.
_AS_GPT2 = ("gpt-2", "phi-2", "mpt", "olmo", "jais")
_DIGITS_ALONE = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
# What llama.cpp takes for the end of an answer by its name, beside the tokens that a file names.
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|end_of_text|>")
_CONTROL = 3
_TOKENS, _KINDS = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
_PROBES = (
    "What is 12 + 345?\n  x = 7.50\n\n\tSo the sum is 357.",
    "Ein Bär, zwei Bären: 3  4   5 \\boxed{12}",
)


def check_vocabulary(header: GgufHeader) -> None:
    """Raise InputError where a file's vocabulary, its template or its end token is not there."""
    path, fields = header.path, header.fields
    tokens, kinds = fields.get(_TOKENS), fields.get(_KINDS)
    if not isinstance(tokens, list) or not tokens or not isinstance(tokens[0], str):
        raise _unread(path, "it holds no tokenizer.ggml.tokens")
    if kinds is not None and (not isinstance(kinds, list) or len(kinds) != len(tokens)):
        raise _unread(path, "it does not say of every token what kind it is")
    embedded = header.tensor("token_embd.weight")
    if embedded is not None and len(tokens) > embedded.shape[0]:
        raise _unread(path, f"{len(tokens):,} tokens and {embedded.shape[0]:,} rows of weights")
    if fields.get("tokenizer.ggml.model") == "gpt2":
        if not isinstance(fields.get("tokenizer.ggml.merges"), list):
            raise _unread(path, "it holds no tokenizer.ggml.merges")
        _splitting(header)
    if not str(fields.get("tokenizer.chat_template") or "").strip():
        raise InputError(
            f"{path} has no chat template (tokenizer.chat_template); take the GGUF of the instruct "
            "model, or give the model's own folder."
        )
    end = fields.get("tokenizer.ggml.eos_token_id")
    if not isinstance(end, int) or not 0 <= end < len(tokens):
        raise InputError(
            f"{path} names no end token of its vocabulary (tokenizer.ggml.eos_token_id is {end}), "
            "so a student could not learn to stop; take another file of the model."
        )


def end_tokens(header: GgufHeader) -> list[int]:
    """Return the tokens that end an answer, the file's own first.

    Those that the file names (eos, eot, eom), and its control tokens that llama.cpp knows for ends.
    """
    tokens, fields = header.fields[_TOKENS], header.fields
    named = [fields.get(f"tokenizer.ggml.{end}_token_id") for end in ("eos", "eot", "eom")]
    ids = [i for i in named if isinstance(i, int) and 0 <= i < len(tokens)]
    kinds = fields.get(_KINDS) or [0] * len(tokens)
    ids += [i for i, x in enumerate(tokens) if x in _ENDS and kinds[i] == _CONTROL]
    return list(dict.fromkeys(ids))


def write_tokenizer(header: GgufHeader, config: Any, folder: Path) -> None:
    """Write the tokenizer of a GGUF file into a folder. Raises InputError where it cannot be."""
    from transformers import PreTrainedTokenizerFast

    path, tokens, make = header.path, header.fields[_TOKENS], PreTrainedTokenizerFast
    try:
        # AutoTokenizer would read the whole configuration again, which takes ten times as long
        read: Any = make.from_pretrained(str(path.parent), gguf_file=path.name)
        backend = read.backend_tokenizer
    except Exception as exc:  # whatever is wrong with a vocabulary
        raise _unread(path, one_line(exc, 200)) from exc
    if header.fields.get("tokenizer.ggml.model") == "gpt2":
        backend.pre_tokenizer = _splitting(header) or backend.pre_tokenizer
    written: Any = make(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        model_max_length=int(getattr(config, "max_position_embeddings", 0) or 1 << 30),
        clean_up_tokenization_spaces=False,
        **dict(_special(header, tokens)),
    )
    written.chat_template = str(header.fields["tokenizer.chat_template"])
    written.save_pretrained(str(folder))
    _compare(path, folder, written, header.fields["tokenizer.ggml.eos_token_id"])


def _compare(path: Path, folder: Path, written: Any, end: int) -> None:
    """Raise InputError where what was written is read back as another tokenizer."""
    from transformers import AutoTokenizer

    again = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    # it may take a class of its own for an architecture, which splits text in that one's way
    if _read_as(written) != _read_as(again) or again.eos_token_id != end:
        raise _unread(path, "transformers reads it back as another one")


def _read_as(tokenizer: Any) -> list[tuple[Any, Any]]:
    splits = tokenizer.backend_tokenizer.pre_tokenizer
    return [
        (tokenizer(text)["input_ids"], splits and splits.pre_tokenize_str(text)) for text in _PROBES
    ]


def _special(header: GgufHeader, tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = header.fields.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(number, int) and 0 <= number < len(tokens):
            yield f"{name}_token", tokens[number]


def _splitting(header: GgufHeader) -> Any:
    """Return how text is split before BPE; None where transformers' reader knows by itself.

    Its reader takes GPT-2's way for a name that it does not know, which would cut numbers and
    spaces otherwise than the model has learned. Raises InputError for such a name.
    """
    from tokenizers import Regex, pre_tokenizers

    name = header.fields.get("tokenizer.ggml.pre")
    if name in SPLITS:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLITS[name]), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    if name in _DIGITS_ALONE:
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if name in _AS_GPT2:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if name in _known_to_transformers():
        return None
    told = (
        f"text is cut in a way of its own ({name})" if name else "it does not say how text is cut"
    )
    raise _unread(header.path, f"{told}: tokenizer.ggml.pre")


def _known_to_transformers() -> Sequence[str]:
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:  # an older transformers
        return ()
    return tuple(GGUF_PRE_TOKENIZER_SPLITS)


def _unread(path: Path, why: str) -> InputError:
    return InputError(
        f"The vocabulary of {path} cannot be read ({why}); give the model's own folder, or another "
        "file of it."
    )
