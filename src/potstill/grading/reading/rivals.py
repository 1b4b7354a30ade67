"""What a problem sets beside the thing that it asks for."""

from __future__ import annotations

import re
from itertools import pairwise

from potstill.grading.maths.units import split_unit
from potstill.grading.reading.sentences import stem, words_of

__all__ = ["LEFT", "TAKEN_AWAY", "opposites_of", "rivals_in"]

LEFT = frozenset(
    map(stem, ("left", "remain", "remaining", "remainder", "unsold", "still", "keep", "uneaten"))
)
_TAKEN = """
sell give eat lose spend use remove donate break throw steal drop drink burn discard destroy leak
pour spill evaporate
"""
TAKEN_AWAY = frozenset(map(stem, _TAKEN.split()))
_OPPOSITES = """
pass : fail; win : lose; start begin : end finish stop; arrive : leave depart; open : close;
present : absent
"""
_SIDES = [
    tuple(frozenset(map(stem, side.split())) for side in pair.split(":"))
    for pair in _OPPOSITES.split(";")
]
_WORD = r"[a-z][a-z'-]*"
_JOINT = r"(?:,\s+(?:and\s+|or\s+)?|\s+(?:and|or|than|to)\s+)(?:the\s+|\d[\d,]*\s+)?"
_LISTED = re.compile(rf"\b{_WORD}(?:{_JOINT}{_WORD})+", re.IGNORECASE)
_PARTS = re.compile(_JOINT, re.IGNORECASE)
_COUNTED = re.compile(r"\d[\d,.]*\s+([a-z]+)")


def opposites_of(words: frozenset[str]) -> frozenset[str]:
    """Return the stems of the verbs that say the opposite of one among a question's words: of
    "pass" "fail"; of none that a question has on both sides.
    """
    found: set[str] = set()
    for one, two in _SIDES:
        if bool(one & words) is not bool(two & words):
            found |= two if one & words else one
    return frozenset(found)


def rivals_in(text: str, things: frozenset[str], head: str, idle: frozenset[str]) -> frozenset[str]:
    """Return the stems of what a problem sets beside the ``things`` asked for.

    They are listed with one of them ("boys and girls", "more boys than girls"), stand before the
    same noun ("red balls"), or are counted by a number of the problem. ``head`` is the noun.
    """
    if not things:
        return frozenset()
    found: set[str] = set()
    for match in _LISTED.finditer(text):
        listed = [stem(word) for word in _PARTS.split(match.group())]
        if not things.isdisjoint(listed):
            found.update(listed)
    low = text.lower()
    if things - {head}:
        words = words_of(low)
        found.update(a for a, b in pairwise(words) if b == head)
    found.update(stem(word) for word in _COUNTED.findall(low) if not split_unit(f"5 {word}").unit)
    return frozenset(word for word in found if not word[0].isdigit()) - things - idle
