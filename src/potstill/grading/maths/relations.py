"""Inequalities in several variables: ``x + y > 2``, ``x > 0, y > 0``, ``a < b < c``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from potstill.grading.maths.comparison import Comparison, different, equal_with, unreadable
from potstill.grading.maths.grammar import read_expression
from potstill.grading.maths.groups import split_top
from potstill.grading.maths.trees import Apply, Node, Unreadable, names_in
from potstill.grading.maths.values import positive_ratio

__all__ = ["Relation", "compare_relations", "read_relations"]

MAX_RELATIONS = 12
_SIGNS = re.compile(r"[<>≤≥]")


@dataclass(frozen=True, slots=True)
class Relation:
    """``larger - smaller`` is above zero, or not below it where ``strict`` is false."""

    difference: Node
    strict: bool


def read_relations(text: str) -> list[Relation]:
    """Return the inequalities of a tidied text that all hold. Raises Unreadable."""
    text = text.replace("<=", "≤").replace(">=", "≥")
    found: list[Relation] = []
    for part in split_top(re.sub(r"\s+and\s+", ",", text)):
        signs, sides = _SIGNS.findall(part), _SIGNS.split(part)
        if not signs or len(found) + len(signs) > MAX_RELATIONS or "=" in part:
            raise Unreadable("not an inequality")
        if re.search(r"[A-Za-z]\s?\(\s?-?\d", part):
            raise Unreadable("values of a function")
        nodes = [read_expression(side) for side in sides]
        for index, sign in enumerate(signs):
            small, large = nodes[index], nodes[index + 1]
            if sign in ">≥":
                small, large = large, small
            difference = Apply("+", (large, Apply("neg", (small,))))
            if not names_in(difference):
                raise Unreadable("an inequality without variables")
            found.append(Relation(difference, sign in "<>"))
    return found


def compare_relations(key: str, answer: str) -> Comparison:
    """Return whether two texts state the same inequalities, in any order and any multiple.

    Raises Unreadable, Undefined and TooBig.
    """
    one, two = read_relations(key), read_relations(answer)
    left = list(two)
    for relation in one:
        hit = next((i for i, other in enumerate(left) if _same(relation, other)), None)
        if hit is None:
            return unreadable("not the key's inequalities") if left else different("too few")
        del left[hit]
    return different("an inequality too much") if left else equal_with("the same inequalities")


def _same(one: Relation, two: Relation) -> bool:
    if one.strict != two.strict or names_in(one.difference) != names_in(two.difference):
        return False
    return positive_ratio(one.difference, two.difference) is True
