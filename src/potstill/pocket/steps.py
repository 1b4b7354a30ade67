"""Steps of arithmetic: what a pocket problem's solver yields and every level is rendered from.

A solution is a tree: each step is one binary operation whose operands are literals or the results
of earlier steps, and each result is used once. That is what lets a renderer write a step out, break
it into sub-steps, or merge it into the step that uses it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["HARD_OPS", "PocketStep", "Ref", "equation", "operands", "show", "substeps", "values"]

HARD_OPS = frozenset({"x", "/", "mod", "over"})
"""Operations whose sub-steps survive at R2: products, divisions, remainders, reduced fractions."""

_PRECEDENCE = {"+": 1, "-": 1, "x": 2, "/": 2, "mod": 2, "over": 2}
_TABLE_LIMIT = 10  # products up to 10 x 10 are facts, not workings
_SUM_LIMIT = 100  # so are sums and differences of numbers below it


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of an earlier step, by its index."""

    index: int


@dataclass(frozen=True, slots=True)
class PocketStep:
    """One operation: `left op right`, and in words what it finds.

    `op` is "+", "-", "x", "/" (exact division), "mod" (remainder) or "over" (a fraction to reduce).
    """

    op: str
    left: int | Ref
    right: int | Ref
    finds: str


def show(value: Fraction) -> str:
    """Return an integer or a reduced fraction as the pocket world writes it: `14`, `3/7`."""
    return str(value)


def _apply(op: str, left: Fraction, right: Fraction) -> Fraction:
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op == "x":
        return left * right
    if op == "mod":
        return left % right
    return left / right


def _operand(operand: int | Ref, results: Sequence[Fraction]) -> Fraction:
    return results[operand.index] if isinstance(operand, Ref) else Fraction(operand)


def operands(
    steps: Sequence[PocketStep], results: Sequence[Fraction], index: int
) -> tuple[Fraction, Fraction]:
    """Return the values of a step's two operands."""
    step = steps[index]
    return _operand(step.left, results), _operand(step.right, results)


def values(
    steps: Sequence[PocketStep], slip: tuple[int, Fraction] | None = None
) -> tuple[Fraction, ...]:
    """Return every step's result, in order.

    `slip` is (index, error): that step's result is off by `error` and all later ones follow from
    it. Raises ZeroDivisionError when the error makes a later divisor zero.
    """
    results: list[Fraction] = []
    for index, step in enumerate(steps):
        result = _apply(step.op, _operand(step.left, results), _operand(step.right, results))
        if slip is not None and slip[0] == index:
            result += slip[1]
        results.append(result)
    return tuple(results)


def _side(
    steps: Sequence[PocketStep],
    results: Sequence[Fraction],
    operand: int | Ref,
    parent: str,
    right: bool,
    merged: Collection[int],
) -> str:
    if not isinstance(operand, Ref) or operand.index not in merged:
        return show(_operand(operand, results))
    inner = steps[operand.index].op
    text = _expression(steps, results, operand.index, merged)
    level, outer = _PRECEDENCE[inner], _PRECEDENCE[parent]
    associative = parent == "+" or (parent == "x" and inner == "x")
    if level < outer or (right and level == outer and not associative):
        return f"({text})"
    return text


def _expression(
    steps: Sequence[PocketStep], results: Sequence[Fraction], index: int, merged: Collection[int]
) -> str:
    step = steps[index]
    left = _side(steps, results, step.left, step.op, False, merged)
    right = _side(steps, results, step.right, step.op, True, merged)
    sign = "/" if step.op == "over" else step.op
    return f"{left} {sign} {right}"


def equation(
    steps: Sequence[PocketStep],
    results: Sequence[Fraction],
    index: int,
    merged: Collection[int] = (),
) -> tuple[str, str]:
    """Return the two sides of a step's equation, `merged` steps written inside it, unevaluated."""
    return _expression(steps, results, index, merged), show(results[index])


def _places(number: int) -> list[int]:
    digits = str(number)
    return [int(d) * 10 ** (len(digits) - 1 - i) for i, d in enumerate(digits) if d != "0"]


def _sum_substeps(op: str, left: int, right: int) -> list[str]:
    parts = _places(right)
    if max(left, right) < _SUM_LIMIT or left < 10 or right < 10 or len(parts) < 2:
        return []
    lines, running = [], left
    for part in parts:
        following = running + part if op == "+" else running - part
        lines.append(f"{running} {op} {part} = {following}")
        running = following
    return lines


def _product_substeps(left: int, right: int) -> list[str]:
    small, big = sorted((left, right))
    parts = _places(big)
    if big <= _TABLE_LIMIT or len(parts) < 2 or small < 2:
        return []
    lines, running = [], 0
    for part in parts:
        piece = small * part
        lines.append(f"{small} x {part} = {piece}")
        if running:
            lines.append(f"{running} + {piece} = {running + piece}")
        running += piece
    return lines


def _division_substeps(left: int, right: int) -> list[str]:
    quotient = left // right
    parts = _places(quotient)
    if quotient <= _TABLE_LIMIT or right in (10, 100):
        return []
    if len(parts) < 2:
        return [f"{right} x {quotient} = {left}"]
    lines, rest = [], left
    for part in parts[:-1]:
        lines.append(f"{right} x {part} = {right * part}")
        lines.append(f"{rest} - {right * part} = {rest - right * part}")
        rest -= right * part
    lines.append(f"{rest} / {right} = {parts[-1]}")
    lines.append(" + ".join(map(str, parts)) + f" = {quotient}")
    return lines


def _remainder_substeps(left: int, right: int) -> list[str]:
    if left < right or right == 10:
        return []
    lines, rest = [], left
    for part in _places(left // right):
        lines.append(f"{right} x {part} = {right * part}")
        lines.append(f"{rest} - {right * part} = {rest - right * part}")
        rest -= right * part
    return lines


def substeps(op: str, left: Fraction, right: Fraction) -> tuple[str, ...]:
    """Return the equations that lead to `left op right`; none where it is done in one pass.

    Tens before ones, as a school does it: 84 / 6 is 6 x 10 = 60, 84 - 60 = 24, 24 / 6 = 4,
    10 + 4 = 14. Operands that are not whole and positive (a slip can make them) yield none.
    """
    if left.denominator != 1 or right.denominator != 1 or left <= 0 or right <= 0:
        return ()
    a, b = int(left), int(right)
    if op in "+-":
        return tuple(_sum_substeps(op, a, b)) if op == "+" or a > b else ()
    if op == "x":
        return tuple(_product_substeps(a, b))
    if op == "/":
        return tuple(_division_substeps(a, b)) if a % b == 0 else ()
    if op == "mod":
        return tuple(_remainder_substeps(a, b))
    divisor = math.gcd(a, b)
    if divisor == 1:
        return ()
    return (
        f"gcd({a}, {b}) = {divisor}",
        f"{a} / {divisor} = {a // divisor}",
        f"{b} / {divisor} = {b // divisor}",
    )
