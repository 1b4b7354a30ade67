"""One decoder for many askers: requests enter and leave its running batch, tokens come as made.

The decoder runs in a thread of its own, which alone touches the model; askers are coroutines.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from potstill.errors import PotstillError
from potstill.models.decoding import Finished, Request, generate
from potstill.records import Finish, Sampling

if TYPE_CHECKING:
    from potstill.deploy.engines import Engine, Pieces

__all__ = ["Answering", "Ended", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next text of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an answer: all of its text, how it ended, and how many tokens it took."""

    text: str
    finish: Finish
    tokens_out: int


@dataclass(slots=True)
class _Asker:
    """Who waits for one answer, and what of it was sent."""

    request: Request
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Piece | Ended | BaseException]
    pieces: Pieces
    left: bool = False
    sent: list[str] = field(default_factory=list)


class Answering:
    """An engine that answers many at once. Open it with ``with``; leaving ends its thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keys = itertools.count()
        self._entering: queue.SimpleQueue[_Asker | None] = queue.SimpleQueue()
        self._askers: dict[int, _Asker] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)
        self._failed: BaseException | None = None

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._entering.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the decoder still runs."""
        return self._thread.is_alive() and self._failed is None

    async def answer(
        self, prompt: list[int], sampling: Sampling
    ) -> AsyncGenerator[Piece | Ended, None]:
        """Yield an answer's text as it comes, and its end.

        Who closes it before its end gives back the place in the batch. Raises PotstillError where
        the decoder has failed.
        """
        if not self.alive:
            raise PotstillError(f"The decoder has stopped ({self._failed}); start again.")
        request = Request(next(self._keys), tuple(prompt), sampling)
        loop = asyncio.get_running_loop()
        asker = _Asker(request, loop, asyncio.Queue(), self._engine.pieces())
        self._entering.put(asker)
        try:
            while True:
                event = await asker.events.get()
                if isinstance(event, BaseException):
                    told = f"The decoder has stopped ({event}); start again."
                    raise PotstillError(told) from event
                yield event
                if isinstance(event, Ended):
                    return
        finally:
            asker.left = True

    def _run(self) -> None:
        askers = self._askers
        try:
            for finished in generate(self._engine.decoder, self._requests(), self._hear):
                for done in finished:
                    self._end(askers.pop(done.key), done)
        except BaseException as exc:
            self._failed = exc
            while not self._entering.empty():
                late = self._entering.get()
                if late is not None:
                    askers[late.request.key] = late
            for asker in askers.values():
                _tell(asker, exc)

    def _requests(self) -> Iterator[Request | None]:
        """Yield what enters; with no one in the batch it waits for the next."""
        while True:
            try:
                asker = self._entering.get(block=not self._askers)
            except queue.Empty:
                yield None
                continue
            if asker is None:
                return
            if not asker.left:
                self._askers[asker.request.key] = asker
                yield asker.request

    def _hear(self, key: int, token: int) -> bool:
        """Send on what a token completes; return False where no one waits for it any more."""
        asker = self._askers[key]
        if asker.left or self._closing:
            del self._askers[key]
            return False
        text = asker.pieces(token)
        if text:
            asker.sent.append(text)
            _tell(asker, Piece(text))
        return True

    def _end(self, asker: _Asker, done: Finished) -> None:
        text, sent = self._engine.text(done.tokens), "".join(asker.sent)
        # what a cut character holds back comes at the end
        if text.startswith(sent) and len(text) > len(sent):
            _tell(asker, Piece(text[len(sent) :]))
        _tell(asker, Ended(text, done.finish, done.tokens_out))


def _tell(asker: _Asker, event: Piece | Ended | BaseException) -> None:
    try:
        asker.loop.call_soon_threadsafe(asker.events.put_nowait, event)
    except RuntimeError:  # its loop has closed: no one waits any more
        return
