"""Unknowns that a text introduces and solves: what "x = 16" says, where x is said to be something.

"Let x be the number of apples; x = 16" says that the number of apples is 16.
"""

from __future__ import annotations

import re

from potstill.grading.reading.question import AskedQuestion

__all__ = ["is_unsolved", "unknowns_named"]

_LET = re.compile(
    r"\b(?:[Ll]et|[Ss]uppose|[Ss]ay)\s+(?:\$|\\\()?(?P<letter>[A-Za-z])(?:\$|\\\))?\s*"
    r"(?:be|denote|represent|stand\s+for|=|:=)\s*(?:equal\s+to\s+)?"
    r"(?P<meaning>[A-Za-z][A-Za-z'’ -]{2,80}?)(?=\s*(?:[.;,:\n]|$|\b(?:and|then)\b))"
)
# "Let x = 16." supposes a value.
_GIVEN = re.compile(
    r"\b(?:[Ll]et|[Ss]uppose)\s+(?:\$|\\\()?[A-Za-z]\s*=\s*-?[$＄]?\d[\d,]*(?:\.\d+)?(?:\$|\\\))?(?=[.;,\n]|$)"
)
_OPEN = r"(?:\$\$?|\\\(|\\\[)?\s{0,3}"
_CLOSE = r"\s*(?:\$\$?|\\\)|\\\])?"
_VALUE = r"(?P<value>-?[$＄]?\d[\d,]*(?:\.\d+)?(?:/\d+)?)"
_JOINT = r"(?P<joint>[,;]?\s{0,3}(?:(?:and|so|thus|hence|therefore|then|giving|gives)\b,?\s*)*)"
_OTHER_VALUE = re.compile(r"\s*(?:,?\s*or\b|[-+*/×·^=])")
# "x + x/2 = 24" and "2n = 32" are to be solved; a unit or a sign of times is no unknown.
_UNSOLVED = re.compile(
    r"(?<![A-Za-z\d'])\d*(?:\.\d+)?"
    r"(?:(?<=\d)[xyzn](?!\s?\d)|(?<!\d )(?<!\d)[xyzn]\s?[-+*/]|[-+*/]\s?[xyzn])(?![A-Za-z'])"
)
_PARTS = re.compile(r"[=≈,;:\n]|\.(?!\d)")


def unknowns_named(text: str, question: AskedQuestion) -> str:
    """Return a text in which the last value of an unknown is that of what the unknown was said to
    be, and of nothing where that is plainly another's than is asked for.
    """
    if "et " not in text and "ay " not in text and "uppose " not in text:
        return text
    text = _GIVEN.sub("", text)
    for let in list(_LET.finditer(text))[:4]:
        text = _named(text, let["letter"], let["meaning"].strip(), question)
    return text


def _named(text: str, letter: str, meaning: str, question: AskedQuestion) -> str:
    solved = re.compile(
        rf"{_JOINT}(?<![\w.)\]}}])(?<![-+*/×·=]\s)(?<![-+*/×·=]){_OPEN}(?<![A-Za-z]){letter}\s*=\s*"
        rf"{_VALUE}(?![\d.]*\d){_CLOSE}"
    )
    found = list(solved.finditer(text))
    if not found or _OTHER_VALUE.match(text, found[-1].end()):
        return text
    if any(map(str.isdigit, text[found[-1].end() :])):
        return text  # the text goes on and says itself what it comes to
    last = found[-1]
    if last["value"] in question.numbers:
        return text  # what the problem gives
    words = set(re.findall(r"[A-Z][a-z]+", meaning))
    if words & question.other_names and not words & question.names:
        return f"{text[: last.start()]}{text[last.end() :]}"
    return f"{text[: last.start()]}.\nSo {meaning} = {last['value']}{text[last.end() :]}"


def is_unsolved(text: str, start: int, problem_text: str) -> bool:
    """Return whether the number at a place of a text is a side of an equation that is still to be
    solved, of which the problem does not have the other side.
    """
    before = text[:start].rstrip(" ＄$")
    if not before.endswith("="):
        return False
    *_, left = _PARTS.split(before[:-1])
    labelled = before[: len(before) - 1 - len(left)].endswith(":")
    if labelled or _UNSOLVED.search(left) is None:
        return False
    # "Find 2n + 4" asks for what "2n + 4 = 36" only gives
    asked = r"\s*".join(map(re.escape, re.sub(r"[\s$\\()]", "", left)))
    told = re.sub(r"[$\\()]", " ", problem_text)
    return re.search(rf"(?<![\w.])(?<![-+*/]\s){asked}(?!\s*[-+*/=^]|\w)", told) is None
