"""One value as it was written: its number or expression, its unit, and the words after it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from potstill.grading.maths.grammar import Node, Number, Unreadable, read_expression
from potstill.grading.maths.normalise import MONEY
from potstill.grading.maths.number_words import (
    DENOMINATORS,
    dozens_written,
    durations_in_digits,
    halves_written,
    parts_written,
    spelled_number,
)
from potstill.grading.maths.units import Measured, size_of, split_unit, unit_dimension

__all__ = ["Scalar", "forms_of", "read_compound", "read_scalar"]

_NAMED = re.compile(
    r"^(?:[A-Za-z][A-Za-z' ]{0,40}|[A-Za-zθαβγδλμφωσρτε]'?(?:_\{?\w{1,4}\}?)?(?:\([^()=]{1,12}\))?"
    r"|\|[A-Za-z]+\||\\?[A-Za-z]+\s?\{?[A-Z]{2,3}\}?|m?\s?(?:\\angle|∠)\s?[A-Z1-9]{1,3}"
    r"|(?:Pr|P|E|Var|[A-Za-z]'{1,2})\s?\([^()]{1,30}\)"
    r"|\\frac\s?\{\s?d\^?\{?\d?\}?\s?[a-z]?\s?\}\s?\{\s?d\s?[a-z]\^?\{?\d?\}?\s?\})\s*$"
)
_NAME_EQUALS = re.compile(r"^([A-Za-z])\s+(?:equals|is\s+equal\s+to)\s+")
_LETTER = re.compile(r"[A-Za-zθαβγδλφωσρτε](?:_\{?\w{1,4}\}?)?")
_HEDGE = re.compile(
    r"^(?:(?:is|are|approximately|about|approx\.?|exactly|only|just|equals?|roughly|around|=|≈|~|:)\s*)+"
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_SPACED_THOUSANDS = re.compile(r"(?<![\w.,/^}])(?<!\d )\d{1,3}(?: \d{3})+(?=$|\.\d| ?[^\d\s/.,^])")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?[eE]([-+]?\d{1,3})(?=$|\s)")
_MULTIPLIER = re.compile(r"^(.*\d)\s*(hundred|thousand|million|billion|trillion)\b\s*(.*)$")
_POWERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_CJK_POWERS = {"百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "만": 4, "억": 8}
_CJK_MULTIPLIER = re.compile(r"^(-?\d+(?:\.\d+)?)\s?([百千万萬亿億만억])(?![克米卡瓦])")
_OVER = re.compile(r"^(-?\d+)\s+over\s+(\d+)$")
_AND_A_HALF = re.compile(r"(?<=\d)\s+and\s+(?:a|one)\s+half\b")
_WORDS = re.compile(r"(?<!\\)(?<![^\W\d_])[^\W\d_]{2,}")
_NOUNS = re.compile(
    r"^(.*?[\d)}π%])(?:st|nd|rd|th)?\s+([A-Za-zÀ-ɏа-яА-Я][A-Za-zÀ-ɏа-яА-Я' /()-]{1,80})\.?$"
)
_COUNTER = re.compile(r"^(.*?[\d)}])\s*([\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{1,6})$")
_ORDINAL = re.compile(r"^(-?\d+)\s?(?:st|nd|rd|th)$")
_PART = re.compile(r"(-?\d+(?:\.\d+)?(?:\s?/\s?\d+)?)\s?([A-Za-z]+\.?)\s*(?:,\s*and\b|,|and\b)?\s*")
_IN_PARTS = re.compile(r"^\d[\d./ ]*[A-Za-z]+\.?,?\s+(?:and\s+)?\d")
# "4 m each", "12 litres in 4 hours"
_GIVEN = re.compile(
    r"(?i)^(?P<value>.*\d.*?[A-Za-z°])\s+(?P<how>each|apiece|(?:in|over|within|during)\s+\d{1,4}(?:\.\d+)?\s+"
    r"(?:second|minute|hour|day|week|month|year)s?)$"
)
# Words that change the number before them: what they follow is another value.
_NO_NOUNS = """
or not minus plus times over divided half halves third thirds quarter quarters dozen dozens
hundred hundreds thousand thousands million billion trillion squared cubed root base mod modulo
remainder unless except score gross pairs couple through until between either neither nor maybe
perhaps wait factorial factorials doubled tripled quadrupled halved reciprocal inverse inverted
negated hundredths thousandths sixteenths percentile recurring repeating
"""
_NEVER_NOUNS = frozenset(_NO_NOUNS.split()) | DENOMINATORS.keys()
_NEVER_FIRST = frozenset(
    ["and", "to", "by", "more", "less", "fewer", "than", "if", "when", "is", "are", "was", "be"]
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


# A quantity, and the same one in other units in brackets behind it.
_TWICE = re.compile(
    rf"^(-?{MONEY}?\d[^()=]{{0,40}}?)\s*\((?:or\s+|=\s*|i\.e\.,?\s+|that\s+is,?\s+|which\s+is\s+)?(-?{MONEY}?\d[^()=]{{0,40}})\)\.?$"
)


_ABOUT = re.compile(
    r"^([^()]*\d[^()]*?)\s*\((?:or\s+)?(?:about|approximately|approx\.?|roughly|around|≈)\s*(-?[\d.,]+\s?%?)\)$"
)


def forms_of(text: str) -> list[str]:
    """Return the forms one value is given in: "3/4 = 0.75", "5 or 5.0", "2√194 ≈ 27.9", "14 yards
    (42 feet)".
    """
    if (twice := _TWICE.match(text)) is not None and _in_two_forms(twice[1], twice[2]):
        text = f"{twice[1]} or {twice[2]}"
    text = _ABOUT.sub(r"\1 ≈ \2", re.sub(r",\s+or\s+(?=[-\d$＄])", " or ", text))
    return [part for piece in re.split(r"\s+or\s+", text) for part in _unnamed(piece)]


def _in_two_forms(one: str, two: str) -> bool:
    """Return whether two texts are quantities, or a percentage and a number."""
    units = [split_unit(side).unit for side in (one, two)]
    if all(units):
        return True
    return "percent" in units and all(map(_NUMBER_OR_PERCENT.fullmatch, (one, two)))


_NUMBER_OR_PERCENT = re.compile(r"-?\d+(?:\.\d+)?(?:\s?/\s?\d+)?\s?%?|\\frac\s?\{\d+\}\s?\{\d+\}")


def _unnamed(text: str) -> list[str]:
    """Return the values of ``x = 3/4 = 0.75`` and of ``5 = x``, without the name."""
    parts = _sides(_NAME_EQUALS.sub(r"\1 = ", text))
    if len(parts) > 1 and (not parts[0] or _NAMED.match(parts[0])):
        parts = parts[1:]
    elif len(parts) > 1 and _LETTER.fullmatch(parts[-1]):
        parts = parts[:-1]
    return [part for part in parts if part]


def _sides(text: str) -> list[str]:
    """Return the sides of a chain of equations; an equation in brackets is none of them."""
    sides, start, depth = [], 0, 0
    for index, character in enumerate(text):
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(character, 0)
        if character in "=≈" and depth <= 0 and text[index - 1 : index] not in ("<", ">", "!"):
            sides.append(text[start:index].strip())
            start = index + 1
    return [*sides, text[start:].strip()]


def _plain(text: str) -> str:
    text = text.strip().rstrip(".,;:").strip() if not text.endswith("...") else text.strip()
    text = _HEDGE.sub("", text)
    if not (text[:1] == "(" and text[-1:] == ")"):
        # A comma between brackets parts the values of a pair.
        text = _THOUSANDS.sub(lambda run: run.group().replace(",", ""), text)
    text = _SPACED_THOUSANDS.sub(lambda run: run.group().replace(" ", ""), text)
    text = _SCIENTIFIC.sub(r"\1*10^{\2}", text)
    if (spelled := spelled_number(text)) is not None:
        return spelled
    text = dozens_written(text)
    text = parts_written(halves_written(_AND_A_HALF.sub(" 1/2", text)))
    text = _CJK_MULTIPLIER.sub(lambda m: f"{m.group(1)}*10^{_CJK_POWERS[m.group(2)]}", text)
    text = _OVER.sub(r"\1/\2", text)
    if match := _MULTIPLIER.match(text):
        head, power, rest = match.groups()
        text = f"{head}*10^{{{_POWERS[power]}}} {rest}".strip()
    if match := _ORDINAL.match(text):
        text = match.group(1)
    return text


def _digits_first(text: str) -> str:
    """Return ``two hundred and five apples`` as ``205 apples``: the longest run of number words
    first.
    """
    words = text.split(" ")
    if not text[:1].isalpha() or not 2 <= len(words) <= 20:
        return text
    for count in range(len(words) - 1, 0, -1):
        spelled = spelled_number(" ".join(words[:count]))
        if spelled is not None:
            return " ".join([spelled, *words[count:]])
    return text


@lru_cache(maxsize=8192)
def read_scalar(text: str, letters: frozenset[str] | None = None) -> Scalar:
    """Return one tidied value, read.

    ``letters`` are the variables the key has. Raises Unreadable.
    """
    text = _digits_first(_plain(text))
    if (given := _GIVEN.match(text)) is not None and (of := split_unit(given["value"])).unit:
        return Scalar(of.body, of.unit, given["how"].lower(), _readings(_plain(of.body), letters))
    if (compound := read_compound(text)) is not None:
        return compound
    measured = split_unit(text)
    body, unit, nouns = _plain(measured.body), measured.unit, ""
    try:
        readings = _readings(body, letters)
    except Unreadable as error:
        # Unwrap "5 ways" only where the whole cannot be read.
        head, nouns = _without_nouns(text, error)
        inner = _measured_before(head, nouns)
        body, unit = _plain(inner.body), inner.unit
        readings = _readings(body, letters)
    return Scalar(body, unit, nouns, readings)


def _without_nouns(text: str, error: Unreadable) -> tuple[str, str]:
    """Return the value before the words that say of what it is.

    Raises Unreadable for other words, and where there are none the error that reading the whole
    ended in.
    """
    if (counted := _COUNTER.match(text)) is not None:
        return counted.group(1), counted.group(2)
    match = _NOUNS.match(text)
    words = re.findall(r"[a-zà-ɏа-я']+", match.group(2).lower()) if match else []
    if match is None or not words or words[0] in _NEVER_FIRST or len(words[0]) < 2:
        raise Unreadable("words that are no noun") if _WORDS.search(text) else error
    if _NEVER_NOUNS & set(words) or any(spelled_number(word) is not None for word in words):
        raise Unreadable("words that make another number of it")
    return match.group(1), match.group(2).strip().lower()


# Words that may stand behind a unit and say of what it is, or where.
_OF_WHAT = re.compile(
    r"(?i)\s+(?:of|in|on|at|from|for|to|long|wide|tall|high|deep|thick|away|apart|old|total|altogether|more|left|"
    r"remain\w*|are|is|per|a|an|each|every)\b"
)
_SHAPED = re.compile(r"(?i)\s+(?:of\s+)?(?:square|cubic|squared|cubed)\b")


def _measured_before(head: str, nouns: str) -> Measured:
    """Return the number and the unit that the words behind it begin with: "42 square feet of
    fence" is no number of squares.

    Raises Unreadable for "42 feet square", which may be feet or square feet.
    """
    inner = split_unit(_plain(head))
    words = nouns.split(" ") if not inner.unit else []
    for count in range(min(4, len(words)), 0, -1):
        unit = " ".join(words[:count])
        if len(unit) < 2 or unit in ("in", "an"):
            continue
        found = split_unit(f"{inner.body} {unit}")
        rest = " " + " ".join(words[count:])
        if found.unit and _SHAPED.match(rest):
            raise Unreadable("a length or an area")
        if found.unit and _OF_WHAT.match(rest):
            return found
    return inner


def read_compound(text: str) -> Scalar | None:
    """Return ``2 hours 30 minutes`` and ``5 ft 6 in``: parts of one dimension, or None."""
    if len(text) > 80:
        return None
    text = durations_in_digits(text)
    if not _IN_PARTS.match(text):
        return None
    total, first, last, position = Fraction(0), "", "", 0
    for match in _PART.finditer(text):
        if match.start() != position:
            return None
        position = match.end()
        unit = split_unit(f"1 {match.group(2)}").unit
        size = size_of(unit) if unit else None
        if size is None or (last and unit_dimension(unit) != unit_dimension(last)):
            return None
        if last and size >= (size_of(last) or 0):
            return None
        first, last = first or unit, unit
        top, _, bottom = match.group(1).replace(" ", "").partition("/")
        if bottom and not int(bottom):
            return None
        total += Fraction(top) / int(bottom or 1) * size
    if position != len(text) or first == last:
        return None
    value = total / (size_of(first) or 1)
    return Scalar(text, first, "", (Number(value),))


def _readings(text: str, letters: frozenset[str] | None) -> tuple[Node, ...]:
    plain = read_expression(text, letters=letters)
    if "/" not in text:
        return (plain,)
    tight = read_expression(text, tight=True, letters=letters)
    return (plain,) if tight == plain else (plain, tight)
