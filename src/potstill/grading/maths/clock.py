"""Equality of times of day and of dates."""

from __future__ import annotations

import re

from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.number_words import spelled_number
from potstill.records import Opinion

__all__ = [
    "WEEKDAYS",
    "compare_dates",
    "compare_times",
    "in_digits",
    "read_time",
    "spoken_times_in_digits",
]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTH_NAMES = """
january february march april may june july august september october november december
"""
MONTHS = _MONTH_NAMES.split()
_TIME = re.compile(
    r"(?<![\d:.])(?P<hour>\d{1,2})(?:\s*:\s*(?P<minute>\d{2})(?:\s*:\s*(?P<second>\d{2}))?)?"
    r"\s*(?:o'?clock)?\s*(?:(?P<half>[ap])\.?\s?m\b\.?)?",
    re.IGNORECASE,
)


# "15 Uhr", "15.30 Uhr", "15 Uhr 30"
_OTHER_CLOCKS = re.compile(
    r"\b(?P<hour>\d{1,2})(?:[.:](?P<minute>[0-5]\d))?\s*uhr\b(?:\s*(?P<late>[0-5]\d)\b)?"
)


# "It does not end at 3:30", "before 3:30": no time that is stated.
_DENIES = re.compile(r"\b(?:not|never|cannot)\b(?!.*\buntil\b)|n['’]t\b", re.IGNORECASE)
_BOUNDS = re.compile(
    r"\b(?:before|after|between|from|earlier\s+than|later\s+than|not\s+until)\s+(?=\d{1,2}(?:\s*:|\s*[ap]\.?\s?m\b))",
    re.IGNORECASE,
)


def read_time(text: str) -> tuple[int, int, int, str] | None:
    """Return hour, minute, second and "a", "p" or "" of the one time of day in a text, or None."""
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


_MINUTE_WORD = (
    r"(?:(?:twenty|thirty|forty|fifty)(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?|[a-z]+teen|ten|eleven|"
    r"twelve|one|two|three|four|five|six|seven|eight|nine|\d{1,2})"
)
_HOUR_WORD = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2})"
# "twenty-five to twelve", "25 minutes past 11"; "from ten to eleven" is no time.
_TO_THE_HOUR = re.compile(
    rf"(?<!from )(?<!between )(?<!is to )\b(?P<minute>{_MINUTE_WORD})(?:\s+min(?:ute)?s?)?\s+"
    rf"(?P<side>past|after|to|before|until|till)\s+(?P<hour>{_HOUR_WORD})\b(?!\s*(?:min|hour|:\d))",
    re.IGNORECASE,
)
_HOUR_FIRST = re.compile(
    rf"(?:^|(?<=\bat )|(?<=\bis ))(?P<hour>{_HOUR_WORD})[\s-]+"
    rf"(?P<minute>(?:oh[\s-])?{_MINUTE_WORD})"
    r"(?=\W*$|\s*[ap]\.?m\b)",
    re.IGNORECASE,
)


def spoken_times_in_digits(text: str) -> str:
    """Return a text with "twenty-five to twelve" and "eleven thirty-five" as 11:35, where a time of
    day is sought.
    """
    text = _TO_THE_HOUR.sub(_clock_of, text)
    return text if any(map(str.isdigit, text)) else _HOUR_FIRST.sub(_clock_of, text)


def _clock_of(found: re.Match[str]) -> str:
    side = found.groupdict().get("side")
    words = re.sub(r"^oh[\s-]", "", found["minute"].lower())
    minute, hour = (w if w.isdigit() else spelled_number(w) for w in (words, found["hour"].lower()))
    if minute is None or hour is None or not (minute.isdigit() and hour.isdigit()):
        return found.group()
    minutes, hours = int(minute), int(hour)
    spoken_small = side is None and minutes < 10 and not found["minute"].lower().startswith("oh")
    if not 0 < minutes < 60 or not 1 <= hours <= 12 or spoken_small:
        return found.group()
    if side is not None and side.lower() not in ("past", "after"):
        minutes, hours = 60 - minutes, (hours - 2) % 12 + 1
    return f"{hours}:{minutes:02}"


def _worded_time(low: str) -> str:
    """Return ``half past three`` and ``3.30 pm`` as a clock shows them."""
    low = re.sub(r"\b(\d{1,2})\.(\d{2})(?=\s*[ap]\.?\s?m\b)", r"\1:\2", low)
    if "h" in low:
        low = _OTHER_CLOCKS.sub(lambda m: f"{m['hour']}:{m['minute'] or m['late'] or '00'}", low)
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


# "at 11.35" and "11h35", where a time of day is sought.
_WRITTEN_OTHERWISE = re.compile(
    r"(?<![\d.])(\d{1,2})(?:\s?[hH]\s?|(?:(?<=\bat \d)|(?<=\bat \d\d))\.)([0-5]\d)"
    r"(?![\d%]|\s?s(?:ec\w*)?\b)"
)


_LASTS = re.compile(r"\d:\d\d\s*(?:min|sec)", re.IGNORECASE)


def compare_times(key: str, answer: str) -> Comparison:
    """Return whether two texts name the same time of day; a missing AM or PM is noted."""
    one = read_time(key) or read_time(spoken_times_in_digits(tidy(key)))
    two = (
        read_time(answer)
        or read_time(_WRITTEN_OTHERWISE.sub(r"\1:\2", tidy(answer)))
        or read_time(spoken_times_in_digits(tidy(answer)))
    )
    if one is None:
        raise KeyUnreadable("the key is not a time of day")
    if _DENIES.search(answer) or (_BOUNDS.search(answer) and not _BOUNDS.search(key)):
        return unreadable("a time that is denied, or only bounds another")
    if _LASTS.search(answer):
        return unreadable("a duration, not a time of day")
    if two is None:
        if re.fullmatch(r"\d{1,2}\.[0-5]\d", tidy(answer).strip()):
            return unreadable("a number, or a time of day written with a point")
        if re.fullmatch(r"[-\d./ ]+", tidy(answer)):
            return different("a number for a time of day")
        return unreadable("the answer is not a time of day")
    if one[:3] != two[:3]:
        return different("another time")
    if one[3] and two[3] and one[3] != two[3]:
        return different("the other half of the day")
    if (days := _named_days(key)) and (others := _named_days(answer)):
        same = [_compare_days(day, other).opinion for day in days for other in others]
        if not any(opinion is Opinion.EQUAL for opinion in same):
            return different("the same time of another day")
    elif days:
        return undecided("the time without the key's day")
    return equal_with("the same time", "without AM or PM" if one[3] != two[3] else "")


def _named_days(text: str) -> list[dict[str, int]]:
    """Return the days that a time stands with, which are named with their year or month."""
    if _NAMES_DAY.search(text) is None:
        return []
    return [day for day in _dates(_CLOCK_TIME.sub(" ", text)) if "day" in day]


def compare_dates(key: str, answer: str) -> Comparison:
    """Return whether two texts name the same day; a year or weekday may be missing on one side.

    Of ``03/04/2024`` nobody can tell which number is the month: it decides only where no reading of
    it is the other side's day.
    """
    ones, twos = _dates(key), _dates(answer)
    if not ones[0]:
        raise KeyUnreadable("the key is not a date")
    if tidy(key) == tidy(answer):
        return equal_with("the same text")
    if not twos[0]:
        return unreadable("the answer is not a date")
    if _DENIES.search(answer) and not _DENIES.search(key):
        return unreadable("a date that is denied")
    results = [_compare_days(one, two) for one in ones for two in twos]
    if len({result.opinion for result in results}) > 1:
        return undecided("day and month of a date in digits may be either way round")
    return results[0]


def _compare_days(one: dict[str, int], two: dict[str, int]) -> Comparison:
    shared = one.keys() & two.keys()
    if any(one[part] != two[part] for part in shared):
        return different("another date")
    needed = {"month", "day"} if "month" in one and "day" in one else set(one)
    if not needed <= two.keys():
        return undecided("a part of the date is missing")
    return equal_with("the same date")


_CLOCK_TIME = re.compile(
    r"(?<![\d.])\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]\.?\s?m\b\.?)?|\b\d{1,2}(?:\.\d\d)?\s*[ap]\.?\s?m\b\.?|,",
    re.IGNORECASE,
)
_NAMES_DAY = re.compile(
    rf"\b\d{{4}}-\d\d?-\d\d?\b|\b(?:{'|'.join(month[:3] for month in MONTHS)})[a-z]*\b"
    r"|\b\d\d?[./]\d\d?[./]\d{4}\b",
    re.IGNORECASE,
)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_IN_DIGITS = re.compile(r"(?<!\d)(\d{1,2})([-/.])(\d{1,2})(?:\2(\d{4}))?(?!\d)")


def in_digits(text: str) -> bool:
    """Return whether a text is a date with its year, in digits alone."""
    found = _IN_DIGITS.fullmatch(text)
    whole = _YEAR_FIRST.fullmatch(text) or (found is not None and found[4])
    return bool(whole) and bool(_dates(text)[0])


def _dates(text: str) -> list[dict[str, int]]:
    """Return the days that a text may name: of digits alone two, where both may be the month."""
    low = tidy(text).lower()
    if (year_first := _YEAR_FIRST.search(low)) is not None:
        year, month, day = (int(year_first[group]) for group in (1, 3, 4))
        return [{"year": year, "month": month - 1, "day": day}] if 1 <= month <= 12 else [{}]
    named = _date(low)
    numeric = _IN_DIGITS.search(low)
    if numeric is None or "month" in named or (numeric[2] == "." and not numeric[4]):
        return [named]
    one, two = int(numeric[1]), int(numeric[3])
    # With full stops the day stands first.
    orders = [(two, one)] if numeric[2] == "." else list(dict.fromkeys([(one, two), (two, one)]))
    rest = {"year": int(numeric[4])} if numeric[4] else {}
    rest |= {"weekday": named["weekday"]} if "weekday" in named else {}
    return [
        rest | {"month": month - 1, "day": day}
        for month, day in orders
        if 1 <= month <= 12 and 1 <= day <= 31
    ] or [{}]


def _date(low: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in re.findall(r"[a-z]+", low):
        if len(word) < 3:
            continue
        for name, table in (("month", MONTHS), ("weekday", WEEKDAYS)):
            for index, full in enumerate(table):
                if word == full or (len(word) <= 5 and full.startswith(word)):
                    found[name] = index
    for number in re.findall(r"(?<!\d)\d{1,4}(?=\D|$)", low):
        found["year" if len(number) == 4 else "day"] = int(number)
    return found
