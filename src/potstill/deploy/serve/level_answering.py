"""The students of a study on one loaded base: the one that is asked is mounted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.chat import Message
from potstill.deploy.engines import Engine, model_engine
from potstill.deploy.serve.answering import Answering, Ended, Piece
from potstill.deploy.serve.serving import study_messages
from potstill.errors import InputError
from potstill.models.decoding import Decoder
from potstill.models.loading import open_decoder

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.models.model import LanguageModel

__all__ = ["LevelAnswering"]

OpenDecoder = Callable[["LanguageModel", Path, int, int], AbstractContextManager[Decoder]]

_AT_ONCE = 8  # problems that one student answers side by side


@dataclass(slots=True)
class _Mounted:
    """A student ready to answer, and what puts the base back as it was."""

    found: FoundStudent
    engine: Engine
    answering: Answering
    stack: ExitStack


class LevelAnswering:
    """Answers at any level, for as many as ask. Open it with ``with``; leaving takes all down.

    Who asks for the student that is mounted joins its batch; who asks for another waits in line
    until it has finished. The levels of a mixed student are one student.
    """

    def __init__(
        self,
        model: LanguageModel,
        students: Mapping[str, FoundStudent],
        open_decoder: OpenDecoder = open_decoder,
    ) -> None:
        """Take the ``students`` by the level that they are asked for."""
        self._model = model
        self._open_decoder = open_decoder
        self._students = students
        self._line = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._asking = 0
        self._mounted: _Mounted | None = None
        self._leased = ExitStack()

    def __enter__(self) -> LevelAnswering:
        self._leased.enter_context(self._model.lease("the tutor"))
        return self

    def __exit__(self, *_: object) -> None:
        self._take_down()
        self._leased.close()

    async def answer(self, level: str, problem: str) -> AsyncGenerator[Piece | Ended, None]:
        """Yield the text of that level's student as it comes, and its end.

        Raises InputError for a problem that is empty or leaves no room in the context, and
        PotstillError where the decoder fails.
        """
        found = self._students[level]
        if not problem.strip():
            raise InputError("There is no problem to answer; pick one or type one.")
        async with self._use(found) as mounted:
            engine = mounted.engine
            prompt = engine.encode(study_messages([Message("user", problem)], found.condition))
            if len(prompt) >= engine.context_tokens:
                raise InputError(
                    f"The problem takes {len(prompt):,} tokens and {found.base_name} holds "
                    f"{engine.context_tokens:,}; ask a shorter one."
                )
            answers = mounted.answering.answer(prompt, found.condition.sampling)
            async with aclosing(answers) as events:
                async for event in events:
                    yield event

    @asynccontextmanager
    async def _use(self, found: FoundStudent) -> AsyncIterator[_Mounted]:
        from starlette.concurrency import run_in_threadpool

        async with self._line:
            mounted = self._mounted
            if mounted is None or not self._serves(mounted, found):
                await self._idle.wait()
                # is not left half done where who asked has gone meanwhile
                mounted = await run_in_threadpool(self._mount, found)
            self._asking += 1
            self._idle.clear()
        try:
            yield mounted
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.set()

    def _serves(self, mounted: _Mounted, found: FoundStudent) -> bool:
        """Return whether that student is mounted and alive."""
        return mounted.found.folder == found.folder and mounted.answering.alive

    def _mount(self, found: FoundStudent) -> _Mounted:
        self._take_down()
        model = self._model
        with ExitStack() as stack:
            opening = self._open_decoder(model, found.folder, model.context_tokens, _AT_ONCE)
            engine = model_engine(model, stack.enter_context(opening), found.name)
            answering = stack.enter_context(Answering(engine))
            self._mounted = _Mounted(found, engine, answering, stack.pop_all())
        return self._mounted

    def _take_down(self) -> None:
        mounted, self._mounted = self._mounted, None
        if mounted is not None:
            mounted.stack.close()
