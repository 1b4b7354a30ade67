"""Which number of "20 is 25% of 80" answers: the one that the problem does not give."""

from __future__ import annotations

import re
from fractions import Fraction

from potstill.grading.maths.normalise import MONEY
from potstill.grading.reading.numerals import numerals_in
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.surroundings import is_denied
from potstill.records import AnswerKind

__all__ = ["share_stated"]

_NUMBER = rf"[{MONEY}£€]?\d[\d,]*(?:\.\d+)?"
_SHARE = re.compile(
    rf"(?i)(?<![\d.])(?P<part>{_NUMBER})(?:\s[a-z]+)?\s*(?:\bis|\bare|\bequals|=)\s+(?:exactly\s+|equal\s+to\s+)?"
    rf"(?P<percent>\d[\d,]*(?:\.\d+)?)\s?(?:\\?%|per\s?cent)\s+of\s+(?:the\s+)?(?P<whole>{_NUMBER})(?![\d/]|\.\d|\s*[-+*×/=])"
)


def share_stated(text: str, question: AskedQuestion, kind: str) -> str:
    """Return the part, the percentage or the whole that a sentence of all three states, "" where it
    cannot be told which is asked for.

    It is the only one of them that the problem does not give; of a problem without numbers the
    percentage, where the answer is one.
    """
    found = _SHARE.search(text)
    if found is None or len(numerals_in(text)) != 3 or is_denied(text, found.start("percent")):
        return ""
    fresh = [
        side for side in ("part", "percent", "whole") if _value(found[side]) not in question.numbers
    ]
    if not question.numbers and kind == AnswerKind.PERCENT:
        fresh = ["percent"]
    if len(fresh) != 1 or (kind == AnswerKind.PERCENT and fresh != ["percent"]):
        return ""
    return f"{found['percent']}%" if fresh[0] == "percent" else found[fresh[0]]


def _value(text: str) -> str:
    return str(Fraction(re.sub(r"[^\d.]", "", text)))
