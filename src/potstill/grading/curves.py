"""Equality of intervals and of equations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from potstill.grading.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.grammar import Apply, Name, Node, Unreadable, names_in, read_expression
from potstill.grading.groups import split_top
from potstill.grading.values import TooBig, Undefined, same, sign_of_difference

__all__ = ["compare_equations", "compare_intervals"]

_INFINITE = {"∞", "+∞", "-∞", "- ∞", "+ ∞"}
_PIECE = re.compile(r"^([(\[])(.*)([)\]])$", re.DOTALL)
_CHAIN = re.compile(r"^(.+?)\s*(<|≤|<=)\s*([A-Za-zθ])\s*(<|≤|<=)\s*(.+)$")
_CHAIN_DOWN = re.compile(r"^(.+?)\s*(>|≥|>=)\s*([A-Za-zθ])\s*(>|≥|>=)\s*(.+)$")
_HALF = re.compile(r"^([A-Za-zθ])\s*(<=|>=|<|>|≤|≥)\s*(.+)$")
_HALF_TURNED = re.compile(r"^(.+?)\s*(<=|>=|<|>|≤|≥)\s*([A-Za-zθ])$")
_TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class _Piece:
    left_closed: bool
    low: str
    high: str
    right_closed: bool


def compare_intervals(key: str, answer: str) -> Comparison:
    """Whether two intervals or unions of them are the same; inequalities are read as intervals."""
    try:
        one = _pieces(key)
    except Unreadable as error:
        raise KeyUnreadable(f"the key cannot be read as an interval: {error}") from error
    try:
        two = _pieces(answer)
    except Unreadable as error:
        if re.match(r"^\s*⦃.*⦄\s*$", answer):
            return different("a set for an interval")
        return unreadable(f"the answer cannot be read as an interval: {error}")
    if not one:
        return equal_with("both empty") if not two else different("not empty")
    for piece in one:
        _order([piece, piece])
    if len(one) != len(two):
        return different(f"{len(two)} intervals for {len(one)}")
    try:
        pairs = zip(_order(one), _order(two), strict=True)
        for k, a in pairs:
            if (k.left_closed, k.right_closed) != (a.left_closed, a.right_closed):
                return different("an end is open in one and closed in the other")
            if not (_same_end(k.low, a.low) and _same_end(k.high, a.high)):
                return different("other ends")
    except (TooBig, Undefined, Unreadable) as error:
        return unreadable(f"the answer's ends cannot be read: {error}")
    return equal_with("the same intervals")


def _pieces(text: str) -> list[_Piece]:
    text = text.strip().rstrip(".,;").strip()
    text = re.sub(r"^[A-Za-zθ](?:\([a-z]\))?\s*(?:∈|\bin\b|=)\s*", "", text)
    text = re.sub(r"(?<=[)\]])\s*(?:U|u|or|and|union)\s*(?=[(\[])", "∪", text)
    if text in ("∅", "⦃⦄", "{}"):
        return []
    if text.lower() in ("all real numbers", "\\mathbb{r}", "ℝ", "r", "all reals", "all real x"):
        return [_Piece(False, "-∞", "∞", False)]
    if set_builder := re.match(r"^[{⦃]\s*[A-Za-z]\s*[|:]\s*(.*)[}⦄]$", text):
        text = set_builder.group(1)
    if "∪" in text:
        return [_interval(piece) for piece in split_top(text, "∪")]
    if re.search(r"[<>≤≥]", text):
        parts = re.split(r"\s*(?:,|\bor\b|∪)\s*", text)
        if " and " in text:
            parts = [_joined(text)]
        return [_inequality(part) for part in parts if part]
    return [_interval(text)]


def _joined(text: str) -> str:
    """``x > 2 and x < 5`` as one chain."""
    bounds = [_inequality(part) for part in text.split(" and ")]
    if len(bounds) != 2:
        raise Unreadable("more than two bounds")
    low = next((b for b in bounds if b.low != "-∞"), None)
    high = next((b for b in bounds if b.high != "∞"), None)
    if low is None or high is None or low is high:
        raise Unreadable("bounds on one side only")
    first, second = "≤" if low.left_closed else "<", "≤" if high.right_closed else "<"
    return f"{low.low} {first} x {second} {high.high}"


def _interval(text: str) -> _Piece:
    match = _PIECE.match(text.strip())
    if match is None:
        if re.search(r"[<>≤≥]", text):
            return _inequality(text)
        if single := re.match(r"^[⦃{]([^,]+)[⦄}]$", text.strip()):
            return _Piece(True, single.group(1), single.group(1), True)
        raise Unreadable("no brackets")
    ends = split_top(match.group(2))
    if len(ends) != 2 or not all(ends):
        raise Unreadable("not two ends")
    return _checked(_Piece(match.group(1) == "[", ends[0], ends[1], match.group(3) == "]"))


def _inequality(text: str) -> _Piece:
    text = text.strip()
    if match := _CHAIN.match(text):
        low, first, _, second, high = match.groups()
        return _checked(_Piece(first != "<", low, high, second != "<"))
    if match := _CHAIN_DOWN.match(text):
        high, first, _, second, low = match.groups()
        return _checked(_Piece(second != ">", low, high, first != ">"))
    if match := _HALF.match(text):
        _, sign, bound = match.groups()
    elif match := _HALF_TURNED.match(text):
        bound, sign, _ = match.groups()
        sign = _TURNED[sign]
    else:
        raise Unreadable("not an inequality in one variable")
    if sign in ("<", "≤", "<="):
        return _checked(_Piece(False, "-∞", bound, sign != "<"))
    return _checked(_Piece(sign != ">", bound, "∞", False))


def _checked(piece: _Piece) -> _Piece:
    for end in (piece.low, piece.high):
        if end.strip() not in _INFINITE:
            read_expression(end)
    return piece


def _infinity(text: str) -> int:
    text = text.replace(" ", "")
    return {"∞": 1, "+∞": 1, "-∞": -1}.get(text, 0)


def _same_end(one: str, two: str) -> bool:
    if _infinity(one) or _infinity(two):
        return _infinity(one) == _infinity(two)
    return same(read_expression(one), read_expression(two)) is True


def _order(pieces: list[_Piece]) -> list[_Piece]:
    """The pieces from left to right, where their ends are constants."""

    def before(one: _Piece, two: _Piece) -> bool:
        if _infinity(one.low) or _infinity(two.low):
            return _infinity(one.low) < _infinity(two.low)
        return sign_of_difference(read_expression(one.low), read_expression(two.low)) < 0

    ordered: list[_Piece] = []
    for piece in pieces[:60]:
        place = len(ordered)
        try:
            while place > 0 and before(piece, ordered[place - 1]):
                place -= 1
        except Undefined:
            return pieces
        ordered.insert(place, piece)
    return ordered


def compare_equations(key: str, answer: str) -> Comparison:
    """Whether two equations have the same solutions: their differences are proportional.

    A key of the form y = f(x) also takes the bare f(x), noted as a form.
    """
    try:
        left, right = _sides(key)
    except Unreadable as error:
        raise KeyUnreadable(f"the key cannot be read as an equation: {error}") from error
    letters = (names_in(left) | names_in(right)) or None
    try:
        sides = _split_equation(answer)
        if len(sides) == 1:
            value = read_expression(sides[0], letters=letters)
            isolated = isinstance(left, Name) and left.name not in names_in(right)
            if not isolated:
                return different("an expression for an equation")
            if same(right, value):
                return equal_with("the right-hand side", "asked for an equation")
            return different("another right-hand side")
        one, two = (read_expression(side, letters=letters) for side in sides)
    except Unreadable as error:
        return unreadable(f"the answer cannot be read as an equation: {error}")
    key_zero = Apply("+", (left, Apply("neg", (right,))))
    answer_zero = Apply("+", (one, Apply("neg", (two,))))
    if names_in(key_zero) != names_in(answer_zero):
        return different("other variables")
    try:
        return _proportional(key_zero, answer_zero, (left, right), (one, two))
    except (TooBig, Undefined) as error:
        return unreadable(f"the equations are not computed: {error}")


def _split_equation(text: str) -> list[str]:
    text = text.strip().rstrip(".,;")
    # "f(x) = ..." names the same thing as "y = ...".
    return [side.strip() for side in text.split("=")]


def _sides(text: str) -> tuple[Node, Node]:
    sides = _split_equation(text)
    if len(sides) != 2:
        raise Unreadable("not one equals sign")
    one, two = (read_expression(side) for side in sides)
    if not names_in(one) | names_in(two):
        raise Unreadable("no variables")
    return one, two


def _proportional(
    key_zero: Node, answer_zero: Node, key_sides: tuple[Node, Node], sides: tuple[Node, Node]
) -> Comparison:
    from potstill.grading.values import ratio_is_constant

    constant = ratio_is_constant(key_zero, answer_zero)
    if constant:
        return equal_with("the same equation")
    if constant is None:
        return undecided("the equations cannot be sampled")
    if _plain_polynomial(key_zero) and _plain_polynomial(answer_zero):
        return different("another equation")
    for solved, other in ((key_sides, answer_zero), (sides, key_zero)):
        outcome = _substituted(solved, other)
        if outcome is False:
            return different("another equation")
    return undecided("the equations are not multiples of one another")


def _substituted(solved: tuple[Node, Node], other: Node) -> bool | None:
    """Whether y = f(x) put into the other equation makes it hold; None where it has none."""
    name, value = solved
    if not isinstance(name, Name) or name.name in names_in(value):
        return None
    replaced = _replace(other, name.name, value)
    return same(replaced, Apply("*", (replaced, Apply("neg", (_one(),)))))


def _one() -> Node:
    from potstill.grading.grammar import Number

    return Number(Fraction(1))


def _replace(node: Node, name: str, value: Node) -> Node:
    match node:
        case Name(found) if found == name:
            return value
        case Apply(op, args):
            return Apply(op, tuple(_replace(arg, name, value) for arg in args))
    return node


def _plain_polynomial(node: Node) -> bool:
    match node:
        case Apply("+" | "*" | "neg", args):
            return all(_plain_polynomial(arg) for arg in args)
        case Apply("/", (top, bottom)):
            return _plain_polynomial(top) and not names_in(bottom)
        case Apply("^", (base, exponent)):
            return _plain_polynomial(base) and not names_in(exponent)
        case Apply(_, args):
            return not any(names_in(arg) for arg in args)
    return True
