"""Numbers in words: "two hundred and five", "three and a half", "two thirds", "twenty-first"."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

__all__ = [
    "DENOMINATORS",
    "SMALL_NUMBERS",
    "TENS",
    "asks_dozens",
    "chances_written",
    "dozens_counted",
    "dozens_written",
    "durations_in_digits",
    "halves_written",
    "parts_written",
    "spelled_number",
]

MAX_WORDS = 24
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL_NUMBERS = {word: n for n, word in enumerate(_UNITS.split())}
TENS = {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
_SMALL = SMALL_NUMBERS | TENS | {"fourty": 40, "dozen": 12}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12,
}  # fmt: skip
_ORDINALS |= {
    word + "th": n
    for word, n in _SMALL.items()
    if word not in ("zero", "one", "two", "three", "five", "eight", "nine", "twelve", "dozen")
}
_ORDINALS |= {word[:-1] + "ieth": n for word, n in _SMALL.items() if word.endswith("ty")}
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4, "third": 3, "thirds": 3}
_PARTS |= {word: n for word, n in _ORDINALS.items() if n > 2}
_PARTS |= {word + "s": n for word, n in _ORDINALS.items() if n > 2}


@lru_cache(maxsize=4096)
def spelled_number(text: str) -> str | None:
    """Return the digits, or the fraction, that a text of number words stands for; None for any
    other.
    """
    if not text or len(text) > 200 or not text[0].isalpha():
        return None
    words = [word for word in re.split(r"[\s,-]+", text.strip().lower().rstrip(".")) if word]
    if not words or len(words) > MAX_WORDS:
        return None
    negative = words[0] in ("negative", "minus")
    value = _value(words[1:] if negative else words)
    if value is None:
        return None
    value = -value if negative else value
    return (
        str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    )


def _value(words: list[str]) -> Fraction | None:
    if not words:
        return None
    if words in (["a", "dozen"], ["dozen"]):
        return Fraction(12)
    if "dozen" in words and "half" in words:
        found = _DOZENS.fullmatch(" ".join(words))
        dozens = _dozens(found) if found is not None else None
        return None if dozens is None else 12 * dozens
    if words[-1] in _PARTS:
        return _with_part(words)
    if words[-1] in _ORDINALS:
        cardinal = _whole(words[:-1]) if len(words) > 1 else 0
        last = _ORDINALS[words[-1]]
        if cardinal is None or (cardinal and (cardinal % 100 < 20 or last > 9) and cardinal % 100):
            return None
        return Fraction(cardinal + last)
    whole = _whole(words)
    return None if whole is None else Fraction(whole)


def _with_part(words: list[str]) -> Fraction | None:
    """Return ``three and a half``, ``two thirds``, ``one half``; a lone ``third`` is an ordinal."""
    size = _PARTS[words[-1]]
    if len(words) == 1:
        return Fraction(1, 2) if words[0] == "half" else _lone(words[0])
    if "and" in words:
        place = len(words) - 1 - words[::-1].index("and")
        whole, count = _whole(words[:place]), _count(words[place + 1 : -1])
        if whole is not None and count is not None and count < size:
            return whole + Fraction(count, size)
    count = _count(words[:-1])
    return None if count is None else Fraction(count, size)


def _lone(word: str) -> Fraction | None:
    return Fraction(_ORDINALS[word]) if word in _ORDINALS else None


def _count(words: list[str]) -> int | None:
    return 1 if words in (["a"], ["an"]) else _whole(words)


def _whole(words: list[str]) -> int | None:
    """Return a cardinal: groups of hundreds, each with its thousand or million, from large to
    small.
    """
    if words[:1] in (["a"], ["an"]) and len(words) > 1 and words[1] in ("hundred", *_LARGE):
        words = ["one", *words[1:]]
    total, group, last_large, last_small = 0, 0, 10**15, 10**3
    seen = False
    for index, word in enumerate(words):
        if word == "and":
            if not seen or index + 1 == len(words):
                return None
        elif word in _SMALL and word != "dozen":
            value = _SMALL[word]
            if value >= last_small or (value == 0 and len(words) > 1):
                return None
            if last_small <= 100 and last_small % 10 == 0 and last_small < 100 and value > 9:
                return None
            group, last_small, seen = group + value, (value if value >= 20 else 1), True
        elif word == "hundred" and 0 < group < 100:
            group, last_small = group * 100, 100
        elif word in _LARGE and 0 < group < 1000 and _LARGE[word] < last_large:
            last_large = _LARGE[word]
            total, group, last_small = total + group * last_large, 0, 10**3
        elif word == "dozen" and 0 < group < 100 and index == len(words) - 1:
            group *= 12
        else:
            return None
    return total + group if seen else None


_HALF_OF_ONE = re.compile(
    r"\b(?:(?:a|one)\s+)?(half|quarter|third)\s+(?:of\s+)?an?\s+(?!dozen|hundred|million)(?=[a-z])",
    re.IGNORECASE,
)
_PART_OF_ONE = {"half": "1/2", "quarter": "1/4", "third": "1/3"}


def halves_written(text: str) -> str:
    """Return a text without digits with "half a cup" as "1/2 cup"."""
    if any(map(str.isdigit, text)):
        return text
    return _HALF_OF_ONE.sub(lambda found: f"{_PART_OF_ONE[found[1].lower()]} ", text)


DENOMINATORS = {
    "halves": 2,
    "thirds": 3,
    "quarters": 4,
    "fourths": 4,
    "fifths": 5,
    "sixths": 6,
    "sevenths": 7,
    "eighths": 8,
    "ninths": 9,
    "tenths": 10,
    "twelfths": 12,
}
"""The names of parts, and of how many parts a whole has then."""
_DIGITS_OF_PARTS = re.compile(
    rf"^(-?\d{{1,3}})\s+({'|'.join(DENOMINATORS)})\b(?=\s*$|\s+of\b|\s+an?\b)", re.IGNORECASE
)


def parts_written(text: str) -> str:
    """Return "3 eighths" as "3/8", any other text as it is."""
    return _DIGITS_OF_PARTS.sub(lambda m: f"{m[1]}/{DENOMINATORS[m[2].lower()]}", text)


_DOZENS = re.compile(
    r"(?i)\b(?:(?P<half>(?:a\s+)?half(?:\s+a|-a)?[\s-]+dozen)"
    r"|(?P<more>(?:a|one)\s+dozen\s+and\s+a\s+half)"
    r"|(?P<count>[a-z]+|\d{1,3})(?P<and>\s+and\s+a\s+half)?\s+dozens?)\b"
)


def _dozens(found: re.Match[str]) -> Fraction | None:
    """Return how many dozens a match names, None where its count is no number."""
    if found["half"] or found["more"]:
        return Fraction(1, 2) if found["half"] else Fraction(3, 2)
    count = "1" if found["count"].lower() in ("a", "one") else found["count"]
    whole = count if count.isdigit() else spelled_number(count) or ""
    return int(whole) + Fraction(bool(found["and"]), 2) if whole.isdigit() else None


def dozens_written(text: str) -> str:
    """Return a text with "half a dozen" as 6 and "a dozen and a half" as 18."""
    if "dozen" not in text.lower():
        return text

    def in_ones(found: re.Match[str]) -> str:
        dozens = _dozens(found)
        parted = dozens is not None and dozens.denominator > 1
        return str(12 * dozens) if dozens is not None and parted else found.group()

    return _DOZENS.sub(in_ones, text)


_ASKS_DOZENS = re.compile(r"(?i)\bhow\s+many\s+(?:more\s+)?dozens?\b|\bin\s+dozens\b")


def asks_dozens(problem_text: str) -> bool:
    """Return whether a problem asks how many dozen there are."""
    return "dozen" in problem_text.lower() and _ASKS_DOZENS.search(problem_text) is not None


def dozens_counted(text: str) -> str:
    """Return a text with "half a dozen" as "0.5 dozen" and "two dozen" as "2 dozen", where dozens
    are counted.
    """

    def in_dozens(found: re.Match[str]) -> str:
        dozens = _dozens(found)
        return found.group() if dozens is None else f"{float(dozens):g} dozen"

    return _DOZENS.sub(in_dozens, text) if "dozen" in text.lower() else text


_CHANCE = re.compile(
    r"(?i)(?<![\w.,/])(?:an?\s+)?(?P<of>\d{1,4}|[a-z]+)(?:\s+in\s+|-in-|\s+out\s+of\s+|-out-of-)(?:every\s+)?"
    r"(?P<all>\d{1,6}|[a-z]+(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?)\b(?![.,/]\d)"
    r"(?:\s+(?:chance|probability|odds))?"
)


def chances_written(text: str) -> str:
    """Return a text with "1 in 3", "one out of three" and "a 1-in-3 chance" as 1/3."""

    def as_fraction(found: re.Match[str]) -> str:
        sides = [
            side if side.isdigit() else spelled_number(side) or ""
            for side in (found["of"], found["all"])
        ]
        if not all(map(str.isdigit, sides)) or not 0 < int(sides[0]) <= int(sides[1]):
            return found.group()
        return "/".join(sides)

    return _CHANCE.sub(as_fraction, text)


_NUMBER_WORDS = frozenset([*SMALL_NUMBERS, *TENS])
_NUMBER_WORD = "|".join(sorted(_NUMBER_WORDS, key=lambda word: (-len(word), word)))
_UNIT_WORD = (
    r"(?:hours?|minutes?|seconds?|days?|weeks?|years?|months?|feet|foot|inch(?:es)?|pounds?|"
    r"ounces?)"
)
# What every one of these units begins with.
_UNIT_STEMS = (
    *("hour", "minute", "second", "day", "week", "year", "month"),
    *("feet", "foot", "inch", "pound", "ounce"),
)
_LAST_LETTERS = re.compile(r"([a-z]+)\s+\Z")
_PARTS_WORDED = re.compile(
    rf"\b(?:(?:{_NUMBER_WORD})(?:[\s-](?:{_NUMBER_WORD}))?\s+{_UNIT_WORD}\b"
    r"(?:,?\s+and\s+|,\s+|\s+)?){2,}",
    re.IGNORECASE,
)
_PART_WORDED = re.compile(
    rf"\b((?:{_NUMBER_WORD})(?:[\s-](?:{_NUMBER_WORD}))?)(?=\s+{_UNIT_WORD})", re.IGNORECASE
)


_IN_HOURS = re.compile(r"\d\s?h", re.IGNORECASE)
_HOURS = re.compile(
    r"(?<![\w.:])(\d{1,3})\s?h(?:rs?\.?|ours?)?\s?([0-5]?\d)(?:\s?(?:m|mins?\.?|minutes?))?(?![\w:]|\.\d)",
    re.IGNORECASE,
)


def _has_worded_part(text: str) -> bool:
    """Return whether a unit stands behind a number word: a look that costs little."""
    low = text.lower()
    for unit in _UNIT_STEMS:
        at = low.find(unit)
        while at >= 0:
            before = _LAST_LETTERS.search(low[max(0, at - 24) : at])
            if before is not None and before[1] in _NUMBER_WORDS:
                return True
            at = low.find(unit, at + 1)
    return False


def durations_in_digits(text: str) -> str:
    """Return a text with "three hours and thirty-five minutes" in digits, and "3h35" as "3 hours 35
    minutes".
    """
    if _IN_HOURS.search(text):
        text = _HOURS.sub(r"\1 hours \2 minutes", text)
    if not _has_worded_part(text):
        return text
    return _PARTS_WORDED.sub(
        lambda found: _PART_WORDED.sub(lambda part: spelled_number(part[1]) or part[1], found[0]),
        text,
    )
