"""Hypothesis strategies that spoil a valid input: its bytes, its text, or one value deep inside."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

HOSTILE_TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\x1b[2J\x9b31m",
    "\u202e\ufeff",
    "../../../../etc/passwd",
    "/etc/passwd",
    "~root/x",
    "file:///etc/passwd",
    "<script>alert(1)</script>",
    "{problem}{problem.__class__}%s%(x)s",
    "${HOME}",
    "${",
    "9" * 5_000,
    "1e999",
    "a" * 70_000,
    "NaN",
    "!!python/object/apply:os.system [id]",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE replies; --",
    "é" * 300,
)
HOSTILE_NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf"), True, False),
)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, [], {}, [[]], {"": {}}, [None], [{}], {"a": None}, _nested(60)),
    *HOSTILE_TEXTS,
    *HOSTILE_NUMBERS,
)
_TOKENS = (
    *(b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\n", b"\r", b"\r\n\r\n", b"\xef\xbb\xbf", b"'"),
    *(
        b'"',
        b"\\",
        b"\\ud800",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b": ",
        b"- ",
        b"#",
        b"&a ",
        b"*a",
    ),
    *(b"null", b"true", b"NaN", b"Infinity", b"-", b"1e999", b"9" * 5_000, b"0x", b"2001-99-99"),
    *(
        b"!!binary x",
        b"!!timestamp 1",
        b"!!python/name:os.system",
        b"? ",
        b"<<: *a",
        b"%TAG",
        b"---\n",
    ),
    *(
        b"[" * 3_000,
        b'{"a":' * 3_000,
        b"\x00" * 64,
        b"../",
        b"data: ",
        b"data: [DONE]\n\n",
        b"id: 1\n",
    ),
    *(b"</think>", b"\\boxed{", b"Verdict: CORRECT", b"\xf0\x9f\x98\x80", b"\xe2\x80\xae"),
)


@st.composite
def spoiled_bytes(draw: st.DrawFn, seeds: Sequence[bytes], edits: int = 4) -> bytes:
    """Draw a seed with up to ``edits`` places cut, doubled, flipped, or with a token put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, edits))):
        at = draw(st.integers(0, max(0, len(data))))
        match draw(st.integers(0, 5)):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = draw(st.sampled_from(_TOKENS))
            case 3:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 4:
                length = draw(st.integers(1, 200))
                data[at:at] = data[max(0, at - length) : at]
            case _:
                data[at:at] = draw(st.binary(max_size=12))
    return bytes(data)


@st.composite
def mangled(draw: st.DrawFn, documents: Sequence[Any], edits: int = 3) -> Any:
    """Draw a document with up to ``edits`` values replaced, taken out, doubled or added."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, edits))):
        places = places_in(document)
        if not places:
            return draw(st.sampled_from(HOSTILE_VALUES))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.integers(0, 5)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(st.sampled_from(HOSTILE_TEXTS))] = holder[key]
            case 1:
                holder.append(copy.deepcopy(holder[key]))
            case 2:
                other, name = places[draw(st.integers(0, len(places) - 1))]
                holder[key] = copy.deepcopy(other[name])
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(HOSTILE_VALUES)))
    return document


def places_in(document: Any) -> list[tuple[Any, Any]]:
    """List every value of a plain document as its holder and its key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting and len(found) < 2_000:
        holder = waiting.pop()
        keys = range(len(holder)) if isinstance(holder, list) else list(holder)
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def json_bytes(document: Any) -> bytes:
    """Write a document as JSON, whatever it holds: any number, half characters, NaN."""
    return _dumps(document).encode("utf-8", "surrogatepass")


def _dumps(value: Any) -> str:
    # json.dumps refuses integers of more than 4,300 digits; a stranger's file does not
    if isinstance(value, bool) or value is None or isinstance(value, float | str):
        return json.dumps(value, ensure_ascii=isinstance(value, str) and "\ud800" in value)
    if isinstance(value, int):
        return "1" + "0" * 4_999 if value > 10**300 else str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k))}:{_dumps(v)}" for k, v in value.items()) + "}"
    return "[" + ",".join(map(_dumps, value)) + "]"


def mangled_json(documents: Sequence[Any], edits: int = 3) -> st.SearchStrategy[bytes]:
    """Draw JSON of which values are spoiled, or whose bytes are."""
    whole = [json_bytes(document) for document in documents]
    return st.one_of(mangled(documents, edits).map(json_bytes), spoiled_bytes(whole))
