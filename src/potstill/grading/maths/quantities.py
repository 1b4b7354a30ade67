"""What the units of a key and an answer, and the words of the problem, say about their equality."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from potstill.grading.maths.comparison import Comparison, different, equal_with, undecided
from potstill.grading.maths.grammar import Apply, Name, Number, names_in
from potstill.grading.maths.languages import asked_in_other_languages
from potstill.grading.maths.scalars import Scalar
from potstill.grading.maths.units import (
    asked_units,
    mentioned_units,
    size_of,
    unit_dimension,
    unit_factors,
)
from potstill.grading.maths.values import same
from potstill.records import Opinion

__all__ = [
    "RATE_WORDS",
    "asks_rate",
    "compare_units",
    "is_of_another",
    "is_rate_of",
    "names_another_thing",
    "of_other_period",
]

_COUNTED = re.compile(
    r"\bhow many (?:more |fewer |less |other |total |of the )?([a-z]+)", re.IGNORECASE
)

_VERBS = frozenset(["does", "is", "was", "has"])
_MONEY_ASKED = re.compile(
    r"how much (?:more |total )?money|how much (?:does|do|did|will|would|should|must|is|was) "
    r"[^?.]{0,60}\b(?:cost|pay|paid|earn|spend|owe|price)\b[^.]{0,60}\?",
    re.IGNORECASE,
)
RATE_WORDS = {
    "hourly": "hour", "daily": "day", "nightly": "night", "weekly": "week", "monthly": "month",
    "yearly": "year", "annually": "year", "annual": "year",
}  # fmt: skip
# "12 pages per day", "12 pages a day", "12 pages daily": so many of each.
_RATE = re.compile(
    r"(?i)(?:/\s?|\b(?:per|a|an|each|every)\s+)(?P<unit>[a-z]+)\b"
    rf"|\b(?P<adverb>{'|'.join(RATE_WORDS)})\b"
)
_ASKS_RATE = re.compile(
    r"(?i)\b(?:per|each|every|rate|speed|average|daily|weekly|hourly|monthly|yearly)\b|\b(?:a|an|one)\s+(?:second|minute|hour|day|week|month|year)\b"
)
_IN_SO_MANY = re.compile(r"\d[\d.]*\s[a-z]+?(?=s?$)")
_EACH = re.compile(r"(?:^|\s)(?:each|apiece)$")
_LENGTHS = frozenset(["second", "minute", *RATE_WORDS.values()])
_ONE = frozenset(
    ["a", "an", "one", "1", "per", "each", "every", "the", "this", "that", "last", "next"]
)
# A time that a question is of: "in 4 hours", "a day", "weekly".
_PERIOD = re.compile(
    rf"(?i)\b(?P<count>\d+|two|three|four|five|six|seven|eight|nine|ten|twelve|{'|'.join(sorted(_ONE))})"
    rf"[\s-]+(?P<unit>{'|'.join(sorted(_LENGTHS))})s?\b|\b(?P<adverb>{'|'.join(RATE_WORDS)})\b"
)
_ASKS_SHAPE = re.compile(
    r"(?i)\b(?:area|surface|volume|square|cubic|space|capacity|cover\w*|hold)\b|\^\s?\{?[23]|[²³]"
)
_OF_THE_REST = re.compile(r"of (?:(?:the|his|her|their) )?(?P<what>what|rest|remain)")
_ASKS_LENGTH = re.compile(
    r"(?i)\b(?:length|perimeter|circumference|distance|height|width|depth|radius|diameter|how\s+(?:long|far|tall|high|wide|deep))\b"
)
_SENTENCE_ENDS = (".", "?", "!")
_MEASURES = frozenset(["time", "length", "mass", "length^3", "length^2", "percent"])


def compare_units(key: Scalar, answer: Scalar, problem_text: str) -> Comparison | None:
    """Return a verdict where the units decide it, or None where they agree or one is missing."""
    if key.unit == answer.unit:
        return None
    if _as_angles(key, answer):
        return equal_with("the same angle", "another unit for an angle")
    if not answer.unit:
        return None
    if key.unit:
        return _compare_both(key, answer)
    if answer.unit == "percent" or "unit" in unit_factors(answer.unit):
        return None
    if not problem_text:
        return None
    in_dollars = replace(key, unit="dollar")
    if answer.unit == "cent" and _names_dollars_alone(problem_text):
        cents = _compare_both(in_dollars, answer)
        if cents is not None and cents.opinion is Opinion.EQUAL:
            return cents
    return _beside_a_bare_key(answer.unit, problem_text)


def _names_dollars_alone(problem_text: str) -> bool:
    """Return whether the money of a problem is in dollars, and it asks for no unit of its own."""
    money = {one for one in mentioned_units(problem_text) if unit_dimension(one) == "money"}
    return money == {"dollar"} and not asked_units(problem_text) & {"dollar", "cent"}


def _as_angles(key: Scalar, answer: Scalar) -> bool:
    """Return whether one side is in degrees, the other in radians, and both are the same angle."""
    degrees, other = (key, answer) if key.unit == "degree" else (answer, key)
    if degrees.unit != "degree" or other.unit not in ("", "radian"):
        return False
    if not other.unit and not re.search(r"π|\barc|\ba(?:sin|cos|tan)\b|\^\{?-1", other.text):
        return False
    turned = Apply("*", (degrees.node, Apply("/", (Name("π"), Number(Fraction(180))))))
    return same(turned, other.node) is True


# Kelvins to a degree, and where its zero lies in kelvins.
_TEMPERATURES = {
    "celsius": (Fraction(1), Fraction(27315, 100)),
    "fahrenheit": (Fraction(5, 9), Fraction(45967, 180)),
    "kelvin": (Fraction(1), Fraction(0)),
}


def _compare_temperatures(key: Scalar, answer: Scalar) -> Comparison:
    sizes, readings = [], []
    for side in (key, answer):
        scale, zero = _TEMPERATURES[side.unit]
        sizes.append(Apply("*", (side.node, Number(scale))))
        readings.append(Apply("+", (sizes[-1], Number(zero))))
    if same(*readings) is True:
        return equal_with("the same temperature", f"another unit: {answer.unit} for {key.unit}")
    if same(*sizes) is True:
        return undecided(f"{answer.unit} for {key.unit}: the same only as a difference of two")
    return different(f"{answer.unit} for {key.unit}")


def _compare_both(key: Scalar, answer: Scalar) -> Comparison | None:
    if key.unit in _TEMPERATURES and answer.unit in _TEMPERATURES:
        return _compare_temperatures(key, answer)
    if "percent" in (key.unit, answer.unit):
        return different(f"{answer.unit} for {key.unit}")
    if "unit" in unit_factors(key.unit) or "unit" in unit_factors(answer.unit):
        # "Units" are lengths that have no name, and squares of them areas.
        if unit_dimension(key.unit) == unit_dimension(answer.unit):
            return None
        return different(f"{answer.unit} for {key.unit}")
    one, two = size_of(key.unit), size_of(answer.unit)
    if (
        one is None
        or two is None
        or unit_dimension(key.unit) != unit_dimension(answer.unit)
        or names_in(key.node) | names_in(answer.node)
    ):
        return different(f"{answer.unit} for {key.unit}")
    sizes = (Apply("*", (s.node, Number(Fraction(f)))) for s, f in ((key, one), (answer, two)))
    if same(*sizes):
        return equal_with("equal quantities", f"another unit: {answer.unit} for {key.unit}")
    return different(f"{answer.unit} for {key.unit}")


def _beside_a_bare_key(unit: str, problem_text: str) -> Comparison | None:
    """Return the answer alone has a unit: it must not be another than the problem asks for."""
    asked = asked_units(problem_text)
    if not problem_text.isascii() or not asked:
        asked |= asked_in_other_languages(problem_text)
    if unit in asked:
        return None
    if _MONEY_ASKED.search(problem_text) and unit_dimension(unit) in _MEASURES:
        return different(f"{unit} where the problem asks for money")
    dimension = unit_dimension(unit)
    rivals = {one for one in asked if unit_dimension(one) == dimension}
    if rivals:
        return different(f"{unit} where the problem asks for {', '.join(sorted(rivals))}")
    if asked and not _raised_as_asked(unit, asked, problem_text):
        return undecided(f"{unit} where the problem asks for {', '.join(sorted(asked))}")
    if dimension in ("length^2", "length^3") and _asks_length(problem_text):
        return undecided(f"{unit} where the problem asks for a length")
    plain = {base for one in mentioned_units(problem_text) for base in unit_factors(one)}
    for base in unit_factors(unit):
        alike = {one for one in plain if unit_dimension(one) == unit_dimension(base)}
        if alike and base not in alike:
            return different(f"{unit} where the problem names {', '.join(sorted(alike))}")
    return None


def _asks_length(problem_text: str) -> bool:
    question = _question(problem_text)
    return bool(_ASKS_LENGTH.search(question)) and not _ASKS_SHAPE.search(question)


def _raised_as_asked(unit: str, asked: frozenset[str], problem_text: str) -> bool:
    """Return whether no unit that is asked for is of the same bases as another power or rate."""
    bases = set(unit_factors(unit))
    alike = [one for one in asked if set(unit_factors(one)) & bases]
    if not alike:
        return True
    if any("^" in one for one in alike):
        return False
    if not set(unit) & set("^/"):
        return any("/" in one for one in alike)
    pattern = _ASKS_RATE if "/" in unit else _ASKS_SHAPE
    return pattern.search(_question(problem_text)) is not None


def _question(problem_text: str) -> str:
    """Return the last sentence of a problem."""
    end = problem_text.strip()[-600:]
    return end[max(end.rfind(sign, 0, -1) for sign in _SENTENCE_ENDS) + 1 :]


def asks_rate(problem_text: str) -> bool:
    """Return whether a problem asks for so many per day, or of each."""
    return _ASKS_RATE.search(_question(problem_text)) is not None


def of_other_period(unit: str, problem_text: str) -> bool:
    """Return whether a rate per ``unit`` is for another time than the problem asks for: per hour
    where the question is of 4 hours, or of a day.
    """
    if unit not in _LENGTHS:
        return False
    asked = [
        (found["unit"] or RATE_WORDS[found["adverb"].lower()], found["count"] or "a")
        for found in _PERIOD.finditer(_question(problem_text))
    ]
    return bool(asked) and not any(
        period.lower() == unit and count.lower() in _ONE for period, count in asked
    )


def is_rate_of(key: Scalar, answer: Scalar, problem_text: str) -> Comparison | None:
    """Return UNDECIDED where an answer is so many per day, and a key that says what it counts is
    not, unless the problem asks for a rate of that time.
    """
    if "/" in key.unit or _RATE.search(key.nouns):
        return None
    if _EACH.search(answer.nouns) and problem_text and not asks_rate(problem_text):
        return undecided("so many of each, which the problem does not ask for")
    within = _IN_SO_MANY.search(answer.nouns) if problem_text else None
    if within is not None and (asks_rate(problem_text) or within.group() not in problem_text):
        return undecided("so many in a time that the problem does not ask for")
    found = _RATE.search(answer.nouns)
    period = answer.unit.partition("/")[2]
    if found is not None:
        period = found["unit"] or RATE_WORDS[found["adverb"]]
    if not period:
        return None
    if of_other_period(period, problem_text):
        return undecided(f"so many per {period}, where the problem asks for another time")
    if "/" in answer.unit or not (key.nouns or key.unit) or asks_rate(problem_text):
        return None
    return undecided(f"so many per {period}, which the key is not")


def names_another_thing(key: Scalar, answer: Scalar, problem_text: str) -> Comparison | None:
    """Return UNDECIDED where the words after a number count another thing than the one asked for.

    Words that the problem does not have are another name for the thing ("pupils" for "students").
    """
    if not answer.nouns or answer.nouns == key.nouns or not problem_text:
        return None
    rest = _OF_THE_REST.match(answer.nouns)
    last = problem_text[-300:].rpartition(".")[2].lower()
    if rest is not None and f" {rest['what']}".replace(" what", "of what") not in last:
        return undecided("a part of what was left, where the problem asks for another")
    question = _COUNTED.findall(problem_text)
    if not question or not question[-1].endswith("s") or question[-1].lower() in _VERBS:
        return None
    asked = _stem(question[-1])
    said = re.findall(r"[a-z]+", answer.nouns)
    words = [_stem(word) for word in said]
    if not words or asked in words or asked in ("time", "way", "total", "unit", "thing", "item"):
        return None
    counted = {_stem(word) for word in re.findall(r"\d[\d,.]*\s+([a-z]+)", problem_text.lower())}
    counted |= {_stem(word) for word in question[:-1]}
    if words[0] in counted and asked not in answer.nouns:
        return undecided(f"the answer counts {said[0]}, the problem asks for {question[-1]}")
    return None


# Words behind a number that name no thing.
_NO_WORDS = """
left remain remains remaining over still now total totals all altogether together overall sum more
less fewer extra each every per of in on at to the a an is are was were be been has have had there
them it his her their its this that one two piece unit item thing way time number answer
"""
_NO_THINGS = frozenset(_NO_WORDS.split())


def is_of_another(key: Scalar, answer: Scalar, problem_text: str) -> bool:
    """Return whether an answer counts what a key with a noun does not: oranges where it has apples.

    Where the problem is known, its own words alone are other things; "kids" may be its children.
    """
    things = [
        {_stem(word) for word in re.findall(r"[a-z]+", one.nouns)} - _NO_THINGS
        for one in (key, answer)
    ]
    if not all(things) or not things[0].isdisjoint(things[1]):
        return False
    said = set(map(_stem, re.findall(r"[a-z]+", problem_text.lower())))
    return not problem_text or not things[1].isdisjoint(said)


def _stem(word: str) -> str:
    word = word.lower()
    return word[:-1] if word.endswith("s") and len(word) > 3 else word
