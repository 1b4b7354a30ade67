"""The unit of an answer, and which units a problem asks for and names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from potstill.grading.maths.symbols import MONEY
from potstill.grading.maths.unit_table import DIMENSION, JOINED_ONLY, PROSE, SCALE, UNIT

__all__ = [
    "Measured",
    "asked_units",
    "mentioned_units",
    "raised_units",
    "size_of",
    "split_unit",
    "unit_dimension",
    "unit_factors",
]

TAIL = 100
# Glued to a number these are units; "5m" may be five times m.
_GLUED_NAMES = """
mm cm km cms kms kg kgs mg ml mL cl min mins hr hrs sec secs ft yd lb lbs oz mph kmh kph nm mol kJ
kW Hz kHz MHz GHz eV keV MeV kPa Pa USD °C °F
"""
_GLUED = frozenset(_GLUED_NAMES.split())
# Written in capitals too, and then no other unit.
_ANY_CASE_NAMES = """
mm cm cms km kms kg kgs ft yd yds mi lb lbs oz min mins hr hrs sec secs mph kmh kph
"""
_ANY_CASE = frozenset(_ANY_CASE_NAMES.split())
_WORD = re.compile(
    r"°\s?[CF](?![A-Za-z])|[A-Za-zÀ-ɏμΩа-я]+|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]+|[%¢€£¥₹°ÅΩ"
    + MONEY
    + "]"
)
_SHAPE = re.compile(
    r"((?:square|cubic|sq|cu)(?:\.\s*|\s+)|平方|立方)(?=[A-Za-z米厘毫千公])", re.IGNORECASE
)
_POWER = re.compile(
    r"\s?\^\s?\{?\s?([-+]?\s?\d)(?:\s?\})?|\s+(squared|cubed)\b|(?<=[a-z])(-?[123])(?![\d.])"
)
_JOINT = re.compile(r"\s*(/|\bper\b|\beach\b|每|\*|\ba(?:n)?\b(?=\s)|-)\s*|\s+")
_START = re.compile(
    r"(?<=[\d)}\].π!%°])\s?[-*~]?\s?(?=[A-Za-zÀ-ɏμΩÅа-я°%¢€£¥₹" + MONEY + r"\u3040-\uffdc])"
)
_LEADING = re.compile(rf"(-?)\s*([{MONEY}€£₹¥]|(?:US|USD|Rs\.?|EUR)\s?(?=\d))\s*(?=[-.\d(\\])")
_OF_FUNCTION = re.compile(r"(?<![a-z])(?:sin|cos|tan|cot|sec|csc|cis)[^)]*$")
_DEGREES_OF = re.compile(
    r"(?<=[\d}])\s?(?:degrees?|°)\s?(c|f)(?:elsius|ahrenheit)?(?![a-z])", re.IGNORECASE
)
_MICRO = re.compile(r"(?<=μ)\s+(?=(?:m|s|g|L|l|A|F|C|V|W|J|N|Ω|mol|Pa)(?![A-Za-z]))")
_STACKED = re.compile(
    r"^([-\d.,*^{}()/ ]*[\d})])\s*\\frac\s?\{\s?([A-Za-z][^{}\\]{0,20})\}"
    r"\s?\{\s?([A-Za-z](?:[^{}\\]|\{[-\d ]{1,4}\}){0,20})\}$"
)
# A number over units alone: "7.5e-5/(M*s)".
_BELOW = re.compile(
    r"^(-?[\d.,]+(?:[eE][-+]?\d+|\s?\*\s?10\s?\^\s?\{?[-+\d ]+\}?)?)\s?/\s?(\([^()]{3,20}\))$"
)
_RATE = re.compile(r"^([-\d.,]+)\s*(?:/|per|an?)\s*([A-Za-z].*)$")


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer's number, as text, and its unit in one spelling ("" where it has none)."""

    body: str
    unit: str


def unit_factors(unit: str) -> dict[str, int]:
    """Return the powers of a unit in its one spelling: ``meter/second^2`` is meter 1, second -2."""
    factors: dict[str, int] = {}
    for place, side in enumerate(unit.split("/")):
        for part in side.split("*") if side else []:
            base, _, power = part.partition("^")
            if base:
                factors[base] = factors.get(base, 0) + int(power or 1) * (-1 if place else 1)
    return factors


def _spelled(factors: dict[str, int]) -> str:
    def raised(base: str) -> str:
        power = abs(factors[base])
        return base if power == 1 else f"{base}^{power}"

    top = "*".join(raised(b) for b in sorted(factors) if factors[b] > 0)
    return top + "".join(f"/{raised(b)}" for b in sorted(factors) if factors[b] < 0)


@lru_cache(maxsize=2048)
def unit_dimension(unit: str) -> str:
    """Return what a unit measures ("length", "length^2", "length/time"), so that units can be
    compared.
    """
    factors: dict[str, int] = {}
    for base, power in unit_factors(unit).items():
        for name, by in unit_factors(DIMENSION.get(base, base).replace(" ", "_")).items():
            factors[name] = factors.get(name, 0) + by * power
    return _spelled({name: power for name, power in factors.items() if power})


@lru_cache(maxsize=2048)
def size_of(unit: str) -> Fraction | None:
    """Return how large a unit is beside others of its dimension, or None where the table does not
    say.
    """
    size = Fraction(1)
    for base, power in unit_factors(unit).items():
        if base not in SCALE or abs(power) > 6:
            return None
        size *= SCALE[base] ** power
    return size


@lru_cache(maxsize=4096)
def split_unit(text: str) -> Measured:
    """Return the number and the unit of a tidied answer such as ``5 ft`` or ``3 J/(kg K)``."""
    text = _DEGREES_OF.sub(lambda found: f" °{found.group(1).upper()}", text.strip())
    text = _MICRO.sub("", text)
    leading = _LEADING.match(text)
    if leading:
        sign = leading.group(1)
        unit = UNIT.get(leading.group(2).strip().rstrip("."), "dollar")
        rate = _RATE.match(text[leading.end() :])
        if rate is not None and (per := _read_unit(rate.group(2), glued=False)) is not None:
            return Measured(sign + rate.group(1), f"{unit}/{per}")
        rest = split_unit(text[leading.end() :])
        if rest.unit in ("", unit):
            return Measured(sign + rest.body, unit)
        if rest.unit.startswith("hour") or "/" in rest.unit:
            return Measured(sign + rest.body, unit + rest.unit)
        return Measured(text, "")
    if (stacked := _STACKED.match(text)) is not None:
        over, under = (_read_unit(stacked.group(side), glued=False) for side in (2, 3))
        if over is not None and under is not None:
            return Measured(stacked.group(1), _quotient(over, under))
    if (below := _BELOW.match(text)) is not None:
        under = _read_unit(below.group(2), glued=False)
        if under is not None and len(unit_factors(under)) > 1:
            return Measured(below.group(1), _quotient("", under))
    # Only the tail can be a unit; long texts are not scanned from the start.
    offset = max(0, len(text) - TAIL)
    for match in _START.finditer(text, offset):
        body, tail = text[: match.start()].rstrip(), text[match.end() :]
        glued = match.group() == ""
        found = _read_unit(tail, glued)
        if found is not None and body and not _is_angle_of_function(body, found):
            return Measured(body, found)
    return Measured(text, "")


def raised_units(text: str) -> str:
    """Return ``0.25/s`` as ``0.25 s^{-1}``, where a unit alone stands below the line."""
    head, slash, tail = text.rpartition("/")
    if not slash or not head.strip()[-1:].isdigit() or _read_unit(tail, glued=False) is None:
        return text
    return f"{head} {tail}^{{-1}}" if tail.strip().isalpha() else text


def _quotient(over: str, under: str) -> str:
    factors = unit_factors(over)
    for base, power in unit_factors(under).items():
        factors[base] = factors.get(base, 0) - power
    return _spelled({base: power for base, power in factors.items() if power})


def _is_angle_of_function(body: str, unit: str) -> bool:
    """Return whether ``sin 30°`` is the sine of an angle, not an angle."""
    return unit == "degree" and _OF_FUNCTION.search(body) is not None


def _read_unit(text: str, glued: bool) -> str | None:
    """Return the one spelling of a text that is a unit and nothing else, or None."""
    text = text.strip()
    text = re.sub(r"(?<![A-Za-z])ms(?=\s?\^\s?\{?\s?-)", "m s", text)
    text = text if UNIT.get(text) else text.rstrip(".").strip()
    factors: dict[str, int] = {}
    position, side, depth, fresh = 0, 1, 0, True
    after_slash = False
    for _ in range(16):
        while position < len(text) and text[position] in "({":
            depth, position = depth + 1, position + 1
        shape = _SHAPE.match(text, position)
        if shape is not None:
            position = shape.end()
        word = _WORD.match(text, position)
        unit = _known(word.group(), glued and fresh, text) if word else None
        if word is None or unit is None:
            return None
        position = word.end()
        if text[position : position + 1] == "." and text[position + 1 : position + 2] in " /":
            position += 1
        power = 1
        if (raised := _POWER.match(text, position)) is not None:
            position = raised.end()
            named = {"squared": 2, "cubed": 3}.get(raised.group(2) or "")
            power = named or int((raised.group(1) or raised.group(3)).replace(" ", ""))
        if shape is not None:
            power *= 2 if shape.group(1)[0] in "sS平" else 3
        for base, by in unit_factors(unit).items():
            factors[base] = factors.get(base, 0) + by * power * side
        fresh = False
        while depth and text[position : position + 1] in (")", "}"):
            depth, position = depth - 1, position + 1
            after_slash = False
        if position >= len(text):
            break
        joint = _JOINT.match(text, position)
        if joint is None or joint.end() >= len(text):
            return None
        if (sign := joint.group(1)) in ("/", "per", "each", "每", "a", "an"):
            side, after_slash = -1, True
        elif sign == "*" or sign is None:
            # What follows "J/kg" without a second slash stands below the line too.
            side = -1 if after_slash else side if depth else 1
        position = joint.end()
    else:
        return None
    if depth or not any(factors.values()) or text in JOINED_ONLY:
        return None
    return _spelled({base: power for base, power in factors.items() if power})


def _known(word: str, glued: bool, whole: str) -> str | None:
    """Return the unit of a spelling, where it may stand so."""
    word = word.replace(" ", "")
    if word not in UNIT and word.lower() in _ANY_CASE:
        word = word.lower()
    unit = UNIT.get(word) or (UNIT.get(word.lower()) if len(word) > 3 else None)
    if unit is None or not glued:
        return unit
    # Glued to a number only what cannot be a product of letters is a unit.
    if word in _GLUED or len(word) > 3 or not (word.isascii() and word.isalpha()):
        return unit
    return unit if re.search(r"[/^]|\bper\b", whole) and len(word) > 1 else None


_TOO_SHORT_FOR_PROSE = frozenset(["in", "m", "s", "h", "g", "L", "J", "ft", "min", "mi", "rad"])
_prose = "|".join(
    sorted(
        (re.escape(s) for s in PROSE if s not in _TOO_SHORT_FOR_PROSE and len(s) > 1),
        key=len,
        reverse=True,
    )
)
_PROSE_UNIT = (
    rf"(?P<shape>square\s+|cubic\s+)?(?P<unit>{_prose})\b"
    r"(?P<power>\s*\^\s*\{?[23]\}?)?"
    rf"(?:\s+per\s+(?P<per>{_prose})\b)?(?P<perpower>)"
)
_ASKED = re.compile(
    r"(?:how many|number of|total of|amount of|value in|measured in|answer in|express(?:ed)? in|"
    r"(?:area|volume|length|speed|distance|radius|height|width|perimeter|time|measure|angle|size|"
    r"rate|price|cost|temperature|weight|mass)[^.?!;]{0,80}?,?\s+in|"
    r",\s*in|\(in|nearest(?:\s+[a-z-]+\s+of\s+an?)?|what)\s+(?:the\s+)?" + _PROSE_UNIT,
    re.IGNORECASE,
)
# "How far did she run in meters?"
_ASKED_LAST = re.compile(r"\bin\s+" + _PROSE_UNIT + r"\s*\?", re.IGNORECASE)
_MENTIONED = re.compile(r"(?<![A-Za-z])" + _PROSE_UNIT, re.IGNORECASE)
_SYMBOLIC = re.compile(
    r"(?<=\d)\s?(mm|cm|km|m|ft|in|kg|mg|g|lb|lbs|oz|mL|ml|L|min|hr|hrs|sec|s|h|mi|mph)\b"
)


# What a unit in words can begin with, and what stands before it where a question asks for it:
# looking words up first is cheaper than the patterns.
_UNIT_WORDS = frozenset(re.findall(r"[a-z]+|°", _prose.lower())) | {"square", "cubic"}
_BEFORE_ASKED = frozenset(["many", "of", "in", "what", "nearest", "a", "an", "the"])
_RUN = re.compile("[A-Za-z]+|°")


def _words_of(text: str) -> list[tuple[str, int]]:
    """Return the words of a text in lower case, and where they start."""
    return [(match.group().lower(), match.start()) for match in _RUN.finditer(text)]


@lru_cache(maxsize=2048)
def asked_units(problem_text: str) -> frozenset[str]:
    """Return the units that the problem's question names for its answer, as far as it can be
    told.
    """
    text = problem_text[-4000:]
    words = [word for word, _ in _words_of(text)]
    if not any(b in _UNIT_WORDS and a in _BEFORE_ASKED for a, b in pairwise(words)):
        return frozenset()
    return frozenset(
        _lowered(match) for asked in (_ASKED, _ASKED_LAST) for match in asked.finditer(text)
    )


@lru_cache(maxsize=2048)
def mentioned_units(problem_text: str) -> frozenset[str]:
    """Return every unit that the problem's text names."""
    text = problem_text[-4000:]
    found: set[str] = set()
    end = 0
    for word, start in _words_of(text):
        if word in _UNIT_WORDS and start >= end:
            match = _MENTIONED.match(text, start)
            if match is not None:
                found.add(_lowered(match))
                end = match.end()
    found |= {UNIT[match.group(1)] for match in _SYMBOLIC.finditer(text)}
    for symbol, unit in (("°", "degree"), ("\\circ", "degree"), ("$", "dollar"), ("%", "percent")):
        if symbol in problem_text:
            found.add(unit)
    return frozenset(found)


def _lowered(match: re.Match[str]) -> str:
    unit = PROSE.get(match.group("unit")) or PROSE.get(match.group("unit").lower(), "")
    shape = (match.group("shape") or "").strip().lower()
    power = match.group("power") or ""
    if shape == "square" or "2" in power:
        unit += "^2"
    elif shape == "cubic" or "3" in power:
        unit += "^3"
    if match.group("per"):
        unit += "/" + (PROSE.get(match.group("per").lower()) or match.group("per"))
    return unit
