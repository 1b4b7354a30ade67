"""Whatever answers for a student, in one form: torch, MLX or llama.cpp behind a decoder.

:func:`open_engine` opens a study's student, :func:`ask_all` puts chats to anything opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.chat import Message
from potstill.errors import InputError
from potstill.models.architecture import context_tokens, read_config
from potstill.models.decoding import Request, generate
from potstill.models.folder import stop_tokens
from potstill.models.llama_decoding import LlamaDecoder, load_llama, piece_reader
from potstill.models.loading import load_language_model
from potstill.models.model import prompt_tokens
from potstill.records import Finish, Sampling

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.models.decoding import Decoder
    from potstill.models.model import LanguageModel

__all__ = ["Engine", "ask_all", "llama_engine", "llama_of_file", "load_model", "model_engine"]


Pieces = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Engine:
    """A model ready to answer.

    ``encode`` turns a chat into prompt tokens, ``text`` an answer's tokens into text, and
    ``pieces`` begins a stream: a function from each next token to the text that it completes.
    """

    name: str
    context_tokens: int
    encode: Callable[[Sequence[Message]], list[int]]
    text: Callable[[Sequence[int]], str]
    pieces: Callable[[], Pieces]
    decoder: Decoder


def load_model(found: FoundStudent, base: str = "", backend: str = "") -> LanguageModel:
    """Return the base of a student, loaded after its hash was compared.

    Raises InputError for another.
    """
    from potstill.analysis.students import another_base, base_path_of
    from potstill.models.folder import hash_base

    path = base or base_path_of(found.study)
    settings = found.study.student
    if hash_base(path, settings.template) != found.student.base_hash:
        raise another_base(found.student, path)
    backend, precision = backend or settings.backend, settings.precision
    if backend == "mlx" and precision == "nf4":
        precision = "bfloat16"
    return load_language_model(path, precision, settings.device, backend, settings.template)


def model_engine(model: LanguageModel, decoder: Decoder, name: str) -> Engine:
    """Return the engine of a loaded model and a decoder on it."""
    from tokenizers.decoders import DecodeStream

    tokenizer = model.tokenizer

    def pieces() -> Pieces:
        stream: Any = DecodeStream(skip_special_tokens=True)
        return lambda token: stream.step(tokenizer.backend_tokenizer, token) or ""

    return Engine(
        name=name,
        context_tokens=model.context_tokens,
        encode=lambda messages: prompt_tokens(tokenizer, messages),
        text=lambda tokens: str(tokenizer.decode(list(tokens), skip_special_tokens=True)),
        pieces=pieces,
        decoder=decoder,
    )


def llama_engine(file: Path, tokenizer: Any, context_tokens: int, stop: frozenset[int]) -> Engine:
    """Return the engine of a GGUF file; ``tokenizer`` only renders chats, the file's own encodes
    them.
    """
    llama = load_llama(file, context_tokens)

    def encode(messages: Sequence[Message]) -> list[int]:
        chat = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            return list(llama.tokenize(text.encode(), add_bos=False, special=True))
        except Exception as exc:  # jinja2's errors, a template's own, text that is no Unicode
            raise InputError(f"The chat cannot be put to the model ({exc!r}).") from exc

    return Engine(
        name="llama",
        context_tokens=context_tokens,
        encode=encode,
        text=lambda tokens: llama.detokenize(list(tokens)).decode("utf-8", "replace"),
        pieces=lambda: piece_reader(llama),
        decoder=LlamaDecoder(llama, stop),
    )


def ask_all(
    engine: Engine, chats: Sequence[tuple[Message, ...]], sampling: Sampling
) -> list[tuple[str, Finish]]:
    """Return what the engine says to every chat, in their order, and how each answer ended.

    Draws are those of the study's own solver. A prompt that leaves no room ends in ERROR.
    """
    said: dict[int, tuple[str, Finish]] = {}
    waiting: list[Request] = []
    for number, messages in enumerate(chats):
        prompt = tuple(engine.encode(messages))
        if len(prompt) >= engine.context_tokens:
            said[number] = ("", Finish.ERROR)
        else:
            waiting.append(Request(number, prompt, sampling))
    for done in chain.from_iterable(generate(engine.decoder, waiting)):
        said[done.key] = (engine.text(done.tokens), done.finish)
    return [said[number] for number in range(len(chats))]


def llama_of_file(found: FoundStudent, file: Path, base: str) -> Engine:
    """Return the engine of an exported GGUF file, with the base's template, limits and stop
    tokens.
    """
    from potstill.analysis.students import base_path_of
    from potstill.models.torch_base import find_model_folder, load_tokenizer

    folder = find_model_folder(base or base_path_of(found.study))
    tokenizer = load_tokenizer(folder, found.study.student.template)
    context = context_tokens(read_config(folder))
    return llama_engine(file, tokenizer, context, frozenset(stop_tokens(folder, tokenizer)))
