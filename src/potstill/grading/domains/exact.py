"""Kind ``exact``: the answer is the key, letter for letter."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from potstill.grading.extraction import Extraction
from potstill.grading.extraction import extract as extract_answer
from potstill.grading.maths.comparison import Comparison, different, equal_with, unreadable
from potstill.records import Problem

__all__ = ["Options", "compare", "extract"]


class Options(BaseModel):
    """What of the text does not count: case, and runs of white space."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ignore_case: bool = False
    ignore_spaces: bool = True


def extract(problem: Problem, text: str) -> Extraction:
    """Return the final answer of a response; the whole text where it is the key already."""
    if text.strip() == problem.gold_text.strip():
        return Extraction(text.strip(), "whole text")
    return extract_answer(text)


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return whether the response's answer is the key."""
    found = extract(problem, text)
    if not found.text:
        return unreadable("no answer was found in the text")
    one, two = _plain(problem.gold_text, options), _plain(found.text, options)
    return equal_with("the same text") if one == two else different("another text")


def _plain(text: str, options: Options) -> str:
    text = " ".join(text.split()) if options.ignore_spaces else text.strip()
    return text.casefold() if options.ignore_case else text
