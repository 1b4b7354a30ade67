"""The ``\\boxed`` values of a text: with braces and without, side by side, open."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

__all__ = ["boxed_values", "boxes_in", "has_open_box"]

MOST_BOXES = 64
_BOX = re.compile(
    r"(?:\\|(?<![A-Za-z\\]))f?boxed\s*(?=\{)|\\f?boxed\s*(?=[^\s{A-Za-z])|\\f?boxed\s+(?=[A-Za-z])"
)
# What a box without braces holds: TeX takes one token, whoever writes it means the value.
_UNBRACED = re.compile(
    r"[-+]?\s?(?:\\[dt]?frac\s?(?:\{[^{}]*\}|\d)\s?(?:\{[^{}]*\}|\d)|\\sqrt\s?(?:\{[^{}]*\}|\d)|"
    r"\\[A-Za-z]+|"
    r"\d+(?:,\d{3})*(?:\.\d+)?%?|\([^()$\n]{1,60}\)|.)"
)
_JOINTS = re.compile(
    r"(?i)^[\s$\\()\[\].,;:!]*(?:(?:and|or|,|;|\\text\s?\{\s*(?:and|or)\s*\}|as well as|"
    r"\\quad|\\qquad|[a-z]\s?(?:_\{?\w\}?)?\s?=|\$)[\s$\\()\[\].,;:!]*){0,6}$"
)


def boxed_values(text: str) -> list[tuple[str, int, int]]:
    """Return the last complete ``\\boxed`` values that stand side by side, with where they start
    and end.

    Side by side are boxes with nothing but "and", commas or a variable's name between them.
    """
    found: list[tuple[str, int, int]] = []
    # The last ones count; a text of nothing but open boxes must not cost more.
    for match in deque(boxes_in(text), maxlen=MOST_BOXES):
        start = match.end()
        if text[start] == "{":
            end = _closing(text, start)
            value = text[start + 1 : end - 1] if end is not None else ""
        else:
            inside = _UNBRACED.match(text, start)
            end = inside.end() if inside else None
            value = inside.group() if inside else ""
        if end is not None and value.strip() and not (found and match.start() < found[-1][2]):
            found.append((value.strip(), match.start(), end))
    group: list[tuple[str, int, int]] = []
    for box in reversed(found):
        if group:
            between = text[box[2] : group[-1][1]]
            if len(between) > 80 or not _JOINTS.match(between):
                break
        group.append(box)
    return group[::-1]


def boxes_in(text: str) -> Iterator[re.Match[str]]:
    """Yield where boxes begin: looking for their name first is cheaper than the pattern."""
    at = 0
    while (found := text.find("boxed", at)) >= 0:
        starts = range(max(at, found - 2), found + 1)
        match = next(filter(None, (_BOX.match(text, start) for start in starts)), None)
        if match is not None:
            yield match
        at = match.end() if match is not None else found + 5


def has_open_box(text: str) -> bool:
    """Return whether the last ``\\boxed`` of a text never closes."""
    last = deque(boxes_in(text), maxlen=1)
    if not last:
        return text.rstrip().endswith(("\\boxed", "\\fbox"))
    return text[last[0].end()] == "{" and _closing(text, last[0].end()) is None


def _closing(text: str, start: int) -> int | None:
    """Return the index behind the brace that closes the one at ``start``; boxes are short, so
    bounded.
    """
    depth, index = 0, start
    limit = min(len(text), start + 4_000)
    while index < limit:
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index + 1
        index += 1
    return None
