"""Equality of answers that are words: letters, words, times of day, dates, numbers in a base."""

from __future__ import annotations

import re

from potstill.grading.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.forms import asked_form
from potstill.grading.normalise import MONEY, tidy, tidy_words
from potstill.grading.number_words import spelled_number
from potstill.records import Opinion

__all__ = [
    "WEEKDAYS",
    "compare_bases",
    "compare_dates",
    "compare_letters",
    "compare_times",
    "compare_word_numbers",
    "compare_words",
    "read_base",
    "read_letter",
    "read_time",
]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_LETTER = re.compile(
    r"^\W*(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice|letter|statement)\s*(?:is|:)?\s*)?"
    r"[(\[{]*\s*(?P<letter>[A-Za-z])\s*(?:[)\]}]+|[.):]|$)(?P<rest>.*)$",
    re.DOTALL | re.IGNORECASE,
)
_FILLER = frozenset(
    [
        "the",
        "a",
        "an",
        "is",
        "are",
        "it",
        "its",
        "it's",
        "this",
        "that",
        "answer",
        "final",
        "therefore",
        "so",
        "thus",
        "hence",
        "day",
        "of",
        "week",
        "on",
        "point",
        "lies",
        "lie",
        "statement",
        "true",
        "correct",
        "option",
        "choice",
        "in",
        "he",
        "she",
        "they",
        "will",
        "would",
        "be",
        "triangles",
        "triangle",
        "must",
        "facing",
        "direction",
        "person",
        "year",
        "grade",
    ]
)
_STEMS = {
    "loses": "lose", "lost": "lose", "loss": "lose", "losing": "lose",
    "wins": "win", "won": "win", "winning": "win", "gain": "win", "gains": "win",
    "increases": "increase", "increased": "increase", "decreases": "decrease",
    "decreased": "decrease", "dollars": "", "dollar": "", "of": "", "a": "", "by": "", "he": "",
    "will": "", "tom": "", "the": "", "per": "", "roll": "", "each": "", "expected": "", "to": "",
    "is": "", "expects": "", "on": "", "average": "",
}  # fmt: skip
_BASE_WORDS = {
    w: i
    for i, w in enumerate(
        [
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
        ]
    )
}
_BASE_WORDS |= {"binary": 2, "octal": 8, "hexadecimal": 16, "ternary": 3, "decimal": 10}
_words = "|".join(_BASE_WORDS)
_BASE = re.compile(
    rf"^\(?\s*(?P<digits>-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*\)?\s*"
    rf"(?:_\s*\{{?\s*\(?(?:base\s*)?(?P<sub>\d+|{_words})\)?\s*\}}?"
    rf"|[,(]?\s*(?:in\s+)?base[\s-]*\{{?(?P<base>\d+|{_words})\}}?\s*\)?|\s*(?P<word>{_words}))\s*\.?$"
)
_TIME = re.compile(
    r"(?<![\d:.])(?P<hour>\d{1,2})(?:\s*:\s*(?P<minute>\d{2})(?:\s*:\s*(?P<second>\d{2}))?)?"
    r"\s*(?:o'?clock)?\s*(?:(?P<half>[ap])\.?\s?m\b\.?)?",
    re.IGNORECASE,
)


def read_letter(text: str) -> str | None:
    """The choice letter that an answer names, in upper case, or None."""
    match = _LETTER.match(tidy(text))
    return match.group("letter").upper() if match else None


def compare_letters(key: str, answer: str) -> Comparison:
    """Whether two answers name the same choice: C, (C), "C) Circle", "option C"."""
    one = read_letter(key)
    if one is None:
        raise KeyUnreadable("the key names no letter")
    bare = re.sub(r"[^A-Za-z]", "", tidy(answer))
    match = _LETTER.match(tidy(answer))
    if match is None:
        if re.fullmatch(r"[A-Za-z]{2,4}", bare):
            return different("more than one letter")
        return unreadable("the answer names no letter")
    if re.match(r"\s*(?:,|and\b|or\b|&)\s*\(?[A-Za-z]\)?\s*$", match.group("rest")):
        return different("more than one letter")
    two = match.group("letter").upper()
    return equal_with("the same letter") if one == two else different("another letter")


def compare_words(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Whether two answers are the same word or name, case and filler words aside.

    A key of two forms ("color or colour") is either.
    """
    forms = re.split(r"\s+or\s+", key)
    if len(forms) > 1 and all(form.strip() for form in forms):
        results = [_compare_word(form, answer, problem_text) for form in (key, *forms)]
        equal = next((r for r in results if r.opinion is Opinion.EQUAL), None)
        return equal or results[0]
    return _compare_word(key, answer, problem_text)


def _compare_word(key: str, answer: str, problem_text: str) -> Comparison:
    one, two = tidy_words(key), tidy_words(answer)
    if not any(character.isalnum() for character in one):
        raise KeyUnreadable("the key holds no word")
    if tidy(key).isupper() and " " not in one and len(one) in (2, 3) and _compact(key):
        # Letters that name something ("CA") are compared as written.
        if _compact(key) == _compact(answer):
            return equal_with("the same word")
        if re.fullmatch(r"[A-Za-z]{2,4}", _compact(answer)) and one != two:
            return different("other letters")
    if one == two or one.replace(" ", "") == two.replace(" ", ""):
        return equal_with("the same word")
    if not two:
        return unreadable("the answer holds no word")
    wanted, given = _content(one, one), _content(two, one)
    if wanted == given:
        return equal_with("the same word")
    if one in ("yes", "no") and given[:1] and given[0] in ("yes", "no") and "or" not in given:
        return equal_with("the same word") if given[0] == one else different("the other word")
    options = _options(problem_text)
    if options and set(wanted) <= options:
        named = [word for word in given if word in options]
        negated = {"not", "never", "neither", "no", "or", "either"} - set(wanted)
        if set(named) == set(wanted) and not negated & set(two.split()):
            return equal_with("the same choice")
        if named:
            return different("another choice")
    short = two[:3]
    if one in WEEKDAYS and len(two.rstrip(".")) <= 5 and one.startswith(two.rstrip(".")):
        return equal_with("the same day") if len(short) == 3 else undecided("too short a name")
    return different("another word")


def _compact(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", tidy(text))


def _content(words: str, keep: str) -> list[str]:
    kept = set(keep.split())
    found = [word.strip(".,;:!'()") for word in words.split()]
    return [word for word in found if word and (word not in _FILLER or word in kept)]


def _options(problem_text: str) -> set[str]:
    """The words that a problem offers: "ALWAYS, SOMETIMES, or NEVER", 'Yes' or 'No'."""
    found = re.findall(r"\b([A-Za-z]+)(?:,? or |, )", problem_text[-600:])
    found += re.findall(r" or '?([A-Za-z]+)", problem_text[-600:])
    return {word.lower() for word in found if word.isupper() or word in ("Yes", "No")}


def compare_word_numbers(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Whether a word and its number are both the same: "Lose 18" and "lose $18"."""
    word, number = _word_and_number(key)
    if number is None or not word:
        raise KeyUnreadable("the key is not a word with a number")
    given, value = _word_and_number(answer)
    if value is None:
        return unreadable("the answer holds no number") if not given else different("no number")
    from potstill.grading.numbers import compare_scalars

    same_number = compare_scalars(number, value, "decimal", problem_text)
    if not given:
        return undecided("the answer lacks the word")
    if given != word:
        return different("another word")
    return same_number


def _word_and_number(text: str) -> tuple[tuple[str, ...], str | None]:
    plain = tidy(text).replace(MONEY, " ").replace("$", " ")
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?", plain)
    if re.search(r"[^\w\s.,:;()'/-]|π|_", plain) or re.search(r"-\s*[A-Za-z]", plain):
        return (), None
    letters = re.findall(r"[a-z]+", re.sub(r"\\[a-z]+", " ", plain.lower()))
    words = (_STEMS.get(word, word) for word in letters)
    return tuple(sorted({w for w in words if w})), numbers[0] if len(numbers) == 1 else None


def read_time(text: str) -> tuple[int, int, int, str] | None:
    """Hour, minute, second and "a", "p" or "" of the one time of day in a text, or None."""
    low = _worded_time(tidy(text).lower())
    if re.search(r"\bnoon\b", low) and not re.search(r"\d", low.replace("12", "")):
        return 12, 0, 0, "p"
    if "midnight" in low and not re.search(r"\d", low.replace("12", "")):
        return 12, 0, 0, "a"
    found = [
        match
        for match in _TIME.finditer(low)
        if match.group("minute") or match.group("half") or "clock" in match.group()
    ]
    if len(found) != 1:
        return None
    match = found[0]
    hour, minute = int(match.group("hour")), int(match.group("minute") or 0)
    second, half = int(match.group("second") or 0), match.group("half") or ""
    if hour > 24 or minute > 59 or second > 59:
        return None
    if not half and (hour > 12 or hour == 0):
        half = "p" if 12 < hour < 24 else "a"
        hour = hour - 12 if 12 < hour < 24 else 12
    return hour, minute, second, half


def _worded_time(low: str) -> str:
    """``half past three`` and ``3.30 pm`` as a clock shows them."""
    low = re.sub(r"\b(\d{1,2})\.(\d{2})(?=\s*[ap]\.?\s?m\b)", r"\1:\2", low)
    spoken = re.search(r"\b(half|quarter|a quarter)\s+(past|to)\s+([a-z]+|\d{1,2})\b", low)
    if spoken is None:
        return low
    digits = spoken.group(3) if spoken.group(3).isdigit() else spelled_number(spoken.group(3))
    if digits is None or not digits.isdigit() or not 1 <= int(digits) <= 12:
        return low
    hour, past = int(digits), spoken.group(2) == "past"
    minute = 30 if spoken.group(1) == "half" else 15 if past else 45
    hour = hour if past else (hour - 2) % 12 + 1
    return f"{low[: spoken.start()]}{hour}:{minute:02}{low[spoken.end() :]}"


def compare_times(key: str, answer: str) -> Comparison:
    """Whether two texts name the same time of day; a missing AM or PM is noted."""
    one, two = read_time(key), read_time(answer)
    if one is None:
        raise KeyUnreadable("the key is not a time of day")
    if two is None:
        if re.fullmatch(r"[-\d./ ]+", tidy(answer)):
            return different("a number for a time of day")
        return unreadable("the answer is not a time of day")
    if one[:3] != two[:3]:
        return different("another time")
    if one[3] and two[3] and one[3] != two[3]:
        return different("the other half of the day")
    return equal_with("the same time", "without AM or PM" if one[3] != two[3] else "")


def compare_dates(key: str, answer: str) -> Comparison:
    """Whether two texts name the same day; a year or weekday may be missing on one side."""
    one, two = _date(key), _date(answer)
    if not one:
        raise KeyUnreadable("the key is not a date")
    if not two:
        return unreadable("the answer is not a date")
    shared = one.keys() & two.keys()
    if any(one[part] != two[part] for part in shared):
        return different("another date")
    needed = {"month", "day"} if "month" in one and "day" in one else set(one)
    if not needed <= two.keys():
        return undecided("a part of the date is missing")
    return equal_with("the same date")


def _date(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    low = tidy(text).lower()
    for word in re.findall(r"[a-z]+", low):
        if len(word) < 3:
            continue
        for name, table in (("month", MONTHS), ("weekday", WEEKDAYS)):
            for index, full in enumerate(table):
                if word == full or (len(word) <= 5 and full.startswith(word)):
                    found[name] = index
    numeric = re.search(r"(?<!\d)(\d{1,2})[/-](\d{1,2})(?:[/-](\d{4}))?(?!\d)", low)
    if numeric and "month" not in found:
        found["month"], found["day"] = int(numeric.group(1)) - 1, int(numeric.group(2))
        if numeric.group(3):
            found["year"] = int(numeric.group(3))
        return found
    for number in re.findall(r"(?<!\d)\d{1,4}(?=\D|$)", low):
        found["year" if len(number) == 4 else "day"] = int(number)
    return found


def read_base(text: str) -> tuple[str, int | None] | None:
    """Digits and base (None where it is not said) of a number such as ``2114five`` or ``52_8``."""
    plain = tidy(text).strip().rstrip(".").strip()
    plain = re.sub(r"^[A-Za-z]\s?=\s?", "", plain)
    plain = re.sub(r"(?<=\d)[, ](?=\d{3})", "", plain)
    match = _BASE.match(plain)
    if match is None:
        bare = re.fullmatch(r"-?[0-9A-F]+(?:\.[0-9A-F]+)?", plain)
        return (_digits(plain), None) if bare else None
    named = match.group("sub") or match.group("base") or match.group("word")
    base = int(named) if named.isdigit() else _BASE_WORDS[named]
    return _digits(match.group("digits")), base


def _digits(text: str) -> str:
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return sign + (digits.upper().lstrip("0") or "0")


def compare_bases(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Whether two numbers have the same digits in the same base; one may leave the base out."""
    one, two = read_base(key), read_base(answer)
    if one is None:
        raise KeyUnreadable("the key is not a number in a base")
    if one[1] is not None and not _valid(one[0], one[1]):
        raise KeyUnreadable("the key has digits that its base does not have")
    if two is None:
        return _not_in_a_base(one, answer)
    if one[1] is not None and two[1] is not None and one[1] != two[1]:
        return different(f"base {two[1]} for base {one[1]}")
    if one[1] is None and two[1] is not None and asked_form(problem_text).base:
        named = re.findall(rf"base[\s$-]*(\d+|{_words})", problem_text.lower())
        bases = {int(n) if n.isdigit() else _BASE_WORDS[n] for n in named}
        if named and two[1] not in bases:
            return different(f"base {two[1]} where the problem names another")
    if one[0] != two[0]:
        return different("other digits")
    return equal_with("the same digits", "" if one[1] == two[1] else "without its base")


def _not_in_a_base(key: tuple[str, int | None], answer: str) -> Comparison:
    """An answer that is a value without being digits (30/7) is another answer."""
    from potstill.grading.grammar import Unreadable
    from potstill.grading.scalars import read_scalar
    from potstill.grading.values import TooBig, Undefined, exact

    try:
        scalar = read_scalar(tidy(answer))
        value = None if scalar.unit else exact(scalar.node)
    except (Unreadable, TooBig, Undefined) as error:
        return unreadable(f"the answer is not a number in a base: {error}")
    if value is not None and value.denominator == 1 and key[1] in (None, 10):
        plain = str(value.numerator)
        return equal_with("the same number") if plain == key[0] else different("another number")
    return different("not a number in a base")


def _valid(digits: str, base: int) -> bool:
    plain = digits.lstrip("-").replace(".", "")
    return 2 <= base <= 36 and all(int(digit, 36) < base for digit in plain)
