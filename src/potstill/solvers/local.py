"""A model on this machine as a solver, with or without an adapter, whatever backend runs it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from potstill.chat import Ask, Completion
from potstill.errors import PotstillError
from potstill.ledger.ledger import Entry, key_of_request, request_json
from potstill.models.decoding import Finished, Request, generate
from potstill.models.loading import open_decoder
from potstill.models.model import prompt_tokens
from potstill.protocol.parse import completion_bytes, completion_from

if TYPE_CHECKING:
    from potstill.models.decoding import Decoder
    from potstill.models.model import LanguageModel

__all__ = ["PROVIDER", "LocalSolver", "Replies", "local_model"]

PROVIDER = "local"
# Finished replies are committed together: at this many, or after this long.
_COMMIT_REPLIES = 64
_COMMIT_S = 1.0
# While others are decoded, so many recorded replies at most wait to be handed on.
_RECORDED_AT_ONCE = 1024


@dataclass(slots=True)
class _Pending:
    """An ask under way."""

    ask: Ask
    request_json: str
    ledger_key: str
    tokens_in: int
    started: float


class Replies(Protocol):
    """Where replies are looked up and committed: the ledger, or what stands in for it."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, entry: Entry) -> None: ...


class LocalSolver:
    """A base, or a student on it, that completes chats on this machine.

    The ledger knows it as provider "local" and a model made of the hashes of base and adapter and
    the precision, so that a retrained adapter answers anew and a moved folder does not. The base is
    leased to one running ``complete`` at a time.
    """

    def __init__(
        self,
        base: LanguageModel,
        adapter: Path | None,
        ledger: Replies,
        *,
        solver_id: str,
        batch_size: int = 0,
    ) -> None:
        """Open a solver; ``batch_size`` 0 takes as many sequences as memory holds, up to 256.

        Raises InputError where ``adapter`` is no adapter's folder.
        """
        self._base = base
        self._adapter = adapter
        self._ledger = ledger
        self._id = solver_id
        self._batch_size = batch_size
        self._model = local_model(base.base_hash, adapter, base.precision)

    @property
    def id(self) -> str:
        """The solver's name in tables."""
        return self._id

    @property
    def precision(self) -> str:
        """The weights' precision."""
        return self._base.precision

    @property
    def ledger_model(self) -> str:
        """The name under which replies stand in the ledger."""
        return self._model

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield one completion per ask, in the order they end, each committed to the ledger first.

        What the ledger holds is not generated again. A prompt that leaves no room in the model's
        context comes back with finish ERROR. Raises PotstillError where memory does not suffice.
        """
        source = iter(asks)
        pending: dict[int, _Pending] = {}
        for ask in source:
            first = self._begin(ask, pending)
            if isinstance(first, Request):
                break
            yield first
        else:
            return
        ready: list[Completion] = []
        done: list[Finished] = []
        committed = time.monotonic()
        with self._open(first) as decoder:
            requests = chain([first], self._requests(source, pending, ready))
            for finished in generate(decoder, requests):
                done += finished
                late = time.monotonic() - committed > _COMMIT_S
                if done and (late or len(done) >= _COMMIT_REPLIES):
                    ready += self._commit(done, pending, stage)
                    done, committed = [], time.monotonic()
                yield from ready
                ready.clear()
        if done:
            yield from self._commit(done, pending, stage)

    def _requests(
        self, asks: Iterable[Ask], pending: dict[int, _Pending], ready: list[Completion]
    ) -> Iterator[Request | None]:
        """Yield what is to be decoded; replies that are known or impossible go into ``ready``."""
        for ask in asks:
            begun = self._begin(ask, pending)
            if isinstance(begun, Request):
                yield begun
                continue
            ready.append(begun)
            if len(ready) >= _RECORDED_AT_ONCE:
                yield None

    def _begin(self, ask: Ask, pending: dict[int, _Pending]) -> Completion | Request:
        """Return the reply if it is known or impossible, else the request to decode."""
        request = request_json(
            PROVIDER, self._model, ask.messages, ask.sampling, ask.sample, ask.attempt
        )
        key = key_of_request(request)
        raw = self._ledger.get(key)
        if raw is not None:
            return completion_from(ask, key, raw)
        prompt = tuple(prompt_tokens(self._base.tokenizer, ask.messages))
        context = self._base.context_tokens
        if len(prompt) >= context:
            why = (
                f"The prompt of {len(prompt)} tokens leaves no room in the context of "
                f"{context} tokens of {self._base.name}."
            )
            return Completion.failed(ask, key, why, len(prompt))
        number = len(pending)
        pending[number] = _Pending(ask, request, key, len(prompt), time.monotonic())
        return Request(number, prompt, ask.sampling, ask.sample, ask.attempt)

    @contextmanager
    def _open(self, first: Request) -> Iterator[Decoder]:
        """Yield a decoder on the base with the adapter mounted; both are put back after it."""
        tokens = len(first.prompt) + first.sampling.max_tokens
        with (
            self._base.lease(f"the solver {self._id}"),
            open_decoder(self._base, self._adapter, tokens, self._batch_size, many=True) as decoder,
        ):
            try:
                yield decoder
            except (RuntimeError, MemoryError) as exc:
                if not self._base.is_out_of_memory(exc):
                    raise
                raise PotstillError(
                    f"{self._id} ran out of memory on {self._base.device} with {decoder.slots} "
                    "sequences at once; lower the solver's batch_size or the token limit."
                ) from exc

    def _commit(
        self, done: list[Finished], pending: dict[int, _Pending], stage: str
    ) -> list[Completion]:
        """Return the completions of what finished, after all of them are on disk."""
        entries: list[Entry] = []
        asks: list[Ask] = []
        for finished in done:
            begun = pending[finished.key]
            text = self._base.tokenizer.decode(finished.tokens, skip_special_tokens=True)
            said = Completion(text, "", finished.finish, begun.tokens_in, finished.tokens_out)
            raw = completion_bytes(self._model, said)
            asks.append(begun.ask)
            entries.append(
                Entry(
                    key=begun.ledger_key,
                    stage=stage,
                    provider=PROVIDER,
                    model=self._model,
                    request=begun.request_json,
                    raw=raw,
                    tokens_in=begun.tokens_in,
                    tokens_out=finished.tokens_out,
                    priced=True,  # a local answer costs no money
                    seconds=time.monotonic() - begun.started,
                )
            )
        # The ledger's writer commits all that wait for it in one transaction.
        with ThreadPoolExecutor(len(entries)) as pool:
            list(pool.map(self._ledger.put, entries))
        return [
            completion_from(ask, entry.key, entry.raw)
            for ask, entry in zip(asks, entries, strict=True)
        ]


def local_model(base_hash: str, adapter: Path | None, precision: str) -> str:
    """Return the name in the ledger of a base, or of a student on it.

    Raises InputError where ``adapter`` is no adapter's folder.
    """
    from potstill.models.adapters import hash_adapter

    parts = [base_hash[:16]] + ([hash_adapter(adapter)[:16]] if adapter else [])
    return "+".join(parts) + f"@{precision}"
