"""A GGUF file answering through llama-cpp-python, behind the seam of our own decoders."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.models.decoding import Request, Running

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
        self._running: Running | None = None
        self._draws: Iterator[int] = iter(())

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        return int(self._running is not None)

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step."""
        return 1 - self.active

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        """Return the sequence with its next token, after ``fresh`` was admitted."""
        for request in fresh:
            self._admit(request)
        running = self._running
        if running is None:
            return []
        running.advance(next(self._draws), self._stop)
        if running.finish is not None:
            self._running = None
        return [running]

    def drop(self, keys: Collection[int]) -> None:
        """Drop the sequence under way where it is one of these requests'."""
        if self._running is not None and self._running.request.key in keys:
            self._running = None

    def _admit(self, request: Request) -> None:
        self._running = Running.begin(request, self._llama.n_ctx())
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
