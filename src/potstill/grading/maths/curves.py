"""Equality of equations."""

from __future__ import annotations

from fractions import Fraction

from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.grammar import (
    Apply,
    Name,
    Node,
    Number,
    Unreadable,
    names_in,
    read_expression,
)
from potstill.grading.maths.reals import replace_name
from potstill.grading.maths.values import TooBig, Undefined, ratio_is_constant, same

__all__ = ["compare_equations", "equation_nodes"]


def compare_equations(key: str, answer: str) -> Comparison:
    """Return whether two equations have the same solutions: their differences are proportional.

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


def equation_nodes(text: str) -> tuple[Node, bool]:
    """Return the difference of an equation's sides, and True. Raises Unreadable."""
    left, right = _sides(text)
    return Apply("+", (left, Apply("neg", (right,)))), True


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
    """Return whether y = f(x) put into the other equation makes it hold; None where it has none."""
    name, value = solved
    if not isinstance(name, Name) or name.name in names_in(value):
        return None
    replaced = replace_name(other, name.name, value)
    return same(replaced, Apply("*", (replaced, Apply("neg", (_one(),)))))


def _one() -> Node:
    return Number(Fraction(1))


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
