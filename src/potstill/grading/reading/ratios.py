"""The ratio that a sentence states, in the order in which the question asks for it."""

from __future__ import annotations

import re
from fractions import Fraction

from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.sentences import stem
from potstill.grading.reading.surroundings import is_denied

__all__ = ["ratio_stated"]

_NUMBER = r"\d+(?:\.\d+)?"
_RATIO = re.compile(
    rf"(?<![\d.:]){_NUMBER}(?:\s?:\s?{_NUMBER})+(?![\d:])"
    rf"|(?<![\d.]){_NUMBER}(?:\s+to\s+{_NUMBER})+(?!\d)"
)
_FOR_EVERY = re.compile(
    rf"(?i)\bfor\s+(?:every|each)\s+(?P<n>{_NUMBER})\s+(?P<a>[a-z]+),?\s+(?:there\s+(?:is|are|were)|we\s+have)"
    rf"\s+(?P<m>{_NUMBER})\s+(?P<b>[a-z]+)"
)
_EVERY_BEHIND = re.compile(
    rf"(?i)\b(?P<n>{_NUMBER})\s+(?P<a>[a-z]+)\s+(?:for|to)\s+(?:every|each)\s+(?P<m>{_NUMBER})\s+(?P<b>[a-z]+)"
)
_ORDER = re.compile(
    r"(?i)\b(?:ratio\s+of\s+)?(?:the\s+)?(?:number\s+of\s+)?(?P<a>[a-z]+)\s+to\s+(?:the\s+)?"
    r"(?:number\s+of\s+)?(?P<b>[a-z]+)"
)


def ratio_stated(text: str, question: AskedQuestion) -> tuple[str, tuple[str, ...]]:
    """Return the ratio that a sentence states, and the several that it leaves open."""
    asked = _order(question.asked)
    for pattern in (_FOR_EVERY, _EVERY_BEHIND):
        if (every := pattern.search(text)) is not None:
            given = stem(every["a"]), stem(every["b"])
            if asked is None or set(given) != set(asked):
                return "", ()
            named = (every["n"], every["m"])
            return ":".join(named if given == asked else named[::-1]), ()
    found = [m for m in _RATIO.finditer(text) if not is_denied(text, m.start())]
    if not found:
        return "", ()
    values = {_reduced(match.group()) for match in found}
    if len(values) > 1:
        return "", tuple(match.group() for match in found)
    sides = tuple(re.split(r"\s*:\s*|\s+to\s+", found[-1].group()))
    given_order = _order(text)
    if len(sides) == 2 and given_order and asked and given_order == asked[::-1]:
        sides = sides[::-1]
    return ":".join(sides), ()


def _order(text: str) -> tuple[str, str] | None:
    """Return the stems of "boys to girls" in their order, None where no two things are named."""
    found = _ORDER.search(text)
    return (stem(found["a"]), stem(found["b"])) if found is not None else None


def _reduced(ratio: str) -> tuple[Fraction, ...]:
    sides = [Fraction(side) for side in re.findall(_NUMBER, ratio)]
    return tuple(side / sides[0] if sides[0] else side for side in sides)
