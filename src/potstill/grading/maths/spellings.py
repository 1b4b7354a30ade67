"""Ways of writing a whole answer that stand for another one: (3|4), 5'6", 12,50 €, 7 R 2, wahr."""

from __future__ import annotations

import re

__all__ = ["respelled", "same_formula", "with_the_keys_words"]

_NUMBER = r"-?\d+(?:[.,/]\d+)?"
_POINT = re.compile(rf"^\(\s*({_NUMBER})\s*\|\s*({_NUMBER})(?:\s*\|\s*({_NUMBER}))?\s*\)$")
_VECTOR = re.compile(r"^<\s*([^<>=|]{1,60},[^<>=|]{1,60})>$")
_FEET = re.compile(r"^(\d{1,3})\s?['′’]\s?(\d{1,2}(?:\.\d+)?)\s?(?:\"|″|”|''|′′)$")
_SPACED = re.compile(r"^(-?\d{1,3}(?:[ \u00a0\u202f]\d{3})+),(\d+)$")
_EUROS = re.compile(
    r"^(?:(?:€|EUR)\s?)?(?P<whole>\d{1,3}(?:\.\d{3})+|\d+),(?P<cents>\d{2})(?:\s?(?:€|EUR|Euro))?$"
)
_REMAINDER = re.compile(
    r"^(\d+)\s*(?:R\.?|\s[rR]\.?|rem\.?|remainder|with\s+remainder|Rest|reste|resto)\s*(?:of\s+)?(\d+)$"
)
_DIFFERENTIAL = re.compile(
    r"^\$?(?:\\[dt]?frac\s?\{\s?d\s?\}\s?\{\s?d\s?[a-z]\s?\}|d/d[a-z])[^=]{1,100}=\s*(?=[^=]+$)"
)
_WORDS = {
    **dict.fromkeys(("wahr", "vrai", "verdadero", "verdadera", "vero"), "true"),
    **dict.fromkeys(("falsch", "faux", "falso", "falsa"), "false"),
}
_SHORT_WORDS = {"t": "true", "f": "false"}
# "+ C", as a table of integrals has it, and what others call it.
_WITH_CONSTANT = re.compile(r"\+\s*C\s*\$?$")
_OTHER_CONSTANT = re.compile(
    r"\+\s*(?:[cKk]|[cCkK]_\{?\d\}?|(?:\\text\s?\{\s?)?const(?:ant|\.)?(?:\s?\})?)\s*(?=\$?\.?$)"
)
_ONE_BY_ONE = re.compile(r"^\s*\$?([a-z])\s?=.*\bor\b.*\1\s?=")
_NUMBERED = re.compile(r"(?<![A-Za-z\\])([a-z])_?\{?\d\}?(?=\s?=)")
_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce W Re Os Ir Pt Au Hg Tl Pb Bi Rn Ra
Th U
"""
_ELEMENTS = frozenset(_SYMBOLS.split())
_SMALL = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "01234567890123456789+-")
_MARKUP = re.compile(r"\\(?:mathrm|text|ce)\b|[\s${}_]|\^(?=[\s{]*\d?[+-])")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d*|\((?:[A-Z][a-z]?\d*)+\)\d*)+(?:\d?[+-])?")


def respelled(text: str) -> str:
    """Return a whole answer in the usual notation: (3|4) and <3, 4> as (3, 4), 5'6" as feet and
    inches, 1 234,5 and 12,50 € with a point, 7 R 2 as (7, 2), "d/dx f = 2x" as 2x, wahr as true.
    """
    short = text.strip()
    if len(short) > 160:
        return text
    if (point := _POINT.match(short)) is not None:
        return f"({', '.join(x.replace(',', '.') for x in point.groups() if x)})"
    if (vector := _VECTOR.match(short)) is not None:
        return f"({vector[1]})"
    if (feet := _FEET.match(short)) is not None:
        return f"{feet[1]} ft {feet[2]} in"
    if (spaced := _SPACED.match(short)) is not None:
        return f"{re.sub(r'[^-0-9]', '', spaced[1])}.{spaced[2]}"
    if (euros := _EUROS.match(short)) is not None and re.search(r"€|EUR|Euro", short):
        return f"€{euros['whole'].replace('.', '')}.{euros['cents']}"
    if (divided := _REMAINDER.match(short)) is not None:
        return f"({divided[1]}, {divided[2]})"
    if "=" in short and (derivative := _DIFFERENTIAL.match(short)) is not None:
        return short[derivative.end() :]
    return _WORDS.get(short.rstrip(".").casefold(), text)


def with_the_keys_words(key: str, answer: str) -> tuple[str, str]:
    """Return key and answer in the same words where one writes shortly, or with letters of its own,
    what the other has: T for True, "+ K" for "+ C", "x1 = 2, x2 = -1" for "x = 2 or x = -1".
    """
    one, two = key.strip().casefold(), answer.strip().rstrip(".").casefold()
    if one in ("true", "false") and two in _SHORT_WORDS:
        return key, _SHORT_WORDS[two]
    if one in _SHORT_WORDS and _WORDS.get(two, two) in ("true", "false"):
        return _SHORT_WORDS[one], answer
    if _WITH_CONSTANT.search(key) and not _WITH_CONSTANT.search(answer):
        return key, _OTHER_CONSTANT.sub("+ C", answer)
    if _ONE_BY_ONE.match(key):
        return key, _NUMBERED.sub(r"\1", answer)
    return key, answer


def same_formula(key: str, answer: str) -> bool:
    """Return whether both are one chemical formula, however its small digits are written."""
    one, two = _plain_formula(key), _plain_formula(answer)
    if not one or one != two or not any(not x.isalpha() for x in one):
        return False
    return all(symbol in _ELEMENTS for symbol in re.findall(r"[A-Z][a-z]?", one))


def _plain_formula(text: str) -> str:
    if len(text) > 60 or (not text.isascii() and "^" in text):
        return ""
    plain = _MARKUP.sub("", text.strip().rstrip(".")).translate(_SMALL)
    return plain if _FORMULA.fullmatch(plain) else ""
