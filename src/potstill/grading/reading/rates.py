"""What a number is so many of: per hour, a day, weekly, for each of several."""

from __future__ import annotations

import re

from potstill.grading.maths.quantities import RATE_WORDS
from potstill.grading.reading.numerals import Numeral

__all__ = ["rate_of"]

_PERIOD = r"(?P<period>second|minute|hour|day|night|morning|evening|week|weekend|month|year)"
_ADVERB = rf"(?P<adverb>{'|'.join(RATE_WORDS)})"
_BEHIND = re.compile(
    rf"\b(?:(?:per|each|every|in\s+one|an?)\s+{_PERIOD}|{_ADVERB}|(?:per\s+|(?<=[a-z])/)(?P<thing>[a-z]+))\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"\b(?:(?:per|each|every|in\s+(?:an?|one))\s+{_PERIOD}|{_ADVERB})\b", re.IGNORECASE
)
# "Every hour, it climbs 42 feet."
_OPENING = re.compile(
    rf"(?:(?:so|and|thus|therefore),?\s+)?(?:each|every|per|in\s+(?:an?|one))\s+{_PERIOD},",
    re.IGNORECASE,
)
# "a total of 42", "12 years old": no rate, whatever is said of days beside it.
_NO_RATE = re.compile(
    r"\b(?:totals?|altogether|in\s+all|old|age|after|until|later|ago|once|twice|left|remain\w*|will\s+be)\b",
    re.IGNORECASE,
)
_IN_TIME = re.compile(r"\s*-?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|times?)\b")


def rate_of(text: str, numeral: Numeral, numerals: list[Numeral], clause: str) -> str:
    """Return "per hour" where a number of a sentence is so many per hour, "" where it is none.

    ``clause`` is the clause of the number. A rate belongs to the number before it, or to the first
    one behind it.
    """
    start = text.find(clause)
    if (opening := _OPENING.match(text)) is not None and opening.end() == start:
        start, clause = 0, opening.group() + clause
    if start < 0 or _NO_RATE.search(clause):
        return ""
    inside = [n for n in numerals if start <= n.start < start + len(clause)]
    at = inside.index(numeral) if numeral in inside else -1
    if at < 0:
        return ""
    end = inside[at + 1].start if at + 1 < len(inside) else start + len(clause)
    found = _BEHIND.search(text, numeral.end, end)
    if found is None and at == 0 and not _IN_TIME.match(text, numeral.end):
        found = _BEFORE.search(text, start, numeral.start)
    if found is None:
        return ""
    named = found.groupdict()
    adverb = (named["adverb"] or "").lower()
    return f"per {RATE_WORDS.get(adverb) or (named['period'] or named['thing']).lower()}"
