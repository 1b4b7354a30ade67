"""Why a wrong answer is wrong, where it can be told from the answer and the trace."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from potstill.grading.equations import false_equations
from potstill.grading.grammar import Unreadable
from potstill.grading.normalise import tidy
from potstill.grading.numbers import read_scalar
from potstill.grading.values import TooBig, Undefined, exact, real_value
from potstill.records import Cause, Outcome, Problem, Verdict

__all__ = ["cause_of", "with_cause"]

NEAR = Fraction(1, 50)
_GAVE_UP = re.compile(
    r"\b(?:i (?:don't|do not|can(?:'|no)t) (?:know|solve|determine|answer|find)|"
    r"(?:please )?provide the (?:problem|question|text)|unable to (?:solve|determine|answer)|"
    r"cannot be (?:determined|solved|answered)|not enough information|i give up|no answer|"
    r"(?:problem|question) is (?:missing|incomplete|not (?:provided|visible)))\b",
    re.IGNORECASE,
)
_SKIPPED = (Outcome.CORRECT, Outcome.BAD_KEY, Outcome.ERRORED, Outcome.FILTERED)


def cause_of(problem: Problem, response_text: str, verdict: Verdict) -> Cause:
    """The cause of a wrong answer, the most telling first; NONE for one that is not wrong.

    ``response_text`` is the whole trace (reasoning and text) where there is one: repetition and
    false equations are looked for in it.
    """
    if verdict.outcome in _SKIPPED:
        return Cause.NONE
    if verdict.outcome is Outcome.TRUNCATED:
        return Cause.REPEATED if _repeats(response_text) else Cause.TRUNCATED
    if _repeats(response_text):
        return Cause.REPEATED
    if _GAVE_UP.search(response_text[-600:]) or verdict.outcome is Outcome.BLANK:
        return Cause.GAVE_UP
    if verdict.outcome is Outcome.UNPARSED and not verdict.extracted:
        return Cause.EXTRACTION
    related = _relation(problem.gold_text, verdict.extracted)
    if related is not Cause.NONE:
        return related
    if false_equations(response_text):
        return Cause.ARITHMETIC
    if verdict.outcome is Outcome.UNPARSED or _other_type(problem.gold_text, verdict.extracted):
        return Cause.FORM
    return Cause.OTHER


def with_cause(problem: Problem, response_text: str, verdict: Verdict) -> Verdict:
    """The verdict with its cause filled in."""
    import dataclasses

    cause = cause_of(problem, response_text, verdict)
    return dataclasses.replace(verdict, cause=cause) if cause is not verdict.cause else verdict


def _repeats(text: str) -> bool:
    """Whether the end of a text is one passage over and over, or one line makes most of it."""
    tail = text[-3_000:].strip()
    if len(tail) < 200:
        return False
    for width in range(8, 301):
        block = tail[-width:]
        if tail.endswith(block * max(4, 160 // width + 1)) and block.strip(" .-=_\n"):
            return True
    lines = [line.strip() for line in tail.split("\n") if len(line.strip()) > 15]
    if len(lines) < 6:
        return False
    return Counter(lines).most_common(1)[0][1] >= max(4, len(lines) // 2)


def _relation(key: str, answer: str) -> Cause:
    """How a wrong value relates to the right one."""
    wanted, given = _value(key), _value(answer)
    if wanted is None or given is None or wanted == given:
        return Cause.NONE
    if given == -wanted:
        return Cause.SIGN
    if wanted != 0 and given != 0:
        ratio = given / wanted
        if given * wanted == 1:
            return Cause.RECIPROCAL
        if abs(ratio - 1) <= NEAR / 10 and (
            wanted.denominator > 1 or given.denominator > 1 or abs(wanted) >= 1_000
        ):
            return Cause.NEAR_MISS
        if abs(given - wanted) == 1 and abs(wanted) > 3 and wanted.denominator == 1:
            return Cause.NEAR_MISS
        if _simple_factor(ratio):
            return Cause.FACTOR
    return Cause.NONE


def _simple_factor(ratio: Fraction) -> bool:
    """2, 3, 4, 10, 100 and their inverses, either sign: a factor forgotten or put in twice."""
    ratio = abs(ratio)
    return any(ratio in (Fraction(n), Fraction(1, n)) for n in (2, 3, 4, 8, 10, 60, 100, 1_000))


def _value(text: str) -> Fraction | None:
    try:
        node = read_scalar(tidy(text)).node
        value = exact(node)
        if value is not None:
            return value
        real = real_value(node)
    except (Unreadable, Undefined, TooBig, ValueError):
        return None
    if real is None or abs(real) > 10**30:
        return None
    return Fraction(str(real)).limit_denominator(10**20)


def _other_type(key: str, answer: str) -> bool:
    from potstill.grading.kinds import infer_kind

    groups = {"tuple", "set", "list", "interval", "matrix", "equation", "word", "letter", "ratio"}
    one, two = infer_kind(key), infer_kind(answer)
    return one != two and bool({one, two} & groups)
