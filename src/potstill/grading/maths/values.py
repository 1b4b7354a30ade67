"""What an expression is worth: exactly where it is rational, else to 60 digits and more.

Two constants are equal where they agree to 50 digits of a computation carried to 90. Two
expressions with variables are equal where they agree so at every sample point at which both are
real; a difference at one point decides."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

from potstill.grading.maths.grammar import Apply, Name, Node, Number, names_in
from potstill.grading.maths.rationals import TooBig, Undefined, exact

__all__ = [
    "TooBig",
    "Undefined",
    "constant_difference",
    "exact",
    "numeric",
    "positive_ratio",
    "ratio_is_constant",
    "real_value",
    "same",
    "sign_of_difference",
]

DIGITS = 90
AGREE_DIGITS = 50
_local = threading.local()


def context() -> Any:
    """Return this thread's own mpmath context, so that threads do not share a precision."""
    made = getattr(_local, "context", None)
    if made is None:
        import mpmath

        made = mpmath.mp.clone()
        made.dps = DIGITS
        _local.context = made
    return made


def numeric(node: Node, at: dict[str, Fraction] | None = None) -> Any:
    """Return the value as an mpmath number, with variables taken from ``at``.

    Raises Undefined and TooBig.
    """
    mp = context()
    try:
        value = _numeric(node, at or {}, mp)
    except (ZeroDivisionError, ValueError, OverflowError, KeyError) as error:
        raise Undefined(str(error)) from error
    if not mp.isfinite(value):
        raise Undefined("not finite")
    return value


def _numeric(node: Node, at: dict[str, Fraction], mp: Any) -> Any:
    match node:
        case Number(value):
            return mp.mpf(value.numerator) / value.denominator
        case Name("π"):
            return +mp.pi
        case Name("e"):
            return +mp.e
        case Name("i"):
            return mp.mpc(0, 1)
        case Name("∞"):
            raise Undefined("infinity in an expression")
        case Name(name):
            value = at[name]
            return mp.mpf(value.numerator) / value.denominator
        case Apply("!" | "!!" | "binom", args):
            # Through the exact branch, so that 99999999! is refused before it is begun.
            inner = exact(node)
            if inner is None:
                values = [_numeric(arg, at, mp) for arg in args]
                if any(abs(v) > 10_000 for v in values):
                    raise TooBig("a factorial too large")
                if node.op == "!!":
                    return mp.fac2(*values)
                return mp.factorial(*values) if len(values) == 1 else mp.binomial(*values)
            return mp.mpf(inner.numerator) / inner.denominator
        case Apply(op, args):
            return _apply(op, [_numeric(arg, at, mp) for arg in args], mp)
    raise Undefined("no value")


def _apply(op: str, values: list[Any], mp: Any) -> Any:
    first = values[0]
    match op:
        case "+":
            return first + values[1]
        case "neg":
            return -first
        case "*":
            return first * values[1]
        case "/":
            return first / values[1]
        case "^":
            return _numeric_power(first, values[1], mp)
        case "sqrt":
            return mp.sqrt(first)
        case "root3" | "root":
            index = values[1] if op == "root" else mp.mpf(3)
            return _numeric_root(first, index, mp)
        case "abs":
            return abs(first)
        case "log":
            if first == 0 or values[1] in (0, 1):
                raise Undefined("a logarithm without value")
            return mp.log(first) / mp.log(values[1])
        case "ln":
            if first == 0:
                raise Undefined("a logarithm without value")
            return mp.log(first)
        case "exp":
            return _numeric_power(+mp.e, first, mp)
        case "floor" | "ceil":
            return (mp.floor if op == "floor" else mp.ceil)(first)
        case "cis":
            return mp.cos(first) + mp.mpc(0, 1) * mp.sin(first)
        case (
            "sinh"
            | "cosh"
            | "tanh"
            | "coth"
            | "sech"
            | "csch"
            | "sin"
            | "cos"
            | "tan"
            | "cot"
            | "sec"
            | "csc"
        ):
            if abs(first) > 1e9:
                raise TooBig("an angle too large")
            value = getattr(mp, op)(first)
            if abs(value) > mp.mpf(10) ** (DIGITS // 2):
                raise Undefined("a pole")
            return value
        case "asin" | "acos" | "atan" | "asec" | "acsc" | "asinh" | "acosh" | "atanh":
            return getattr(mp, op)(first)
        case "acot":
            # The branch of textbooks, from 0 to π; mpmath's jumps at 0.
            return mp.pi / 2 - mp.atan(first)
    raise Undefined(f"no value for {op}")


def _numeric_root(value: Any, index: Any, mp: Any) -> Any:
    if index == 0 or abs(index) > 10_000:
        raise Undefined("a root of no index")
    # An odd root of a negative number is meant to be real, as on paper.
    if not isinstance(value, mp.mpc) and value < 0 and mp.isint(index) and int(index) % 2:
        return -((-value) ** (1 / index))
    return value ** (1 / index)


def _numeric_power(base: Any, exponent: Any, mp: Any) -> Any:
    if base == 0:
        real = mp.re(exponent)
        if real < 0:
            raise Undefined("a division by zero")
        return mp.mpf(1 if exponent == 0 else 0)
    if abs(exponent) * (abs(mp.log(abs(base))) + 1) > 1_000_000:
        raise TooBig("a power too large")
    return base**exponent


def real_value(node: Node) -> Any:
    """Return the real value of a constant tree as an mpmath number, or None where it is not
    real.
    """
    mp = context()
    value = numeric(node)
    if isinstance(value, mp.mpc):
        if abs(value.imag) > _tolerance(abs(value)):
            return None
        value = value.real
    return value


def _tolerance(scale: Any) -> Any:
    mp = context()
    return mp.mpf(10) ** -AGREE_DIGITS * max(mp.mpf(1), abs(scale))


# Sample values: none a root or a pole of anything likely, both signs, both sides of 1.
_SAMPLES = tuple(
    Fraction(n, d)
    for n, d in (
        (17, 13), (29, 11), (5, 7), (83, 19), (7, 23), (101, 37), (43, 31), (11, 29),
        (61, 17), (3, 41), (71, 43), (19, 47),
    )
)  # fmt: skip


def _points(names: list[str]) -> list[dict[str, Fraction]]:
    points = []
    count = len(_SAMPLES)
    for trial in range(8):
        point = {}
        for index, name in enumerate(names):
            value = _SAMPLES[(5 * index + 7 * trial + index * trial) % count]
            value += Fraction(index, 3)
            if trial >= 4 and (index + trial) % 2 == 0:
                value = -value
            point[name] = value
        points.append(point)
    if len(names) == 1:
        points += [{names[0]: Fraction(-7, 9)}, {names[0]: Fraction(-16, 5)}]
    return points


def same(left: Node, right: Node) -> bool | None:
    """Return whether two trees have the same value; None where it cannot be told.

    Raises Undefined where a constant has no value, and TooBig.
    """
    if left == right:
        return True
    if left in (Name("∞"), Apply("neg", (Name("∞"),))) or right in (
        Name("∞"),
        Apply("neg", (Name("∞"),)),
    ):
        return False
    names = sorted(names_in(left) | names_in(right))
    if not names:
        one, two = exact(left), exact(right)
        if one is not None and two is not None:
            return one == two
        return _agree(numeric(left), numeric(right))
    return _same_everywhere(left, right, names)


def _agree(one: Any, two: Any) -> bool:
    """Return whether two values are equal to 50 digits; of tiny ones the digits count, not the
    size.
    """
    mp = context()
    size = max(abs(one), abs(two))
    if size < mp.mpf(10) ** -(DIGITS - 10) and min(abs(one), abs(two)) == 0:
        # What is left of a sum that is zero is as small as the last digits of its terms.
        return bool(size == 0 or size > mp.mpf(10) ** -(DIGITS + 20))
    return bool(abs(one - two) <= mp.mpf(10) ** -AGREE_DIGITS * size)


def _same_everywhere(left: Node, right: Node, names: list[str]) -> bool | None:
    if len(names) > 12:
        return None
    agreed = 0
    for point in _points(names):
        values = []
        try:
            for node in (left, right):
                values.append(_real_throughout(node, point))
        except Undefined:
            continue
        if not _agree(values[0], values[1]):
            return False
        agreed += 1
    if agreed < 3 and (counted := _counted(left) | _counted(right)):
        return _same_at_integers(left, right, names, counted)
    return True if agreed >= 3 else None


_WHOLE = (2, 3, 8, 5, 4, 7, 1, 6)


def _counted(node: Node) -> frozenset[str]:
    """Return the names in the exponents of negative numbers: (-1)^n has a value at integers
    alone.
    """
    match node:
        case Apply("^", (base, exponent)) if names_in(exponent) and not names_in(base):
            value = exact(base)
            return names_in(exponent) if value is not None and value < 0 else frozenset()
        case Apply(_, args):
            return frozenset().union(*(_counted(arg) for arg in args))
    return frozenset()


def _same_at_integers(
    left: Node, right: Node, names: list[str], counted: frozenset[str]
) -> bool | None:
    agreed = 0
    for trial, point in enumerate(_points(names)):
        for place, name in enumerate(names):
            if name in counted:
                point[name] = Fraction(_WHOLE[(trial + 3 * place + trial * place) % len(_WHOLE)])
        try:
            values = [_real_throughout(node, point) for node in (left, right)]
        except Undefined:
            continue
        if not _agree(values[0], values[1]):
            return False
        agreed += 1
    return True if agreed >= 6 else None


def _real_throughout(node: Node, point: dict[str, Fraction]) -> Any:
    """Return the value where every root and logarithm on the way is real, unless i is written
    out.
    """
    mp = context()
    if _mentions_i(node):
        return numeric(node, point)
    value = numeric(node, point)
    if isinstance(value, mp.mpc) or _has_complex_part(node, point):
        raise Undefined("not real here")
    return value


def _mentions_i(node: Node) -> bool:
    match node:
        case Name("i"):
            return True
        case Apply(_, args):
            return any(_mentions_i(arg) for arg in args)
    return False


def _has_complex_part(node: Node, point: dict[str, Fraction]) -> bool:
    mp = context()
    match node:
        case Apply(op, args):
            if any(_has_complex_part(arg, point) for arg in args):
                return True
            if op in ("sqrt", "root", "^", "log", "ln", "asin", "acos"):
                return isinstance(numeric(node, point), mp.mpc)
    return False


def sign_of_difference(left: Node, right: Node) -> int:
    """Return -1, 0 or 1 as the first constant is smaller, equal or larger. Raises Undefined."""
    one, two = real_value(left), real_value(right)
    if one is None or two is None:
        raise Undefined("not real")
    if _agree(one, two):
        return 0
    return -1 if one < two else 1


def positive_ratio(left: Node, right: Node) -> bool | None:
    """Return whether the quotient of two trees is one constant above zero at every sample point."""
    return _constant_ratio(left, right, positive=True)


def ratio_is_constant(left: Node, right: Node) -> bool | None:
    """Return whether the quotient of two trees is one nonzero constant at every sample point.

    None where there are too few points at which both have a value.
    """
    return _constant_ratio(left, right, positive=False)


def constant_difference(left: Node, right: Node, name: str) -> bool:
    """Return whether two trees are F + name and F + name + a number, with one F."""
    names = sorted(names_in(left) | names_in(right))
    found: list[Any] = []
    for point in _points(names):
        moved = point | {name: point[name] + 1}
        try:
            values = [_real_throughout(node, at) for at in (point, moved) for node in (left, right)]
        except Undefined:
            continue
        if not all(_agree(values[side] + 1, values[side + 2]) for side in (0, 1)):
            return False
        found.append(values[0] - values[1])
    size = max((abs(value) for value in found), default=0)
    near = _tolerance(size)
    return len(found) >= 4 and all(abs(value - found[0]) <= near for value in found)


def _constant_ratio(left: Node, right: Node, *, positive: bool) -> bool | None:
    names = sorted(names_in(left) | names_in(right))
    ratios: list[Any] = []
    for point in _points(names):
        try:
            one, two = numeric(left, point), numeric(right, point)
        except Undefined:
            continue
        if abs(two) < _tolerance(1) or abs(one) < _tolerance(1):
            return False
        ratios.append(one / two)
    if len(ratios) < 3:
        return None
    if positive and not context().re(ratios[0]) > 0:
        return False
    return all(_agree(ratios[0], ratio) for ratio in ratios[1:])
