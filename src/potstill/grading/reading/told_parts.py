"""Several values that prose tells one by one: "The first is 3 and the second is 5"."""

from __future__ import annotations

import re

__all__ = ["parts_told"]

LONGEST = 600
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_SIZES = (("smaller", "larger"), ("smallest", "largest"), ("lesser", "greater"))
_PLACES = {name: place for names in (_ORDINALS, *_SIZES) for place, name in enumerate(names)}
_THING = r"(?:\s+(?:number|one|part|answer|value|integer|root|solution))?"
_LABEL = (
    rf"(?:(?:the\s+)?(?P<ordinal>{'|'.join(_PLACES)}){_THING}"
    r"|(?:(?:for|in)\s+)?(?:the\s+answers?\s+(?:to|of|for)\s+)?(?:part|question)?\s*"
    r"\(?(?<![a-z\d])(?P<letter>[a-h1-8])(?:\)|(?<=part [a-h1-8])))"
)
_IS = r"\s*(?::|,?\s*(?:the\s+answer\s+)?(?:is|equals|=))\s*"
_VALUE = (
    r"(?P<value>\\\(.{1,60}?\\\)|\$[^$]{1,60}\$|[-−]?[$£€]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?%?"
    r"(?: (?!and\b|while\b)[a-z]{1,12}(?=[.,;]| and\b|$))?|yes|no|true|false)"
)
_PART = re.compile(rf"{_LABEL}{_IS}{_VALUE}(?=[\s.,;]|$)", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:[\s,;.]|\b(?:and|while)\b)*", re.IGNORECASE)
_LEADS = re.compile(
    r"(?:.*[.:;,]\s+)?(?:(?:so|thus|hence|therefore|then|and),?\s*)*", re.IGNORECASE | re.DOTALL
)


def parts_told(text: str) -> str:
    """Return "3, 5" of a text that ends in telling the value of each part in words, "" of any
    other.

    The parts are the first so many, each is told once, and nothing but "and" stands between them.
    Of letters the result is labelled: "a) 3 b) 5".
    """
    tail = text.strip()[-LONGEST:].replace("**", "").rpartition("\n\n")[2]
    found = list(_PART.finditer(tail))
    if len(found) < 2 or tail[found[-1].end() :].strip(" .!\n"):
        return ""
    run = found[-1:]
    for match in reversed(found[:-1]):
        if _BETWEEN.fullmatch(tail, match.end(), run[0].start()) is None:
            return ""
        run.insert(0, match)
    if _LEADS.fullmatch(tail, 0, run[0].start()) is None:
        return ""
    return _in_order(run)


def _in_order(run: list[re.Match[str]]) -> str:
    """Return the values of parts in the order of their labels, "" where one is missing or told
    twice.
    """
    lettered = run[0]["letter"] is not None
    values: dict[int, str] = {}
    for match in run:
        if (match["letter"] is not None) is not lettered:
            return ""
        place = _place(match["letter"].lower()) if lettered else _PLACES[match["ordinal"].lower()]
        if place in values:
            return ""
        values[place] = match["value"].strip().strip("$")
    if sorted(values) != list(range(len(run))):
        return ""
    told = [values[place] for place in range(len(run))]
    if not lettered:
        return ", ".join(told)
    return " ".join(f"{chr(ord('a') + place)}) {value}" for place, value in enumerate(told))


def _place(label: str) -> int:
    return int(label) - 1 if label.isdigit() else ord(label) - ord("a")
