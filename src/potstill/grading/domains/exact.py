"""Kind ``exact``: the answer is the key, letter for letter."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from potstill.grading.extraction import Extraction
from potstill.grading.extraction import extract as extract_answer
from potstill.grading.maths.comparison import Comparison, different, equal_with, unreadable
from potstill.grading.maths.keys import alternatives
from potstill.records import Problem

__all__ = ["Options", "compare", "extract"]


class Options(BaseModel):
    """What of the text does not count: case, and runs of white space."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ignore_case: bool = False
    ignore_spaces: bool = True


def extract(problem: Problem, text: str) -> Extraction:
    """Return the final answer of a response; the whole text where it is the key already."""
    if text.strip() in (problem.gold_text.strip(), *_keys(problem)):
        return Extraction(text.strip(), "whole text")
    return extract_answer(text)


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return whether the response's answer is the key."""
    found = extract(problem, text)
    if not found.text:
        return unreadable("no answer was found in the text")
    keys = [_plain(key, options) for key in _keys(problem)]
    same = _plain(found.text, options) in keys
    return equal_with("the same text") if same else different("another text")


def _keys(problem: Problem) -> tuple[str, ...]:
    """Return the texts that are right: those of a list as JSON writes it, else the key alone."""
    key = problem.gold_text
    if not key.startswith('["'):
        return (key,)
    return tuple(alternatives(key))


def _plain(text: str, options: Options) -> str:
    text = " ".join(text.split()) if options.ignore_spaces else text.strip()
    return text.casefold() if options.ignore_case else text
