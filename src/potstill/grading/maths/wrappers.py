"""What an answer is handed over in: an object, a line of hashes, a fence, the name of a point."""

from __future__ import annotations

import json
import re

__all__ = ["unwrapped_answer", "without_point_name"]

_NAMES = frozenset(["answer", "final_answer", "final answer", "finalanswer", "result"])
_HASHES = re.compile(r"^\s*#{2,6}(?:\s*(?:final\s+)?answer\s*[:=])?\s*(?=[^\s#])", re.IGNORECASE)
_FENCE = re.compile(r"^\s*```[a-z]{0,10}\s*\n?([^`]{1,1500})```\s*$")


# "D(0,1)", "D = (0,1)", "point D at (0, 1)"; the name and then the coordinates.
_POINT = re.compile(
    r"^(?P<head>\s*\$?\s*(?:(?:the\s+)?point\s+)?\$?)"
    r"(?P<name>[A-Z](?:'|_\{?\d\}?)?)\$?(?:\\[,;: ]|\s)*"
    r"(?:(?:is\s+)?(?:at\s+)|=\s*)?\$?\s*(?:\\left\s*)?"
    r"(?P<point>\([^()=]{1,60},[^()=]{1,60}\)\s*\$?\s*)$"
)


def without_point_name(key: str, answer: str) -> tuple[str, str] | None:
    """Return the coordinates that both sides give a point, where they call it alike.

    None where neither names a point, or where they name two.
    """
    one, two = _POINT.match(key), _POINT.match(answer)
    if two is None:
        return None
    if one is not None:
        same = one.group("name") == two.group("name")
        return (one.group("point"), two.group("point")) if same else None
    if re.match(r"^\s*\$?\s*\(.*,.*\)\s*\$?\s*$", key) is None:
        return None
    return key, two.group("point")


def unwrapped_answer(text: str) -> str:
    """Return an answer without the object, the hashes or the fence around it; the text itself
    otherwise.

    An object that names its answer twice is no answer and stays as it is.
    """
    if "`" in text and (fenced := _FENCE.match(text)) is not None:
        text = fenced.group(1).strip()
    if "#" in text:
        text = _HASHES.sub("", text, count=1)
    start = text.lstrip()[:1]
    return _from_object(text) if start == "{" and ":" in text else text


def _from_object(text: str) -> str:
    found: list[object] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        found.extend(value for name, value in pairs if name.strip().lower() in _NAMES)

    if '"' not in text:
        text = text.replace("'", '"')
    try:
        json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return text
    if len(found) != 1:
        return text
    value = found[0]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) and value.strip() else text
