"""Recorded replies as a solver: in this process, or over real HTTP as any endpoint is asked.

A recording is a table (csv, jsonl, parquet, ``messages`` JSONL) or another study's ledger. A
question that it does not hold is answered with the API's own not-found error and counts as not
asked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, model_validator

from potstill.chat import Ask, Completion, Solver, never
from potstill.errors import InputError
from potstill.ledger.finishes import ending_of, finish_of
from potstill.ledger.ledger import (
    NO_RECORD,
    Entry,
    Event,
    Ledger,
    key_of_request,
    now_utc,
    request_json,
)
from potstill.ledger.prices import Price, free
from potstill.plugins import nearest
from potstill.protocol.parse import completion_bytes, completion_from, parse_completion, wire_seed
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion, create_app, serve
from potstill.protocol.shapes import NotAReply
from potstill.solvers.api import ApiSolver, PriceOptions
from potstill.solvers.api import Options as ApiOptions
from potstill.store.rows import as_text, column, place_of_row, read_rows
from potstill.store.settings import Settings
from potstill.store.tables import in_batches
from potstill.store.untrusted import parse_json

__all__ = ["Options", "Recording", "ReplayFile", "ReplaySolver", "check", "open_solver", "price"]

ANY_MODEL = "*"  # a recording that answers for whatever model is asked
_ANCHOR = 24  # characters by which a question is found inside a prompt
_CHUNK = 64
PROVIDER = "replay"


class ReplayFile(Settings):
    """One file of recorded replies and which of its columns say what.

    ``model`` is the one it speaks for ("" for the agent's own). A table needs ``text``; a column of
    chats (``messages``) stands in for question and text; a ``*.sqlite`` ledger needs none.
    ``blank_is_cut`` says that a blank text means the reply was cut at its limit. ``answer`` is for
    recorded verdicts: the column of the answer that was judged; a verdict is replayed for that
    answer alone, and any other answer to the same question has no record.
    """

    path: str = Field(min_length=1, description="The table or ledger.")
    model: str = ""
    question: str = Field(default="question", description="The column of questions.")
    text: str = ""
    reasoning: str = Field(default="", description="The column of reasoning.")
    finish: str = Field(default="", description="The column of finish reasons.")
    messages: str = ""
    answer: str = ""
    blank_is_cut: bool = False

    @model_validator(mode="after")
    def _has_text(self) -> ReplayFile:
        if not (self.text or self.messages or self.path.endswith(".sqlite")):
            raise ValueError("name the column of the recorded replies in text (or messages)")
        return self


class Options(Settings):
    """The settings of a replay: the model it plays, its files, and whether it goes over HTTP."""

    model: str = Field(min_length=1, description="The model it plays.")
    files: list[ReplayFile] = Field(min_length=1, description="The recorded replies.")
    http: bool = Field(
        default=True, description="Whether they are asked for over HTTP, as an endpoint's."
    )
    concurrency: int = Field(default=32, ge=1, le=10_000, description="Calls in flight.")

    def identity(self) -> dict[str, JsonValue]:
        """Return what decides the answers: the model and the files with their columns."""
        return {"model": self.model, "files": [f.model_dump(mode="json") for f in self.files]}


class Recording:
    """Recorded replies by model and question; see :meth:`reply`."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Completion] = {}
        self._questions: dict[str, _Questions] = defaultdict(_Questions)
        self.size = 0

    @classmethod
    def read(cls, files: Iterable[ReplayFile], model: str = "") -> Recording:
        """Return the recording in some files; ``model`` is whose replies they are unless they say
        so.

        Raises InputError naming the file, the line and the nearest column where one is missing.
        """
        recording = cls()
        for file in files:
            recording.add(file, model)
        return recording

    @property
    def models(self) -> list[str]:
        """The models that it has replies of."""
        return sorted(self._questions)

    def add(self, file: ReplayFile, model: str = "") -> None:
        """Add the file's replies to the recording; the first of equal questions is kept."""
        path = Path(file.path).expanduser()
        if path.suffix == ".sqlite":
            self._add_ledger(path, file.model)
            return
        asked = 0
        for question, answer, reply in _rows(path, file):
            if question:
                asked += 1
                self._add(file.model or model, question, reply, answer)
        if not asked:
            raise InputError(f"{path} holds no recorded reply; check its columns.")

    def reply(self, request: ChatRequest) -> Completion:
        """Return the recorded reply to a chat, looked up by its model and then by its question.

        The same chat with the same sampling first; else the longest recorded question that stands
        in the last user message, blanks collapsed. Raises UnknownQuestion where there is none.
        """
        questions = self._questions.get(request.model) or self._questions.get(ANY_MODEL)
        if questions is None:
            held = ", ".join(self.models)
            raise UnknownQuestion(f"no record of the model {request.model}; there are: {held}")
        exact = self._exact.get((request.model, _chat_key(request.messages, request.seed)))
        if exact is not None:
            return exact
        asked = _last_user(request.messages)
        found = questions.find(_collapsed(asked), _judged_answer(asked))
        if found is None:
            raise UnknownQuestion(f"no record of the question: {asked[:80]!r}")
        return found

    def _add(self, model: str, question: str, reply: Completion, answer: str | None = None) -> None:
        self.size += self._questions[model].add(_collapsed(question), reply, answer)

    def _add_ledger(self, path: Path, only: str) -> None:
        with Ledger.open(path, readonly=True) as ledger:
            for entry in ledger.entries(only or None):
                try:
                    reply = parse_completion(entry.raw)
                except NotAReply:
                    continue
                messages, seed = _asked(entry, path)
                self._exact[entry.model, _chat_key(messages, seed)] = reply
                self._add(entry.model, _last_user(messages), reply)


def _asked(entry: Entry, path: Path) -> tuple[list[Mapping[str, Any]], int]:
    """Return the messages of a ledger's entry and the seed that went over the wire."""
    try:
        asked = parse_json(entry.request)
        messages: list[Mapping[str, Any]] = [dict(turn) for turn in asked["messages"]]
        drawn = (asked["sampling"]["seed"], asked["sample"], asked["attempt"])
        if not all(type(number) is int for number in drawn):
            raise ValueError("a seed that is no number")
    except (ValueError, KeyError, TypeError) as exc:
        raise InputError(
            f"{path}: the request of the reply {entry.key[:16]} cannot be read ({exc}); give a "
            "ledger that potstill wrote."
        ) from exc
    return messages, wire_seed(*drawn)


class _Questions:
    """Finds the longest of many questions that stands in a text, without trying them all."""

    def __init__(self) -> None:
        self._replies: dict[str, dict[str | None, Completion]] = {}
        self._by_anchor: dict[str, list[str]] = defaultdict(list)
        self._short_lengths: set[int] = set()

    def add(self, question: str, reply: Completion, answer: str | None = None) -> bool:
        if question in self._replies:
            return self._replies[question].setdefault(answer, reply) is reply
        self._replies[question] = {answer: reply}
        if len(question) < _ANCHOR:
            self._short_lengths.add(len(question))
        else:
            self._by_anchor[question[:_ANCHOR]].append(question)
        return True

    def find(self, text: str, answer: str) -> Completion | None:
        """Return the reply to the longest question in ``text``: the one on ``answer``, else on
        any.
        """
        replies = self._replies.get(self._question_in(text), {})
        return replies.get(answer) or replies.get(None)

    def _question_in(self, text: str) -> str:
        if text in self._replies:
            return text
        best = ""
        for start in range(len(text) - _ANCHOR + 1):
            for question in self._by_anchor.get(text[start : start + _ANCHOR], ()):
                if len(question) > len(best) and text.startswith(question, start):
                    best = question
        for length in () if best else sorted(self._short_lengths, reverse=True):
            found = (text[i : i + length] for i in range(len(text) - length + 1))
            best = next((part for part in found if part in self._replies), "")
            if best:
                break
        return best


_JUDGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def _judged_answer(text: str) -> str:
    """Return the answer that a judge is asked about, as the judge's prompt holds it."""
    found = _JUDGED.search(text)
    return _collapsed(found[1]) if found else ""


def _collapsed(text: str) -> str:
    return " ".join(text.split())


def _last_user(messages: Iterable[Mapping[str, Any]]) -> str:
    said = [str(m.get("content", "")) for m in messages if m.get("role") == "user"]
    return said[-1] if said else ""


def _chat_key(messages: Iterable[Mapping[str, Any]], seed: int | None) -> str:
    turns = [[m.get("role"), m.get("content")] for m in messages]
    return hashlib.sha256(json.dumps([turns, seed]).encode()).hexdigest()


def _rows(path: Path, file: ReplayFile) -> Iterator[tuple[str, str | None, Completion]]:
    for number, row in read_rows(path):
        where = f"{path}, {place_of_row(path, number)}"
        if file.messages:
            question, text = _chat_of(column(row, file.messages, where), where)
        else:
            question = as_text(column(row, file.question, where))
            text = as_text(column(row, file.text, where))
        reasoning = as_text(column(row, file.reasoning, where)) if file.reasoning else ""
        told = as_text(column(row, file.finish, where)) if file.finish else ""
        word = ending_of({"finish_reason": told})
        finish = finish_of(word or ("length" if file.blank_is_cut and not text else "stop"))
        counts = (_tokens(question), _tokens(reasoning) + _tokens(text))
        judged = _collapsed(as_text(column(row, file.answer, where))) if file.answer else None
        yield question, judged, Completion(text, reasoning, finish, *counts)


def _chat_of(value: Any, where: str) -> tuple[str, str]:
    turns = value if isinstance(value, Sequence) and not isinstance(value, str) else []
    said = {str(t.get("role")): str(t.get("content", "")) for t in turns if isinstance(t, Mapping)}
    if "user" not in said or "assistant" not in said:
        raise InputError(f"{where}: the messages need a user's and an assistant's turn.")
    return said["user"], said["assistant"].strip()


def _tokens(text: str) -> int:
    return (len(text) + 3) // 4  # a recording counted none; four characters a token is usual


class ReplaySolver:
    """A :class:`~potstill.chat.Solver` that answers from a recording in this process."""

    precision = "api"

    def __init__(self, recording: Recording, model: str, ledger: Ledger) -> None:
        self._recording = recording
        self._model = model
        self._ledger = ledger

    @property
    def id(self) -> str:
        """The model whose replies were recorded."""
        return self._model

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield one result per ask; each reply is in the ledger first, as if it had been bought."""
        for chunk in in_batches(asks, _CHUNK):
            results: list[Completion] = []
            fresh: dict[str, Entry] = {}
            for ask in chunk:
                results.append(self._answer(ask, stage, fresh))
            if fresh:
                self._ledger.put_many(list(fresh.values()))
            yield from results

    def _answer(self, ask: Ask, stage: str, fresh: dict[str, Entry]) -> Completion:
        request = request_json(
            *(PROVIDER, self._model, ask.messages, ask.sampling, ask.sample, ask.attempt)
        )
        key = key_of_request(request)
        raw = fresh[key].raw if key in fresh else self._ledger.get(key)
        if raw is None:
            chat = ChatRequest(
                self._model,
                tuple({"role": m.role, "content": m.content} for m in ask.messages),
                seed=wire_seed(ask.sampling.seed, ask.sample, ask.attempt),
            )
            try:
                reply = self._recording.reply(chat)
            except UnknownQuestion as exc:
                event = Event(stage, PROVIDER, self._model, NO_RECORD, str(exc), key)
                self._ledger.note(event)
                return Completion.unasked(ask, key, str(exc))
            raw = completion_bytes(self._model, reply, created=0)
            fresh[key] = Entry(
                *(key, stage, PROVIDER, self._model, request, raw),
                *(reply.tokens_in, reply.tokens_out),
                priced=True,
                created_at=now_utc(),
            )
        return completion_from(ask, key, raw)


def recorded_files(options: Options) -> list[ReplayFile]:
    """Return the recordings of these options, each with the model it answers for."""
    return [
        file.model_copy(update={"model": file.model or options.model}) for file in options.files
    ]


def price(options: Options) -> Price:
    """Return the price of recorded answers: nothing."""
    return free(options.model)


def check(options: Options) -> None:
    """Raise InputError for a recording that cannot be read or holds no reply of the model."""
    _recording(options)


def _recording(options: Options) -> Recording:
    recording = Recording.read(options.files, options.model)
    if options.model not in recording.models and ANY_MODEL not in recording.models:
        near = nearest(options.model, recording.models)
        raise InputError(
            f"its files hold no reply of {options.model!r}{near}; name one of them in "
            "model, or leave out the model of the files."
        )
    return recording


@contextmanager
def open_solver(
    options: Options, ledger: Ledger, *, stop: Callable[[], str] = never
) -> Iterator[Solver]:
    """Yield the replay of these options, over HTTP on this machine unless ``http`` is false."""
    recording = _recording(options)
    if not options.http:
        yield ReplaySolver(recording, options.model, ledger)
        return
    with serve(create_app(recording.reply, recording.models)) as base_url:
        settings = ApiOptions(
            model=options.model,
            base_url=base_url,
            provider=PROVIDER,
            api_key_env="",
            concurrency=options.concurrency,
            price=PriceOptions(input=0.0, output=0.0),
        )
        yield ApiSolver(settings, ledger, stop=stop)
