"""A small OpenAI-compatible server: the teacher of the pocket world and the replay of records.

It answers ``POST /v1/chat/completions`` (streaming and not) and ``GET /v1/models`` from any
function ``ChatRequest -> Completion``: the API solver is exercised without paying anyone.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from potstill.chat import Completion
from potstill.errors import EndpointError
from potstill.protocol.parse import FINISH_WORDS, completion_bytes, usage_of
from potstill.protocol.requests import (
    BadRequest,
    Call,
    ChatRequest,
    error_body,
    no_model,
    read_call,
)

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = [
    "BACKLOG",
    "UnknownQuestion",
    "chat_app",
    "chunk_head",
    "create_app",
    "delta_bytes",
    "event_bytes",
    "listen",
    "lost",
    "run",
    "serve",
]

_HOSTS = ("127.0.0.1", "localhost")
_PIECE = 400  # characters of one streamed delta


BACKLOG = 4096


class UnknownQuestion(LookupError):
    """The answering function has nothing for this model or question; the client gets a 404."""


def create_app(
    answer: Callable[[ChatRequest], Completion], models: Sequence[str], *, latency_s: float = 0.0
) -> Starlette:
    """Return an ASGI app that answers chats with ``answer``, each after ``latency_s`` seconds.

    ``answer`` runs in the event loop, so it must be quick; UnknownQuestion becomes a 404 with the
    code ``recording_not_found``.
    """
    from starlette.responses import JSONResponse, Response, StreamingResponse

    async def chat(request: Request) -> Response:
        try:
            call = await read_call(request)
            reply = answer(call.chat)
        except BadRequest as exc:
            return JSONResponse(exc.body, exc.status)
        except UnknownQuestion as exc:
            return JSONResponse(error_body(str(exc), "recording_not_found"), 404)
        if latency_s > 0:
            await asyncio.sleep(latency_s)
        if call.stream:
            return StreamingResponse(_events(call, reply), media_type="text/event-stream")
        return Response(completion_bytes(call.chat.model, reply), media_type="application/json")

    return chat_app(chat, models)


def chat_app(chat: Callable[[Request], Awaitable[Response]], models: Sequence[str]) -> Starlette:
    """Return an ASGI app with the paths of the chat completions API; ``chat`` answers the chats."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    about = {m: {"id": m, "object": "model", "created": 0, "owned_by": "potstill"} for m in models}

    async def listing(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": list(about.values())})

    async def one(request: Request) -> Response:
        model = request.path_params["model"]
        if model in about:
            return JSONResponse(about[model])
        return JSONResponse(no_model(model, models).body, 404)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", listing, methods=["GET"]),
            Route("/v1/models/{model:path}", one, methods=["GET"]),
        ],
        exception_handlers={404: lost, 405: lost},
        middleware=[Middleware(_ToThisMachine)],
    )


class _ToThisMachine:
    """Around an ASGI app: refuses a request whose Host is no name of this machine.

    A page of another site that has its own name point here cannot read what is served.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import JSONResponse

        app = self._app
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if host.rpartition(":")[0] not in _HOSTS and host not in _HOSTS:
            message = f"this server answers to {' and '.join(_HOSTS)} alone, not to {host[:100]!r}"
            app = JSONResponse(error_body(message, "unknown_host"), 403)
        await app(scope, receive, send)


async def lost(request: Request, exc: Exception) -> Response:
    """Return the answer to a path or a method that is not served."""
    from starlette.responses import JSONResponse

    status = int(getattr(exc, "status_code", 500))
    message = f"{request.method} {request.url.path} is not served here"
    return JSONResponse(error_body(message, "unknown_url"), status)


async def _events(call: Call, reply: Completion) -> AsyncIterator[bytes]:
    head = chunk_head(call.chat.model)
    yield delta_bytes(head, {"role": "assistant", "content": ""})
    parts = {"reasoning_content": reply.reasoning, "content": reply.text, "refusal": reply.error}
    for name, text in parts.items():
        for start in range(0, len(text), _PIECE):
            yield delta_bytes(head, {name: text[start : start + _PIECE]})
    yield delta_bytes(head, {}, FINISH_WORDS[reply.finish])
    if call.include_usage:
        usage = usage_of(reply.tokens_in, reply.tokens_out)
        yield event_bytes(head | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def chunk_head(model: str) -> dict[str, object]:
    """Return what every chunk of one stream begins with."""
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }


def delta_bytes(head: dict[str, object], delta: dict[str, str], finish: str | None = None) -> bytes:
    """Return the event that brings the next part of a streamed message."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event_bytes(head | {"choices": [choice]})


def event_bytes(chunk: dict[str, object]) -> bytes:
    """Return a chunk as a server-sent event."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, with room for many who ask at once.

    Raises EndpointError.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # who asks at once waits, and is not refused
    except (OSError, OverflowError) as exc:
        listener.close()
        reason = exc.strerror if isinstance(exc, OSError) else exc
        elsewhere = isinstance(exc, OSError) and exc.errno == errno.EADDRNOTAVAIL
        another = "it is no address of this machine" if elsewhere else "choose another with --port"
        raise EndpointError(f"Port {port} on {host} cannot be used ({reason}); {another}.") from exc
    return listener


def _server(app: Starlette) -> uvicorn.Server:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            lifespan="off",
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )


@contextmanager
def serve(app: Starlette, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Yield the base URL (``http://host:port/v1``) of the app, served in a thread of this process.

    Port 0 takes a free one. Raises EndpointError where the port is taken.
    """
    listener = listen(host, port)
    server = _server(app)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="chat-server", daemon=True
    )
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield f"http://{host}:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def run(
    app: Starlette,
    port: int,
    host: str = "127.0.0.1",
    ready: Callable[[str], None] = lambda base_url: None,
) -> None:
    """Serve until interrupted. ``ready`` is told the base URL first."""
    listener = listen(host, port)
    ready(f"http://{host}:{listener.getsockname()[1]}/v1")
    try:
        _server(app).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
