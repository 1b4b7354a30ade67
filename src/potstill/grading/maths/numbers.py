"""Equality of single values: numbers, expressions, money, percentages, degrees, quantities."""

from __future__ import annotations

import re
from fractions import Fraction

from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.forms import Asked, asked_form, decimal_places, misses, rounded, shape
from potstill.grading.maths.grammar import Apply, Node, Number, Unreadable, names_in
from potstill.grading.maths.number_words import chances_written
from potstill.grading.maths.quantities import (
    compare_units,
    is_of_another,
    is_rate_of,
    names_another_thing,
)
from potstill.grading.maths.scalars import Scalar, forms_of, read_scalar
from potstill.grading.maths.units import raised_units, size_of, unit_dimension
from potstill.grading.maths.values import TooBig, Undefined, exact, real_value, same
from potstill.records import Opinion

__all__ = ["compare_scalars", "is_one_value", "read_scalar"]


def compare_scalars(key: str, answer: str, kind: str, problem_text: str = "") -> Comparison:
    """Return whether two tidied single values are equal under a problem's text.

    Raises KeyUnreadable where the key cannot be read.
    """
    asked = asked_form(problem_text)
    keys = _read_key(key, asked)
    letters = frozenset().union(*(names_in(node) for node in keys[0].readings)) or None
    if keys[0].unit.startswith("/"):
        answer = raised_units(answer)
    if "M" in answer and unit_dimension(keys[0].unit) == "amount/length^3":
        answer = re.sub(r"(?<=[\d}])\s?M$", " mol/L", answer)
    answer = _as_the_key_counts(keys[0], answer)
    answers: list[Scalar] = []
    for part in forms_of(answer):
        try:
            answers.append(read_scalar(part, letters))
        except Unreadable as error:
            return unreadable(f"the answer cannot be read: {error}")
    if not answers:
        return unreadable("the answer holds no value")
    if len(answers) > 1 and _is_asked_for(answers[0], letters, problem_text):
        del answers[0]
    try:
        for other in answers[1:]:
            if not _consistent(answers[0], other):
                return undecided("the answer gives several values that differ")
        # an exact value and its approximation: the key may be either
        results = [
            _compare(one, given, kind, problem_text, asked) for one in keys for given in answers
        ]
    except TooBig as error:
        return unreadable(f"the answer is not computed: {error}")
    except Undefined as error:
        return unreadable(f"the answer has no value: {error}")
    best = max(results, key=lambda r: ("DIFFERENT", "UNDECIDED", "EQUAL").index(r.opinion.value))
    if best.opinion is Opinion.EQUAL and is_of_another(keys[0], answers[0], problem_text):
        return undecided(
            f"the same number, of {answers[0].nouns} where the key has {keys[0].nouns}"
        )
    return best


def is_one_value(texts: list[str]) -> bool:
    """Return whether several values are the same in other units or forms: "$0.95", "95 cents"."""
    try:
        scalars = [read_scalar(text) for text in texts]
        return all(_consistent(scalars[0], other) for other in scalars[1:])
    except (Unreadable, TooBig, Undefined):
        return False


_CLOCKED = re.compile(r"(\d{1,4}):([0-5]\d)(?::([0-5]\d))?")
_IN_HOURS = re.compile(r"(\d{1,4}(?:\.\d+)?)\s?h\.?")


def _as_the_key_counts(key: Scalar, answer: str) -> str:
    """Return an answer in the notation of the key: a chance of 1 in 3 as 1/3, "3:35" and "2h" as
    durations.
    """
    if unit_dimension(key.unit) == "time":
        if (hours := _IN_HOURS.fullmatch(answer)) is not None:
            return f"{hours[1]} hours"
        clocked = _CLOCKED.fullmatch(answer)
        return _duration(key, clocked) if clocked is not None else answer
    value = None if names_in(key.node) or key.unit not in ("", "percent") else exact(key.node)
    if value is not None and 0 < value < (100 if key.unit else 1):
        return chances_written(answer)
    return answer


def _duration(key: Scalar, clocked: re.Match[str]) -> str:
    """Return "3:35" as hours and minutes, or as minutes and seconds where the key is in those."""
    first, second, third = clocked.groups()
    if third is not None:
        return f"{first} hours {second} minutes {third} seconds"
    size = exact(key.node)
    in_seconds = key.unit == "second" or (key.unit == "minute" and _PART_OF.search(key.text))
    if in_seconds or size is None:
        return f"{first} minutes {second} seconds"
    return f"{first} hours {second} minutes"


_PART_OF = re.compile(r"\d\s?s(?:ec)?")


def _is_asked_for(first: Scalar, letters: frozenset[str] | None, problem_text: str) -> bool:
    """Return whether "w + p = 63" begins with what the problem asks for, in letters the key
    lacks.
    """
    names = names_in(first.node)
    if len(names) < 2 or names & (letters or frozenset()):
        return False
    asked_for = re.sub(r"[\s()]", "", first.text)
    return asked_for in re.sub(r"[\s()$]", "", problem_text)


def _read_key(key: str, asked: Asked) -> list[Scalar]:
    try:
        keys = [read_scalar(part) for part in forms_of(key)]
        if not keys:
            raise KeyUnreadable("the key is empty")
        for other in keys[1:]:
            if not _consistent(keys[0], other):
                raise KeyUnreadable("the key gives several values that differ", hollow=True)
        for one in keys:
            if not names_in(one.node) and exact(one.node) is None:
                same(one.node, Number(Fraction(0)))
    except Unreadable as error:
        raise KeyUnreadable(f"the key cannot be read: {error}") from error
    except (Undefined, TooBig) as error:
        raise KeyUnreadable(f"the key has no value: {error}", hollow=True) from error
    return keys


def _consistent(first: Scalar, other: Scalar) -> bool:
    if (first.unit == "percent") != (other.unit == "percent"):
        hundredth = Number(Fraction(1, 100))
        sides = (
            Apply("*", (s.node, hundredth)) if s.unit == "percent" else s.node
            for s in (first, other)
        )
        return same(*sides) is True or _is_about_percent(first, other)
    if first.unit != other.unit and first.unit and other.unit:
        sizes = size_of(first.unit), size_of(other.unit)
        if None in sizes or unit_dimension(first.unit) != unit_dimension(other.unit):
            return False
        sides = (
            Apply("*", (s.node, Number(Fraction(size or 1))))
            for s, size in zip((first, other), sizes, strict=True)
        )
        return same(*sides) is True or _is_converted(first, other) or _is_converted(other, first)
    if same(first.node, other.node):
        return True
    for exactly, decimal in ((first, other), (other, first)):
        if shape(decimal.node) == "decimal" and not names_in(exactly.node):
            return _rounds_to(exactly.node, decimal, decimal_places(decimal.text))
    return False


def _is_converted(first: Scalar, other: Scalar) -> bool:
    """Return whether a quantity is another in its own unit, to as many places as it has."""
    value, target = exact(first.node), exact(other.node)
    sizes = size_of(first.unit), size_of(other.unit)
    if value is None or not target or None in sizes or shape(other.node) != "decimal":
        return False
    converted = value * Fraction(sizes[0] or 1) / Fraction(sizes[1] or 1)
    return rounded(converted, decimal_places(other.text)) == target


def _is_about_percent(first: Scalar, other: Scalar) -> bool:
    """Return whether "33.3%" is a plain number's value to as many places as it has."""
    percent, bare = (first, other) if first.unit == "percent" else (other, first)
    value, target = _approximation(bare.node), exact(percent.node)
    if value is None or target is None or shape(percent.node) not in ("decimal", "integer"):
        return False
    return rounded(100 * value, decimal_places(percent.text)) == target


def _rounds_to(node: Node, decimal: Scalar, places: int) -> bool:
    value, target = _approximation(node), exact(decimal.node)
    return value is not None and target is not None and rounded(value, places) == target


def _approximation(node: Node) -> Fraction | None:
    """Return a constant as a fraction: exactly, or to far more digits than any rounding looks
    at.
    """
    value = exact(node)
    if value is not None:
        return value
    if names_in(node):
        return None
    real = real_value(node)
    if real is None or abs(real) > 10**30:
        return None
    return Fraction(str(real)) if "e" not in str(real) else Fraction(str(real).replace("e+", "e"))


def _compare(key: Scalar, answer: Scalar, kind: str, problem_text: str, asked: Asked) -> Comparison:
    unit = compare_units(key, answer, problem_text)
    if unit is not None:
        return unit
    if "percent" in (key.unit, answer.unit) and key.unit != answer.unit:
        return _compare_percent(key, answer, kind, asked)
    opinions = {same(key.node, reading) for reading in answer.readings}
    if len(key.readings) > 1:
        opinions |= {same(reading, answer.node) for reading in key.readings}
    if opinions == {True}:
        if (rate := is_rate_of(key, answer, problem_text)) is not None:
            return rate
        if (other := names_another_thing(key, answer, problem_text)) is not None:
            return other
        return equal_with("equal values", *misses(asked, answer.node, answer.text, key.node))
    if len(opinions) > 1:
        if key.text.replace(" ", "") == answer.text.replace(" ", ""):
            return equal_with("the same expression")
        return undecided(
            "what follows the slash may be the whole product or its first factor; brackets tell"
        )
    if opinions == {None}:
        return undecided("it cannot be told whether the expressions are equal")
    if (rounding := _compare_rounded(key, answer, asked)) is not None:
        return rounding
    return different("different values")


def _compare_percent(key: Scalar, answer: Scalar, kind: str, asked: Asked) -> Comparison:
    """Return 5% beside a bare 5 or 0.05: the one where percent is asked, the other where it is
    not.
    """
    percent, bare = (key, answer) if key.unit == "percent" else (answer, key)
    if same(percent.node, bare.node):
        if key.unit == "percent" or kind == "percent" or asked.percent:
            return equal_with("equal percentages")
        if exact(bare.node) != 0:
            return different("a percentage for a plain number")
    hundredth = Apply("/", (percent.node, Number(Fraction(100))))
    if same(hundredth, bare.node):
        if asked.percent:
            return different("the problem asks for a percentage")
        return equal_with("equal values", "another exact form: a percentage for a number")
    return _compare_rounded(
        Scalar(key.text, "", "", key.readings), Scalar(answer.text, "", "", answer.readings), asked
    ) or different("different percentages")


def _compare_rounded(key: Scalar, answer: Scalar, asked: Asked) -> Comparison | None:
    """Return EQUAL where the problem lets a rounded value stand for the exact one, else None."""
    if names_in(key.node) or names_in(answer.node):
        return None
    one, two = _approximation(key.node), _approximation(answer.node)
    if one is None or two is None:
        return None
    places = _places_asked(key, answer, asked, one)
    if places is None:
        return None
    first, second = rounded(one, places), rounded(two, places)
    if first != second or (one != first and two != second):
        return None
    shown = max(places, 0)
    exact_answer = shape(answer.node) not in ("decimal", "integer")
    note = "asked for a rounded decimal" if exact_answer else f"asked for {shown} decimal places"
    given = decimal_places(answer.text) == shown and not exact_answer
    return equal_with(f"equal when rounded to {shown} places", "" if given else note)


def _places_asked(key: Scalar, answer: Scalar, asked: Asked, value: Fraction) -> int | None:
    if asked.figures is not None:
        return asked.figures - _magnitude(value)
    if asked.places is not None:
        return asked.places
    if asked.decimal or asked.approximate:
        # No count is asked for: the decimal's own digits, but enough of them to tell.
        for decimal, other in ((answer, key), (key, answer)):
            if shape(decimal.node) == "decimal" and (
                shape(other.node) not in ("decimal", "integer") or asked.approximate
            ):
                places = decimal_places(decimal.text)
                return places if places + _magnitude(value) >= 3 and places >= 2 else None
    return None


def _magnitude(value: Fraction) -> int:
    """Return how many digits stand before the point (0 for 0.5, -1 for 0.05)."""
    value = abs(value)
    if value == 0:
        return 1
    digits = 0
    while value >= 1 and digits < 60:
        value /= 10
        digits += 1
    while value < Fraction(1, 10) and digits > -60:
        value *= 10
        digits -= 1
    return digits
