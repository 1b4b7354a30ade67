"""Equality of numbers that are written in a base: ``2114five``, ``52_8``, ``1011 base 2``."""

from __future__ import annotations

import re

from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.forms import asked_form
from potstill.grading.maths.grammar import Unreadable
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.scalars import read_scalar
from potstill.grading.maths.values import TooBig, Undefined, exact

__all__ = ["compare_bases", "read_base"]

_NAMED_BASES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen
"""
_BASE_WORDS = {word: number for number, word in enumerate(_NAMED_BASES.split())}
_BASE_WORDS |= {"binary": 2, "octal": 8, "hexadecimal": 16, "ternary": 3, "decimal": 10}
_words = "|".join(_BASE_WORDS)
_BASE = re.compile(
    rf"^\(?\s*(?P<digits>-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*\)?\s*"
    rf"(?:_\s*\{{?\s*\(?(?:base\s*)?(?P<sub>\d+|{_words})\)?\s*\}}?"
    rf"|[,(]?\s*(?:in\s+)?base[\s-]*\{{?(?P<base>\d+|{_words})\}}?\s*\)?|\s*(?P<word>{_words}))\s*\.?$"
)


def read_base(text: str) -> tuple[str, int | None] | None:
    """Return digits and base (None where it is not said) of a number such as ``2114five`` or
    ``52_8``.
    """
    plain = tidy(text).strip().rstrip(".").strip()
    plain = re.sub(r"^[A-Za-z]\s?=\s?", "", plain)
    plain = re.sub(r"(?<=\d)[, ](?=\d{3})", "", plain)
    match = _BASE.match(plain)
    if match is None:
        bare = re.fullmatch(r"-?[0-9A-F]+(?:\.[0-9A-F]+)?", plain)
        return (_digits(plain), None) if bare else None
    named = match.group("sub") or match.group("base") or match.group("word")
    base = int(named) if named.isdigit() else _BASE_WORDS[named]
    return _digits(match.group("digits")), base


def _digits(text: str) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return sign + (digits.upper().lstrip("0") or "0")


def compare_bases(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Return whether two numbers have the same digits in the same base; one may leave the base
    out.
    """
    one, two = read_base(key), read_base(answer)
    if one is None:
        raise KeyUnreadable("the key is not a number in a base")
    if one[1] is not None and not _valid(one[0], one[1]):
        raise KeyUnreadable("the key has digits that its base does not have")
    if two is None:
        return _not_in_a_base(one, answer)
    if one[1] is not None and two[1] is not None and one[1] != two[1]:
        return different(f"base {two[1]} for base {one[1]}")
    if one[1] is None and two[1] is not None and asked_form(problem_text).base:
        named = re.findall(rf"base[\s$-]*(\d+|{_words})", problem_text.lower())
        bases = {int(n) if n.isdigit() else _BASE_WORDS[n] for n in named}
        if named and two[1] not in bases:
            return different(f"base {two[1]} where the problem names another")
    if one[0] != two[0]:
        if not asked_form(problem_text).base and _same_in_ten(one, two):
            return undecided("the same number, if the answer is in base ten")
        return different("other digits")
    return equal_with("the same digits", "" if one[1] == two[1] else "without its base")


def _not_in_a_base(key: tuple[str, int | None], answer: str) -> Comparison:
    """Return an answer that is a value without being digits (30/7) is another answer."""
    try:
        scalar = read_scalar(tidy(answer))
        value = None if scalar.unit else exact(scalar.node)
    except (Unreadable, TooBig, Undefined) as error:
        return unreadable(f"the answer is not a number in a base: {error}")
    if value is not None and value.denominator == 1 and key[1] in (None, 10):
        plain = str(value.numerator)
        return equal_with("the same number") if plain == key[0] else different("another number")
    return different("not a number in a base")


def _same_in_ten(key: tuple[str, int | None], answer: tuple[str, int | None]) -> bool:
    """Return whether digits without a base are the key's number, read in base ten."""
    if key[1] is None or answer[1] is not None or not answer[0].lstrip("-").isdecimal():
        return False
    return "." not in key[0] and int(key[0], key[1]) == int(answer[0])


def _valid(digits: str, base: int) -> bool:
    plain = digits.lstrip("-").replace(".", "")
    return 2 <= base <= 36 and all(int(digit, 36) < base for digit in plain)
