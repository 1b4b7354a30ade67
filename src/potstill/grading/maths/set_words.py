"""The words that sets of numbers go by: "no solution", "all reals except 1", "positive reals"."""

from __future__ import annotations

import re

__all__ = [
    "ALL_REALS",
    "RAISED_LINE",
    "SIGNED",
    "SIGNED_REALS",
    "WORDED_SIGNS",
    "counted_set",
    "names_a_set",
    "says_endless",
    "says_nothing",
    "says_undefined",
]

_EMPTY = re.compile(
    r"^(?:∅|⦃\s*⦄|\{\s*\}|(?:the\s+)?(?:empty|null)(?:\s+set)?|none|"
    r"(?:there\s+(?:is|are|exists?)\s+|(?:(?:it|(?:the|this)\s+(?:given\s+)?(?:linear\s+)?"
    r"(?:system|equation|inequality|problem)(?:\s+of\s+(?:linear\s+)?equations)?)\s+)?has\s+)?"
    r"(?:no|zero)\s+"
    r"(?:such\s+|real\s+|possible\s+|valid\s+)*"
    r"(?:solutions?|roots?|values?|numbers?|answers?|[a-z])(?:\s+exists?)?|"
    r"no such [a-z]+(?: exists?)?|(?:solution\s+)does\s+not\s+exist|"
    r"无解|無解|空集|pas de solution|keine lösung|sin solución|unsolvable)$",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"^(?:the\s+limit\s+|it\s+)?(?:is\s+)?(?:does\s+not\s+exist|doesn't\s+exist|dne|undefined|not\s+defined|"
    r"nonexistent)$",
    re.IGNORECASE,
)
_ENDLESS = re.compile(
    r"^(?:there\s+are\s+|(?:it|(?:the|this)\s+(?:system|equation)(?:\s+of\s+equations)?)\s+has\s+)?"
    r"(?:infinite|infinitely\s+many|an\s+infinite\s+number)"
    r"(?:\s+(?:of\s+)?(?:solutions?|values?|roots?|numbers?|answers?))?$",
    re.IGNORECASE,
)
ALL_REALS = re.compile(
    r"^(?:(?:the\s+)?(?:set\s+of\s+)?(?:all|any|every)\s+(?:the\s+)?reals?"
    r"(?:\s+(?:numbers?|values?))?|(?:all|any|every)\s+(?:values?\s+of\s+)?[xyz]"
    r"(?=,?\s+(?:except|other than|but|besides|excluding)\b)"
    r"|(?:the\s+)?(?:set\s+of\s+)?real\s+numbers?|(?:the\s+)?reals|"
    r"all\s+numbers)(?:\s+(?:of\s+)?[a-z])?\s*"
    r"(?:,?\s*(?P<but>except|other than|but|besides|excluding|without|not equal to|where|with|"
    r"such that|that (?:are|is)|≠|greater than|less than|≥|≤|>|<)\s*(?:for|that|are|is)?\s*"
    r"(?P<rest>.+))?$",
    re.IGNORECASE,
)
SIGNED = {
    "positive": ">", "negative": "<", "non-negative": "≥", "nonnegative": "≥",
    "non-positive": "≤", "nonpositive": "≤", "nonzero": "≠", "non-zero": "≠",
}  # fmt: skip
SIGNED_REALS = re.compile(
    rf"^(?:the\s+)?(?:set\s+of\s+)?(?:all\s+)?(?:(?:the\s+)?(?P<kind>{'|'.join(SIGNED)})\s+reals?"
    r"(?:\s+numbers?)?|real\s+numbers?\s+that\s+are\s+(?P<late>positive|negative|nonzero))$",
    re.IGNORECASE,
)
RAISED_LINE = {
    "ℝ^+": ">", "ℝ^{+}": ">", "ℝ_+": ">", "ℝ_{+}": ">", "ℝ_{>0}": ">", "ℝ^-": "<", "ℝ^{-}": "<",
    "ℝ^*": "≠", "ℝ^{*}": "≠", "ℝ_{≥0}": "≥", "ℝ^{+}_{0}": "≥",
}  # fmt: skip
WORDED_SIGNS = (
    (r"(?:is\s+)?(?:greater\s+than\s+or\s+equal\s+to|at\s+least|not?\s+less\s+than)", "≥"),
    (r"(?:is\s+)?(?:less\s+than\s+or\s+equal\s+to|at\s+most|not?\s+more\s+than)", "≤"),
    (r"(?:is\s+)?(?:strictly\s+)?(?:greater|more|larger)\s+than", ">"),
    (r"(?:is\s+)?(?:strictly\s+)?(?:less|smaller)\s+than", "<"),
    (r"(?:is\s+)?not\s+equal\s+to", "≠"),
)
_COUNTED = {
    "ℤ": r"(?:all\s+|the\s+|set of\s+)*integers",
    "ℕ": r"ℤ\s?[\^_]\s?\{?(?:\+|>0)\}?|(?:all\s+|the\s+)*(?:natural numbers|positive integers)",
    "ℚ": r"(?:all\s+|the\s+|set of\s+)*(?:rationals|rational numbers?)",
    "ℂ": r"(?:all\s+|the\s+)*complex numbers",
}


def says_nothing(text: str) -> bool:
    """Return whether a tidied text is the empty set or says that there is no solution."""
    return _EMPTY.match(text.strip().rstrip(".!").strip()) is not None


def says_endless(text: str) -> bool:
    """Return whether a tidied text says that there are infinitely many."""
    return _ENDLESS.match(text.strip().rstrip(".!").strip()) is not None


def names_a_set(text: str) -> bool:
    """Return whether a tidied text is a set of numbers in words."""
    return bool(ALL_REALS.match(text) or SIGNED_REALS.match(text) or counted_set(text))


def says_undefined(text: str) -> bool:
    """Return whether a tidied text says that a value does not exist."""
    return _ABSENT.match(text.strip().rstrip(".!").strip()) is not None


def counted_set(text: str) -> str | None:
    """Return the symbol of a set of numbers other than the reals that a tidied text is, or None."""
    plain = re.sub(r"^[A-Za-z]\s*∈\s*", "", text.strip().rstrip("."))
    for symbol, words in _COUNTED.items():
        if plain == symbol or re.fullmatch(words, plain, re.IGNORECASE):
            return symbol
    return None
