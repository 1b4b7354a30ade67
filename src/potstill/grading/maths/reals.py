"""Sets of real numbers: intervals, points, inequalities, complements and what is made of them.

A set is read into a tree of pieces. Two sets with constant ends are the same where they agree on
every end and every gap between the ends of both; ends with letters in them are compared one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from potstill.grading.maths.grammar import (
    Apply,
    Name,
    Node,
    Number,
    Unreadable,
    names_in,
    read_expression,
)
from potstill.grading.maths.values import Undefined, same, sign_of_difference

__all__ = [
    "LINE",
    "Both",
    "Either",
    "RealPiece",
    "RealSet",
    "Without",
    "checked_end",
    "infinity_of",
    "is_empty",
    "pieces_of",
    "replace_name",
    "same_set",
    "solve",
]

MAX_PIECES = 60
INFINITY = Name("∞")
MINUS_INFINITY = Apply("neg", (INFINITY,))


@dataclass(frozen=True, slots=True)
class RealPiece:
    """An interval; both ends the same and closed for a point."""

    low: Node
    high: Node
    low_closed: bool = False
    high_closed: bool = False


@dataclass(frozen=True, slots=True)
class Either:
    """A union; of nothing: the empty set."""

    parts: tuple[RealSet, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """An intersection; of nothing: the real line."""

    parts: tuple[RealSet, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """What is in the first set and not in the second."""

    whole: RealSet
    removed: RealSet


RealSet = RealPiece | Either | Both | Without
LINE = RealPiece(MINUS_INFINITY, INFINITY)


def infinity_of(node: Node) -> int:
    """Return 1 and -1 for the two infinite ends, 0 for any other."""
    return 1 if node == INFINITY else -1 if node == MINUS_INFINITY else 0


def pieces_of(found: RealSet) -> list[RealPiece]:
    """Return every interval that a set is made of, removed ones too."""
    match found:
        case RealPiece():
            return [found]
        case Either(parts) | Both(parts):
            return [piece for part in parts for piece in pieces_of(part)]
        case Without(whole, removed):
            return pieces_of(whole) + pieces_of(removed)


def _ends(found: RealSet) -> list[Node]:
    return [end for piece in pieces_of(found) for end in (piece.low, piece.high)]


def same_set(one: RealSet, two: RealSet) -> bool | None:
    """Return whether two sets hold the same numbers; None where it cannot be told.

    Raises Undefined, TooBig and Unreadable.
    """
    ends = [end for end in _ends(one) + _ends(two) if not infinity_of(end)]
    if len(ends) > 4 * MAX_PIECES:
        raise Unreadable("too many intervals")
    if any(names_in(end) for end in ends):
        return _same_by_pieces(one, two)
    marks = _sorted_apart(ends)
    return _cells(one, marks) == _cells(two, marks)


def is_empty(found: RealSet) -> bool:
    """Return whether a set with constant ends holds no number."""
    ends = [end for end in _ends(found) if not infinity_of(end)]
    if any(names_in(end) for end in ends):
        return False
    return not any(_cells(found, _sorted_apart(ends)))


def _sorted_apart(ends: list[Node]) -> list[Node]:
    """Return constants from small to large, equal ones once."""
    marks: list[Node] = []
    for end in dict.fromkeys(ends):
        low, high = 0, len(marks)
        known = False
        while low < high:
            middle = (low + high) // 2
            sign = sign_of_difference(end, marks[middle])
            if sign == 0:
                known = True
                break
            low, high = (middle + 1, high) if sign > 0 else (low, middle)
        if not known:
            marks.insert(low, end)
    return marks


def _cells(found: RealSet, marks: list[Node]) -> list[bool]:
    """Return membership in every gap and mark from left to right: gap, mark, gap, mark, ...,
    gap.
    """
    count = 2 * len(marks) + 1
    match found:
        case RealPiece():
            low, high = _place(found.low, marks), _place(found.high, marks)
            first = 0 if low < 0 else low if found.low_closed else low + 1
            last = high if found.high_closed or high >= count else high - 1
            return [first <= cell <= last for cell in range(count)]
        case Either(parts):
            return _joined(parts, marks, any, count)
        case Both(parts):
            return _joined(parts, marks, all, count)
        case Without(whole, removed):
            kept, gone = _cells(whole, marks), _cells(removed, marks)
            return [a and not b for a, b in zip(kept, gone, strict=True)]


def _joined(
    parts: tuple[RealSet, ...], marks: list[Node], rule: Callable[[list[bool]], bool], count: int
) -> list[bool]:
    rows = [_cells(part, marks) for part in parts]
    return [rule([row[cell] for row in rows]) for cell in range(count)]


def _place(end: Node, marks: list[Node]) -> int:
    """Return the cell of an end: -1 and beyond the last for infinite ones."""
    if sign := infinity_of(end):
        return -1 if sign < 0 else 2 * len(marks) + 1
    low, high = 0, len(marks)
    while low < high:
        middle = (low + high) // 2
        sign = sign_of_difference(end, marks[middle])
        if sign == 0:
            return 2 * middle + 1
        low, high = (middle + 1, high) if sign > 0 else (low, middle)
    raise Undefined("an end without its place")


def _same_by_pieces(one: RealSet, two: RealSet) -> bool | None:
    """Set with letters in their ends: the same pieces joined in the same way."""
    match one, two:
        case RealPiece(), RealPiece():
            if (one.low_closed, one.high_closed) != (two.low_closed, two.high_closed):
                return False
            pairs = ((one.low, two.low), (one.high, two.high))
            results = [_same_end(a, b) for a, b in pairs]
            return False if False in results else None if None in results else True
        case Either(first), Either(second):
            return _same_parts(first, second)
        case Both(first), Both(second):
            return _same_parts(first, second)
        case Without(a, b), Without(c, d):
            results = [_same_by_pieces(a, c), _same_by_pieces(b, d)]
            return False if False in results else None if None in results else True
    return None


def _same_end(one: Node, two: Node) -> bool | None:
    if infinity_of(one) or infinity_of(two):
        return infinity_of(one) == infinity_of(two)
    return same(one, two)


def _same_parts(first: tuple[RealSet, ...], second: tuple[RealSet, ...]) -> bool:
    left = list(second)
    for part in first:
        hit = next((i for i, other in enumerate(left) if _same_by_pieces(part, other)), None)
        if hit is None:
            return False
        del left[hit]
    return not left


def replace_name(node: Node, name: str, value: Node) -> Node:
    """Return a tree with ``value`` for every ``name``."""
    match node:
        case Name(found) if found == name:
            return value
        case Apply(op, args):
            return Apply(op, tuple(replace_name(arg, name, value) for arg in args))
    return node


def solve(left: Node, sign: str, right: Node, name: str) -> RealSet:
    """Return the solutions of one inequality or equation in ``name``: linear, or of an absolute
    value.

    Raises Unreadable for any other, Undefined and TooBig.
    """
    for inner, bound, turned in ((left, right, sign), (right, left, turn(sign))):
        if isinstance(inner, Apply) and inner.op == "abs" and name in names_in(inner):
            if name in names_in(bound):
                break
            return _solve_absolute(inner.args[0], turned, bound, name)
    if left == Name(name) and name not in names_in(right):
        return half_line(sign, right)
    if right == Name(name) and name not in names_in(left):
        return half_line(turn(sign), left)
    return _solve_linear(Apply("+", (left, Apply("neg", (right,)))), sign, name)


def turn(sign: str) -> str:
    """Return the sign read from the other side."""
    return {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}.get(sign, sign)


def half_line(sign: str, bound: Node) -> RealSet:
    """Return what lies on one side of a bound; the point itself, or all but it."""
    match sign:
        case "<" | "≤":
            return RealPiece(MINUS_INFINITY, bound, False, sign == "≤")
        case ">" | "≥":
            return RealPiece(bound, INFINITY, sign == "≥", False)
        case "≠":
            return Without(LINE, RealPiece(bound, bound, True, True))
    return RealPiece(bound, bound, True, True)


def _solve_absolute(inner: Node, sign: str, bound: Node, name: str) -> RealSet:
    negative = Apply("neg", (bound,))
    match sign:
        case "<" | "≤":
            return Both((solve(inner, sign, bound, name), solve(inner, turn(sign), negative, name)))
        case ">" | "≥":
            return Either(
                (solve(inner, sign, bound, name), solve(inner, turn(sign), negative, name))
            )
        case "≠":
            return Both((solve(inner, sign, bound, name), solve(inner, sign, negative, name)))
    return Either((solve(inner, sign, bound, name), solve(inner, sign, negative, name)))


def _solve_linear(difference: Node, sign: str, name: str) -> RealSet:
    def at(value: int) -> Node:
        return replace_name(difference, name, Number(Fraction(value)))

    offset = at(0)
    slope = Apply("+", (at(1), Apply("neg", (offset,))))
    for probe in (2, -3):
        straight = Apply("+", (offset, Apply("*", (Number(Fraction(probe)), slope))))
        if same(at(probe), straight) is not True:
            raise Unreadable("not a linear inequality")
    if names_in(slope):
        raise Unreadable("an inequality with letters for its slope")
    rising = sign_of_difference(slope, Number(Fraction(0)))
    if rising == 0:
        raise Unreadable("an inequality without its variable")
    bound = Apply("neg", (Apply("/", (offset, slope)),))
    return half_line(sign if rising > 0 else turn(sign), bound)


def checked_end(text: str) -> Node:
    """Return an end of an interval as a tree. Raises Unreadable."""
    text = text.strip()
    plain = text.replace(" ", "")
    if plain in ("∞", "+∞"):
        return INFINITY
    if plain == "-∞":
        return MINUS_INFINITY
    node = read_expression(
        re.sub(r"(?<![\d.,])(\d{1,3})((?:,\d{3})+)(?!\d)", _plain_thousands, text)
    )
    if INFINITY.name in _all_names(node):
        raise Unreadable("infinity inside an expression")
    return node


def _plain_thousands(found: re.Match[str]) -> str:
    return found.group().replace(",", "")


def _all_names(node: Node) -> set[str]:
    match node:
        case Name(name):
            return {name}
        case Apply(_, args):
            return {name for arg in args for name in _all_names(arg)}
    return set()
