"""``potstill serve``: a student as an OpenAI-compatible endpoint on this machine.

The server is our own over the study's decoder, and not mlx_lm.server, ``transformers serve`` or
llama-cpp-python's: the student answers under the very prompt and with the very decoding that it was
scored with, every engine refuses a request in the same words, and at SIGTERM what was accepted is
answered before the process ends, which those servers do not do.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from potstill.chat import Completion, Message
from potstill.deploy.loading import open_engine
from potstill.deploy.serve.answering import Answering, Ended, Piece
from potstill.errors import InputError, PotstillError
from potstill.protocol.parse import FINISH_WORDS, completion_bytes, usage_of
from potstill.protocol.requests import BadRequest, Call, error_body, no_model, read_call
from potstill.protocol.server import BACKLOG, chat_app, chunk_head, delta_bytes, event_bytes, listen
from potstill.records import Condition, Sampling

if TYPE_CHECKING:
    from rich.console import Console
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from potstill.analysis.students import FoundStudent
    from potstill.deploy.engines import Engine

__all__ = [
    "RequestLimit",
    "create_app",
    "run_until_stopped",
    "serve_engine",
    "serve_student",
    "study_messages",
]

_HOST = "127.0.0.1"
_HUNG_UP = 499  # nginx's number for a client that closed its request; only logs see it


class RequestLimit:
    """Around an ASGI app: counts the requests it lets in, and lets none in once it is closed.

    A request is counted until the last byte of its answer was handed over.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.closed = False
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import JSONResponse

        if scope["type"] == "http" and self.closed:
            error = error_body("the server is shutting down", "shutting_down")
            headers = {"Connection": "close", "Retry-After": "1"}
            await JSONResponse(error, 503, headers)(scope, receive, send)
            return
        self.inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.inside -= 1


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call that can be answered: its prompt's tokens, and how its tokens are drawn."""

    call: Call
    prompt: list[int]
    sampling: Sampling


def serve_student(found: FoundStudent, engine: str, base: str, port: int, console: Console) -> None:
    """Serve a study's student on the engine of that name, and print where.

    Raises EndpointError where the port is taken, and as :func:`open_engine` and
    :func:`serve_engine` do.
    """
    # held from here on: a port that is taken is refused before a model is loaded
    with closing(listen(_HOST, port)) as listener:
        print(f"Loading {found.name} ...", file=sys.stderr, flush=True)
        with open_engine(found, engine, base) as opened:
            also = "" if found.level == found.name else f", also as {found.level}"
            told = f"{found.name} answers at %s through {opened.name}{also}; Ctrl-C ends it."
            serve_engine(
                listener,
                opened,
                found.condition,
                [found.name, found.level],
                lambda url: console.print(
                    told % url, highlight=False, markup=False, soft_wrap=True
                ),
            )


def serve_engine(
    listener: socket.socket,
    engine: Engine,
    condition: Condition,
    models: Sequence[str],
    ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what was accepted and return.

    ``ready`` is called with the base URL first. Raises PotstillError where the decoder fails.
    """
    with Answering(engine) as answering:
        url = f"http://{_HOST}:{listener.getsockname()[1]}/v1"
        app = create_app(engine, answering, condition, models)
        run_until_stopped(app, listener, lambda: ready(url), alive=lambda: answering.alive)
        if not answering.alive:
            raise PotstillError("The decoder has stopped; see the answers' errors for why.")


def create_app(
    engine: Engine, answering: Answering, condition: Condition, models: Sequence[str]
) -> Starlette:
    """Return an ASGI app that answers chats as the study asked its students."""
    from starlette.responses import JSONResponse, Response, StreamingResponse

    async def chat(request: Request) -> Response:
        try:
            asked = _asked(await read_call(request, strict=True), engine, condition, models)
        except BadRequest as exc:
            return JSONResponse(exc.body, exc.status)
        try:
            if asked.call.stream:
                return StreamingResponse(_events(asked, answering), media_type="text/event-stream")
            ended = await _unless_gone(request, _whole(asked, answering))
        except PotstillError as exc:
            return JSONResponse(error_body(str(exc), "decoder_failed"), 500)
        if ended is None:
            return Response(status_code=_HUNG_UP)
        said = Completion(ended.text, "", ended.finish, len(asked.prompt), ended.tokens_out)
        body = completion_bytes(asked.call.chat.model, said)
        return Response(body, media_type="application/json")

    return chat_app(chat, models)


def study_messages(messages: Sequence[Message], condition: Condition) -> tuple[Message, ...]:
    """Return the chat with the study's system text and its prompt around what the user said last.

    A system text of the asker's own stays. Raises InputError where the user said nothing.
    """
    turns = list(messages)
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=None)
    if last is None:
        raise InputError("the messages hold nothing from the user")
    said = condition.template.replace("{problem}", turns[last].content)
    turns[last] = Message("user", said)
    if condition.system and all(turn.role != "system" for turn in turns):
        turns.insert(0, Message("system", condition.system))
    return tuple(turns)


def _asked(call: Call, engine: Engine, condition: Condition, models: Sequence[str]) -> _Asked:
    """Return the call in tokens. Raises BadRequest for one that cannot be answered."""
    chat = call.chat
    if chat.model not in models:
        raise no_model(chat.model, models)
    try:
        turns = [Message(m["role"], m["content"]) for m in chat.messages]
        prompt = engine.encode(study_messages(turns, condition))
    except InputError as exc:
        raise BadRequest(400, "invalid_field", str(exc)) from exc
    sampling = condition.sampling
    limit = sampling.max_tokens if chat.max_tokens is None else chat.max_tokens
    if limit < 1:
        raise BadRequest(400, "invalid_field", "max_tokens must be 1 or more", "max_tokens")
    temperature = sampling.temperature if chat.temperature is None else chat.temperature
    if not 0 <= temperature <= 2:
        raise BadRequest(
            400, "invalid_field", "temperature must lie between 0 and 2", "temperature"
        )
    top_p = sampling.top_p if chat.top_p is None else chat.top_p
    if not 0 < top_p <= 1:
        raise BadRequest(400, "invalid_field", "top_p must lie above 0, up to 1", "top_p")
    context = engine.context_tokens
    needed = len(prompt) + (limit if chat.max_tokens is not None else 1)
    if needed > context:
        raise BadRequest(
            400,
            "context_length_exceeded",
            f"This model's maximum context length is {context:,} tokens; your messages take "
            f"{len(prompt):,}, and the answer {needed - len(prompt):,} or more.",
            "messages",
        )
    seed = sampling.seed if chat.seed is None else chat.seed
    drawn = replace(sampling, max_tokens=limit, temperature=temperature, top_p=top_p, seed=seed)
    return _Asked(call, prompt, drawn)


async def _unless_gone(request: Request, doing: Coroutine[Any, Any, Ended]) -> Ended | None:
    """Return what is done for a request; None, and no more is done, once its client has hung up."""
    answer = asyncio.ensure_future(doing)
    gone = asyncio.ensure_future(request.receive())  # its body was read: what comes is the end
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await answer if answer.done() else None
    finally:
        answer.cancel()
        gone.cancel()


async def _whole(asked: _Asked, answering: Answering) -> Ended:
    async for event in answering.answer(asked.prompt, asked.sampling):
        if isinstance(event, Ended):
            return event
    raise PotstillError("The decoder ended without an answer; start the server again.")


async def _events(asked: _Asked, answering: Answering) -> AsyncIterator[bytes]:
    head = chunk_head(asked.call.chat.model)
    yield delta_bytes(head, {"role": "assistant", "content": ""})
    try:
        async with aclosing(answering.answer(asked.prompt, asked.sampling)) as parts:
            async for part in parts:
                if isinstance(part, Piece):
                    yield delta_bytes(head, {"content": part.text})
                    continue
                yield delta_bytes(head, {}, FINISH_WORDS[part.finish])
                if asked.call.include_usage:
                    usage = usage_of(len(asked.prompt), part.tokens_out)
                    yield event_bytes(head | {"choices": [], "usage": usage})
    except PotstillError as exc:  # the stream has begun: its error is an event too
        yield event_bytes(error_body(str(exc), "decoder_failed"))
    yield b"data: [DONE]\n\n"


def run_until_stopped(
    app: ASGIApp,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    alive: Callable[[], bool] = lambda: True,
    patience_s: float = math.inf,
) -> None:
    """Serve until SIGTERM or Ctrl-C, or until no longer ``alive``.

    ``ready`` is called once either would be obeyed. What was accepted by then is answered first,
    for ``patience_s`` at most; a second Ctrl-C does not wait.
    """
    import uvicorn

    gate = RequestLimit(app)

    class Draining(uvicorn.Server):
        ends_at = math.inf

        def handle_exit(self, sig: int, frame: Any) -> None:
            if gate.closed and sig == signal.SIGINT:
                self.should_exit = self.force_exit = True
            if not gate.closed:
                self.ends_at = time.monotonic() + patience_s
            gate.closed = True

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def on_tick(self, counter: int) -> bool:
            drained = gate.closed and not gate.inside
            if drained or not (alive() or gate.inside):
                self.should_exit = True
            if time.monotonic() > self.ends_at:
                self.should_exit = self.force_exit = True
            return await super().on_tick(counter)

    Draining(
        uvicorn.Config(
            gate,
            log_level="critical",
            access_log=False,
            lifespan="off",
            backlog=BACKLOG,
            timeout_keep_alive=75,
        )
    ).run(sockets=[listener])
