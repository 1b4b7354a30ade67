"""Units of measurement, their spellings, and which of them a problem asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from potstill.grading.normalise import MONEY

__all__ = ["Measured", "asked_units", "mentioned_units", "split_unit", "unit_dimension"]

_SPELLINGS: dict[str, dict[str, str]] = {
    "length": {
        "inch": "inch inches in",
        "foot": "foot feet ft",
        "yard": "yard yards yd yds",
        "mile": "mile miles mi",
        "millimeter": "millimeter millimeters millimetre millimetres mm",
        "centimeter": "centimeter centimeters centimetre centimetres cm cms",
        "meter": "meter meters metre metres m",
        "kilometer": "kilometer kilometers kilometre kilometres km kms",
        "unit": "unit units",
    },
    "time": {
        "second": "second seconds sec secs s",
        "minute": "minute minutes min mins",
        "hour": "hour hours hr hrs h",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
    },
    "mass": {
        "milligram": "milligram milligrams mg",
        "gram": "gram grams g",
        "kilogram": "kilogram kilograms kg",
        "ton": "ton tons tonne tonnes",
        "ounce": "ounce ounces oz",
        "pound": "pound pounds lb lbs",
    },
    "volume": {
        "milliliter": "milliliter milliliters millilitre millilitres ml mL",
        "liter": "liter liters litre litres L",
        "gallon": "gallon gallons gal",
        "quart": "quart quarts qt",
        "pint": "pint pints",
        "cup": "cup cups",
    },
    "money": {
        "dollar": f"dollar dollars usd bucks {MONEY}",
        "cent": "cent cents ¢",
        "euro": "euro euros €",
        "sterling": "£",
        "rupee": "rupee rupees ₹",
        "yen": "yen ¥",
    },
    "angle": {
        "degree": "degree degrees deg °",
        "radian": "radian radians rad rads",
        "revolution": "revolution revolutions",
    },
    "percent": {"percent": "percent percentage % pct", "percentage point": ""},
    "speed": {"mile/hour": "mph", "kilometer/hour": "kph kmh"},
    "energy": {"joule": "joule joules J", "calorie": "calorie calories"},
    "temperature": {"celsius": "°C celsius", "fahrenheit": "°F fahrenheit"},
}
_UNIT = {
    spelling: unit
    for units in _SPELLINGS.values()
    for unit, spellings in units.items()
    for spelling in spellings.split()
}
_DIMENSION = {unit: name for name, units in _SPELLINGS.items() for unit in units}
# A lone letter or "in" is a unit only next to a number; a problem's prose is full of them.
_TOO_SHORT_FOR_PROSE = frozenset(["in", "m", "s", "h", "g", "L", "J", "ft", "min", "mi", "rad"])

_word = "|".join(sorted((re.escape(s) for s in _UNIT), key=len, reverse=True))
_ENDING = re.compile(
    rf"(?P<shape>(?:square|sq\.?|cubic|cu\.?)\s+)?(?P<unit>{_word})\.?"
    r"(?P<power>\s*\^\s*\{?\s*[23]\s*\}?|\s+(?:squared|cubed))?"
    rf"(?:\s*(?:/|per|an?)\s*(?P<per>{_word})\.?(?P<perpower>\s*\^\s*\{{?\s*[23]\s*\}}?|\s+squared)?)?"
    r"\s*\.?\s*$"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """An answer's number, as text, and its unit in one spelling ("" where it has none)."""

    body: str
    unit: str


def unit_dimension(unit: str) -> str:
    """What a unit measures ("length", "length^2", "length/time"), so that units can be compared."""
    top, _, bottom = unit.partition("/")
    base, _, power = top.partition("^")
    name = _DIMENSION.get(base, base) + (f"^{power}" if power else "")
    if bottom:
        under, _, power = bottom.partition("^")
        name += "/" + _DIMENSION.get(under, under) + (f"^{power}" if power else "")
    return {"length^3": "volume"}.get(name, name)


@lru_cache(maxsize=4096)
def split_unit(text: str) -> Measured:
    """The number and the unit of a tidied answer such as ``5 ft``, ``＄18.90`` or ``15 cm^2``."""
    text = text.strip()
    sign = ""
    leading = re.match(rf"(-?)\s*([{MONEY}€£₹¥])\s*(?=[-.\d(\\])", text)
    if leading:
        sign = leading.group(1)
        rest = split_unit(text[leading.end() :])
        unit = _UNIT[leading.group(2)]
        if rest.unit in ("", unit):
            return Measured(sign + rest.body, unit)
        if rest.unit.startswith("hour") or "/" in rest.unit:
            return Measured(sign + rest.body, unit + rest.unit)
        return Measured(text, "")
    # Only the tail can be a unit; long texts are not scanned from the start.
    offset = max(0, len(text) - 80)
    for match in _ENDING.finditer(text, offset):
        body = text[: match.start()].rstrip()
        if not _ends_like_a_number(body, text, match):
            continue
        if body.endswith("-"):
            body = body[:-1].rstrip()
        return Measured(body, _canonical(match))
    return Measured(text, "")


def _ends_like_a_number(body: str, text: str, match: re.Match[str]) -> bool:
    if not body or not (body[-1].isdigit() or body[-1] in ")}.]π-½" or body[-1] in "!"):
        return False
    if body.endswith("-") and not body[:-1].rstrip()[-1:].isdigit():
        return False
    symbol = match.group("unit")
    if symbol in ("m", "s", "h", "g", "L", "J", "in") and not match.group("shape"):
        # "5m" may be five times m: a glued letter is not taken for a unit.
        return text[match.start() - 1 : match.start()] == " "
    return True


def _canonical(match: re.Match[str]) -> str:
    unit = _UNIT[match.group("unit")]
    shape = (match.group("shape") or "").strip().rstrip(".")
    power = match.group("power") or ""
    if shape in ("square", "sq") or "2" in power or "squared" in power:
        unit += "^2"
    elif shape in ("cubic", "cu") or "3" in power or "cubed" in power:
        unit += "^3"
    if match.group("per"):
        unit += "/" + _UNIT[match.group("per")]
        if match.group("perpower"):
            unit += "^2"
    return unit


_prose = "|".join(
    sorted(
        (re.escape(s) for s in _UNIT if s not in _TOO_SHORT_FOR_PROSE and len(s) > 1),
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
_MENTIONED = re.compile(r"(?<![A-Za-z])" + _PROSE_UNIT, re.IGNORECASE)


@lru_cache(maxsize=2048)
def asked_units(problem_text: str) -> frozenset[str]:
    """The units that the problem's question names for its answer, as far as it can be told."""
    found = [_lowered(match) for match in _ASKED.finditer(problem_text[-4000:])]
    return frozenset(found)


@lru_cache(maxsize=2048)
def mentioned_units(problem_text: str) -> frozenset[str]:
    """Every unit that the problem's text names."""
    found = {_lowered(match) for match in _MENTIONED.finditer(problem_text[-4000:])}
    for symbol, unit in (("°", "degree"), ("\\circ", "degree"), ("$", "dollar"), ("%", "percent")):
        if symbol in problem_text:
            found.add(unit)
    return frozenset(found)


def _lowered(match: re.Match[str]) -> str:
    unit = _UNIT.get(match.group("unit")) or _UNIT.get(match.group("unit").lower(), "")
    shape = (match.group("shape") or "").strip().lower()
    power = match.group("power") or ""
    if shape == "square" or "2" in power:
        unit += "^2"
    elif shape == "cubic" or "3" in power:
        unit += "^3"
    if match.group("per"):
        unit += "/" + (_UNIT.get(match.group("per").lower()) or match.group("per"))
    return unit
