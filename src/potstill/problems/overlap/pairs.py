"""A pair of problems that overlap, and how two texts are laid side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["How", "Pair", "numbers_of", "split_numbers"]


How = Literal["exact", "near", "masked numbers"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two problems that resemble each other; ``score`` in [0, 1] is the characters they share."""

    a_id: str
    b_id: str
    score: float
    how: How

    @property
    def leaks(self) -> bool:
        """Whether having trained on one is having seen the other."""
        return self.how != "masked numbers"


_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
          "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
          "nineteen", "twenty")  # fmt: skip


_NUMBER = re.compile(
    r"((?=[\d.efnostz])"  # nothing else begins a number; saves half the time
    r"(?:\d+(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+|\b(?:" + "|".join(_WORDS) + r")\b))"
)


_VALUE = {word: str(value) for value, word in enumerate(_WORDS)}


def numbers_of(normal: str) -> tuple[str, ...]:
    """Return the numbers of a normalised text in order, words up to twenty and 1,000 as digits."""
    return split_numbers(normal)[1]


def split_numbers(normal: str) -> tuple[str, tuple[str, ...]]:
    """Return a normalised text with every number as ``0``, and those numbers in order, as
    digits.
    """
    parts = _NUMBER.split(normal)
    return "0".join(parts[::2]), tuple(_VALUE.get(n, n.replace(",", "")) for n in parts[1::2])
