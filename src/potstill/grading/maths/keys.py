"""What a key is before it is compared: its alternatives, its plain text, and why it may be bad."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from potstill.grading.maths.groups import without_order_remark
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.remarks import without_remarks

__all__ = ["alternatives", "compact", "is_simple", "is_whole", "plain_answer", "plain_key"]

MAX_ALTERNATIVES = 20
_SIMPLE = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
_LISTED = re.compile(r"^\s*[\[(]\s*([\"']).*\1\s*,?\s*[\])]\s*$", re.DOTALL)
_QUOTED = re.compile(r"\s*([\"'])(.*?)\1\s*(?:,|$)", re.DOTALL)
# "or" in the languages of the units table, between two values.
_OR = re.compile(
    r"(?<=[\d)}\]⦄π∞%a-z])\s+(?:oder|ou|o|bzw\.?|или|либо|أو|या)\s+(?=[-+\d(\\\[{⦃√π∞.a-z])"
    r"|(?<=[\d)}\]⦄π∞%a-z])\s*(?:或者|或|または|또는)\s*(?=[-+\d(\\\[{⦃√π∞.a-z])"
)
# "25 or 25%": a key that leaves the sign to the answer.
_PERCENT_OR_BARE = re.compile(r"^(-?[\d.]{1,15}) or (\1 ?%)$|^((-?[\d.]{1,15}) ?%) or \4$")
_BAR = re.compile(r"(?<=⦃)([^⦃⦄{}|:]{1,30})\|")
_OPENING = {"(": ")", "[": "]", "{": "}", "⦃": "⦄"}


def is_simple(text: str) -> bool:
    """Return whether a text is a plain integer or decimal, which needs no parser."""
    return _SIMPLE.fullmatch(text) is not None


def compact(text: str) -> str:
    """Return a tidied text without the spaces that separate nothing.

    Those between digits stay, and the one that makes a pair of ``12, 345``.
    """
    text = re.sub(r"(?<=\d), +(?=\d{3}(?!\d))", ",\N{OPEN BOX}", text)
    return re.sub(r"(?<!\.)\.$", "", re.sub(r"(?<!\d) +| +(?![\d\\])", "", text).strip())


@lru_cache(maxsize=4096)
def alternatives(key: str) -> tuple[str, ...]:
    """Return the answers that a key lists as quoted texts (``["3/4", "0.75"]``), or the key
    alone.
    """
    if "%" in key and " or " in key and (either := _PERCENT_OR_BARE.match(tidy(key))) is not None:
        return either.group(1) or either.group(3), either.group(2) or either.group(4)
    if _LISTED.match(key) is None:
        return (key,)
    try:
        read = json.loads(key)
    except (ValueError, RecursionError):
        read = [match.group(2) for match in _QUOTED.finditer(key.strip()[1:-1])]
    found = [item for item in read if isinstance(item, str) and item.strip()]
    if not found or len(found) != len(read) or len(found) > MAX_ALTERNATIVES:
        return (key,)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def plain_key(key: str) -> str:
    """Return a key in the one notation, without a remark on its order or a reason after it."""
    return plain_answer(without_order_remark(key))


def plain_answer(text: str) -> str:
    """Return an answer in the one notation, without the words around it."""
    text = without_remarks(tidy(text))
    if "⦃" in text:
        text = _BAR.sub(r"\1:", text)
    if not text.isascii() or " o" in text:
        text = _OR.sub(" or ", text)
    return text


def is_whole(text: str) -> bool:
    """Return whether a tidied text has all its brackets: what is cut is no answer."""
    stack: list[str] = []
    half_open = bool(re.search(r"[(\[][^()\[\]]*,[^()\[\]]*[)\]]", text))
    for character in text:
        if character in _OPENING:
            stack.append(_OPENING[character])
        elif character in ")]}⦄":
            if not stack:
                return False
            expected = stack.pop()
            if expected != character and not (half_open and expected in ")]" and character in ")]"):
                return False
    return not stack
