"""How a wrong value relates to the right one and to the numbers of the question."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from itertools import permutations

from potstill.grading.maths.grammar import Unreadable
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.numbers import read_scalar
from potstill.grading.maths.values import TooBig, Undefined, exact, real_value
from potstill.records import Cause

__all__ = ["other_operation", "relation", "turned_over", "value_of"]

CLOSE = Fraction(1, 500)
FACTORS = (2, 3, 4, 8, 10, 60, 100, 1_000)
MOST_NUMBERS = 12
_OPERATIONS: Mapping[str, Callable[[Fraction, Fraction], Fraction | None]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else None,
    "mod": lambda a, b: a % b if b > 0 and a.denominator == b.denominator == 1 else None,
    "%": lambda a, b: a * b / 100,
}


def value_of(text: str) -> Fraction | None:
    """Return the number that a key or an answer is, to 20 digits; None where it is none."""
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


def turned_over(wanted: Fraction, given: Fraction) -> Cause:
    """Return SIGN or RECIPROCAL where the value is the right one turned over, else NONE."""
    if wanted == given:
        return Cause.NONE
    if given == -wanted:
        return Cause.SIGN
    return Cause.RECIPROCAL if given * wanted == 1 else Cause.NONE


def relation(wanted: Fraction, given: Fraction) -> Cause:
    """Return how a wrong value lies to the right one: NEAR_MISS, FACTOR or NONE.

    Near are a rounding, one off, a tenth off, a carry forgotten and, from three digits on, one
    digit wrong. Each is two to four times as frequent as between a key and the answer to another
    problem of its family (students of the pocket world that answer without working).
    """
    if wanted == given or not wanted or not given:
        return Cause.NONE
    ratio = given / wanted
    whole = wanted.denominator == given.denominator == 1
    if abs(ratio - 1) <= CLOSE and (not whole or abs(wanted) >= 1_000):
        return Cause.NEAR_MISS
    if whole and _nearly(int(wanted), int(given)):
        return Cause.NEAR_MISS
    if any(abs(ratio) in (Fraction(n), Fraction(1, n)) for n in FACTORS):
        return Cause.FACTOR
    return Cause.NONE


def _nearly(wanted: int, given: int) -> bool:
    off = abs(wanted - given)
    if off == 1:
        return abs(wanted) > 3
    if 10 * off <= abs(wanted):
        return True
    if off in (10, 100):  # a carry
        return 2 * off <= abs(wanted)
    one, two = str(wanted), str(given)
    same = sum(a == b for a, b in zip(one, two, strict=False))
    return len(one) == len(two) >= 3 and same == len(one) - 1


def other_operation(numbers: Collection[Fraction], wanted: Fraction, given: Fraction) -> bool:
    """Return whether two of the numbers make the right value, and by another operation the wrong.

    7 and 6 make 42 as a product and 13 as a sum: who answers 13 added.
    """
    if len(numbers) > MOST_NUMBERS:
        return False
    for a, b in permutations(numbers, 2):
        made = {operate(a, b) for operate in _OPERATIONS.values()}
        if wanted in made and given in made:
            return True
    return False
