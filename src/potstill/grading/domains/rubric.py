"""Kind ``judge``: a judge model reads the answer against a rubric."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from potstill.grading.maths.comparison import Comparison, undecided
from potstill.records import Problem

__all__ = ["Options", "compare"]


class Options(BaseModel):
    """No settings: the rubric is the problem's gold, the judge is the study's."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return UNDECIDED, always: only the panel's judge can read a rubric."""
    del problem, text, options
    return undecided("a rubric needs a judge model")
