"""Eleven families of problems in the manner of a school competition, each with its solver.

A family is a function of a random generator that words a problem and works it out in steps. Every
number of a problem stands in its text in digits, in every wording: the split rests on that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from potstill.pocket import numbers, stories
from potstill.pocket.draft import PocketDraft

__all__ = ["FAMILIES"]

# The order is part of what a seed means: append, never rearrange.
FAMILIES: Mapping[str, Callable[[random.Random, bool], PocketDraft | None]] = MappingProxyType(
    {
        "shopping": stories.shopping,
        "changes": stories.changes,
        "equations": numbers.equations,
        "remainders": numbers.remainders,
        "means": numbers.means,
        "rates": stories.rates,
        "percentages": numbers.percentages,
        "angles": numbers.angles,
        "sequences": numbers.sequences,
        "probability": stories.probability,
        "outfits": stories.outfits,
    }
)
