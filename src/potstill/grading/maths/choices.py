"""Multiple choice: the letter of a choice, its value, and the choices that a problem offers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from potstill.grading.maths.normalise import tidy

__all__ = ["Choice", "choices_in", "names_several", "read_choice", "read_letters"]

_MARK = re.compile(
    r"(?:\\(?:text(?:bf|rm|it|sf)?|math(?:rm|bf)|mbox|bf)\s?\{?\s*|\*\*)?"
    r"(?:\(\s?([A-J])\s?\)|\[([A-J])\]|(?<![A-Za-z0-9\\(])([A-J])\s?[.):])(?:\s*\}|\*\*)?[.:]?(?=[\s\\~$*\d-]|[^\W\d_])"
)
_LABELLED = re.compile(
    r"^(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)\s*(?:is|:)?\s*)?"
    r"(?:\(\s?(?P<round>[A-Ja-j])\s?\)|\[(?P<square>[A-J])\]|(?P<bare>[A-Ja-j])\s?[.):])\s*[.:,-]?\s*(?P<value>\S.*)$",
    re.DOTALL | re.IGNORECASE,
)
_LETTERS = re.compile(
    r"^(?:(?:options?|choices?|letters?|answers?)\s*:?\s*)?\(?\s*([A-J])\s*\)?"
    r"((?:\s*(?:,|;|&|\band\b)+\s*(?:\band\b\s*)?\(?\s*[A-J]\s*\)?)+)\.?$"
)
_SEVERAL = re.compile(
    r"^\W*(?:(?:options?|choices?|letters?|answers?)\W*)?[A-Ja-j]\s?[)\].:]?\s*"
    r"(?:,|;|&|/|\band\b|\bor\b|\bnor\b)\s*(?:or\s|and\s)?[(\[]?\s*[A-J](?![A-Za-z])"
)
MAX_VALUE = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """A letter and the value that stands beside it, either of which may be missing ("")."""

    letter: str
    value: str


def read_choice(text: str) -> Choice | None:
    """Return a tidied answer such as ``(B) 12`` or ``B.

    Mars``; None where no value follows a letter.
    """
    match = _LABELLED.match(text)
    if match is None or names_several(text):
        return None
    letter = match.group("round") or match.group("square") or match.group("bare")
    return Choice(letter.upper(), match.group("value").strip().rstrip("."))


def names_several(text: str) -> bool:
    """Return whether a second letter stands beside the first: ``(A), (C)``, ``B or C``."""
    return _SEVERAL.match(text) is not None


def read_letters(text: str) -> frozenset[str] | None:
    """Return the letters of ``A, C`` or ``(A) and (C)``; None where there are not two or more."""
    match = _LETTERS.match(text.strip())
    if match is None:
        return None
    return frozenset(match.group(1) + "".join(re.findall(r"[A-J]", match.group(2))))


@lru_cache(maxsize=2048)
def choices_in(problem_text: str) -> dict[str, str]:
    """Return the value of each lettered choice of a problem, tidied; empty where it offers none."""
    text = problem_text[-3_000:]
    marks = [(m, m.group(1) or m.group(2) or m.group(3)) for m in _MARK.finditer(text)]
    runs: list[list[tuple[re.Match[str], str]]] = []
    for mark in marks:
        if mark[1] == "A":
            runs.append([mark])
        elif runs and ord(mark[1]) == ord(runs[-1][-1][1]) + 1:
            runs[-1].append(mark)
    run = next((run for run in reversed(runs) if len(run) > 1), [])
    found: dict[str, str] = {}
    for index, (match, letter) in enumerate(run):
        end = run[index + 1][0].start() if index + 1 < len(run) else len(text)
        value = text[match.end() : end].strip()
        if index + 1 == len(run):
            value = value.split("\n")[0]
        value = re.sub(r"(?:\\q?quad|\\\\|\\[,;: ~]|[\s,;~&|])+$", "", value)
        plain = tidy(re.sub(r"^[\s~\\]+(?![A-Za-z])", "", value).strip())
        found[letter] = plain[:MAX_VALUE].strip().rstrip(".;,").strip()
    return found
