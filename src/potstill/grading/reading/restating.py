"""A value that a sentence gives as so much of another and then in itself: "1/2 of what she had,
that is 3/8".
"""

from __future__ import annotations

import re

__all__ = ["restated"]

_VALUE = r"[-−]?[＄$£€]?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?\s?%?"
_RELATIVE = re.compile(
    r"(?i)\d[\d/.,]*\s?%?\s+(?:(?P<part>of)\s+(?:(?P<what>what\b|(?:the|his|her|their)\s+(?:rest|remain\w+)\b)|(?P<number>[＄$]?\d))?|(?:times|each|per|apiece|"
    r"more|less|fewer)\b)"
)
_JOINT = re.compile(
    r"(?i),?\s+(?:which|that)\s+(?:is|equals|makes|gives|comes\s+to|leaves)\s+(?:about\s+|exactly\s+|equal\s+to\s+)?"
    rf"(?={_VALUE})|,\s*(?:i\.?e\.?,?|or|so|that\s+is,)\s+(?={_VALUE})|\s*\((?={_VALUE}\s)"
)
_PART_OF_ONE = re.compile(r"\s*\d+\s?/\s?\d+|\s*\d*\.\d+|\s*[\d.]+\s?%")


def restated(text: str) -> str:
    """Return what a sentence says behind a value that is only so much of another, or all of it
    where it says nothing behind that.

    A part of a thing stays ("1/2 of the pizza, that is 4 slices") unless another part follows.
    """
    found = _JOINT.search(text)
    if found is None:
        return text
    relative = next(iter([*_RELATIVE.finditer(text, 0, found.start())][-1:]), None)
    if relative is None or ("(" in found.group() and not relative["what"]):
        return text
    tail = text[found.end() :]
    if relative["part"] and not relative["number"] and not _PART_OF_ONE.match(tail):
        return text
    return tail.replace(")", " ", 1) if "(" in found.group() else tail
