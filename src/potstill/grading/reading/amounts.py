"""A number of a sentence with its unit, and the same amount said again in another."""

from __future__ import annotations

import re
from fractions import Fraction

from potstill.grading.maths.numbers import is_one_value
from potstill.grading.maths.scalars import read_compound
from potstill.grading.maths.units import size_of, split_unit, unit_dimension
from potstill.grading.reading.numerals import Numeral
from potstill.grading.reading.question import AskedQuestion

__all__ = ["compound_at", "rival_amount", "said_twice", "with_unit"]


_DURATION_UNIT = r"(?:[A-Za-z]{1,8})\.?"
_COMPOUNDED = re.compile(
    rf"\d+(?:\.\d+)?\s?{_DURATION_UNIT}(?:\s*,?\s*(?:and\s+)?\d+(?:\.\d+)?\s?{_DURATION_UNIT})+"
)
_UNIT_BEHIND = re.compile(
    r"\s?-?((?:(?:square|cubic|sq\.?|cu\.?) )?[A-Za-z°¢]+(?:\s+per\s+[a-z]+|/[a-z]+)?)"
    r"(\s?\^\s?\{?[23]\}?|[²³]|\s(?:squared|cubed)\b)?"
)
_POWERS = {"²": "^2", "³": "^3", " squared": "^2", " cubed": "^3"}
_OR_ELSE = re.compile(r"(?:\s+[A-Za-z]+)?,?\s+(?:or|i\.e\.,?|that\s+is,?)\s+")
_DECIMAL = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")


def said_twice(text: str, numerals: list[Numeral], question: AskedQuestion) -> str:
    """Return "$0.95 or 95 cents" where two numbers are one value in two forms, else ""."""
    forms = [shown(text, numeral, question) for numeral in numerals]
    return " or ".join(forms) if len(forms) == 2 and is_one_value(forms) else ""


def rival_amount(
    text: str, numeral: Numeral, numerals: list[Numeral], question: AskedQuestion
) -> str:
    """Return the amount that a number is said to be in another unit, where it is another amount:
    "$12, or 120 cents"; "" where there is none. Conversions may be rounded.
    """
    at = numerals.index(numeral)
    for other in numerals[at + 1 : at + 2]:
        if _OR_ELSE.fullmatch(text[numeral.end : other.start]) is None:
            continue
        amounts = [_amount(shown(text, n, question)) for n in (numeral, other)]
        if amounts[0] is None or amounts[1] is None:
            continue
        (one, unit), (two, other_unit) = amounts[0], amounts[1]
        alike = unit != other_unit and unit_dimension(unit) == unit_dimension(other_unit)
        if alike and abs(one - two) > abs(one) / 20:
            return other.text
    return ""


def _amount(text: str) -> tuple[Fraction, str] | None:
    """Return the size of a quantity beside others of its dimension, and its unit."""
    measured = split_unit(text)
    size = size_of(measured.unit) if measured.unit else None
    if size is None or _DECIMAL.fullmatch(measured.body) is None:
        return None
    return Fraction(measured.body) * size, measured.unit


def shown(text: str, numeral: Numeral, question: AskedQuestion) -> str:
    """Return a number with its unit, or the whole that it is a part of ("2 hours 30 minutes")."""
    return compound_at(text, numeral) or with_unit(text, numeral, question)


def with_unit(text: str, numeral: Numeral, question: AskedQuestion) -> str:
    """Return the number with the unit of measurement behind it, which may make it another
    quantity.
    """
    if numeral.money or numeral.percent:
        return numeral.text
    behind = _UNIT_BEHIND.match(text, numeral.end)
    if behind is None:
        return numeral.text
    words = behind.group(1)
    if words.lower() == "dozen":
        if "dozen" in question.counted:
            return numeral.text
        return str(12 * int(numeral.value)) if numeral.value.isdigit() else numeral.text
    unit = words.lower() if len(words) > 2 else words
    ends = unit == "in" and not text[behind.end() :].strip(" .!*")
    if unit in ("in", "a", "an") and text[numeral.end] == " " and not ends:
        return numeral.text
    power = _POWERS.get(behind[2] or "", (behind[2] or "").replace(" ", ""))
    return f"{numeral.text} {words}{power}" if split_unit(f"5 {unit}").unit else numeral.text


def compound_at(text: str, numeral: Numeral) -> str | None:
    """Return the whole of "2 hours and 30 minutes", where a number is a part of it."""
    for found in _COMPOUNDED.finditer(text):
        if found.start() <= numeral.start < found.end():
            return found.group() if read_compound(found.group().rstrip(".")) is not None else None
    return None
