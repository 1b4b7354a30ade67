"""``potstill tutor``: a page where students solve problems at any level, beside their teacher."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.analysis.students import find_ladder
from potstill.deploy.engines import load_model
from potstill.deploy.loading import backend_of
from potstill.deploy.serve.answering import Piece
from potstill.deploy.serve.level_answering import LevelAnswering
from potstill.deploy.serve.middleware import AccessMiddleware, is_loopback, new_token
from potstill.deploy.serve.serving import run_until_stopped
from potstill.deploy.serve.tutor_texts import TutorTexts, compare_own, grade_text, read_texts
from potstill.errors import InputError, PotstillError
from potstill.grading import GradingPool
from potstill.grading.plugins import kind_settings, runs_code
from potstill.lessons.ladder import count_words
from potstill.protocol.requests import BadRequest, error_body, read_body
from potstill.protocol.server import event_bytes, listen, lost
from potstill.records import Finish, Problem

if TYPE_CHECKING:
    from rich.console import Console
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


__all__ = ["create_tutor", "serve_tutor"]

_PATIENCE_S = 5.0  # for answers under way once it is told to end: a learner asks again

_FILES = {
    "/": ("deploy/serve/tutor_page/index.html", "text/html"),
    "/style.css": ("report/templates/style.css", "text/css"),
    "/math.css": ("report/templates/math.css", "text/css"),
    "/tutor.css": ("deploy/serve/tutor_page/tutor.css", "text/css"),
    "/temml.min.js": ("report/vendor/temml.min.js", "text/javascript"),
    "/typeset.js": ("report/templates/typeset.js", "text/javascript"),
    "/tutor.js": ("deploy/serve/tutor_page/tutor.js", "text/javascript"),
}


@dataclass(frozen=True, slots=True)
class _Question:
    """What the page sent: the problem's text, the problem itself where it is the study's."""

    text: str
    problem: Problem | None
    fields: dict[str, Any]


def serve_tutor(
    directory: Path,
    console: Console,
    *,
    port: int,
    host: str = "127.0.0.1",
    mixed: bool = False,
    engine: str = "auto",
    base: str = "",
) -> None:
    """Serve the page until Ctrl-C or SIGTERM, and print its address.

    What was asked by then is answered within a few seconds, or given up.

    Anywhere but on loopback the address holds a token, printed once, without which nothing is
    answered. Raises StoreError for no study, InputError for one without students, EndpointError
    where the port is taken.
    """
    students = find_ladder(directory, mixed)
    backend = backend_of(students[0], engine)
    texts = read_texts(directory, students)
    listener = listen(host, port)
    try:
        console.print("Loading the students ...")
        model = load_model(students[0], base, backend)
        token = "" if is_loopback(host) else new_token()
        with (
            GradingPool(workers=1, kinds=kind_settings(students[0].study.kinds)) as pool,
            LevelAnswering(model, texts.students) as answering,
        ):
            threading.Thread(target=pool.start, daemon=True).start()
            address = _address(host, listener.getsockname()[1], token)
            levels = ", ".join(texts.students)
            told = f"The tutor of {texts.study.name} ({levels}) is at {address}\n"
            if token:
                told += "Whoever has this address may use it, and its traffic is not encrypted.\n"
            told += "Ctrl-C ends it."
            run_until_stopped(
                AccessMiddleware(create_tutor(texts, answering, pool), token),
                listener,
                lambda: console.print(told, highlight=False, markup=False, soft_wrap=True),
                patience_s=_PATIENCE_S,
            )
    finally:
        listener.close()


def create_tutor(texts: TutorTexts, answering: LevelAnswering, pool: GradingPool) -> Starlette:
    """Return the app behind the page: the page's files, the study's texts, answers and verdicts."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    overview = texts.overview()

    async def study(request: Request) -> Response:
        return JSONResponse(overview)

    async def problem(request: Request) -> Response:
        shown = texts.problem(request.query_params.get("id", ""))
        if shown is None:
            return JSONResponse(error_body("the study has no such problem", "not_found"), 404)
        return JSONResponse(shown)

    async def answer(request: Request) -> Response:
        asked = await _read(request, texts)
        level = _field(asked.fields, "level")
        if level not in texts.students:
            raise BadRequest(404, "not_found", f"there is no student of level {level!r}")
        events = _events(answering, pool, level, asked)
        return StreamingResponse(events, media_type="text/event-stream")

    async def compare(request: Request) -> Response:
        asked = await _read(request, texts)
        said, own = _field(asked.fields, "said"), _field(asked.fields, "own")
        found = await run_in_threadpool(compare_own, pool, asked.text, said, own, asked.problem)
        return JSONResponse(found)

    return Starlette(
        routes=[
            *(Route(path, _file(*of), methods=["GET"]) for path, of in _FILES.items()),
            Route("/study", study, methods=["GET"]),
            Route("/problem", problem, methods=["GET"]),
            Route("/answer", answer, methods=["POST"]),
            Route("/compare", compare, methods=["POST"]),
        ],
        exception_handlers={404: lost, 405: lost, BadRequest: _refused, InputError: _refused},
    )


def _file(path: str, media_type: str) -> Callable[[Request], Response]:
    """Return what answers with a file of the package."""
    from starlette.responses import Response

    content = (files("potstill") / path).read_bytes()
    return lambda request: Response(content, media_type=media_type)


async def _refused(request: Request, exc: Exception) -> Response:
    from starlette.responses import JSONResponse

    status = exc.status if isinstance(exc, BadRequest) else 400
    code = exc.code if isinstance(exc, BadRequest) else "invalid_field"
    return JSONResponse(error_body(str(exc), code), status)


async def _read(request: Request, texts: TutorTexts) -> _Question:
    """Return what a POST of the page holds. Raises BadRequest for anything else.

    JSON alone is taken: another site's page cannot send that here without asking first.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise BadRequest(415, "not_json", "the request's type must be application/json")
    try:
        fields = json.loads(await read_body(request))
    except (ValueError, RecursionError) as exc:
        raise BadRequest(400, "invalid_json", "the request is not JSON") from exc
    if not isinstance(fields, dict):
        raise BadRequest(400, "invalid_json", "the request is not a JSON object")
    if "problem" not in fields:
        return _Question(_field(fields, "text"), None, fields)
    problem = texts.problems.get(_field(fields, "problem"))
    if problem is None:
        raise BadRequest(404, "not_found", "the study has no such problem")
    return _Question(problem.text, problem, fields)


def _field(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadRequest(400, "missing_field", f"{name} must be a text")
    return value


async def _events(
    answering: LevelAnswering, pool: GradingPool, level: str, asked: _Question
) -> AsyncIterator[bytes]:
    """Yield the answer as it comes, then how it ended and, where there is a key, the verdict."""
    from starlette.concurrency import run_in_threadpool

    started = 0.0
    text, finish, tokens = "", Finish.STOP, 0
    try:
        async for part in answering.answer(level, asked.text):
            started = started or time.monotonic()
            if isinstance(part, Piece):
                yield event_bytes({"piece": part.text})
            else:
                text, finish, tokens = part.text, part.finish, part.tokens_out
        seconds = time.monotonic() - started
        verdict = None
        # what a study directory holds is untrusted: nothing of it is run
        if asked.problem is not None and not runs_code(asked.problem):
            verdict = await run_in_threadpool(grade_text, pool, asked.problem, text, finish)
    except PotstillError as exc:  # the stream has begun: its error is an event too
        yield event_bytes({"error": str(exc)})
        return
    end = {"finish": finish.value, "words": count_words(text), "tokens": tokens}
    yield event_bytes({"end": end | {"seconds": round(seconds, 2), "verdict": verdict}})


def _address(host: str, port: int, token: str) -> str:
    """Return where a browser finds the page; every address of this machine is named by its name."""
    name = socket.gethostname() if host in ("0.0.0.0", "") else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
