"""What a base model and a decoder are to every other package, whatever backend runs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from potstill.chat import Message
from potstill.errors import InputError, PotstillError

__all__ = ["LanguageModel", "Leased", "is_small", "prompt_text", "prompt_tokens"]

# Up to this many parameters a CPU's threads are best given work of their own (measured: 1.8M and
# 135M).
_SMALL_PARAMETERS = 200_000_000


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
    @property
    def template(self) -> Mapping[str, Any]:
        """The arguments that its chat template was given."""
        ...

    def lease(self, to: str) -> AbstractContextManager[None]:
        """Lease the base to one user, who puts it back as it was."""
        ...

    def is_out_of_memory(self, exc: BaseException) -> bool:
        """Return whether an error of this backend says that memory ran out."""
        ...


def is_small(base: LanguageModel) -> bool:
    """Return whether a base is best run by threads or processes that share no product."""
    return base.device == "cpu" and base.parameters <= _SMALL_PARAMETERS


class Leased:
    """What is leased to one user at a time: adapters are swapped in place on the one base."""

    name: str
    _lock: threading.Lock

    @contextmanager
    def lease(self, to: str) -> Iterator[None]:
        """Yield the base for one user, who puts it back as it was.

        Raises PotstillError where in use.
        """
        if not self._lock.acquire(blocking=False):
            raise PotstillError(
                f"The base {self.name} is in use and cannot serve {to} too; finish or close the "
                "other training run or solver first, or load a second base."
            )
        try:
            yield
        finally:
            self._lock.release()


def prompt_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the token ids that a model is given for a chat, up to where its answer begins.

    Raises InputError where the chat template refuses the chat.
    """
    ids: list[int] = _rendered(tokenizer, messages, tokenize=True, return_dict=False)
    return ids


def prompt_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """Return the text of :func:`prompt_tokens`. Raises as that does."""
    return str(_rendered(tokenizer, messages, tokenize=False))


def _rendered(tokenizer: Any, messages: Sequence[Message], **how: Any) -> Any:
    chat = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return tokenizer.apply_chat_template(chat, add_generation_prompt=True, **how)
    except Exception as exc:  # jinja2's errors, and whatever a template raises by itself
        roles = ", ".join(message.role for message in messages)
        raise InputError(
            f"The chat template of {tokenizer.name_or_path} refuses a chat of roles {roles}: {exc}"
        ) from exc
