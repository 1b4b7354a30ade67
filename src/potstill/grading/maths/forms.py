"""The form a problem asks its answer in, read from its text, and what of it an answer misses."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from potstill.grading.maths.grammar import Apply, Name, Node, Number

__all__ = ["Asked", "asked_form", "decimal_places", "misses", "shape"]

_COUNTS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5,
}  # fmt: skip
_PLACES = {
    "ten-thousandth": 4, "ten thousandth": 4, "hundred-thousandth": 5, "thousandth": 3,
    "hundredth": 2, "tenth": 1, "cent": 2, "penny": 2, "integer": 0, "whole": 0, "unit": 0,
    "one": 0, "ones": 0, "natural": 0, "ten": -1, "tens": -1, "hundred": -2, "thousand": -3,
    "million": -6, "ten-thousand": -4, "degree": 0, "dollar": 0, "foot": 0, "inch": 0, "mile": 0,
    "meter": 0, "centimeter": 0, "kilometer": 0, "minute": 0, "second": 0, "hour": 0, "day": 0,
    "year": 0, "percent": 0, "person": 0, "gram": 0, "kilogram": 0, "pound": 0, "gallon": 0,
    "liter": 0, "mph": 0, "yard": 0, "square": 0, "cubic": 0, "number": 0, "digit": 0, "student": 0,
}  # fmt: skip
_NEAREST = re.compile(
    r"nearest\s+\$?(ten[- ]thousandth|hundred[- ]thousandth|[a-z]+)(?:s\b)?", re.IGNORECASE
)
_DECIMAL_PLACES = re.compile(
    r"\b(\d|one|two|three|four|five|six|first|second|third|fourth|fifth)\s+"
    r"(?:decimal\s+|digits?\s+after)?\s*(?:place|decimal|the decimal|digits? (?:after|past|to))",
    re.IGNORECASE,
)
_SIGNIFICANT = re.compile(
    r"\b(\d|one|two|three|four|five|six|seven|eight)\s+significant\s+(?:digit|figure)",
    re.IGNORECASE,
)
_PERCENT_ASKED = re.compile(
    r"(?:what|find|determine|calculate|how|give|express|answer)\b[^.?!]{0,90}?"
    r"(?:percent|(?:interest|tax|annual|growth) rate|rate of (?:interest|return)|how many %)"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a problem's text asks of the form of its answer."""

    places: int | None = None
    figures: int | None = None
    decimal: bool = False
    approximate: bool = False
    fraction: bool = False
    reduced: bool = False
    radical: bool = False
    in_pi: bool = False
    mixed: bool = False
    percent: bool = False
    ratio: bool = False
    base: bool = False

    @property
    def rounding(self) -> bool:
        """Whether a rounded value may stand for the exact one."""
        return self.places is not None or self.figures is not None or self.approximate


_DECIMAL = re.compile(r"\b(?:as|to|is|give|write|into) an? [a-z ]{0,30}?decimal")
_FRACTION = re.compile(r"(?:common|improper|reduced|simplified) [a-z ]{0,25}fraction")
_REDUCED = ("lowest terms", "reduced", "simplest fraction", "common fraction")
_RADICAL = re.compile(r"radical|in the form [^.]{0,12}[a-z]√|a\\sqrt")
_BASE = re.compile(r"\bbase[- ]")


@lru_cache(maxsize=2048)
def asked_form(problem_text: str) -> Asked:
    """Return the form that the last part of a problem's text asks for."""
    text = problem_text[-6000:]
    low = text.lower()
    places: int | None = None
    for found in _NEAREST.finditer(low):
        word = found.group(1)
        if (known := _PLACES.get(word, _PLACES.get(word.rstrip("s")))) is not None:
            places = known
    if "round" in low or "decimal place" in low:
        for found in _DECIMAL_PLACES.finditer(low):
            count = found.group(1)
            places = int(count) if count.isdigit() else _COUNTS[count]
    figures: int | None = None
    for found in _SIGNIFICANT.finditer(low):
        figures = int(found.group(1)) if found.group(1).isdigit() else _COUNTS[found.group(1)]
    return Asked(
        places=places,
        figures=figures,
        decimal=("decimal" in low and _DECIMAL.search(low) is not None)
        or "as an exact decimal" in low
        or "decimal form" in low,
        approximate="approximat" in low or "rounded" in low or "round your" in low,
        fraction=("fraction" in low and _FRACTION.search(low) is not None)
        or "as a fraction" in low
        or "lowest terms" in low,
        reduced=any(word in low for word in _REDUCED),
        radical=_RADICAL.search(low) is not None,
        in_pi="in terms of π" in low or "in terms of $\\pi" in low or "in terms of pi" in low,
        mixed="mixed number" in low,
        percent=_PERCENT_ASKED.search(low) is not None,
        ratio="ratio" in low,
        base=("base" in low and _BASE.search(low) is not None),
    )


def shape(node: Node) -> str:
    """Return what an answer is written as: integer, decimal, fraction, mixed number, or
    expression.
    """
    match node:
        case Apply("neg", (inner,)):
            return shape(inner)
        case Number(_, True):
            return "decimal"
        case Number(value, False):
            return "integer" if value.denominator == 1 else "mixed number"
        case Apply("/", (Number(_, False) | Apply("neg", (Number(_, False),)), Number(_, False))):
            return "fraction"
    return "expression"


def decimal_places(text: str) -> int:
    """Return how many digits stand after the point of a plain decimal."""
    return len(text.strip().rstrip("%").partition(".")[2].strip())


def misses(asked: Asked, node: Node, text: str, key: Node) -> list[str]:
    """Return the form notes on an answer of the right value: first what was asked for and is
    missing.
    """
    found: list[str] = []
    written, expected = shape(node), shape(key)
    unreduced = _unreduced(node)
    if written == "fraction" and unreduced:
        found.append(
            "asked for lowest terms" if asked.reduced else "a fraction not in lowest terms"
        )
    if asked.fraction and written == "decimal" and expected == "fraction":
        found.append("asked for a fraction")
    if asked.decimal and expected == "decimal" and written not in ("decimal", "integer"):
        found.append("asked for a decimal")
    elif asked.places is not None and expected in ("decimal", "integer"):
        if written not in ("decimal", "integer"):
            found.append("asked for a rounded decimal")
        elif decimal_places(text) != max(asked.places, 0):
            found.append(f"asked for {max(asked.places, 0)} decimal places")
    if asked.radical and _reducible_root(node):
        found.append("asked for simplest radical form")
    if asked.in_pi and not _has(node, "π") and _has(key, "π"):
        found.append("asked for an answer in terms of π")
    if asked.mixed and expected == "mixed number" and written != "mixed number":
        found.append("asked for a mixed number")
    if not found and written != expected:
        found.append(f"another exact form: {written} for {expected}")
    return found


def _unreduced(node: Node) -> bool:
    match node:
        case Apply("neg", (inner,)):
            return _unreduced(inner)
        case Apply("/", (Apply("neg", (top,)), bottom)):
            return _unreduced(Apply("/", (top, bottom)))
        case Apply("/", (Number(top), Number(bottom))):
            return bottom == 1 or math.gcd(int(top), int(bottom)) > 1
    return False


def _reducible_root(node: Node) -> bool:
    match node:
        case Apply("sqrt", (Number(value, False),)) if value.denominator == 1:
            return _has_square_factor(int(value))
        case Apply("/", (_, bottom)) if _has_root(bottom):
            return True
        case Apply(_, args):
            return any(_reducible_root(arg) for arg in args)
    return False


def _has_square_factor(value: int) -> bool:
    return any(value % (n * n) == 0 for n in range(2, min(math.isqrt(max(value, 0)), 5000) + 1))


def _has_root(node: Node) -> bool:
    match node:
        case Apply(op, args):
            return op == "sqrt" or any(_has_root(arg) for arg in args)
    return False


def _has(node: Node, name: str) -> bool:
    match node:
        case Name(found):
            return found == name
        case Apply(_, args):
            return any(_has(arg, name) for arg in args)
    return False


def rounded(value: Fraction, places: int) -> Fraction:
    """Return ``value`` to so many decimal places, halves away from zero (negative places: tens,
    ...).
    """
    scale = Fraction(10) ** places
    scaled = abs(value) * scale
    whole = (scaled + Fraction(1, 2)).__floor__()
    return (Fraction(whole) / scale) * (-1 if value < 0 else 1)
