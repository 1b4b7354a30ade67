"""What an expression is worth exactly, where it is plainly rational.

Powers and factorials are bounded before they are computed.
"""

from __future__ import annotations

import math
from fractions import Fraction

from potstill.grading.maths.grammar import Apply, Name, Node, Number

__all__ = ["TooBig", "Undefined", "exact"]

MAX_BITS = 60_000


class Undefined(Exception):
    """The expression has no value here (a division by zero, a logarithm of zero)."""


class TooBig(Exception):
    """The value is too large to compute within an answer's bounds."""


def exact(node: Node) -> Fraction | None:
    """Return the rational value of a tree without variables, or None where it is not plainly
    rational.

    Raises Undefined and TooBig.
    """
    match node:
        case Number(value):
            return value
        case Name():
            return None
        case Apply(op, args):
            values = [exact(arg) for arg in args]
            if any(value is None for value in values):
                return None
            return _combine(op, [v for v in values if v is not None])
    return None


def _combine(op: str, values: list[Fraction]) -> Fraction | None:
    first = values[0]
    match op:
        case "+":
            return first + values[1]
        case "neg":
            return -first
        case "*":
            return first * values[1]
        case "/":
            if values[1] == 0:
                raise Undefined("a division by zero")
            return first / values[1]
        case "^":
            return _power(first, values[1])
        case "sqrt":
            return _perfect_root(first, 2)
        case "root3":
            return _perfect_root(first, 3)
        case "root":
            if values[1].denominator != 1 or not 2 <= values[1] <= 60:
                return None
            return _perfect_root(first, int(values[1]))
        case "abs":
            return abs(first)
        case "floor":
            return Fraction(first.numerator // first.denominator)
        case "ceil":
            return Fraction(-((-first.numerator) // first.denominator))
        case "!":
            if first.denominator != 1 or first < 0:
                return None
            if first > 3_000:
                raise TooBig("a factorial too large")
            return Fraction(math.factorial(int(first)))
        case "!!":
            return _double_factorial(first)
        case "binom":
            n, k = values
            if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
                return None
            if n > 20_000:
                raise TooBig("a binomial too large")
            return Fraction(math.comb(int(n), int(k)))
    return None


def _double_factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or value < 0:
        return None
    if value > 3_000:
        raise TooBig("a factorial too large")
    return Fraction(math.prod(range(int(value), 0, -2)))


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        root = _perfect_root(base, exponent.denominator) if exponent.denominator <= 60 else None
        if root is None or (base < 0):
            return None
        return _power(root, Fraction(exponent.numerator))
    if base in (0, 1, -1):
        if base == 0:
            if exponent < 0:
                raise Undefined("a division by zero")
            return Fraction(1 if exponent == 0 else 0)
        return base if exponent % 2 else Fraction(1)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * size > MAX_BITS:
        raise TooBig("a power too large")
    return base ** int(exponent)


def _perfect_root(value: Fraction, index: int) -> Fraction | None:
    if value < 0:
        return None
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4_000:
        return None
    top, bottom = _integer_root(value.numerator, index), _integer_root(value.denominator, index)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _integer_root(value: int, index: int) -> int | None:
    if value < 2:
        return value
    low, high = 1, 1 << (value.bit_length() // index + 1)
    while low <= high:
        middle = (low + high) // 2
        power = middle**index
        if power == value:
            return middle
        low, high = (middle + 1, high) if power < value else (low, middle - 1)
    return None
