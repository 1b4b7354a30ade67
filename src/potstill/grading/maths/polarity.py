"""What a short text affirms or denies: yes and no, true and false, "the claim is not correct"."""

from __future__ import annotations

import re

from potstill.grading.maths.normalise import tidy_words

__all__ = ["POLAR", "affirms_or_denies", "supposes"]

POLAR = {"yes": True, "true": True, "no": False, "false": False}
"""The keys that affirm or deny, and which of both they do."""

_TRUE = r"(?:true|correct|right)"
_FALSE = r"(?:false|incorrect|wrong|untrue|not\s+(?:\w+\s+)?(?:true|correct|right))"
_HEDGE = (
    r"(?:(?:therefore|thus|hence|so|then|clearly|indeed|obviously|"
    r"actually|simply|well|in\s+fact|overall),?\s+)*"
)
_ANSWER = (
    r"(?:(?:my|the|our)\s+(?:final\s+|correct\s+|right\s+|short\s+)?(?:answer|verdict|conclusion|decision)"
    r"(?:\s+to\s+(?:the|this)\s+question)?\s*(?:is|:|=|would\s+be|must\s+be|should\s+be)\s*"
    r"|(?:final\s+)?answer\s*:?\s*|i(?:\s+would|\s+will|['’]d|['’]ll)?\s+(?:say|answer|think)\s+)?"
)
_SUBJECT = (
    r"(?:(?:the|this|that|his|her|their|your|my)\s+(?:[a-z]+['’]s?\s+)?"
    r"(?:claim|statement|assertion|conjecture|proposition|sentence|"
    r"hypothesis|conclusion|reasoning|argument|equation|equality|"
    r"inequality|identity|result|relation)|that|this|it)"
)
_IS = (
    r"(?:\s+is|['’]s|\s+must\s+be)\s+"
    r"(?:\w+ly\s+|indeed\s+|therefore\s+|thus\s+|also\s+|always\s+|in\s+fact\s+)?"
)
# What ends a clause, or begins what can only follow a whole answer.
_END = (
    r"(?=\s*(?:$|[,;:!—–]|\.(?!\s?\d)|-\s)|"
    r"\s+(?:because|since|as(?!\s+(?:long|far|soon)\b)|rather|instead|it|he|she|they|we|you|there|i)\b)"
)
_WORD = re.compile(rf"{_HEDGE}{_ANSWER}{_HEDGE}(?P<word>yes|yeah|yep|no|nope|true|false){_END}")
# "It is not." and "He does."
_SHORT = re.compile(
    r"(?:it|he|she|they|that|this|there|one|we|you|i)\s+(?:is|are|was|were|does|do|did|can|could|will|has|have|had)"
    r"(?P<not>\s+not|n't)?|(?:it|he|she|they|that|this|there|one|we|you|i)\s+(?P<cannot>cannot)"
)
_JUDGED = re.compile(
    rf"{_HEDGE}{_ANSWER}(?:{_SUBJECT}{_IS})?(?:(?P<true>{_TRUE})|(?P<false>{_FALSE})){_END}"
)
_BOTH = re.compile(r"\b(?:or|maybe|perhaps|possibly|partly|sometimes)\b|\?|\bbut\s+not\b")
_SUPPOSED = re.compile(
    r"(?i)\b(?:would|might|could|may)\s+(?:\w+ly\s+|only\s+)?be\b|\bif\b[^.]*\b(?:were|had|was)\b|\b(?:further|far)\s+from\b"
    r"|\b(?:false|wrong|incorrect)\s+to\s+(?:say|claim|answer|think)\b"
)
_PARTLY = re.compile(
    r"\b(?:(?:yes|no|true|false)\s+otherwise|only\s+(?:if|when|for)|for\s+some|depends|as\s+long\s+as|unless|provided|except\s+(?:when|if|for))\b"
)
_NAMED = re.compile(r"\b(?:yes|no|true|false)\b")


def supposes(text: str) -> bool:
    """Return whether a text only supposes something true or false, or affirms it in part: "that
    would be true if", "yes, but only if".
    """
    return _SUPPOSED.search(text) is not None or _PARTLY.search(text.lower()) is not None


def affirms_or_denies(text: str) -> bool | None:
    """Return True where a text answers yes or true, False where no or false, None where neither.

    Its first clause decides; one that only names the word ("No would be wrong") answers nothing.
    """
    if "?" in text:
        return None
    words = tidy_words(text.replace("’", "'").replace("(", ", "))
    if (short := _SHORT.fullmatch(words)) is not None:
        return not (short["not"] or short["cannot"])
    said = _WORD.match(words)
    judged = None if said is not None else _JUDGED.match(words)
    found = said or judged
    if found is None or _BOTH.search(words[: found.end() + 12]):
        return None
    if _PARTLY.search(words) or _NAMED.match(words[found.end() :].lstrip(" ,/.;:")):
        return None
    if said is not None:
        return said["word"][0] in "yt"
    return judged is not None and judged["true"] is not None
