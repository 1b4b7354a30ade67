"""Server-sent events put together: the chat.completion that a stream of chunks adds up to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from potstill.solvers.parse import (
    NotAReply,
    ending_of,
    graver,
    parts_of,
    read_object,
    refuse_errors,
)
from potstill.solvers.usage import usage_in

__all__ = ["Assembly"]

_MOST_LINES = 1_000  # of one event
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Assembly:
    """Takes the bytes of a stream as they come.

    An event that comes twice byte for byte in a row is dropped only where it carries an id of its
    own (SSE ``id:``); deltas repeat legitimately ("ha" "ha"), so equal text is never enough.
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []  # the beginning of a line, in the pieces it came in
        self._head: dict[str, Any] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._index: Any = None
        self._finish = ""
        self._usage: Mapping[str, Any] | None = None
        self._event = b""
        self._event_id = b""
        self._last = (b"", b"")
        self._returned = self._begun = self._counted = False
        self._data: list[bytes] = []  # the lines of an event whose JSON is not whole yet
        self.done = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, however they were cut.

        Raises NotAReply for an error among the events.
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
        # The end of the stream, or the counts that come after all text, say that it is whole.
        if not self._finish and not self.done and not self._counted:
            raise NotAReply("the stream ended before its finish_reason")
        if not self._begun:
            raise NotAReply("no choices in the stream")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._refusal:
            message["refusal"] = "".join(self._refusal)
        body = self._head | {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": self._finish or None}],
        }
        if self._usage is not None:
            body["usage"] = self._usage
        # A character outside the plane may have come in two halves.
        text = json.dumps(body, ensure_ascii=False)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.encode("utf-8", "replace")

    def _line(self, line: bytes) -> None:
        line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                self._take_event()
            self._event = b""
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
            self._chunk({"error": _object_or_text(value)})
        # what is left are comments (keep-alives) and retry:

    def _more(self, data: bytes) -> None:
        """Take one more line of an event; JSON may be spread over several of them."""
        if not self._data and data.strip(b'"') == b"[DONE]":
            self.done = True
            return
        if not data and not self._data:
            return
        self._data.append(data)
        try:
            read_object(b"\n".join(self._data))
        except NotAReply:
            if len(self._data) < _MOST_LINES and not data.startswith(b"<"):
                return
        self._take_event()

    def _take_event(self) -> None:
        data, self._data = b"\n".join(self._data), []
        event_id, self._event_id = self._event_id, b""
        if event_id and (event_id, data) == self._last:
            return
        self._last = (event_id, data)
        chunk = read_object(data)
        self._chunk({"error": chunk} if self._event == b"error" and "error" not in chunk else chunk)

    def _chunk(self, chunk: Mapping[str, Any]) -> None:
        refuse_errors(chunk)
        choices = chunk.get("choices")
        listed = [c for c in choices if isinstance(c, Mapping)] if isinstance(choices, list) else []
        usage = usage_in(chunk, listed)
        self._usage = usage or self._usage
        self._counted |= self._begun and bool(usage) and not listed
        if not self._head:
            self._head = {k: chunk[k] for k in ("id", "created", "model") if k in chunk}
        for choice in listed:
            if not self._begun:
                self._begun, self._index = True, choice.get("index", 0)
            if choice.get("index", 0) == self._index:
                self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        refuse_errors(choice)
        delta, whole = choice.get("delta"), choice.get("message")
        if isinstance(delta, Mapping) and any(delta.values()):
            self._append(delta)
        elif isinstance(whole, Mapping):
            self._append_whole(whole)
        elif isinstance(choice.get("text"), str):
            self._text.append(choice["text"])
        # Some send "" or a word of their own in every chunk, or "stop" in the middle: what ends a
        # reply is the end of its stream, and the gravest word says how.
        self._finish = graver(ending_of(choice), self._finish)

    def _append(self, delta: Mapping[str, Any]) -> None:
        parts = zip((self._text, self._reasoning, self._refusal), parts_of(delta), strict=True)
        for kept, more in parts:
            if more:
                kept.append(more)

    def _append_whole(self, message: Mapping[str, Any]) -> None:
        """Take a message that holds all that was said so far, as some send it at the end."""
        parts = zip((self._text, self._reasoning, self._refusal), parts_of(message), strict=True)
        for kept, whole in parts:
            said = "".join(kept)
            if whole and whole != said:
                kept[:] = [whole] if whole.startswith(said) else [said, whole]


def _object_or_text(value: bytes) -> Any:
    try:
        return read_object(value)
    except NotAReply:
        return value.decode("utf-8", "replace") or "an error without a word"
