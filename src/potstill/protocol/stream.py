"""Server-sent events put together: the chat.completion that a stream of chunks adds up to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from potstill.ledger.finishes import ending_of, finish_of, graver, is_known
from potstill.ledger.usage import merged, usage_in
from potstill.protocol.endpoint_errors import ErrorKind
from potstill.protocol.parse import breaks_off, parts_of
from potstill.protocol.shapes import NotAReply, index_of, no_choices, read_object, refuse_errors
from potstill.records import Finish

__all__ = ["Assembly"]

_MOST_LINES = 1_000  # of one event
_LEAST_CUMULATIVE = 16  # characters of a text, below which "=", "==", "===" may be said in turn
_LEAST_TWICE = 8  # pieces, below which a text may say everything twice ("ha" "ha")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class _Choice:
    """What one choice of a stream has said so far."""

    def __init__(self) -> None:
        # content, reasoning, refusal, in pieces, each with whether its event came a second time
        self._parts: tuple[list[tuple[str, bool]], ...] = ([], [], [])
        self.finish = ""
        self._words: set[str] = set()
        self._passed: set[str] = set()  # that text came after
        self._latest = ""  # that no text came after

    @property
    def spoke(self) -> bool:
        """Whether it said anything yet."""
        return any(self._parts)

    @property
    def closed(self) -> bool:
        """Whether it said how it ended, and nothing since."""
        return bool(self._latest) and (is_known(self._latest) or self._latest not in self._passed)

    @property
    def ended(self) -> bool:
        """Whether that is certain however its stream broke: some say "stop" all the time."""
        if not is_known(self._latest) or self._latest in self._passed:
            return False
        return finish_of(self._latest) is not Finish.STOP or self.spoke

    def said(self, *, repeats: bool = True) -> tuple[str, str, str]:
        """Return content, reasoning and refusal, with or without what came a second time."""
        content, reasoning, refusal = (
            _joined([piece for piece, again in part if repeats or not again])
            for part in self._parts
        )
        return content, reasoning, refusal

    def take(self, choice: Mapping[str, Any], again: bool) -> bool:
        """Take a chunk's part of it; return whether it said more."""
        refuse_errors(choice)
        said = self._append(choice, again)
        if said and not again:
            self._passed |= self._words
            self._latest = ""
        # Some send "" or a word of their own in every chunk, or "stop" in the middle: what ends a
        # reply is the end of its stream, and the gravest word says how.
        word = ending_of(choice)
        if word:
            self._words.add(word)
            self._latest = word
        self.finish = graver(word, self.finish)
        return said

    def _append(self, choice: Mapping[str, Any], again: bool) -> bool:
        delta, whole = choice.get("delta"), choice.get("message")
        if not isinstance(delta, Mapping):
            delta = {"content": delta or choice.get("text")}
        more = parts_of(delta, choice)
        if isinstance(whole, Mapping) and not any(parts_of(delta)):
            more = self._beyond(parts_of(whole, choice))
        for part, piece in zip(self._parts, more, strict=True):
            if piece:
                part.append((piece, again))
        return any(more)

    def _beyond(self, whole: tuple[str, str, str]) -> tuple[str, str, str]:
        """Return what a message adds that holds all that was said so far, as some send it."""
        said = zip(whole, self.said(), strict=True)
        content, reasoning, refusal = (new.removeprefix(old) for new, old in said)
        return content, reasoning, refusal


def _joined(pieces: Sequence[str]) -> str:
    """Return the text that pieces make: the last where each holds all that came before it, as some
    send it who do not stream increments; one of two where every piece comes twice.
    """
    if len(pieces) >= _LEAST_TWICE and pieces[::2] == pieces[1::2]:
        pieces = pieces[::2] if len(set(pieces)) >= _LEAST_TWICE // 2 else pieces
    if len(pieces) > 2 and len(pieces[-1]) >= _LEAST_CUMULATIVE:
        pairs = list(pairwise(pieces))
        grows = any(len(new) > len(old) for old, new in pairs)
        if grows and all(new.startswith(old) for old, new in pairs):
            return pieces[-1]
    return "".join(pieces)


class Assembly:
    """Takes the bytes of a stream as they come, server-sent events or a JSON object to a line.

    An event that comes a second time byte for byte is dropped only where it carries an id of its
    own (SSE ``id:``) that no other event has; deltas repeat legitimately ("ha" "ha"), so equal text
    is never enough.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []  # the beginning of a line, in the pieces it came in
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Mapping[str, Any] | None = None
        self._event = b""
        self._event_id = b""
        self._ids: dict[bytes, int] = {}  # of each, what its event held
        self._ids_shared = False
        self._foreign: Mapping[str, Any] | None = None  # an event without choices
        self._returned = self._counted = False
        self._unplaced = False  # whether the one choice so far never said its index
        self._data: list[bytes] = []  # the lines of an event whose JSON is not whole yet
        self.done = False

    @property
    def ended(self) -> bool:
        """Whether the reply is whole, however its stream ends: what still comes are counts."""
        return self.done or self._choice.ended

    @property
    def speaks(self) -> bool:
        """Whether a word has come."""
        return any(choice.spoke for choice in self._choices.values())

    @property
    def _choice(self) -> _Choice:
        """The one choice of the reply: the first by its index that says something."""
        by_index = sorted(self._choices.items())
        speaking = (choice for _, choice in by_index if choice.spoke)
        return next(speaking, by_index[0][1] if by_index else _Choice())

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, however they were cut.

        Raises NotAReply for an error among the events of a reply that is not whole.
        """
        if not data:
            return
        if self._returned:  # "\r\n" that came in two pieces ends one line
            data = data.removeprefix(b"\n")
        self._returned = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._line(b"".join([*self._pending, line]))
            self._pending = []
        if rest:
            self._pending.append(rest)

    def raw(self) -> bytes:
        """Return the assembled body.

        Raises NotAReply where the stream ended before it was whole.
        """
        if self._pending:
            self._returned = False
            self.feed(b"\n")
        if self._data:
            self._take_event()
        choice = self._choice
        content, reasoning, refusal = choice.said(repeats=self._ids_shared)
        # The end of the stream, or the counts that come after all text, say that it is whole.
        counted = self._counted and not breaks_off(content or reasoning)
        if self._foreign is not None and not self._choices:
            raise no_choices(self._foreign)
        if not (self.done or choice.closed or counted):
            raise NotAReply("the stream ended before its finish_reason")
        if not self._choices:
            raise NotAReply("no choices in the stream")
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if reasoning:
            message["reasoning_content"] = reasoning
        if refusal:
            message["refusal"] = refusal
        body = self._head | {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": choice.finish or None}],
        }
        if self._usage is not None:
            body["usage"] = self._usage
        # A character outside the plane may have come in two halves.
        text = json.dumps(body, ensure_ascii=False)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.encode("utf-8", "replace")

    def _line(self, line: bytes) -> None:
        if self.done:
            return
        line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                self._take_event()
            self._event = b""
            return
        if line.startswith(b"{"):  # JSON Lines
            self._more(line)
            return
        field, _, value = line.partition(b":")
        value = value.strip()
        if field == b"id":
            self._event_id = value
        elif field == b"event":
            self._event = value
        elif field == b"data":
            self._more(value)
        elif field == b"error":  # llama.cpp's server
            self._taken({"error": _object_or_text(value)})
        # what is left are comments (keep-alives) and retry:

    def _more(self, data: bytes) -> None:
        """Take one more line of an event; JSON may be spread over several of them."""
        if not self._data and data.strip(b'"\0 ').upper() == b"[DONE]":
            self.done = True
            return
        if not data and not self._data:
            return
        self._data.append(data)
        try:
            chunk = read_object(b"\n".join(self._data))
        except NotAReply:
            if len(self._data) >= _MOST_LINES or data.startswith(b"<"):
                self._take_event()
        else:
            self._take_event(chunk)

    def _take_event(self, chunk: Mapping[str, Any] | None = None) -> None:
        data, self._data = b"\n".join(self._data), []
        event_id, self._event_id = self._event_id, b""
        again = event_id in self._ids and self._ids[event_id] == hash(data)
        self._ids_shared |= event_id in self._ids and not again
        if event_id:
            self._ids[event_id] = hash(data)
        try:
            chunk = read_object(data) if chunk is None else chunk
        except NotAReply:
            if self.ended:
                return
            raise
        in_error = self._event == b"error" and "error" not in chunk
        self._taken({"error": chunk} if in_error else chunk, again)

    def _taken(self, chunk: Mapping[str, Any], again: bool = False) -> None:
        try:
            self._chunk(chunk, again)
        except RecursionError as exc:
            raise NotAReply("JSON that is nested too deep", final=True) from exc
        except NotAReply as exc:
            if not self.ended:
                raise
            # An error behind a whole reply is no reason to pay for it again.
            if exc.error is not None and exc.error.kind is ErrorKind.PROMPT:
                self._choice.finish = graver("content_filter", self._choice.finish)
            self.done = True

    def _chunk(self, chunk: Mapping[str, Any], again: bool) -> None:
        refuse_errors(chunk)
        choices = chunk.get("choices")
        held = choices if isinstance(choices, list) else [choices]
        listed = [choice for choice in held if isinstance(choice, Mapping)]
        if not self._head:
            self._head = {k: chunk[k] for k in ("id", "created", "model") if k in chunk}
        if "choices" not in chunk:
            self._foreign = chunk
        said = [self._place(choice, at).take(choice, again) for at, choice in enumerate(listed)]
        usage = usage_in(chunk, listed)
        self._usage = merged(self._usage, usage)
        if any(said):
            self._counted = False
        elif usage and self._choices and not listed:
            self._counted = True
        self.done |= chunk.get("done") is True  # Ollama's own

    def _place(self, choice: Mapping[str, Any], at: int) -> _Choice:
        """Return where a chunk's part goes: one without an index to the only choice there is."""
        index = index_of(choice)
        if index is None:
            index = next(iter(self._choices)) if len(self._choices) == 1 and not at else at
            self._unplaced |= not self._choices
        elif self._unplaced:
            self._choices, self._unplaced = {index: next(iter(self._choices.values()))}, False
        return self._choices.setdefault(index, _Choice())


def _object_or_text(value: bytes) -> Any:
    try:
        return read_object(value)
    except NotAReply:
        return value.decode("utf-8", "replace") or "an error without a word"
