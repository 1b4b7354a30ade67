"""What a base model and a decoder are to the rest of the house, whatever backend runs them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from potstill.errors import PotstillError
from potstill.solvers.decoding import Finished, Request

if TYPE_CHECKING:
    from potstill.training.levers import Levers
    from potstill.training.loop import Trainee
    from potstill.training.recipe import Recipe

__all__ = ["Decoder", "LanguageModel", "Lender", "load_language_model"]


class Decoder(Protocol):
    """Continues prompts, many at a time."""

    @property
    def slots(self) -> int:
        """How many sequences run at once."""
        ...

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        ...

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step."""
        ...

    def step(self, fresh: Sequence[Request]) -> list[Finished]:
        """What finished, after ``fresh`` was admitted and every sequence got its next token."""
        ...

    def under_way(self) -> dict[int, Sequence[int]]:
        """The tokens so far of every unfinished sequence, by its request's key; only to be read."""
        ...

    def drop(self, keys: Collection[int]) -> None:
        """Nothing; the unfinished sequences of these requests leave, and their slots are free."""
        ...


class LanguageModel(Protocol):
    """A base model with frozen weights: it answers, and adapters are trained on it."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str:
        """The folder or hub id that it was loaded from."""
        ...

    @property
    def tokenizer(self) -> Any: ...
    @property
    def base_hash(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def context_tokens(self) -> int: ...
    @property
    def from_hub(self) -> bool: ...
    @property
    def parameters(self) -> int: ...

    def lent(self, to: str) -> AbstractContextManager[None]:
        """The base for one user, who puts it back as it was."""
        ...

    def open_trainee(
        self, recipe: Recipe, seed: int, levers: Levers | None = None
    ) -> AbstractContextManager[Trainee]:
        """A new adapter in training on this base."""
        ...

    def open_decoder(
        self, adapter: Path | None, tokens: int, batch_size: int
    ) -> AbstractContextManager[Decoder]:
        """A decoder for sequences of ``tokens``; ``batch_size`` 0 takes what memory holds."""
        ...

    def is_out_of_memory(self, exc: BaseException) -> bool:
        """Whether an error of this backend says that memory ran out."""
        ...


class Lender:
    """What is lent to one user at a time: adapters are swapped in place on the one base."""

    name: str
    _lock: threading.Lock

    @contextmanager
    def lent(self, to: str) -> Iterator[None]:
        """The base for one user, who puts it back as it was. Raises PotstillError where in use."""
        if not self._lock.acquire(blocking=False):
            raise PotstillError(
                f"The base {self.name} is in use and cannot be lent to {to}; finish or close the "
                "other training run or solver first, or load a second base."
            )
        try:
            yield
        finally:
            self._lock.release()


def load_language_model(path: str, precision: str, device: str, backend: str) -> LanguageModel:
    """The base in a folder or of a hub id on a backend (torch, mlx). Raises as their loaders do."""
    if backend == "mlx":
        from potstill.training.mlx_base import load_mlx_base

        return load_mlx_base(path, precision)
    from potstill.training.base import load_base

    return load_base(path, precision, device)
