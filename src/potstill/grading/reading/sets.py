"""The set of numbers that a sentence names in words: "The domain is all real numbers except 3"."""

from __future__ import annotations

import re

from potstill.grading.maths.intervals import in_brackets
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.set_words import ALL_REALS, SIGNED_REALS

__all__ = ["set_named"]

_BEGINS = re.compile(
    r"(?i)(?:^|\b(?:is|are|be|includes?|namely|by|of)\s+|[:=∈]\s*)(?P<set>(?:(?:the\s+)?(?:set\s+of\s+)?(?:all|any|every)\s+"
    r"(?:the\s+)?(?:(?:non-?)?(?:positive|negative|zero)\s+)?(?:reals?|values?|numbers?|[xyz])|the\s+(?:open|closed)\s+interval)\b.*)$",
    re.DOTALL,
)
_DENIED = re.compile(r"(?i)(?:\bnot|n['’]t|\bnever)\s+(?:be\s+)?$")


def set_named(text: str) -> str:
    """Return the set in words that a sentence ends in, "" where it ends otherwise or denies it."""
    found = _BEGINS.search(text)
    if found is None or _DENIED.search(text[: found.start("set")]):
        return ""
    named = tidy(found["set"]).rstrip(".").strip()
    excepted = ALL_REALS.match(named)
    if (excepted is not None and excepted.group("but")) or SIGNED_REALS.match(named):
        return named
    return named if in_brackets(named) != named else ""
