"""Kind ``choice``: the letters of a multiple-choice question, or the value of a choice."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from potstill.grading.extraction import Extraction
from potstill.grading.extraction import extract as extract_answer
from potstill.grading.maths.comparison import Comparison, different, unreadable
from potstill.grading.maths.equivalence import equal
from potstill.grading.maths.wording import read_letter
from potstill.records import AnswerKind, Problem

__all__ = ["Options", "compare", "extract"]


class Options(BaseModel):
    """``letters``: the choices there are; another letter is wrong, not unreadable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    letters: str = "ABCDEFGHIJ"


def extract(problem: Problem, text: str) -> Extraction:
    """Return the letter a response chooses and the rule that found it."""
    del problem
    return extract_answer(text, AnswerKind.LETTER)


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return whether the response chooses the key's letters, by letter or by a choice's value."""
    found = extract(problem, text)
    if not found.text:
        return unreadable("no choice was found in the text")
    letter = read_letter(found.text)
    if letter is not None and letter not in options.letters.upper():
        return different(f"{letter} is not one of the choices")
    return equal(problem.gold_text, found.text, AnswerKind.LETTER, problem.text)
