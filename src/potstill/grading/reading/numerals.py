"""The numbers that a sentence names: digits, fractions, money, percentages, number words.

Each knows what it does in the sentence: an operand of a calculation, its result, a label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from potstill.grading.maths.normalise import MONEY
from potstill.grading.maths.number_words import SMALL_NUMBERS, TENS
from potstill.grading.reading.vocabulary import ORDINALS, SCALES

__all__ = ["VOCABULARY", "Numeral", "NumeralRole", "numerals_in", "spells_number", "values_in"]

_DIGITS = re.compile(
    rf"(?P<sign>(?<![\d)\]}}.%]\s)(?<![\w)\]}}.%])[-−‒﹣－](?=[{MONEY}£€₹¥]?[\d.]))?(?P<money>[{MONEY}£€₹¥]\s?)?(?P<minus>-)?"
    r"(?P<digits>(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?"
    r"|(?<![\d.,])\d{1,3}(?:[  ]\d{3})+(?!\d|,\d)(?:\.\d+)?|(?<![\d.,])\d+(?:\.\d+)?|"
    r"(?<![\d.,\w])\.\d+)"
    r"(?P<mixed>\s\d+\s?/\s?\d+(?![\d/]))?(?P<over>\s?/\s?\d+(?![\d/]|\.\d))?"
    r"(?P<percent>\s?\\?%|\s?per\s?cent\b|-percent\b)?"
)
_any_word = "|".join([*SMALL_NUMBERS, *TENS, *SCALES])
_PART_NAMES = {"half": 2, "halve": 2, "quarter": 4} | {
    word: value for word, value in ORDINALS.items() if value > 2
}
_PARTS = re.compile(
    rf"(?i)[\s-]+((?:{'|'.join(_PART_NAMES)})s?)\b(?!\s+(?:place|position|grade|day|row|floor))"
)
_WORDS = re.compile(
    rf"\b(?:(?:{_any_word})(?:(?:[\s-]+and)?[\s-]+(?:{_any_word}))*|{'|'.join(ORDINALS)})\b"
)
# "thirty-fourth" is a rank, "thirty-fourths" are parts.
_RANKED = re.compile(
    rf"({'|'.join(TENS)})-({'|'.join(word for word, n in ORDINALS.items() if n < 10)})\b",
    re.IGNORECASE,
)
VOCABULARY = frozenset({*SMALL_NUMBERS, *TENS, *SCALES, *ORDINALS})
_LETTERS = re.compile("[a-z]+")
_SCALE_BEHIND = re.compile(r"\s?(hundred|thousand|million|billion)\b", re.IGNORECASE)
# What stands between two numbers of one calculation: a unit in a word or two, then a sign.
FORMULA = re.compile("\ue000(\\d+)\ue001")
_SIGNS = frozenset("-+−–*×⋅·÷/=≈<>^")
_SIGN_WORDS = re.compile(
    r"(?:\bx|\btimes|\bplus|\bminus|\b(?:divided|multiplied)\s+by|\bequals|\bis\s+equal\s+to)$"
)
_ARTICLE = re.compile(r"(?<=\s)(?:the|his|her|their|its|those|these)$", re.IGNORECASE)
# A unit in a few words; "and" or "so" begins something else.
_UNIT = re.compile(
    r"\s*(?:(?:(?!(?:and|or|then|so|but|we|to|which|that)\b)[A-Za-z°'²³./-]+|\([^()]{0,40}\)|[\])}])\s*)*",
    re.I,
)
# What a number begins with: looked for first, for the whole pattern is dear at every letter.
_VALUE = re.compile(r"(\d(?<![\d.,_^]\d)\d*(?:,\d{3})*(?:\.\d+)?(?:/[1-9]\d*)?)(?![a-zA-Z_]\b)")
_GROUPING = re.compile(r"[,\s ]")
_BEGIN = re.compile(rf"[-−‒﹣－{MONEY}£€₹¥.\d]")
_EQUALS = ("=", "≈", "equals", "is equal to")
_LEADING_SIGN = re.compile(r"(?:[=≈]|\bequals\b|\bis\s+equal\s+to\b)\s*[-(\[{]*\s*$", re.IGNORECASE)
_VARIABLE_BEFORE = re.compile(r"(?:(?<![A-Za-z])[A-Za-z](?:_\w)?|[A-Za-z)]\))\s*=\s*$")
# An unknown on the left side: a letter that is no unit and no article.
_UNKNOWN = re.compile(r"(?<![A-Za-z'.])[a-cknp-rt-zB-HJ-Z](?![A-Za-z'.])[^=]{0,16}=\s*[＄$]?$")
_SIGN_BEHIND = re.compile(r"^\s*(?:[+*×⋅·÷^]|[-−–]\s|[-−–]\d[\d.]{0,8}\s?=|/\s?[A-Za-z(\\]|=)")
_LABEL = re.compile(
    r"(?:\b(?:step|grade|option|part|equation|case|method|figure|chapter|line|problem|question|"
    r"example|"
    r"number|no|day|week|room|level|stage|phase|table|rule|year|class|section|item|route|"
    r"highway)\.?\s*#?"
    r"|#)$",
    re.IGNORECASE,
)


# A number that multiplies a letter or divides it is no value of its own.
_BOUND_BEHIND = re.compile(
    r"[a-zA-Z](?<![gmshLlJaAI])(?![A-Za-z'&])|\s[yznk](?![A-Za-z'&])|\((?=[a-zA-Z])"
)
_BOUND_BEFORE = re.compile(r"(?:(?<![A-Za-z])[a-zA-Z]|\))/$")
# Words that may belong to a number: a half, a scale, degrees below zero.
_WORD_BEHIND = re.compile(r"[°\s]\s?(?:[°adhmtbc]|degree|below)", re.I)
_ORDINAL_BEHIND = re.compile(r"(?:\^?\{?\s?)(?:st|nd|rd|th)\b")
_HYPHEN_BEHIND = re.compile(r"-[A-Za-z]{2,}")
_AND_A_HALF = re.compile(r"\s+and\s+(?:a|one)[\s-]+(half|quarter|third)\b(?!\s+of)", re.I)
_BELOW_ZERO = re.compile(
    r"\s?(?:degrees?|°\s?[CF]?)?(?:\s(?:celsius|fahrenheit))?\s+below\s+zero\b", re.I
)
# A sign in a word, or one that a space or another dash parts from its number: behind a word that
# states or nothing, for between two numbers it takes away.
_SIGNED = re.compile(
    r"(?:^|[=≈:(]|\b(?:is|are|was|be|equals?|to|of|get|gets|gives?|yields?|answer))\s*"
    r"(?:minus\s+|negative\s+|[-−–]\s?)$",
    re.IGNORECASE,
)
_SIGN_BEFORE = re.compile(r"(?:[)\]A-Za-z]\s*[×*÷+/]|[)\]]\s+x)\s*$")


class NumeralRole(StrEnum):
    """What a number does in its sentence."""

    PLAIN = "plain"
    OPERAND = "operand"
    RESULT = "result"
    LABEL = "label"
    ORDINAL = "ordinal"
    FACTOR = "factor"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number in a sentence: as an answer, exactly, where it stands, and what it does there."""

    text: str
    value: str
    start: int
    end: int
    money: bool
    percent: bool
    spelled: bool
    role: NumeralRole


def numerals_in(text: str, formulas: tuple[str, ...] = (), *, roles: bool = True) -> list[Numeral]:
    """Return the numbers of a text in order, at most 200.

    ``formulas`` are those set apart, of which the text holds the marks; they count as numbers.
    """
    found: list[Numeral] = []
    if formulas:
        found = [
            Numeral(formula, f"formula {formula}", m.start(), m.end(), False, False, False, _P)
            for m in FORMULA.finditer(text)
            if (formula := formulas[int(m.group(1))] if int(m.group(1)) < len(formulas) else "")
        ]
    end = 0
    for begin in _BEGIN.finditer(text):
        match = _DIGITS.match(text, begin.start()) if begin.start() >= end else None
        if match is None:
            continue
        end = match.end()
        if formulas and text[match.start() - 1 : match.start()] == "\ue000":
            continue
        numeral = _digits(text, match)
        if numeral is not None:
            found.append(numeral)
        if len(found) >= 200:
            break
    # Few sentences spell a number; looking for all the words at once is dear.
    if spells_number(text):
        taken = [(numeral.start, numeral.end) for numeral in found]
        low = text.lower()
        for match in _WORDS.finditer(low if len(low) == len(text) else text):
            if not any(a <= match.start() < b for a, b in taken):
                found.append(_spelled(text, match))
                taken.append((match.start(), found[-1].end))
    if len(found) > 1:
        found.sort(key=lambda numeral: numeral.start)
    return _with_roles(text, found[:200])


def values_in(text: str) -> frozenset[str]:
    """Return the values of the numbers of a text, but for those that only multiply a letter."""
    found = {
        str(int(number) if number.isdigit() else Fraction(number.lstrip("0") or "0"))
        for match in _VALUE.finditer(text)
        if (number := match.group(1).replace(",", ""))
    }
    if spells_number(text):
        low = text.lower()
        found |= {_spelled(low, match).value for match in _WORDS.finditer(low)}
    return frozenset(found)


_P = NumeralRole.PLAIN


def spells_number(text: str) -> bool:
    """Return whether a text holds a number word."""
    return not VOCABULARY.isdisjoint(_LETTERS.findall(text.lower()))


def _spelled(text: str, match: re.Match[str]) -> Numeral:
    """Return a number word, an ordinal word, or a fraction in words ("three eighths")."""
    words = match.group()
    value: Fraction = Fraction(_spelled_value(words))
    end, role = match.end(), NumeralRole.PLAIN
    half = _AND_A_HALF.match(text, end)
    parts = _PARTS.match(text, end)
    ranked = _RANKED.match(text, match.start())
    if ranked is not None:
        value = Fraction(TENS[ranked[1].lower()] + ORDINALS[ranked[2].lower()])
        end, role = ranked.end(), NumeralRole.ORDINAL
    elif half is not None:
        value += Fraction(1, _PART_NAMES[half.group(1).lower()])
        end = half.end()
    elif parts is not None:
        name = parts.group(1).lower()
        value /= _PART_NAMES.get(name) or _PART_NAMES[name.removesuffix("s")]
        end = parts.end()
    elif words.lower() in ORDINALS:
        value, role = Fraction(ORDINALS[words.lower()]), NumeralRole.ORDINAL
    return Numeral(str(value), str(value), match.start(), end, False, False, True, role)


def _digits(text: str, match: re.Match[str]) -> Numeral | None:
    end = match.end()
    following = text[end : end + 1]
    if following in ("_",) or text[max(0, match.start() - 1) : match.start()] in ("_", "^"):
        return None
    number = match.group("digits")
    if not number.isdigit():
        number = _GROUPING.sub("", number)
    value: Fraction | int = int(number) if number.isdigit() else Fraction(number)
    over = match.group("over") or ""
    if mixed := match.group("mixed"):
        top, _, bottom = mixed.partition("/")
        if int(bottom) == 0:
            return None
        value += Fraction(int(top), int(bottom))
        number = f"{number} {top.strip()}/{bottom.strip()}"
        over = ""
    elif over:
        bottom = over.strip(" /")
        if int(bottom) == 0:
            return None
        value = Fraction(value) / int(bottom)
        number = f"{number}/{bottom}"
    below = None
    if _WORD_BEHIND.match(text, end):
        if (half := _AND_A_HALF.match(text, end)) is not None:
            value += Fraction(1, _PART_NAMES[half.group(1).lower()])
            number, end = str(value), half.end()
        if (scale := _SCALE_BEHIND.match(text, end)) is not None:
            value *= SCALES[scale.group(1).lower()]
            number, end = str(value), scale.end()
        below = _BELOW_ZERO.match(text, end)
    signed = match.group("sign") or match.group("minus") or below
    sign = "-" if signed or _SIGNED.search(text[max(0, match.start() - 24) : match.start()]) else ""
    money = (match.group("money") or "").strip()
    percent = bool(match.group("percent"))
    shown = f"{sign}{money}{number}{'%' if percent else ''}"
    role = NumeralRole.PLAIN
    if text.startswith("...", end):
        role = NumeralRole.LABEL
    elif _BOUND_BEHIND.match(text[end : end + 4]) or _BOUND_BEFORE.search(
        text[max(0, match.start() - 3) : match.start()]
    ):
        role = NumeralRole.FACTOR
    elif _ORDINAL_BEHIND.match(text, end):
        role = NumeralRole.ORDINAL
    elif _HYPHEN_BEHIND.match(text, end):
        role = NumeralRole.LABEL
    start = match.start()
    if not money and _LABEL.search(text[max(0, start - 14) : start].rstrip()):
        role = NumeralRole.LABEL
    return Numeral(
        shown, str(-value if sign else value), start, end, bool(money), percent, False, role
    )


def _spelled_value(text: str) -> int:
    """Return the value of number words: "two hundred and five" is 205."""
    total = part = 0
    for word in re.split(r"[\s-]+", text.lower()):
        if word in SCALES:
            part = max(part, 1) * SCALES[word]
            if SCALES[word] > 100:
                total, part = total + part, 0
        elif word != "and":
            part += SMALL_NUMBERS.get(word, TENS.get(word, 0))
    return total + part


def _joined(between: str) -> str:
    """Return the sign by which the text between two numbers joins them into one calculation, or
    "".
    """
    if not 0 < len(between) <= 120:
        return ""
    before = _ARTICLE.sub("", between.rstrip(" \t([{")).removesuffix("-").rstrip()
    before = before or between.strip()
    sign = before[-1:] if before[-1:] in _SIGNS else ""
    if not sign:
        worded = _SIGN_WORDS.search(before[-16:].lower())
        if worded is None:
            return ""
        sign = " ".join(worded.group().split())
        unit = before[: len(before) - len(before[-16:]) + worded.start()]
    else:
        unit = before[:-1]
    return sign if len(unit.split()) <= 4 and _UNIT.fullmatch(unit) else ""


def _with_roles(text: str, numerals: list[Numeral]) -> list[Numeral]:
    """Return the numbers, each an operand or a result where signs of a calculation join them."""
    roles = [numeral.role for numeral in numerals]
    for index, numeral in enumerate(numerals):
        between = text[numerals[index - 1].end if index else 0 : numeral.start]
        if numeral.role is NumeralRole.FACTOR:
            continue
        sign = _joined(between) if index else ""
        before = between[-90:]
        equated = "=" in before or "≈" in before or "equal" in before
        if equated and not numeral.spelled and _LEADING_SIGN.search(before):
            unknown = _UNKNOWN.search(before[-40:])
            alone = (not sign and _VARIABLE_BEFORE.search(before)) or unknown
            roles[index] = NumeralRole.NAMED if alone else NumeralRole.RESULT
        if not sign:
            continue
        if roles[index - 1] is not NumeralRole.LABEL:
            roles[index - 1] = NumeralRole.OPERAND
        if not numeral.spelled or sign not in _EQUALS:
            roles[index] = NumeralRole.RESULT if sign in _EQUALS else NumeralRole.OPERAND
    for index, numeral in enumerate(numerals):
        if _SIGN_BEFORE.search(text[max(0, numeral.start - 6) : numeral.start]):
            roles[index] = NumeralRole.OPERAND
        if _SIGN_BEHIND.match(text[numeral.end : numeral.end + 12]) and not numeral.spelled:
            roles[index] = NumeralRole.OPERAND
    return [
        numeral if role is numeral.role else replace(numeral, role=role)
        for numeral, role in zip(numerals, roles, strict=True)
    ]
