"""The time of day that a sentence answers, of those that it names."""

from __future__ import annotations

import re

from potstill.grading.maths.clock import read_time, spoken_times_in_digits
from potstill.grading.reading.belonging import says_opposite
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.sentences import words_of

__all__ = ["time_stated"]

_TIME = re.compile(
    r"(?<![\d:.])\d{1,2}(?::\d{2}(?::\d{2})?(?:\s*[ap]\.?\s?m\b\.?)?|\s*[ap]\.?\s?m\b\.?|"
    r"\s*o['’]?clock(?:\s+(?:in\s+the\s+\w+|at\s+night))?)|\b(?:noon|midnight)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:not|never)|n['’]t)\s+(?:[a-z]+\s+)?(?:at|by|on)?\s*$|\b(?:rather|earlier|later)\s+than\s+$"
    r"|\binstead\s+of\s+$",
    re.IGNORECASE,
)
_SAID_AGAIN = re.compile(
    r"(?:\bi\.e\.,?|\b(?:that\s+is|namely|so|thus|hence|therefore)\b,?)\s*(?:at\s+)?$",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[,;]|\b(?:and|so|but|then|until|which)\b", re.IGNORECASE)


def time_stated(text: str, question: AskedQuestion) -> tuple[str, tuple[str, ...]]:
    """Return the time of day that a sentence answers to a question, and those it leaves open."""
    text = spoken_times_in_digits(text)
    found = [
        m
        for m in _TIME.finditer(text)
        if not (_DENIED.search(text, 0, m.start()) or says_opposite(_part(text, m), question))
    ]
    if len({read_time(match.group()) for match in found}) <= 1:
        return (found[-1].group().strip() if found else ""), ()
    between = text[found[-2].end() : found[-1].start()]
    if "=" in between or _SAID_AGAIN.search(between):
        return found[-1].group().strip(), ()
    shares: dict[float, list[str]] = {}
    for match in found:
        share = question.share(frozenset(words_of(_part(text, match))))
        shares.setdefault(share, []).append(match.group().strip())
    best = shares[max(shares)]
    return (best[0], ()) if len(best) == 1 and max(shares) > 0 else ("", tuple(best))


def _part(text: str, match: re.Match[str]) -> str:
    """Return the part of a sentence that a time stands in."""
    begin = max((p.end() for p in _PARTS.finditer(text, 0, match.start())), default=0)
    after = _PARTS.search(text, match.end())
    return text[begin : after.start() if after is not None else len(text)]
