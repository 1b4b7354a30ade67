"""Residue classes: ``x ≡ 5 (mod 7)``, ``x = 7k + 5`` for integers k, "all multiples of 7"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from potstill.grading.maths.comparison import Comparison, different, equal_with, unreadable
from potstill.grading.maths.grammar import Name, Number, Unreadable, names_in, read_expression
from potstill.grading.maths.reals import replace_name
from potstill.grading.maths.values import TooBig, Undefined, exact, same

__all__ = [
    "Progression",
    "Residue",
    "compare_progressions",
    "compare_residues",
    "read_progression",
    "read_residue",
]

MAX_MODULUS = 10**9
MAX_COMMON = 5_000
_RESIDUE = re.compile(
    r"^(?:([A-Za-z])\s*(≡|=)\s*)?([^≡=]+?)\s*,?\s*\(?\s*(?:mod(?:ulo)?)\s*\{?\s*(\w+)\s*\}?\s*\)?\.?$"
)
_SAID_OF = r"(?:(?P<of>[a-zA-Z])\s*(?:=|∈|is)\s*)?"
_SAID_WORDED = r"(?:(?P<of>[b-z])\s*(?:=|∈|\s|is\s)\s*)?"
_WORDED = re.compile(
    rf"^{_SAID_WORDED}(?:the\s+|set\s+of\s+|any\s+|all\s+|every\s+)*(?:an?\s+)?"
    r"(?P<sign>positive\s+)?(?:integers?\s+|integral\s+|integer\s+)?(?:"
    r"multiples?\s+of\s+(?P<multiple>\d{1,9})|(?P<parity>even|odd)(?:\s+(?:integers?|numbers?))?"
    r"|(?:numbers?\s+)?(?:(?:that|which)\s+(?:is|are)\s+)?divisible\s+by\s+(?P<divided>\d{1,9}))$",
    re.IGNORECASE,
)
_MEMBER = (
    r"(?:,|;|\(|where|for|with|\||:)\s*\(?\s*(?:where\s+|for\s+|all\s+|any\s+|some\s+|every\s+)*"
)
_BOUND = re.compile(
    rf"^[⦃{{]?\s*{_SAID_OF}(?P<form>[^=≡∈,;:|(]{{1,40}}?)\s*{_MEMBER}(?:"
    r"(?P<letter>[a-z])\s*(?:∈\s*(?P<set>[ℤℕ])|(?:is\s+)?(?:an?\s+|any\s+)?(?P<only>integer))"
    r"|(?P<sort>integers?)\s+(?P<called>[a-z]))\s*\)?\s*[⦄}]?$"
)
_UNBOUND = re.compile(
    rf"^{_SAID_OF}(?P<form>(?:\d+\s*[+-]\s*)?\d*\s*\*?\s*[kmnt]\s*(?:[+-]\s*\d+)?)$"
)
_MULTIPLES = re.compile(r"^(\d{1,9})\s*ℤ(?:\s*\+\s*(\d{1,9}))?$")


@dataclass(frozen=True, slots=True)
class Residue:
    """A value and the modulus it is taken by; ``of`` is the letter it is said of, if any."""

    value: str
    modulus: str
    of: str = ""


@dataclass(frozen=True, slots=True)
class Progression:
    """The integers ``first + step k``: of all integers k, or of positive ones only."""

    step: int
    first: int
    of: str = ""
    positive: bool = False


def read_residue(text: str) -> Residue | None:
    """Return a tidied residue class, or None."""
    if "mod" not in text:
        return None
    match = _RESIDUE.match(text)
    if match is None:
        return None
    return Residue(match.group(3).strip(), match.group(4), match.group(1) or "")


@lru_cache(maxsize=2048)
def read_progression(text: str, *, unbound: bool = False) -> Progression | None:
    """Return the residue class of integers that a tidied text is, however it says so; None for
    another.

    ``unbound`` takes ``7k + 3`` too, which does not say what its k is.
    """
    text = text.strip().rstrip(".").strip()
    if len(text) > 120 or not re.search(
        r"mod|ℤ|ℕ|integer|multiple|divisible|even|odd|[kmnt]", text
    ):
        return None
    if (residue := read_residue(text)) is not None:
        if not re.fullmatch(r"-?\d{1,9}", residue.value) or not residue.modulus.isdigit():
            return None
        return _made(int(residue.modulus), int(residue.value), residue.of)
    if (match := _MULTIPLES.match(text)) is not None:
        return _made(int(match.group(1)), int(match.group(2) or 0), "")
    if (match := _WORDED.match(text)) is not None and text not in ("even", "odd"):
        step = int(match.group("multiple") or match.group("divided") or 2)
        odd = (match.group("parity") or "").lower() == "odd"
        return _made(step, int(odd), match.group("of") or "", bool(match.group("sign")))
    match = _BOUND.match(text)
    if match is not None:
        letter = match.group("letter") or match.group("called")
        return _linear(
            match.group("form"), letter, match.group("of") or "", match.group("set") == "ℕ"
        )
    if unbound and (match := _UNBOUND.match(text)) is not None:
        letter = next(c for c in match.group("form") if c.isalpha())
        return _linear(match.group("form"), letter, match.group("of") or "", False)
    return None


def _made(step: int, first: int, of: str, positive: bool = False) -> Progression | None:
    if not 2 <= step <= MAX_MODULUS:
        return None
    if positive:
        return Progression(step, first, of, True)
    return Progression(step, first % step, of)


def _linear(form: str, letter: str, of: str, positive: bool) -> Progression | None:
    """Return ``form`` as first + step * letter with whole numbers, or None."""
    if letter == of:
        return None
    try:
        node = read_expression(form)
        if names_in(node) != {letter}:
            return None
        at = [exact(replace_name(node, letter, Number(Fraction(k)))) for k in (0, 1, 2, 5)]
    except (Unreadable, Undefined, TooBig):
        return None
    zero, one, two, five = at
    if zero is None or one is None or two is None or five is None:
        return None
    step = one - zero
    if two - one != step or five != zero + 5 * step or step.denominator != 1:
        return None
    if zero.denominator != 1 or isinstance(node, Name):
        return None
    if positive:
        return None  # Whether the natural numbers begin at 0 or 1 is not said.
    return _made(abs(int(step)), int(zero), of)


_LISTED = re.compile(
    r"^(?:([A-Za-z])\s*(?:≡|=)\s*)?([-±\d][-±\d\s,]{0,60}?(?:(?:,\s*|\s)(?:or|and)\s+[-±]?\s?\d+)?)\s*,?\s*"
    r"\(?\s*mod(?:ulo)?\s*\{?\s*(\d{1,6})\s*\}?\s*\)?$"
)


@lru_cache(maxsize=2048)
def read_classes(text: str) -> tuple[str, int, frozenset[int]] | None:
    """Return the letter, modulus and residues of one or several classes side by side, or None."""
    text = text.strip().rstrip(".").strip()
    if len(text) > 200:
        return None
    if text.count("mod") == 1 and (match := _LISTED.match(text)) is not None:
        modulus = int(match.group(3))
        values: set[int] = set()
        for item in re.split(r"\s*(?:,|\bor\b|\band\b)\s*", match.group(2)):
            plain = item.replace(" ", "")
            if not plain:
                continue
            if re.fullmatch(r"[-±]?\d{1,9}", plain) is None:
                return None
            size = int(plain.lstrip("±"))
            values |= {size, -size} if plain[0] == "±" else {size}
        if modulus < 2 or not values:
            return None
        return match.group(1) or "", modulus, frozenset(value % modulus for value in values)
    pieces = re.split(r",?\s+or\s+", text)
    read = [read_progression(piece) for piece in pieces]
    if any(one is None or one.positive for one in read):
        return None
    known = [one for one in read if one is not None]
    if len({one.step for one in known}) != 1 or len({one.of for one in known if one.of}) > 1:
        return None
    letter = next((one.of for one in known if one.of), "")
    return letter, known[0].step, frozenset(one.first for one in known)


def _compare_classes(key: str, answer: str) -> Comparison | None:
    """Return a comparison where either side holds several classes and both can be read."""
    one, two = read_classes(key), read_classes(answer)
    if one is None or two is None or max(len(one[2]), len(two[2])) < 2:
        return None
    if one[0] and two[0] and one[0] != two[0]:
        return unreadable("classes of another letter")
    common = math.lcm(one[1], two[1])
    if common > MAX_COMMON:
        return None
    lifted = [
        {value for value in range(common) if value % modulus in values}
        for _, modulus, values in (one, two)
    ]
    if lifted[0] == lifted[1]:
        return equal_with("the same integers")
    return different("other integers")


def compare_residues(key: str, answer: str) -> Comparison | None:
    """Return a comparison where either side names a modulus, or None where neither does.

    A bare value beside a residue must be the value that the residue is written with.
    """
    one, two = read_residue(key), read_residue(answer)
    if (several := _compare_classes(key, answer)) is not None:
        return several
    if (same_class := compare_progressions(key, answer)) is not None:
        return same_class
    if one is None and two is None:
        return None
    if one is not None and two is not None:
        if one.modulus != two.modulus:
            return different("another modulus")
        if one.of and two.of and one.of != two.of:
            return unreadable("a residue of another letter")
        return _compare_values(one.value, two.value, one.modulus if one.of and two.of else "")
    if one is not None and one.of and re.match(rf"^{one.of}\s*=", answer):
        return unreadable("one number for a class of them")
    return _compare_values(one.value if one else key, two.value if two else answer, "")


def compare_progressions(key: str, answer: str) -> Comparison | None:
    """Return EQUAL where both are one class of integers, DIFFERENT where two; None where one is
    none.
    """
    if read_residue(key) is not None and read_residue(answer) is not None:
        return None
    one = read_progression(key)
    two = read_progression(answer, unbound=one is not None)
    if one is None or two is None:
        return None
    if one.of and two.of and one.of != two.of:
        return unreadable("a class of another letter")
    if (one.step, one.first, one.positive) == (two.step, two.first, two.positive):
        return equal_with("the same integers")
    return different("other integers")


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
