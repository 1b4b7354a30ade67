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

__all__ = ["WEEKDAYS", "compare_dates", "compare_times", "read_time"]

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


def _worded_time(low: str) -> str:
    """Return ``half past three`` and ``3.30 pm`` as a clock shows them."""
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
    """Return whether two texts name the same time of day; a missing AM or PM is noted."""
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
    """Return whether two texts name the same day; a year or weekday may be missing on one side."""
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
    iso = re.search(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", low)
    if iso is not None:
        year, month, day = (int(part) for part in iso.groups())
        return {"year": year, "month": month - 1, "day": day}
    numeric = re.search(r"(?<!\d)(\d{1,2})[/-](\d{1,2})(?:[/-](\d{4}))?(?!\d)", low)
    if numeric and "month" not in found:
        found["month"], found["day"] = int(numeric.group(1)) - 1, int(numeric.group(2))
        if numeric.group(3):
            found["year"] = int(numeric.group(3))
        return found
    for number in re.findall(r"(?<!\d)\d{1,4}(?=\D|$)", low):
        found["year" if len(number) == 4 else "day"] = int(number)
    return found
