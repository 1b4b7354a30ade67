"""Which number of a sentence answers the question: by what it counts, its unit, its names.

Several that remain are told as several, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from potstill.grading.maths.quantities import asks_rate, of_other_period
from potstill.grading.reading.amounts import compound_at, rival_amount, said_twice, with_unit
from potstill.grading.reading.belonging import is_of_another
from potstill.grading.reading.numerals import Numeral, NumeralRole, numerals_in
from potstill.grading.reading.question import AskedQuestion, question_of
from potstill.grading.reading.rates import rate_of
from potstill.grading.reading.rating import COMPOUND, CUE, THEN, clause_of, counts, rating_of
from potstill.grading.reading.restating import restated
from potstill.grading.reading.sentences import stem
from potstill.grading.reading.surroundings import change_of, is_bound, is_denied, is_taken_back
from potstill.grading.reading.unknowns import is_unsolved

__all__ = ["StatedValue", "number_stated", "says_another"]


@dataclass(frozen=True, slots=True)
class StatedValue:
    """What a sentence states: its value as text, or the several that cannot be told apart.

    ``rating`` says how surely it is this number, ``of_unknown`` that it is a side of an equation in
    an unknown, or repeats the other side, ``computed`` that it ends a calculation.
    """

    text: str
    value: str
    several: tuple[str, ...] = ()
    rating: float = 2.0
    of_unknown: bool = False
    computed: bool = False


@dataclass(slots=True)
class _Rated:
    numeral: Numeral
    score: float


def number_stated(
    text: str, problem_text: str, formulas: tuple[str, ...] = ()
) -> StatedValue | None:
    """Return the number that a sentence states in answer to a problem; None where it names none.

    ``formulas`` are those set apart of the sentence that may be answers too.
    """
    question = question_of(problem_text)
    text = _PLUS.sub(r"\1 ", restated(text))
    numerals = numerals_in(text, formulas) + _none_of(text, question)
    if not numerals:
        return None
    offered = [n for n in numerals if n.role not in (NumeralRole.OPERAND, NumeralRole.FACTOR)] or []
    digits = [n for n in offered if not n.spelled]
    plain = [n for n in digits if n.role not in (NumeralRole.LABEL, NumeralRole.ORDINAL)]
    spelled = [n for n in offered if n.spelled and _spelled_out(text, n, question)]
    ordinal = [n for n in offered if n.role is NumeralRole.ORDINAL]
    if question.place and ordinal:
        plain = ordinal
    elif question.counted:
        ordinal, digits = [], [n for n in digits if n.role is not NumeralRole.ORDINAL]
    candidates = plain or spelled or ordinal or digits
    if plain and spelled and question.counted:
        candidates = plain + [n for n in spelled if counts(text, n, question) > 0]
        candidates.sort(key=lambda n: n.start)
    candidates = [n for n in candidates if not _denied(text, n, question)]
    exact = {} if question.percent else _exact_values(text, numerals)
    candidates = [n for n in candidates if exact.get(n.start) not in candidates]
    if not candidates:
        return None
    rated = [_Rated(n, rating_of(text, n, question, problem_text)) for n in candidates]
    _weigh_conclusion(text, rated, question)
    _weigh_steps(rated, numerals)
    best: dict[str, _Rated] = {}
    for one in rated:
        held = best.get(one.numeral.value)
        if held is None or one.score > held.score:
            best[one.numeral.value] = one
    order = sorted(best.values(), key=lambda r: -r.score)
    top = order[0]
    if len(order) > 1 and order[1].score > top.score - 1.0:
        close = [r for r in order if r.score > top.score - 1.0]
        close.sort(key=lambda r: r.numeral.start)
        last_ones = [r.numeral for r in close]
        if (once := said_twice(text, last_ones, question)) != "":
            return StatedValue(once, top.numeral.value, (), top.score)
        if not (_solves(text, last_ones) or _goes_on(last_ones, numerals)):
            return StatedValue("", "", tuple(r.numeral.value for r in close), top.score)
        top = close[-1]
    elif (last := _solution_behind(text, top, order, numerals)) is not None:
        top = _Rated(last, top.score)
    if (compound := compound_at(text, top.numeral)) is not None:
        return StatedValue(compound, compound, (), top.score)
    if (part := _compound_of(text, top.numeral)) is not None:
        return StatedValue("", "", (top.numeral.value, part), top.score)
    if top.score < _LEAST_RATING:
        return None
    if (rival := rival_amount(text, top.numeral, numerals, question)) != "":
        return StatedValue("", "", (top.numeral.text, rival), top.score)
    if is_unsolved(text, top.numeral.start, problem_text):
        return None
    shown = with_unit(text, top.numeral, question)
    if (whole := exact.get(top.numeral.start)) is not None:
        shown = whole.text if top.numeral.percent else f"{whole.text} ≈ {shown}"
    counted = counts(text, top.numeral, question) > 0
    changed = change_of(text, top.numeral, numerals, counted=counted)
    if changed is not None and not changed.text:
        both = [n for n in numerals if n.text in changed.open]
        if (once := said_twice(text, both, question)) != "":
            return StatedValue(once, top.numeral.value, (), top.score)
        return StatedValue("", "", changed.open, top.score)
    if changed is not None:
        return StatedValue(changed.text, changed.text, (), top.score)
    rate = rate_of(text, top.numeral, numerals, clause_of(text, top.numeral))
    if rate and not _IN_RATE.search(shown):
        other = of_other_period(rate.removeprefix("per "), problem_text)
        shown = f"{shown} {rate}" if other or not asks_rate(problem_text) else shown
    return StatedValue(
        shown,
        top.numeral.value,
        (),
        top.score,
        _of_unknown(text, top.numeral, numerals),
        top.numeral.role is NumeralRole.RESULT,
    )


def says_another(text: str, problem_text: str) -> bool:
    """Return whether an answer gives its number to another thing than is asked for, as a bound of
    it, or as a rank where a count is asked for.
    """
    question = question_of(problem_text)
    numerals = [n for n in numerals_in(text) if n.role is not NumeralRole.OPERAND]
    asks_count = bool(question.counted) and not question.place
    return bool(numerals) and all(
        (asks_count and n.role is NumeralRole.ORDINAL) or _denied(text, n, question)
        for n in numerals
    )


def _exact_values(text: str, numerals: list[Numeral]) -> dict[int, Numeral]:
    """Return the fraction or formula of which a decimal behind it is said to be about its value,
    by where each of the two stands.
    """
    found: dict[int, Numeral] = {}
    for left, right in pairwise(numerals):
        if not ("." in right.text or right.percent) or not _ABOUT.fullmatch(
            text[left.end : right.start]
        ):
            continue
        if left.value.startswith("formula ") or ("/" in left.text and _rounds(left, right)):
            found[right.start] = left
    return found


def _rounds(exact: Numeral, decimal: Numeral) -> bool:
    """Return whether a decimal is a fraction's value to as many places as it has."""
    places = len(decimal.text.strip("%").partition(".")[2])
    value = Fraction(decimal.value)
    if decimal.percent and not exact.percent:
        places, value = places + 2, value / 100
    off = abs(Fraction(exact.value) - value)
    return off <= Fraction(1, 2 * 10**places)


_ABOUT = re.compile(
    r"\s*(?:≈|,?\s*(?:or|which\s+is|that\s+is|i\.e\.,?)\s+(?:about|approximately|roughly|around|≈)|"
    r"\(\s*(?:about|approximately|approx\.?|roughly|≈))\s*"
)


def _weigh_conclusion(text: str, rated: list[_Rated], question: AskedQuestion) -> None:
    """Lower what the problem states already, where a new number is concluded behind it."""
    concluded = [
        one.numeral.start
        for one in rated
        if one.numeral.value not in question.numbers
        and one.numeral.role is not NumeralRole.NAMED
        and THEN.match(clause := clause_of(text, one.numeral))
        and not text.startswith(clause)
    ]
    for one in rated if concluded else ():
        if one.numeral.value in question.numbers and one.numeral.start < concluded[-1]:
            one.score -= 2.0


def _weigh_steps(rated: list[_Rated], numerals: list[Numeral]) -> None:
    """Lower a result that the sentence goes on to compute with, where another comes of it."""
    last = rated[-1].numeral
    for one in rated:
        if one.numeral.role is NumeralRole.RESULT and last.value != one.numeral.value:
            used = any(
                n.value == one.numeral.value
                and n.role is NumeralRole.OPERAND
                and one.numeral.end <= n.start < last.start
                for n in numerals
            )
            one.score -= 2.0 if used else 0.0


_PLUS = re.compile(r"(\b(?:is|are|be)\s+|[=:]\s*)\+(?=\d)")  # "the answer is +3"
_SOLVED = re.compile(
    r"(?i)(?:\b(?:so|hence|thus|therefore|then|giving|gives)[,:]?|→|⇒|=>|->|∴|[,;])\s*(?:that\s+)?([a-z])\s*=\s*$"
)


def _solves(text: str, numerals: list[Numeral]) -> bool:
    """Return whether the last of some numbers solves the equation that the others stand in.

    As in "5x = 445, so x = 89.", where nothing follows.
    """
    last = numerals[-1]
    found = _SOLVED.search(text[: last.start])
    if found is None or text[last.end :].strip(" .$!"):
        return False
    equation = text[: found.start()]
    unknown = re.search(rf"(?<![A-Za-z]){re.escape(found[1])}(?![A-Za-z])", equation)
    return unknown is not None and "=" in equation and numerals[-2].end <= found.start()


def _solution_behind(
    text: str, top: _Rated, order: list[_Rated], numerals: list[Numeral]
) -> Numeral | None:
    """Return the last number, where it solves the equation of which the top one is a side."""
    last = max((rated.numeral for rated in order), key=lambda numeral: numeral.start)
    if numerals.index(last) - numerals.index(top.numeral) != 1:
        return None
    return last if _solves(text, [top.numeral, last]) else None


def _goes_on(results: list[Numeral], numerals: list[Numeral]) -> bool:
    """Return whether a sentence ends in the last of some results and goes on from the others."""
    if (
        any(one.role is not NumeralRole.RESULT for one in results)
        or results[-1] is not numerals[-1]
    ):
        return False
    return all(
        any(
            n.value == one.value and n.role is NumeralRole.OPERAND and one.end <= n.start
            for n in numerals
        )
        for one in results[:-1]
    )


def _spelled_out(text: str, numeral: Numeral, question: AskedQuestion) -> bool:
    """Return whether a number word states a value; "the two" and "as one can see" state none."""
    if counts(text, numeral, question) > 0 or numeral.role is NumeralRole.ORDINAL:
        return True
    if "/" in numeral.value:
        return True
    before = text[: numeral.start]
    said = bool(CUE.search(before[-48:])) or with_unit(text, numeral, question) != numeral.text
    return (said and not _POINTS.search(before)) or len(text.split()) <= 3


def _compound_of(text: str, numeral: Numeral) -> str | None:
    """Return the other part of "1 hour and 57 minutes", where a number is a part of it."""
    if COMPOUND.search(text[max(0, numeral.start - 30) : numeral.start]):
        return "with a larger unit"
    behind = _COMPOUND_BEHIND.match(text[numeral.end : numeral.end + 40])
    return behind.group(1) if behind else None


def _of_unknown(text: str, numeral: Numeral, numerals: list[Numeral]) -> bool:
    """Return whether a number only equals an unknown, or itself ("48 calories = 48 calories")."""
    if numeral.role is NumeralRole.NAMED:
        return True
    left, equals, right = text.partition("=")
    same = bool(equals) and left.split() == right.rstrip(" .").split()
    return same and numeral in numerals


def _none_of(text: str, question: AskedQuestion) -> list[Numeral]:
    """Return "No pencils", where pencils are counted, as the number that it is."""
    found = _NONE_OF.search(text) if question.counted and "no" in text.lower() else None
    if found is None or stem(found.group(1)) not in question.counted:
        return []
    start = found.start(1) - 1
    return [Numeral("0", "0", start, start, False, False, False, NumeralRole.PLAIN)]


_NONE_OF = re.compile(
    r"(?i)\b(?:has|have|had|are|is|be|with|leaves?|left)\s+no\s+(?:more\s+)?([a-z]+)"
)
_IN_RATE = re.compile(r"/[a-z]|\bper\b|mph$", re.IGNORECASE)


def _denied(text: str, numeral: Numeral, question: AskedQuestion) -> bool:
    """Return whether a sentence denies a number, takes it back, bounds or compares with it, or
    gives it to another thing than is asked for.
    """
    if is_taken_back(text, numeral.start, numeral.end):
        return True
    if not question.negated and is_denied(text, numeral.start):
        return True
    if not question.bounded and is_bound(text, numeral.start, numeral.end):
        return True
    if is_of_another(text, numeral, clause_of(text, numeral), question):
        return True
    if _DENIED.search(text[max(0, numeral.start - 40) : numeral.start]):
        return not (question.difference and numeral.role is NumeralRole.RESULT)
    behind = text[numeral.end : numeral.end + 60]
    return not question.difference and bool(_MORE_THAN.match(behind))


_COMPOUND_BEHIND = re.compile(
    r"(?i)\s*(?:hours?|hrs?|minutes?|feet|foot|ft|pounds?|lbs?|dollars?|weeks?|days?|"
    r"years?)\s*(?:,|and)?\s*(?:and\s*)?"
    r"(\d+)\s*(?:minutes?|mins?|seconds?|secs?|inches|inch|in|ounces?|oz|cents?|days?|hours?|"
    r"months?|weeks?)\b"
)
_LEAST_RATING = -1.0
_POINTS = re.compile(r"(?i)\b(?:the|these|those|both|all|other|each|any|every|no|as)\s+$")
# A number behind one of these is denied, a bound, or a part of another: no value that is stated.
_DENIED = re.compile(
    r"(?i)\b(?:not|never|neither|isn't|aren't|wasn't|cannot\s+be|can't\s+be|instead\s+of|"
    r"rather\s+than|excluding|unlike|whether)\s+(?:equal\s+to\s+|the\s+|a\s+|just\s+|only\s+)?$"
    r"|\b(?:more|less|fewer|greater|larger|higher|lower|smaller|bigger)\s+than\s+$"
    r"|\bis\s+(?:twice|half(?:\s+of)?|double|triple|a\s+multiple\s+of)\s+$"
    r"|\bbetween\s+(?:\S+\s+and\s+)?$|\b(?:some|half|a\s+quarter|a\s+third)\s+of\s+(?:the\s+)?$"
)
_MORE_THAN = re.compile(
    r"(?i)\s?(?:[a-z]+\s+){0,1}(?:more|less|fewer|greater|higher|lower|older|younger|taller|"
    r"longer)\b[^.,;\d]{0,40}\bthan\b"
)
