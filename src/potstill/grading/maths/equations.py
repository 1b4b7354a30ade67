"""Numeric equations of a trace, checked with exact arithmetic.

Only what is plainly a claim about numbers is checked: anything with a variable, a unit that might
change, a remainder, a percentage or a base is left alone, so that true text raises no alarm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from potstill.grading.maths.forms import decimal_places, rounded
from potstill.grading.maths.grammar import Apply, Number, Unreadable, read_expression
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.values import TooBig, Undefined, exact, numeric, real_value

__all__ = ["false_equations", "holds", "numeric_equations"]

MAX_TEXT = 400_000
MAX_LINE = 20_000
MAX_SIDE = 160
MAX_EQUATIONS = 2_000
MAX_CHAIN = 60
_OPEN_ENDS = ("+", "-", "*", "/", "^", "(", "[", "{", "√", "×", "·", "⋅", "÷", "−", "–", ",")
# One side of an equation: digits, operators, brackets, roots, fractions; letters only in commands.
_SIDE = (
    r"(?:\\(?:frac|sqrt|times|cdot|div|left|right|dfrac|tfrac|,|!|:|\s)"
    r"|[-+*/^(){}\[\]\d.,!√×·⋅÷−–²³⁴⁵⁶⁷⁸⁹⁰¹½¼¾ ])"
)
_CHAIN = re.compile(rf"{_SIDE}{{1,160}}(?:(?:=|≈|\\approx|≃){_SIDE}{{1,160}})+")
_SPLIT = re.compile(r"(=|≈|\\approx|≃)")
# Where one statement ends and the next begins within a line.
_SEGMENT = re.compile(
    r"(?<=[\d)\]}!])\.\s|[;:?]|,\s|\s(?:and(?!\s\d+/\d)|so|but|then|thus)\s|⇒|=>|→"
)
# Lines that speak of remainders or of digits in a base are not about equality.
_OTHER_EQUALITY = re.compile(
    r"\bmod\b|pmod|bmod|≡|\\equiv|remainder|\bbase\b|congruent|_\d|[₀-₉]\s"
)
# What a trace supposes or rejects it does not claim.
_SUPPOSED = re.compile(
    r"\b(?:if|unless|suppose|assum\w+|would|need|false|impossible|contradict\w*|not|no|wrong|try)\b",
    re.I,
)
_REJECTED = re.compile(
    r"\s*(?:which is |that is |that's |is )?"
    r"(?:false|impossible|not\b|no\b|a contradiction|contradiction|wrong)",
    re.I,
)
_OPENERS = frozenset(
    [
        "is",
        "are",
        "was",
        "so",
        "thus",
        "hence",
        "therefore",
        "then",
        "now",
        "have",
        "get",
        "gives",
        "give",
        "yields",
        "becomes",
        "equals",
        "that",
        "total",
        "sum",
        "product",
        "difference",
        "quotient",
        "area",
        "volume",
        "perimeter",
        "length",
        "compute",
        "calculate",
        "find",
        "check",
        "since",
        "because",
        "where",
        "since",
        "obtain",
        "means",
        "actually",
        "namely",
        "also",
        "equal",
        "answer",
        "result",
        "evaluate",
        "simplify",
        "we",
    ]
)
_OPEN_AFTER = re.compile(
    r"\s*(?:log|ln|lg|sin|cos|tan|cot|sec|csc|exp|mod|base|remainder|choose|[A-Za-zπθλ]\b(?!')|[^\x00-\x7f]|\\(?!\)|\])"
    r"|[_^%°/*+|<>]|\?|!=|\.\.\.|[A-Za-z]\b)|[A-Za-z_]"
)
_UNIT_WORDS = re.compile(
    r"[\s$]*(?:%|\\%|percent|degrees?|cents?|dollars?|hours?|hrs?|minutes?|mins?|seconds?|days?|weeks?|"
    r"months?|years?|feet|foot|ft|inch(?:es)?|in\b|yards?|miles?|meters?|cm|mm|km|kg|grams?|ounces?|"
    r"pounds?|thousand|million|billion|hundred|dozen|pairs?|quarters?|dimes?|nickels?|pennies)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NumericEquation:
    """Two neighbouring sides of a chain, as written, and whether the second follows."""

    text: str
    holds: bool


def false_equations(text: str) -> list[str]:
    """Return the numeric equations of a text that exact arithmetic refutes, as written, in order.

    Chains ``a = b = c`` are checked neighbour by neighbour. A decimal that is a rounding of the
    other side (to its own digits) passes after ≈ and also after =, since prose writes both.
    """
    return [found.text for found in numeric_equations(text) if not found.holds]


def numeric_equations(text: str) -> list[NumericEquation]:
    """Return every equation of a text whose sides are plain numbers, and whether it holds."""
    found: list[NumericEquation] = []
    for line in text[:MAX_TEXT].split("\n"):
        if "=" not in line and "≈" not in line and "approx" not in line:
            continue
        line = line[:MAX_LINE]
        if _OTHER_EQUALITY.search(line):
            continue
        for segment in _segments(line):
            if _SUPPOSED.search(segment):
                continue
            for match in _CHAIN.finditer(segment):
                found += _checked(segment[: match.start()], match.group(), segment[match.end() :])
        if len(found) > MAX_EQUATIONS:
            break
    return found


def _segments(line: str) -> list[str]:
    """Return the statements of a line; one that ends in a question is left out."""
    segments, start = [], 0
    for match in _SEGMENT.finditer(line):
        rejected = _REJECTED.match(line, match.end())
        if match.group() != "?" and not rejected:
            segments.append(line[start : match.start()])
        start = match.end()
    segments.append(line[start:].rstrip().rstrip("."))
    return [
        segment for segment in segments if "=" in segment or "≈" in segment or "appr" in segment
    ]


def _checked(before: str, chain: str, after: str) -> list[NumericEquation]:
    pieces = _SPLIT.split(chain)[: 2 * MAX_CHAIN + 1]
    sides, signs = pieces[0::2], pieces[1::2]
    values = [_value(side) for side in sides]
    if _open_left(before, sides[0]):
        values[0] = None
    if _OPEN_AFTER.match(after) or _UNIT_WORDS.match(after) or sides[-1].strip()[-1:] in _OPEN_ENDS:
        values[-1] = None
    found = []
    for index, sign in enumerate(signs):
        one, two = values[index], values[index + 1]
        if one is None or two is None or not _claims(one, two, index, len(sides)):
            continue
        text = f"{sides[index].strip()} {'=' if sign == '=' else '≈'} {sides[index + 1].strip()}"
        found.append(NumericEquation(text, holds(one, two, sign != "=")))
    return found


def _claims(
    one: tuple[Number | Apply, str], two: tuple[Number | Apply, str], index: int, sides: int
) -> bool:
    """Return whether two sides state a result: one is a plain number, nothing is worked out in
    passing.

    Prose writes "8*9*5 = 8*9 = 72" while it computes; the middle of that is no claim. Two plain
    numbers at the head of a chain ("1/5 = 336") are the end of a sentence that began in words.
    """
    if _is_plain(two):
        done = index + 2 == sides or isinstance(two[0], Number)
        return done and (index > 0 or not _is_plain(one))
    return _is_plain(one) and index + 2 == sides and index > 0


def _is_plain(side: tuple[Number | Apply, str]) -> bool:
    match side[0]:
        case Number():
            return True
        case Apply("neg", (Number(),)):
            return True
        case Apply("/", (Number(), Number())):
            return " / " not in side[1] and "÷" not in side[1]  # spaced, it is a division to do
    return False


def _open_left(before: str, side: str) -> bool:
    """Return whether the first side may go on to the left of what is seen."""
    text = side.strip()
    if text[:1] in ("+", "*", "/", "^", ")", "]", "}", "!", ",", ".") or re.match(r"[-−–]\s", text):
        return True
    ahead = before.rstrip()
    if not ahead or ahead[-1] in "=≈.,:$":
        return False
    word = re.search(r"(?<![\\\w])[A-Za-z]{2,}$", ahead)
    spaced = ahead != before or side[:1].isspace()
    return not (spaced and word is not None and word.group().lower() in _OPENERS)


def _value(side: str) -> tuple[Number | Apply, str] | None:
    text = side.strip().strip("$").strip()
    if not text or len(text) > MAX_SIDE or not re.search(r"\d", text):
        return None
    if re.search(r"\d\s+\d", text) or re.search(r",(?!\d{3}(?!\d))", text):
        return None
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", tidy(text))
    if re.search(r"\.\.\.|_|\d\s+\\frac|\d\\frac|\d\s+\d|[\[\]]", plain):
        return None
    try:
        node = read_expression(plain)
    except Unreadable:
        return None
    return (node, plain) if isinstance(node, Number | Apply) else None


def holds(one: tuple[Number | Apply, str], two: tuple[Number | Apply, str], near: bool) -> bool:
    """Return whether two sides are equal or one rounds the other; where in doubt they are."""
    try:
        left, right = _number(one[0]), _number(two[0])
    except (Undefined, TooBig):
        return True
    if left is None or right is None or left == right:
        return True
    scale = max(abs(left), abs(right), Fraction(1))
    if abs(left - right) < scale / 10**40:
        return True
    for (node, plain), (given, other) in ((one, (left, right)), (two, (right, left))):
        if _is_decimal(node):
            places = decimal_places(plain)
            # One unit in the last place: a trace may truncate as well as round.
            if abs(given - other) <= Fraction(1, 10**places):
                return True
        elif near and _is_integer(node) and rounded(other, 0) == given:
            return True
    if near:
        return abs(left - right) <= scale * Fraction(2, 100)
    # Decimals inside an expression carry their own rounding along.
    if "." in one[1] or "." in two[1]:
        return abs(left - right) <= scale / 1_000
    return False


def _number(node: Number | Apply) -> Fraction | None:
    value = exact(node)
    if value is not None:
        return value
    if not hasattr(numeric(node), "real"):
        return None
    real = real_value(node)
    return None if real is None or abs(real) > 10**30 else Fraction(str(real))


def _is_decimal(node: Number | Apply) -> bool:
    match node:
        case Number(_, decimal):
            return decimal
        case Apply("neg", (Number(_, decimal),)):
            return decimal
    return False


def _is_integer(node: Number | Apply) -> bool:
    return isinstance(node, Number) and node.value.denominator == 1
