"""A local transformers model as a solver, with or without an adapter, batched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from potstill.errors import PotstillError
from potstill.ledger import Entry, Ledger, key_of_request, request_json
from potstill.records import Finish
from potstill.solvers import Ask, Completion, Unanswered, never
from potstill.solvers.parse import completion_bytes, parse_completion

if TYPE_CHECKING:
    from potstill.solvers.torch_decoding import Decoder, Finished, Request
    from potstill.training.base import Base

__all__ = ["PROVIDER", "Options", "TorchSolver", "open_solver"]

PROVIDER = "local"
# Finished replies are committed together: at this many, or after this long.
_COMMIT_REPLIES = 64
_COMMIT_S = 1.0


class Options(BaseModel):
    """What a study file says of a local model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(min_length=1, description="A model folder or a hub id.")
    precision: Literal["float32", "bfloat16", "nf4"] = "float32"
    device: str = "auto"
    batch_size: int = Field(0, ge=0, description="0 takes as many as memory holds, up to 256.")


@dataclass(slots=True)
class _Pending:
    """An ask under way."""

    ask: Ask
    request_json: str
    ledger_key: str
    tokens_in: int
    started: float


class TorchSolver:
    """A base, or a student on it, that completes chats on this machine.

    The ledger knows it as provider "local" and a model made of the hashes of base and adapter and
    the precision, so that a retrained adapter answers anew and a moved folder does not. The base is
    lent to one running ``complete`` at a time.
    """

    def __init__(
        self,
        base: Base,
        adapter: Path | None,
        ledger: Ledger,
        *,
        solver_id: str,
        batch_size: int = 0,
    ) -> None:
        """A solver; ``batch_size`` 0 takes as many sequences as memory holds, up to 256.

        Raises InputError where ``adapter`` is no adapter's folder.
        """
        from potstill.training.adapters import hash_adapter

        self._base = base
        self._adapter = adapter
        self._ledger = ledger
        self._id = solver_id
        self._batch_size = batch_size
        parts = [base.base_hash[:16]] + ([hash_adapter(adapter)[:16]] if adapter else [])
        self._model = "+".join(parts) + f"@{base.precision}"

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

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion | Unanswered]:
        """One completion per ask, in the order they end, each committed to the ledger first.

        What the ledger holds is not generated again. A prompt that leaves no room in the model's
        context comes back with finish ERROR. Raises PotstillError where memory does not suffice.
        """
        source = iter(asks)
        pending: dict[int, _Pending] = {}
        done: list[Finished] = []
        committed = time.monotonic()
        decoder: Decoder | None = None
        exhausted = False
        with ExitStack() as stack:
            while True:
                fresh: list[Request] = []
                while not exhausted and (decoder is None or len(fresh) < decoder.wanted):
                    ask = next(source, None)
                    if ask is None:
                        exhausted = True
                        break
                    begun = self._begin(ask, len(pending), pending)
                    if isinstance(begun, Completion):
                        yield begun
                        continue
                    fresh.append(begun)
                    decoder = decoder or self._open(stack, begun)
                if decoder is None:
                    return
                done += self._step(decoder, fresh)
                over = exhausted and not decoder.active
                late = time.monotonic() - committed > _COMMIT_S
                if done and (over or late or len(done) >= _COMMIT_REPLIES):
                    yield from self._commit(done, pending, stage)
                    done, committed = [], time.monotonic()
                if over:
                    return

    def _begin(self, ask: Ask, number: int, pending: dict[int, _Pending]) -> Completion | Request:
        """The reply if it is known or impossible, else the request to decode."""
        from potstill.solvers.torch_decoding import Request
        from potstill.training.examples import prompt_tokens

        request = request_json(
            PROVIDER, self._model, ask.messages, ask.sampling, ask.sample, ask.attempt
        )
        key = key_of_request(request)
        reply = self._ledger.get(key)
        if reply is not None:
            return _completion(ask, key, reply.raw)
        prompt = tuple(prompt_tokens(self._base.tokenizer, ask.messages))
        context = self._base.context_tokens
        if len(prompt) >= context:
            return Completion(
                ask.tag, ask.sample, ask.attempt, "", "", Finish.ERROR, len(prompt), 0, key,
                error=f"The prompt of {len(prompt)} tokens leaves no room in the context of "
                f"{context} tokens of {self._base.name}.",
            )  # fmt: skip
        pending[number] = _Pending(ask, request, key, len(prompt), time.monotonic())
        # Without the model: students are drawn with the same numbers, which pairs them better.
        draw_seed = f"{ask.sampling.seed} {ask.sample} {ask.attempt} {prompt}"
        return Request(number, prompt, ask.sampling, draw_seed)

    def _open(self, stack: ExitStack, first: Request) -> Decoder:
        """A decoder on the base with the adapter mounted, both put back when ``stack`` closes."""
        from potstill.solvers.torch_decoding import Decoder, slots_that_fit
        from potstill.training.adapters import mounted
        from potstill.training.base import cpu_threads, idle_threads

        stack.enter_context(self._base.lent(f"the solver {self._id}"))
        stack.enter_context(cpu_threads(idle_threads()))
        stack.enter_context(mounted(self._base, self._adapter))
        tokens = len(first.prompt) + first.sampling.max_tokens
        return Decoder(self._base, self._batch_size or slots_that_fit(self._base, tokens))

    def _step(self, decoder: Decoder, fresh: list[Request]) -> list[Finished]:
        from potstill.training.base import is_out_of_memory

        try:
            return decoder.step(fresh)
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            raise PotstillError(
                f"{self._id} ran out of memory on {self._base.device} with {decoder.slots} "
                "sequences at once; lower the solver's batch_size or the token limit."
            ) from exc

    def _commit(
        self, done: list[Finished], pending: dict[int, _Pending], stage: str
    ) -> list[Completion]:
        """The completions of what finished, after all of them are on disk."""
        entries: list[Entry] = []
        asks: list[Ask] = []
        for finished in done:
            begun = pending[finished.key]
            text = self._base.tokenizer.decode(finished.tokens, skip_special_tokens=True)
            finish = "stop" if finished.finish is Finish.STOP else "length"
            raw = completion_bytes(
                self._model, text, "", finish, begun.tokens_in, finished.tokens_out
            )
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
            _completion(ask, entry.key, entry.raw) for ask, entry in zip(asks, entries, strict=True)
        ]


@contextmanager
def open_solver(
    options: Options, ledger: Ledger, *, stop: Callable[[], str] = never
) -> Iterator[TorchSolver]:
    """The model of these options as a solver, without an adapter; its id is the model's name.

    Answers cost nothing, so ``stop`` is never asked.
    """
    from potstill.training.base import load_base

    base = load_base(options.path, options.precision, options.device)
    yield TorchSolver(base, None, ledger, solver_id=base.name, batch_size=options.batch_size)


def _completion(ask: Ask, key: str, raw: bytes) -> Completion:
    parsed = parse_completion(raw)
    return Completion(
        tag=ask.tag,
        sample=ask.sample,
        attempt=ask.attempt,
        reasoning=parsed.reasoning,
        text=parsed.text,
        finish=parsed.finish,
        tokens_in=parsed.tokens_in,
        tokens_out=parsed.tokens_out,
        ledger_key=key,
    )
