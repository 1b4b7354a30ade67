"""Kind ``numeric``: a number within a tolerance."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from pydantic import BaseModel, ConfigDict, Field

from potstill.grading.extraction import Extraction
from potstill.grading.extraction import extract as extract_answer
from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    unreadable,
)
from potstill.grading.maths.grammar import Unreadable
from potstill.grading.maths.keys import alternatives
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.numbers import read_scalar
from potstill.grading.maths.values import TooBig, Undefined, exact, real_value
from potstill.records import NumberGold, Problem, TextGold

__all__ = ["Options", "compare", "extract", "takes_zero"]


class Options(BaseModel):
    """``tolerance`` (absolute) and ``relative`` hold where the gold sets no tolerance."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tolerance: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0, lt=1)


def extract(problem: Problem, text: str) -> Extraction:
    """Return the number a response ends in and the rule that found it."""
    del problem
    return extract_answer(text, "decimal")


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return whether the response's number lies within the tolerance of the gold."""
    golds = [_gold(one, options) for one in _alternatives(problem)]
    found = extract(problem, text)
    given = _number(found.text)
    if given is None:
        return unreadable("no number was found in the text")
    # where several are right, the one that the answer misses by least
    off, tolerance = min(
        ((abs(given - wanted), within) for wanted, within in golds),
        key=lambda miss: miss[0] - miss[1],
    )
    if off <= tolerance:
        return equal_with(f"within {float(tolerance):g}")
    return different(f"off by {float(off):g}")


def takes_zero(problem: Problem, options: Options) -> bool:
    """Return whether 0 is right too where the key is another number, by a tolerance so wide."""
    golds = [_gold(one, options) for one in _alternatives(problem)]
    return any(wanted and abs(wanted) <= within for wanted, within in golds)


def _alternatives(problem: Problem) -> list[Problem]:
    """Return the problem with each key of a list that its key is, else the problem alone."""
    if not isinstance(problem.gold, TextGold):
        return [problem]
    return [replace(problem, gold=TextGold(key)) for key in alternatives(problem.gold.text)]


def _gold(problem: Problem, options: Options) -> tuple[Fraction, Fraction]:
    if isinstance(problem.gold, NumberGold):
        if not (math.isfinite(problem.gold.value) and problem.gold.tolerance >= 0):
            raise KeyUnreadable("the key is not a finite number with a tolerance")
        wanted = Fraction(repr(problem.gold.value))
        own = Fraction(repr(problem.gold.tolerance))
        if own:
            return wanted, own
    else:
        read = _number(problem.gold_text)
        if read is None:
            raise KeyUnreadable("the key is not a number")
        wanted = read
    relative = abs(wanted) * Fraction(repr(options.relative))
    return wanted, max(Fraction(repr(options.tolerance)), relative)


def _number(text: str) -> Fraction | None:
    try:
        node = read_scalar(tidy(text)).node
        value = exact(node)
        if value is not None:
            return value
        real = real_value(node)
    except (Unreadable, Undefined, TooBig):
        return None
    return None if real is None or abs(real) > 10**30 else Fraction(str(real))
