"""Residue classes: ``5 (mod 7)`` and ``x ≡ 5 (mod 7)``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from potstill.grading.comparison import Comparison, different, equal_with, unreadable
from potstill.grading.grammar import read_expression
from potstill.grading.values import exact, same

__all__ = ["Residue", "compare_residues", "read_residue"]

_RESIDUE = re.compile(
    r"^(?:([A-Za-z])\s*(≡|=)\s*)?([^≡=]+?)\s*,?\s*\(?\s*(?:mod(?:ulo)?)\s*\{?\s*(\w+)\s*\}?\s*\)?\.?$"
)


@dataclass(frozen=True, slots=True)
class Residue:
    """A value and the modulus it is taken by; ``of`` is the letter it is said of, if any."""

    value: str
    modulus: str
    of: str = ""


def read_residue(text: str) -> Residue | None:
    """A tidied residue class, or None."""
    if "mod" not in text:
        return None
    match = _RESIDUE.match(text)
    if match is None:
        return None
    return Residue(match.group(3).strip(), match.group(4), match.group(1) or "")


def compare_residues(key: str, answer: str) -> Comparison | None:
    """A comparison where either side names a modulus, or None where neither does.

    A bare value beside a residue must be the value that the residue is written with.
    """
    one, two = read_residue(key), read_residue(answer)
    if one is None and two is None:
        return None
    if one is not None and two is not None:
        if one.modulus != two.modulus:
            return different("another modulus")
        if one.of and two.of and one.of != two.of:
            return unreadable("a residue of another letter")
        return _compare_values(one.value, two.value, one.modulus if one.of and two.of else "")
    return _compare_values(one.value if one else key, two.value if two else answer, "")


def _compare_values(one: str, two: str, modulus: str) -> Comparison:
    two = re.sub(r"^[A-Za-z]\s*=\s*", "", two)
    left, right = read_expression(one), read_expression(two)
    if same(left, right) is True:
        return equal_with("the same residue")
    first, second = exact(left), exact(right)
    known = modulus.isdigit() and int(modulus) and first is not None and second is not None
    if known and (first - second) % int(modulus) == 0:  # type: ignore[operator]
        return equal_with("the same residue class")
    return different("another residue")
