"""Equality of single values: numbers, expressions, money, percentages, degrees, quantities."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from potstill.grading.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.forms import Asked, asked_form, decimal_places, misses, rounded, shape
from potstill.grading.grammar import Apply, Node, Number, Unreadable, names_in, read_expression
from potstill.grading.units import (
    asked_units,
    mentioned_units,
    split_unit,
    unit_dimension,
)
from potstill.grading.values import TooBig, Undefined, exact, real_value, same

__all__ = ["Scalar", "compare_scalars", "read_scalar"]

_NAMED = re.compile(
    r"^(?:[A-Za-z][A-Za-z' ]{0,40}|[A-Za-zθαβγδλμφωσρτε]'?(?:_\{?\w{1,4}\}?)?(?:\([^()=]{1,12}\))?"
    r"|\|[A-Za-z]+\||\\?[A-Za-z]+\{?[A-Z]{2,3}\}?)\s*$"
)
_HEDGE = re.compile(
    r"^(?:(?:is|are|approximately|about|approx\.?|exactly|only|just|equals?|roughly|around|=|≈|~|:)\s*)+"
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_SPACED_THOUSANDS = re.compile(r"-?\d{1,3}(?: \d{3})+")
_SCIENTIFIC = re.compile(r"([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d{1,3})")
_MULTIPLIER = re.compile(r"^(.*\d)\s*(hundred|thousand|million|billion|trillion)\b\s*(.*)$")
_POWERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NOUNS = re.compile(r"^(.*?[\d)}π])(?:st|nd|rd|th)?\s+([A-Za-z][A-Za-z' -]{1,60})\.?$")
_ORDINAL = re.compile(r"^(-?\d+)(?:st|nd|rd|th)$")
_NEVER_NOUNS = frozenset(
    [
        "or",
        "and",
        "not",
        "to",
        "minus",
        "plus",
        "times",
        "over",
        "divided",
        "by",
        "half",
        "dozen",
        "hundred",
        "thousand",
        "million",
        "billion",
        "squared",
        "cubed",
        "root",
        "base",
        "mod",
        "remainder",
        "more",
        "less",
        "than",
        "if",
        "when",
    ]
)
_ALWAYS_NOUNS = frozenset(
    ["ways", "way", "units", "unit", "total", "people", "items", "values", "possible", "different"]
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as it was read: its text without unit, its unit, and the trees it may mean."""

    text: str
    unit: str
    nouns: str
    readings: tuple[Node, ...]

    @property
    def node(self) -> Node:
        """The ordinary reading, from left to right."""
        return self.readings[0]


def _unnamed(text: str) -> list[str]:
    """The values of ``x = 3/4 = 0.75``, without the name."""
    parts = [part.strip() for part in re.split(r"(?<![<>!])[=≈]", text)]
    if len(parts) > 1 and (not parts[0] or _NAMED.match(parts[0])):
        parts = parts[1:]
    return [part for part in parts if part]


def _spelled_number(text: str) -> str | None:
    words = re.split(r"[ -]+", text.strip().lower())
    if not words or len(words) > 3:
        return None
    negative = words[0] in ("negative", "minus")
    words = words[1:] if negative else words
    sign = "-" if negative else ""
    if len(words) == 1 and words[0] in _NUMBER_WORDS:
        return sign + str(_NUMBER_WORDS.index(words[0]))
    if words and words[0] in _TENS:
        value = 10 * (_TENS.index(words[0]) + 2)
        if len(words) == 1:
            return sign + str(value)
        if len(words) == 2 and words[1] in _NUMBER_WORDS[1:10]:
            return sign + str(value + _NUMBER_WORDS.index(words[1]))
    return None


def _plain(text: str) -> str:
    text = text.strip().rstrip(".,;:").strip() if not text.endswith("...") else text.strip()
    text = _HEDGE.sub("", text)
    text = _THOUSANDS.sub(lambda run: run.group().replace(",", ""), text)
    if _SPACED_THOUSANDS.fullmatch(text):
        text = text.replace(" ", "")
    if match := _SCIENTIFIC.fullmatch(text):
        return f"{match.group(1)}*10^{{{match.group(2)}}}"
    if (spelled := _spelled_number(text)) is not None:
        return spelled
    if match := _MULTIPLIER.match(text):
        head, power, rest = match.groups()
        text = f"{head}*10^{{{_POWERS[power]}}} {rest}".strip()
    if match := _ORDINAL.match(text):
        text = match.group(1)
    return text


@lru_cache(maxsize=8192)
def read_scalar(text: str, letters: frozenset[str] | None = None) -> Scalar:
    """One tidied value, read. ``letters`` are the variables the key has. Raises Unreadable."""
    text = _plain(text)
    measured = split_unit(text)
    body, unit, nouns = _plain(measured.body), measured.unit, ""
    try:
        readings = _readings(body, letters)
    except Unreadable:
        # Unwrap "(5)" or "5 ways" only where the whole cannot be read.
        match = _NOUNS.match(text)
        words = match.group(2).lower().split() if match else []
        if match is None or _NEVER_NOUNS & set(words) or any(len(word) < 2 for word in words):
            raise
        inner = split_unit(_plain(match.group(1)))
        body, nouns, unit = inner.body, match.group(2).strip().lower(), inner.unit
        readings = _readings(body, letters)
    return Scalar(body, unit, nouns, readings)


def _readings(text: str, letters: frozenset[str] | None) -> tuple[Node, ...]:
    plain = read_expression(text, letters=letters)
    if "/" not in text:
        return (plain,)
    tight = read_expression(text, tight=True, letters=letters)
    return (plain,) if tight == plain else (plain, tight)


def compare_scalars(key: str, answer: str, kind: str, problem_text: str = "") -> Comparison:
    """Whether two tidied single values are equal under a problem's text.

    Raises KeyUnreadable where the key cannot be read.
    """
    asked = asked_form(problem_text)
    keys = _read_key(key, asked)
    letters = frozenset().union(*(names_in(node) for node in keys[0].readings)) or None
    answers: list[Scalar] = []
    for part in _forms(answer):
        try:
            answers.append(read_scalar(part, letters))
        except Unreadable as error:
            if not answers:
                return unreadable(f"the answer cannot be read: {error}")
    if not answers:
        return unreadable("the answer holds no value")
    if len(answers) > 1 and _is_asked_for(answers[0], letters, problem_text):
        del answers[0]
    try:
        for other in answers[1:]:
            if not _consistent(answers[0], other):
                return undecided("the answer gives several values that differ")
        results = [_compare(one, answers[0], kind, problem_text, asked) for one in keys]
    except TooBig as error:
        return unreadable(f"the answer is not computed: {error}")
    except Undefined as error:
        return unreadable(f"the answer has no value: {error}")
    return max(results, key=lambda r: ("DIFFERENT", "UNDECIDED", "EQUAL").index(r.opinion.value))


def _is_asked_for(first: Scalar, letters: frozenset[str] | None, problem_text: str) -> bool:
    """Whether "w + p = 63" begins with what the problem asks for, in letters the key lacks."""
    names = names_in(first.node)
    if len(names) < 2 or names & (letters or frozenset()):
        return False
    asked_for = re.sub(r"[\s()]", "", first.text)
    return asked_for in re.sub(r"[\s()$]", "", problem_text)


def _forms(text: str) -> list[str]:
    """The forms one value is given in: "3/4 = 0.75", "5 or 5.0", "2√194 ≈ 27.9"."""
    return [part for piece in re.split(r"\s+or\s+", text) for part in _unnamed(piece)]


def _read_key(key: str, asked: Asked) -> list[Scalar]:
    try:
        keys = [read_scalar(part) for part in _forms(key)]
        if not keys:
            raise KeyUnreadable("the key is empty")
        for other in keys[1:]:
            if not _consistent(keys[0], other):
                raise KeyUnreadable("the key gives several values that differ")
        for one in keys:
            if not names_in(one.node) and exact(one.node) is None:
                same(one.node, Number(Fraction(0)))
    except Unreadable as error:
        raise KeyUnreadable(f"the key cannot be read: {error}") from error
    except (Undefined, TooBig) as error:
        raise KeyUnreadable(f"the key has no value: {error}") from error
    return keys


def _consistent(first: Scalar, other: Scalar) -> bool:
    if same(first.node, other.node):
        return True
    for exactly, decimal in ((first, other), (other, first)):
        if shape(decimal.node) == "decimal" and not names_in(exactly.node):
            return _rounds_to(exactly.node, decimal, decimal_places(decimal.text))
    return False


def _rounds_to(node: Node, decimal: Scalar, places: int) -> bool:
    value, target = _approximation(node), exact(decimal.node)
    return value is not None and target is not None and rounded(value, places) == target


def _approximation(node: Node) -> Fraction | None:
    """A constant as a fraction: exactly, or to far more digits than any rounding looks at."""
    value = exact(node)
    if value is not None:
        return value
    if names_in(node):
        return None
    real = real_value(node)
    if real is None or abs(real) > 10**30:
        return None
    return Fraction(str(real)) if "e" not in str(real) else Fraction(str(real).replace("e+", "e"))


def _compare(key: Scalar, answer: Scalar, kind: str, problem_text: str, asked: Asked) -> Comparison:
    unit = _compare_units(key, answer, problem_text)
    if unit is not None:
        return unit
    if "percent" in (key.unit, answer.unit) and key.unit != answer.unit:
        return _compare_percent(key, answer, kind, asked)
    note = _noun_note(key, answer, problem_text)
    if note is None:
        return undecided(f"the answer's words {answer.nouns!r} are not in the problem")
    opinions = {same(key.node, reading) for reading in answer.readings}
    if len(key.readings) > 1:
        opinions |= {same(reading, answer.node) for reading in key.readings}
    if opinions == {True}:
        return equal_with("equal values", *misses(asked, answer.node, answer.text, key.node), *note)
    if len(opinions) > 1:
        if key.text.replace(" ", "") == answer.text.replace(" ", ""):
            return equal_with("the same expression")
        return undecided("1/2x may mean (1/2)x or 1/(2x)")
    if opinions == {None}:
        return undecided("it cannot be told whether the expressions are equal")
    if (rounding := _compare_rounded(key, answer, asked)) is not None:
        return rounding
    return different("different values")


def _noun_note(key: Scalar, answer: Scalar, problem_text: str) -> tuple[str, ...] | None:
    """Form notes for words after a number, or None where they may name another thing."""
    if not answer.nouns or answer.nouns == key.nouns or not problem_text:
        return ()
    low = problem_text.lower()
    for word in re.findall(r"[a-z]+", answer.nouns):
        stem = word[:-1] if word.endswith("s") and len(word) > 3 else word
        if stem not in low and word not in _ALWAYS_NOUNS and len(word) > 3:
            return None
    return ()


def _compare_units(key: Scalar, answer: Scalar, problem_text: str) -> Comparison | None:
    """A verdict where the units decide it, or None where they agree or one is missing."""
    if key.unit == answer.unit or not answer.unit:
        return None
    if key.unit:
        if "percent" in (key.unit, answer.unit):
            return different(f"{answer.unit} for {key.unit}")
        if "unit" in (key.unit.split("^")[0], answer.unit.split("^")[0]):
            return None
        return different(f"{answer.unit} for {key.unit}")
    if answer.unit == "percent" or answer.unit.split("^")[0] == "unit":
        return None
    asked = asked_units(problem_text)
    if answer.unit in asked or not problem_text:
        return None
    dimension = unit_dimension(answer.unit)
    rivals = {unit for unit in asked if unit_dimension(unit) == dimension}
    if rivals:
        return different(f"{answer.unit} where the problem asks for {', '.join(sorted(rivals))}")
    mentioned = mentioned_units(problem_text)
    base = answer.unit.split("^")[0]
    plain = {unit.split("^")[0].split("/")[0] for unit in mentioned}
    rivals = {unit for unit in plain if unit_dimension(unit) == unit_dimension(base)}
    if (base in rivals and len(rivals) == 1) or not rivals:
        return None
    if base in rivals or "/" in answer.unit:
        return undecided(f"the problem names {', '.join(sorted(rivals))}; the answer {answer.unit}")
    return different(f"{answer.unit} where the problem names {', '.join(sorted(rivals))}")


def _compare_percent(key: Scalar, answer: Scalar, kind: str, asked: Asked) -> Comparison:
    """5% beside a bare 5 or 0.05: the one where percent is asked, the other where it is not."""
    percent, bare = (key, answer) if key.unit == "percent" else (answer, key)
    if same(percent.node, bare.node):
        if key.unit == "percent" or kind == "percent" or asked.percent:
            return equal_with("equal percentages")
        if exact(bare.node) != 0:
            return different("a percentage for a plain number")
    hundredth = Apply("/", (percent.node, Number(Fraction(100))))
    if same(hundredth, bare.node):
        if asked.percent:
            return different("the problem asks for a percentage")
        return equal_with("equal values", "another exact form: a percentage for a number")
    return _compare_rounded(
        Scalar(key.text, "", "", key.readings), Scalar(answer.text, "", "", answer.readings), asked
    ) or different("different percentages")


def _compare_rounded(key: Scalar, answer: Scalar, asked: Asked) -> Comparison | None:
    """EQUAL where the problem lets a rounded value stand for the exact one, else None."""
    if names_in(key.node) or names_in(answer.node):
        return None
    one, two = _approximation(key.node), _approximation(answer.node)
    if one is None or two is None:
        return None
    places = _places_asked(key, answer, asked, one)
    if places is None:
        return None
    first, second = rounded(one, places), rounded(two, places)
    if first != second or (one != first and two != second):
        return None
    shown = max(places, 0)
    exact_answer = shape(answer.node) not in ("decimal", "integer")
    note = "asked for a rounded decimal" if exact_answer else f"asked for {shown} decimal places"
    given = decimal_places(answer.text) == shown and not exact_answer
    return equal_with(f"equal when rounded to {shown} places", "" if given else note)


def _places_asked(key: Scalar, answer: Scalar, asked: Asked, value: Fraction) -> int | None:
    if asked.figures is not None:
        return asked.figures - _magnitude(value)
    if asked.places is not None:
        return asked.places
    if asked.decimal or asked.approximate:
        # No count is asked for: the decimal's own digits, but enough of them to tell.
        for decimal, other in ((answer, key), (key, answer)):
            if shape(decimal.node) == "decimal" and (
                shape(other.node) not in ("decimal", "integer") or asked.approximate
            ):
                places = decimal_places(decimal.text)
                return places if places + _magnitude(value) >= 3 and places >= 2 else None
    return None


def _magnitude(value: Fraction) -> int:
    """How many digits stand before the point (0 for 0.5, -1 for 0.05)."""
    value = abs(value)
    if value == 0:
        return 1
    digits = 0
    while value >= 1 and digits < 60:
        value /= 10
        digits += 1
    while value < Fraction(1, 10) and digits > -60:
        value *= 10
        digits -= 1
    return digits
