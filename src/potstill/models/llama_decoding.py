"""A GGUF file answering through llama-cpp-python, behind the seam of our own decoders."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.models.decoding import Finished, Request
from potstill.records import Finish

__all__ = ["LlamaDecoder", "load_llama", "piece_reader", "require_llama"]


def require_llama() -> None:
    """Raise InputError with the install command where llama-cpp-python is missing."""
    if find_spec("llama_cpp") is None:
        raise InputError(
            "The engine llama needs llama-cpp-python, which is not installed; pip install "
            "'potstill[llama]'."
        )


def load_llama(file: Path, context_tokens: int) -> Any:
    """Return a ``llama_cpp.Llama`` of a GGUF file. Raises InputError where llama.cpp refuses it."""
    require_llama()
    from llama_cpp import Llama

    from potstill.models.torch_base import idle_threads

    # its threads spin while they wait for one another: one on a busy core holds up all
    threads = idle_threads()
    try:
        return Llama(
            str(file),
            n_ctx=context_tokens,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=-1,
            verbose=False,
        )
    except Exception as exc:  # ValueError for a bad file, RuntimeError for want of memory
        raise InputError(f"llama.cpp cannot load {file} ({exc}); export it again.") from exc


class LlamaDecoder:
    """One sequence at a time: llama-cpp-python's ``Llama`` holds no more."""

    slots = 1

    def __init__(self, llama: Any, stop_tokens: frozenset[int]) -> None:
        self._llama = llama
        self._stop = stop_tokens
        self._request: Request | None = None
        self._tokens: list[int] = []
        self._draws: Iterator[int] = iter(())

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        return int(self._request is not None)

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step."""
        return 1 - self.active

    def step(self, fresh: Sequence[Request]) -> list[Finished]:
        """Return what finished, after ``fresh`` was admitted and the sequence got its next
        token.
        """
        for entering in fresh:
            self._admit(entering)
        request = self._request
        if request is None:
            return []
        token = next(self._draws)
        stopped = token in self._stop
        if not stopped:
            self._tokens.append(token)
        room = self._llama.n_ctx() - len(request.prompt)
        if not stopped and len(self._tokens) < min(request.sampling.max_tokens, room):
            return []
        self._request = None
        finish = Finish.STOP if stopped else Finish.LENGTH
        tokens_out = len(self._tokens) + stopped
        return [Finished(request.key, tuple(self._tokens), finish, tokens_out)]

    def under_way(self) -> dict[int, Sequence[int]]:
        """Return the tokens so far of the sequence under way, by its request's key."""
        return {self._request.key: self._tokens} if self._request else {}

    def drop(self, keys: Collection[int]) -> None:
        """Drop the sequence under way where it is one of these requests'."""
        if self._request is not None and self._request.key in keys:
            self._request = None

    def _admit(self, request: Request) -> None:
        self._request, self._tokens = request, []
        # Drawn from the whole distribution cut to top_p, as our other decoders do.
        self._llama.set_seed(request.sampling.seed)
        self._draws = self._llama.generate(
            list(request.prompt),
            top_k=0,
            top_p=request.sampling.top_p,
            min_p=0.0,
            temp=request.sampling.temperature,
            repeat_penalty=1.0,
        )


def piece_reader(llama: Any) -> Callable[[int], str]:
    """Return a function from each token of one answer to the text that it completes."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda token: decoder.decode(llama.detokenize([token]))
