"""What a reply is written in that is none of its answer: struck values, heads, columns, thousands
in a letter, number words of another language."""

from __future__ import annotations

import re
from fractions import Fraction

from potstill.grading.maths.foreign_numbers import number_words_in_digits

__all__ = ["as_written_out", "introduces", "without_head", "without_struck"]

_STRUCK = re.compile(r"~~[^~\n]{1,80}~~")
# "$24k" and "$1.5M" are money; a "24k" alone may be anything.
_SCALED = re.compile(r"(?P<money>[$£€]\s?)(?P<number>\d+(?:\.\d+)?)\s?(?P<scale>[kKM])(?![\w/])")
_SCALES = {"k": 1_000, "K": 1_000, "M": 1_000_000}
# A calculation in a column, whose result stands below its line.
_COLUMN = re.compile(
    r"\\begin\{array\}\s?\{[rlc@{}\s]{1,12}\}(?P<rows>(?:(?!\\hline|\\end)[^\n]|\n){1,400}?)\\hline\s*"
    r"(?P<result>-?\$?\d[\d,]*(?:\.\d+)?)\s*(?:\\\\\s*)?\\end\{array\}"
)
_NUMBERED = re.compile(
    r"^(?:\*\*|#{1,6}\s)?\s*(?:(?:Q(?:uestion)?|Problem|Exercise|Task)\s?\.?\s?#?\d{1,3}\s?[.):]{0,2}|1[.)])"
    r"(?:\*\*)?\s*[:.)]?\s+(?=[-$€£\\(\[*]{0,4}\d)",
    re.IGNORECASE,
)
_ARROW = re.compile(r"^(?:=>|⇒|→|➜|->)\s*(?=\S)")
_INTRODUCES = re.compile(r"(?i)\W*(?:let|suppose|assume)\s")


def as_written_out(text: str, problem_text: str) -> str:
    """Return a reply that is sought for a number without what is struck out, and with its money,
    its columns and the number words of its problem's language as digits.
    """
    text = without_struck(number_words_in_digits(text, problem_text))
    if "\\hline" in text:
        text = _COLUMN.sub(r" = \g<result>", text)
    return _SCALED.sub(_in_full, text)


def _in_full(found: re.Match[str]) -> str:
    value = Fraction(found["number"]) * _SCALES[found["scale"]]
    return f"{found['money']}{value}" if value.denominator == 1 else found.group()


def without_struck(text: str) -> str:
    """Return a text without what it strikes out."""
    return _STRUCK.sub(" ", text) if "~~" in text else text


def without_head(text: str) -> str:
    """Return a line without the number of the question, or the arrow, that it begins with."""
    return text if "\n" in text else _ARROW.sub("", _NUMBERED.sub("", text))


def introduces(text: str) -> bool:
    """Return whether a text begins to name an unknown or to suppose something."""
    return _INTRODUCES.match(text) is not None
