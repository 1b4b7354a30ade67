"""Answers of several labelled parts: ``a) 3 b) 4``, ``(i) yes; (ii) no``, ``1) 5 2) 7``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Parts", "labelled", "labels_several", "parts_of"]

MAX_PARTS = 20
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
# "a)", "(a)", "a." before a space, "a:", also behind "part".
_LABEL = re.compile(
    r"(?:(?<![\w\\^_(.)-])|(?<=\d)(?=[A-Za-z]\)\s?))(?:part\s+)?"
    r"(?:\(\s?(?P<round>[A-Za-z]{1,4}|\d{1,2})\s?\)|(?P<bare>[A-Za-z]{1,4}|\d{1,2})\s?(?P<mark>\)|\.(?=\s)|:(?=\s)))"
    r"\s*[=:]?\s*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"(?:\s*[,;.]|\s*[,;]?\s+and|\s+)\s*$|\s*\\+\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parts:
    """The labels of an answer's parts, as they were written, and the value of each."""

    labels: tuple[str, ...]
    values: tuple[str, ...]


@lru_cache(maxsize=4096)
def parts_of(text: str) -> Parts | None:
    """Return the parts of a tidied text that begins with the first of at least two labels in
    order; None for any other.

    Labels are letters from a, numbers from 1 or Roman numbers from i, all marked alike.
    """
    marks = [(found, _label(found), _style(found)) for found in _LABEL.finditer(text)]
    if len(marks) < 2 or text[: marks[0][0].start()].strip():
        return None
    style = marks[0][2]
    for names in ("abcdefghij", tuple(map(str, range(1, MAX_PARTS + 1))), _ROMAN):
        run: list[re.Match[str]] = []
        for found, label, its_style in marks:
            wanted = names[len(run)] if len(run) < len(names) else ""
            if its_style == style and label == wanted:
                run.append(found)
        if len(run) > 1 and run[0] is marks[0][0]:
            values = _values(text, run)
            labels = tuple(found["round"] or found["bare"] for found in run)
            return Parts(labels, values) if all(values) else None
    return None


def labelled(text: str) -> dict[str, str]:
    """Return the values of a tidied text that begins with a label by their labels, in whatever
    order; empty where a label comes twice or has no value.
    """
    marks = list(_LABEL.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        return {}
    alike = [found for found in marks if _style(found) == _style(marks[0])]
    found = dict(zip(map(_label, alike), _values(text, alike), strict=True))
    return found if len(found) == len(alike) and all(found.values()) else {}


def labels_several(text: str) -> bool:
    """Return whether a tidied text is several labelled values: ``b) 4 a) 3`` names no letter."""
    labels = labelled(text)
    return len(labels) > 1 and all(label in "abcdefghij" or label in _ROMAN for label in labels)


def _values(text: str, marks: Sequence[re.Match[str]]) -> tuple[str, ...]:
    """Return what stands behind each label, up to the next."""
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return tuple(
        _BETWEEN.sub("", text[mark.end() : end]).strip()
        for mark, end in zip(marks, ends, strict=True)
    )


def _label(found: re.Match[str]) -> str:
    return (found["round"] or found["bare"]).lower()


def _style(found: re.Match[str]) -> str:
    return "()" if found["round"] else found["mark"]
