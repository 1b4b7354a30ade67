"""Words that turn a value round, and that a unit or a noun does not: 5 % up is not 5 % down."""

from __future__ import annotations

import re

__all__ = ["COMPARED", "OTHER_WAY", "contradicts", "directions_in", "directions_of", "value_first"]

# each line: what excludes each other, its sides parted by "|"
_SIDES = """
increase increases increased rise rises rose up upward upwards growth grew gain gains gained
 | decrease decreases decreased fall falls fell drop drops dropped decline declines declined down
 downward downwards reduction loss losses lost
profit profits surplus gain gains | loss losses deficit
deposit deposits | withdrawal withdrawals
north northward northwards | south southward southwards
east eastward eastwards | west westward westwards
clockwise | counterclockwise anticlockwise counter-clockwise anti-clockwise
before earlier | after later
ago | hence later from-now
early | late
ahead | behind
older | younger
taller | shorter
longer | shorter
larger bigger greater more | smaller less fewer
faster quicker | slower
heavier | lighter
higher | lower
warmer hotter | colder cooler
cheaper | dearer costlier
overpaid | underpaid
fast | slow
credit credits | debit debits
wins won | losses lost
today | tomorrow | yesterday
morning | afternoon | evening
uphill | downhill
upstream | downstream
free vacant empty | taken occupied full
even | odd
true | false
maximum max | minimum min
double | simple triple
heads | tails
above | below beneath
forward forwards | backward backwards back
to-the-left from-the-left leftward leftwards units-left
 | from-the-right to-the-right rightward rightwards units-right
inside | outside
monday | tuesday | wednesday | thursday | friday | saturday | sunday
"""
_JOINED = (
    (re.compile(r"\bfrom\s+now\b"), "from-now"),
    (re.compile(r"\b(to|from)\s+(?:the|its|his|her|their)\s+(left|right)\b"), r"\1-the-\2"),
    (
        re.compile(r"\b(?:units?|steps?|squares?|places?|spaces?|blocks?)\s+(left|right)\b"),
        r"units-\1",
    ),
)
_GROUPS = [
    [frozenset(side.split()) for side in line.split("|")]
    for line in re.sub(r"\n ", " ", _SIDES.strip()).splitlines()
]
_KNOWN = frozenset().union(*(side for group in _GROUPS for side in group))
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
COMPARED = "than"
OTHER_WAY = "the same value the other way round"
"""Why an answer is another one than the key that it has the number of."""
_LONGEST = 80
_VALUE_LAST = re.compile(
    rf"^\s*(?:an?\s+|the\s+)?(?:\w+\s+)?(?P<word>{'|'.join(sorted(_KNOWN))})\s+of\s+"
    r"(?P<value>[-+$＄€£\\\d][^,;]{0,40}?)\.?\s*$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^\s*(?:an?|the)\s+(?=[-+$＄€£]?\d\S*\s+[a-z])", re.IGNORECASE)
# How near to its value such a word stands: "a decrease of about 5 %", "5 km further south".
_NEAR = 30
_COMPARES = re.compile(r"\s(?:than|of)\s")
_ENDS = re.compile(r"[.:](?!\d)|[;!?\n]|,\s|\b(?:and|but|or|so|then|while|because|since)\b")


def value_first(text: str) -> str:
    """Return "a decrease of 5%" and "a 5% decrease" as "5% decrease", any other text as it is."""
    text = _ARTICLE.sub("", text)
    found = _VALUE_LAST.match(text)
    return f"{found['value']} {found['word'].lower()}" if found is not None else text


def directions_of(text: str) -> frozenset[str]:
    """Return the words of a short text that turn its number round; none of a long one, or of words
    alone.
    """
    counts = len(text) <= _LONGEST and any(map(str.isdigit, text))
    return _known_in(text.lower()) if counts else frozenset()


def directions_in(text: str, value: str) -> frozenset[str]:
    """Return the words beside the last place where a reply has its value, within the clause.

    :data:`COMPARED` is among them where what they compare follows ("5 years older than Ann"): whose
    they are is another question.
    """
    digits = re.search(r"\d[\d.,]*", value)
    if digits is None:
        return frozenset()
    number = digits.group().rstrip(".,")
    start = text.rfind(number)
    if start < 0:
        return frozenset()
    end = start + len(number)
    before = _ENDS.split(text[max(0, start - _NEAR) : start])[-1]
    after = _ENDS.split(text[end : end + _NEAR])[0]
    said = _known_in(before.lower()) | _known_in(after.lower())
    if said and _COMPARES.search(text[end : end + 2 * _NEAR]):
        return said | {COMPARED}
    return said


def contradicts(key: frozenset[str], answer: frozenset[str]) -> bool:
    """Return whether an answer's words name another side than the key's of what has sides, and
    not the key's own.
    """
    for group in _GROUPS:
        mine = [side for side in group if side & key]
        theirs = [side for side in group if side & answer]
        if len(mine) == 1 and theirs and mine[0] not in theirs:
            return True
    return False


def _known_in(text: str) -> frozenset[str]:
    for pattern, word in _JOINED:
        text = pattern.sub(word, text)
    return _KNOWN.intersection(_WORD.findall(text))
