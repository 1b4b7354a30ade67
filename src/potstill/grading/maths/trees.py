"""The trees that answers are read into: numbers, names and operations."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["CONSTANTS", "Apply", "Name", "Node", "Number", "Unreadable", "names_in"]

CONSTANTS = frozenset({"π", "e", "i", "∞"})


class Unreadable(Exception):
    """The text is not an expression of this grammar."""


@dataclass(frozen=True, slots=True)
class Number:
    """A rational constant. ``decimal`` where it was written with a point."""

    value: Fraction
    decimal: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or one of the constants π, e, i, ∞."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation on its arguments: + * / ^ neg or a function's name."""

    op: str
    args: tuple[Node, ...]


Node = Number | Name | Apply


def names_in(node: Node) -> frozenset[str]:
    """Return the variables of a tree, without the constants."""
    found: set[str] = set()
    stack = [node]
    while stack:
        match stack.pop():
            case Name(name) if name not in CONSTANTS:
                found.add(name)
            case Apply(_, args):
                stack.extend(args)
            case _:
                pass
    return frozenset(found)
