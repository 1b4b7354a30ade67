"""Number words of German, French and Spanish up to 100 as digits, where a problem is in that
language."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["number_words_in_digits"]

# One question word tells the language of a problem that has no English one.
_ASKS = {
    "de": re.compile(r"(?i)\b(?:wie\s*viele?n?|wie\s+(?:lange?|alt|weit|hoch)|welche[rsn]?)\b"),
    "fr": re.compile(r"(?i)\b(?:combien|quel(?:le)?s?)\b"),
    "es": re.compile(r"(?i)\b(?:cu[áa]nt[oa]s?|cu[áa]l(?:es)?)\b"),
}
_ENGLISH = re.compile(r"(?i)\b(?:how|what|the|of|is|which)\b")

# From two on: the words for one are articles too. In French "neuf" alone is new.
_GERMAN_ONES = "zwei drei vier fünf sechs sieben acht neun"
_GERMAN_TEENS = "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn"
_GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
_FRENCH_ONES = "deux trois quatre cinq six sept huit"
_FRENCH_TEENS = "dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf"
_FRENCH_TENS = "vingt trente quarante cinquante soixante"
_SPANISH_ONES = "dos tres cuatro cinco seis siete ocho nueve"
_SPANISH_TEENS = (
    "diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve veinte "
    "veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho "
    "veintinueve"
)
_SPANISH_TENS = "treinta cuarenta cincuenta sesenta setenta ochenta noventa"


def _counted(words: str, start: int) -> dict[str, int]:
    return {word: value for value, word in enumerate(words.split(), start)}


def _german() -> dict[str, int]:
    ones = _counted(_GERMAN_ONES, 2)
    words = ones | _counted(_GERMAN_TEENS, 10)
    for place, ten in enumerate(_GERMAN_TENS.split(), 2):
        words[ten] = 10 * place
        words |= {f"{one}und{ten}": 10 * place + n for one, n in ({"ein": 1} | ones).items()}
    words |= {word.replace("ß", "ss"): value for word, value in words.items()}
    return words | {"hundert": 100, "einhundert": 100}


def _french() -> dict[str, int]:
    ones, teens = _counted(_FRENCH_ONES, 2), _counted(_FRENCH_TEENS, 10)
    words = ones | teens
    tens = {ten: 10 * place for place, ten in enumerate(_FRENCH_TENS.split(), 2)}
    for ten, value in (tens | {"quatre-vingt": 80}).items():
        below = {"un": 1, "et-un": 1} | ones | {"neuf": 9}
        below |= teens | {"et-onze": 11} if value >= 60 else {}
        words |= {f"{ten}-{word}": value + n for word, n in below.items()}
        words[ten] = value
    return words | {"quatre-vingts": 80}


def _spanish() -> dict[str, int]:
    ones = _counted(_SPANISH_ONES, 2)
    words = ones | _counted(_SPANISH_TEENS, 10) | {"veintiún": 21, "veintiuna": 21}
    for place, ten in enumerate(_SPANISH_TENS.split(), 3):
        words[ten] = 10 * place
        below = {"uno": 1, "un": 1, "una": 1} | ones
        words |= {f"{ten}-y-{one}": 10 * place + n for one, n in below.items()}
    plain = str.maketrans("áéíóú", "aeiou")
    words |= {word.translate(plain): value for word, value in words.items()}
    return words | {"cien": 100}


def _pattern(words: dict[str, int]) -> re.Pattern[str]:
    longest = sorted(words, key=len, reverse=True)
    spelled = "|".join(re.escape(word).replace(r"\-", r"[\s-]") for word in longest)
    return re.compile(rf"(?i)(?<![\w-])(?:{spelled})(?![\w-])")


_WORDS = {"de": _german(), "fr": _french(), "es": _spanish()}
_PATTERNS = {language: _pattern(words) for language, words in _WORDS.items()}
_EUROS = re.compile(r"(?i)(?<![\w.,])(\d+)\s+(euros?)\s+(?:et\s+)?(\d{2})(?![\d.,%]|\s+\w)")
_HALVES = re.compile(r"(?i)(?<!\w)(\w+?)einhalb(?!\w)")
# What makes a number above 100 of the word before it, or behind it.
_LARGER = re.compile(
    r"(?i)[\s-]*(?:und\s+|et\s+|y\s+)?(?:hundert|cents?\b|tausend|mille|mil\b|million)"
)
_BEHIND_LARGER = re.compile(
    r"(?i)(?:hundert|cents?|cientos?|tausend|mille|mil|million\w*)[\s-]+(?:und\s+|et\s+|y\s+)?$"
)


# "die zwei Freunde" counts none, "fünf mehr als Ina" and "fast fünf" are other numbers.
_POINTS = re.compile(
    r"(?i)\b(?:die|der|den|dem|das|beiden?|alle[nr]?|(?:sein|ihr|mein|dein|unser|dies)e[nmrs]?|fast|gib|gebt"
    r"|les|ses|leurs|mes|tes|nos|vos|ces|aux|des|los|las|sus|mis|tus|est[oa]s|es[oa]s|nuestr[oa]s)\s+$"
)
_COMPARES = re.compile(
    r"(?i)\b(?:mehr|weniger|größer|kleiner)\s+als\b|\b(?:plus|moins)\s+qu(?:e\b|['’])|\b(?:más|menos)\s+que\b"
)


def number_words_in_digits(text: str, problem_text: str) -> str:
    """Return a text without digits with the number words of its problem's language in digits:
    "sechzehn" as 16.

    Words that are part of a number above 100, and "un" and "eine", stay as they are.
    """
    language = _language_of(problem_text)
    if not language or any(map(str.isdigit, text)) or _COMPARES.search(text):
        return text
    words = _WORDS[language]

    def in_digits(found: re.Match[str]) -> str:
        before = text[max(0, found.start() - 24) : found.start()]
        if _LARGER.match(text, found.end()) or _BEHIND_LARGER.search(before):
            return found.group()
        if _POINTS.search(before):
            return found.group()
        return str(words["-".join(re.split(r"[\s-]", found.group().lower()))])

    def with_half(found: re.Match[str]) -> str:
        whole = words.get(found[1].lower())
        return found.group() if whole is None else f"{whole},5"

    if language == "de":
        text = _HALVES.sub(with_half, text)
    text = _PATTERNS[language].sub(in_digits, text)
    return _EUROS.sub(r"\1,\3 \2", text) if language == "fr" else text


@lru_cache(maxsize=1024)
def _language_of(problem_text: str) -> str:
    """Return the language of a problem whose number words are known, else ""."""
    text = problem_text[-2_000:]
    if _ENGLISH.search(text):
        return ""
    return next((language for language, asks in _ASKS.items() if asks.search(text)), "")
