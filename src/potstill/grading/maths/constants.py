"""Arbitrary constants: ``x^2 + C`` and ``x^2 + c`` where the problem leaves a constant free."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import permutations

from potstill.grading.maths.answer_text import read_statement
from potstill.grading.maths.comparison import Comparison, equal_with
from potstill.grading.maths.curves import equation_nodes
from potstill.grading.maths.grammar import Apply, Name, Node, Unreadable, names_in, read_expression
from potstill.grading.maths.values import (
    TooBig,
    Undefined,
    constant_difference,
    ratio_is_constant,
    same,
)

__all__ = ["compare_constants"]

MAX_CONSTANTS = 3
# A problem that leaves constants free: without one of these a letter is what it is.
_FREE = re.compile(
    r"\bconstants?\b|indefinite\s+integral|anti-?derivative|primitive|general\s+solution|"
    r"\bintegrate\b(?![^.]*\bfrom\b)|stammfunktion|"
    r"differential\s+equation|\\int(?!\s*(?:\\limits\s*)?_)|∫(?!\s*_)",
    re.IGNORECASE,
)
_INTEGRAL = re.compile(
    r"indefinite\s+integral|anti-?derivative|primitive|\\int(?!\s*(?:\\limits\s*)?_)|∫(?!\s*_)",
    re.IGNORECASE,
)
_ARBITRARY = re.compile(
    r"\$?\b([A-Za-z])(?:_\{?\w\}?)?\$?,?\s+(?:(?:is|are|be|an|any|some|both)\s+){0,2}arbitrary"
    r"|arbitrary\s+(?:real\s+)?constants?\s+\$?([A-Za-z])\b(?:\$?\s*(?:,|and)\s*\$?([A-Za-z])\b)?"
)
_CONSTANT = re.compile(r"^(?:[CcKkABDabd]|[CcKkAaBb]_\{?\w\}?)$")
_TAIL = re.compile(
    r"\s*[,;(]?\s*\b(?:where|with|for\s+(?:any|some|all|every))\b[^=<>]{0,60}"
    r"\b(?:constants?|reals?|arbitrary|ℝ)\b[^=<>]{0,30}$|\s*[,;]\s*[A-Za-z_0-9{}]{1,6}\s*∈\s*ℝ$"
)
_DEFINED = re.compile(r"^\s*([A-Za-z])\s*(?:\(\s?[a-z]\s?\))?\s*=\s*(?=[^=]+$)")


def compare_constants(key: str, answer: str, problem_text: str) -> Comparison | None:
    """Return EQUAL where free constants alone are called otherwise; None where that is not so.

    Both sides are tidied. Where an indefinite integral is asked for, results that differ by a
    constant are equal too.
    """
    if not problem_text or not _FREE.search(problem_text):
        return None
    try:
        return _compare(key, answer, problem_text)
    except (Unreadable, Undefined, TooBig, RecursionError, ValueError):
        return None


def _compare(key: str, answer: str, problem_text: str) -> Comparison | None:
    named, one = _body(key)
    other, two = _body(answer)
    if named and other and named != other:
        return None
    left, right = _node(one), _node(two)
    if left is None or right is None or left[1] != right[1]:
        return None
    fixed = _fixed_letters(problem_text)
    mine = [name for name in sorted(names_in(left[0])) if _is_free(name, fixed)]
    theirs = [name for name in sorted(names_in(right[0])) if _is_free(name, fixed)]
    if not mine or len(mine) != len(theirs) or len(mine) > MAX_CONSTANTS:
        return None
    if names_in(left[0]) - set(mine) != names_in(right[0]) - set(theirs):
        return None
    if not left[1] and len(mine) == 1 and _INTEGRAL.search(problem_text):
        renamed = _renamed(right[0], {theirs[0]: mine[0]})
        if constant_difference(left[0], renamed, mine[0]):
            return equal_with("equal up to the constant of integration")
    for order in permutations(mine):
        renamed = _renamed(right[0], dict(zip(theirs, order, strict=True)))
        equal = ratio_is_constant(left[0], renamed) if left[1] else same(left[0], renamed)
        if equal:
            return equal_with("equal under other names of the constants")
    return None


def _body(text: str) -> tuple[str, str]:
    """Return what a text defines, and the text without that name and the tail on its constants."""
    text = _TAIL.sub("", text.strip().rstrip(".")).strip()
    statement = read_statement(text)
    if statement.function:
        return statement.function, statement.body
    match = _DEFINED.match(text)
    if match is None:
        return "", statement.body
    return match.group(1), text[match.end() :]


def _node(text: str) -> tuple[Node, bool] | None:
    """Return the tree of an expression, or of an equation's difference (then True)."""
    if "=" not in text:
        return read_expression(text), False
    return equation_nodes(text)


@lru_cache(maxsize=1024)
def _fixed_letters(problem_text: str) -> frozenset[str]:
    """Return the letters that a problem's own mathematics gives a meaning."""
    text = problem_text[-4_000:]
    free = {letter for found in _ARBITRARY.findall(text) for letter in found}
    maths = " ".join(re.findall(r"\$([^$]{1,400})\$", text))
    letters = set(re.findall(r"(?<![\\A-Za-z'])[B-Zb-z](?![A-Za-z'])", text))
    letters |= set(re.findall(r"(?<![\\A-Za-z])[Aa](?![A-Za-z])", maths))
    return frozenset(letters) - free


def _is_free(name: str, fixed: frozenset[str]) -> bool:
    return _CONSTANT.match(name) is not None and name not in fixed


def _renamed(node: Node, names: dict[str, str]) -> Node:
    """Return a tree with its names changed all at once."""
    match node:
        case Name(name):
            return Name(names.get(name, name))
        case Apply(op, args):
            return Apply(op, tuple(_renamed(arg, names) for arg in args))
    return node
