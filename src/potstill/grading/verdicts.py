"""The verdict on one response: symbolic, in this process, without limits of time or memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel

from potstill.grading.boxes import boxed_values, has_open_box
from potstill.grading.extraction import Extraction, extract
from potstill.grading.maths.comparison import Comparison, KeyUnreadable, different, undecided
from potstill.grading.maths.directions import COMPARED, OTHER_WAY, contradicts, directions_of
from potstill.grading.maths.equivalence import equal
from potstill.grading.maths.normalise import tidy
from potstill.grading.plugins import compare_with, kind_of
from potstill.grading.reading.claims import is_numeric
from potstill.grading.reading.numbers import says_another
from potstill.plugins import KINDS, load_plugin
from potstill.records import (
    DecidedBy,
    Finish,
    Opinion,
    Outcome,
    Problem,
    Verdict,
)

__all__ = [
    "CUT_NOTE",
    "LIMIT_NOTE",
    "STATED_NOTE",
    "CutRule",
    "Settled",
    "counted",
    "grade_with_plugin",
    "read",
    "settle",
    "told_apart",
]

# How an answer counts that a response states before it is cut at its token limit.
CutRule = Literal["truncated", "stated"]
CUT_NOTE = "cut after the answer"
STATED_NOTE = "stated, then cut"
LIMIT_NOTE = "stated, then cut at the token limit"


@dataclass(frozen=True, slots=True)
class Settled:
    """A response that its state decides before anything is compared."""

    outcome: Outcome
    why: str


def settle(text: str, finish: Finish, error: str = "") -> Settled | None:
    """Return the outcome of a response that never reaches a comparison, or None.

    ERRORED and FILTERED, then TRUNCATED (unless a complete boxed answer stands), then BLANK.
    """
    if finish is Finish.LENGTH and (has_open_box(text) or not boxed_values(text)):
        return _TRUNCATED
    return _settled_by_state(text, finish, error)


def _settled_by_state(text: str, finish: Finish, error: str) -> Settled | None:
    if finish is Finish.ERROR:
        return Settled(Outcome.ERRORED, error or "the generation failed")
    if finish is Finish.FILTERED:
        return Settled(Outcome.FILTERED, error or "the endpoint filtered the answer")
    if not _WORD_CHARACTER.search(text) and not tidy(text.strip("$ \n")):
        blank = Settled(Outcome.BLANK, "the response has no text")
        return _TRUNCATED if finish is Finish.LENGTH else blank
    return None


def told_apart(settled: Settled, reasoning: str) -> Settled:
    """Return a settled blank with whether a reasoning stands before it."""
    if settled.outcome is not Outcome.BLANK or not reasoning.strip():
        return settled
    words = len(reasoning.split())
    return Settled(Outcome.BLANK, f"no answer follows the reasoning of {words:,} words")


_WORD_CHARACTER = re.compile(r"\w")
_TRUNCATED = Settled(Outcome.TRUNCATED, "cut at the token limit before a final answer")


def read(
    text: str, finish: Finish, kind: str, problem_text: str, error: str = ""
) -> Extraction | Settled:
    """Return what a response states as its answer, or what its state says of it.

    What reached its limit before it stated anything is TRUNCATED here; how a statement counts that
    was cut off behind is for :func:`counted`.
    """
    if (settled := _settled_by_state(text, finish, error)) is not None:
        return settled
    found = extract(text, kind, problem_text, cut=finish is Finish.LENGTH)
    if finish is not Finish.LENGTH:
        return found
    if found.rule.startswith("boxed") and not found.cut and not has_open_box(text):
        return found
    if not found.text and not found.several:
        return _TRUNCATED
    return replace(found, cut=True)


def counted(verdict: Verdict, cut: CutRule) -> Verdict:
    """Return a verdict with what was stated before a token limit counted by a study's rule."""
    if cut == "stated" or LIMIT_NOTE not in verdict.form:
        return verdict
    return replace(
        verdict, outcome=Outcome.TRUNCATED, why="cut at the token limit behind its statement"
    )


def compare_extracted(key: str, found: Extraction, kind: str, problem_text: str) -> Comparison:
    """Return the comparison of an extracted answer; unreadable where nothing was extracted."""
    if found.several:
        return undecided(
            f"the statement leaves several values open: {', '.join(found.several[:6])}"
        )
    if not found.text:
        return Comparison(Opinion.UNDECIDED, "no answer was found in the text", readable=False)
    result = equal(key, found.text, kind, problem_text)
    equal_so_far = result.opinion is Opinion.EQUAL
    if equal_so_far and contradicts(directions_of(key), frozenset(found.turned)):
        return (undecided if COMPARED in found.turned else different)(OTHER_WAY)
    if equal_so_far and is_numeric(kind) and problem_text:
        worded = found.text != key and any(map(str.isalpha, found.text))
        if worded and says_another(found.text, problem_text):
            return undecided("the answer counts or bounds another thing than the one asked for")
    return result


def verdict_of_state(problem: Problem, response_id: str, settled: Settled) -> Verdict:
    """Return the verdict on a response that its state decided."""
    return Verdict(
        response_id=response_id,
        problem_id=problem.id,
        outcome=settled.outcome,
        extracted="",
        rule="",
        decided_by=DecidedBy.SYMBOLIC,
        why=settled.why,
    )


def verdict_of(
    problem: Problem,
    response_id: str,
    found: Extraction,
    result: Comparison,
    finish: Finish = Finish.STOP,
) -> Verdict:
    """Return the verdict that a comparison amounts to."""
    match result.opinion:
        case Opinion.EQUAL:
            outcome = Outcome.CORRECT
        case Opinion.DIFFERENT:
            outcome = Outcome.WRONG
        case _:
            outcome = Outcome.UNDECIDED if result.readable else Outcome.UNPARSED
    note = CUT_NOTE if finish is Finish.LENGTH else ""
    if found.cut:
        note = LIMIT_NOTE if finish is Finish.LENGTH else STATED_NOTE
    form = "; ".join(part for part in (result.form, note) if part)
    return Verdict(
        response_id=response_id,
        problem_id=problem.id,
        outcome=outcome,
        extracted=found.text,
        rule=found.rule,
        decided_by=DecidedBy.SYMBOLIC,
        form=form,
        why=result.why,
        symbolic=result.opinion,
        symbolic_why=result.why,
    )


def grade_with_plugin(
    problem: Problem,
    text: str,
    *,
    finish: Finish = Finish.STOP,
    response_id: str = "",
    options: BaseModel | None = None,
    error: str = "",
    reasoning: str = "",
) -> Verdict:
    """Return the verdict of a problem's registered kind on one response. Raises InputError."""
    plugin = load_plugin(KINDS, kind_of(problem))
    if not problem.gold_text.strip():
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, "the key is empty"))
    if (settled := settle(text, finish, error)) is not None:
        return verdict_of_state(problem, response_id, told_apart(settled, reasoning))
    try:
        result = compare_with(kind_of(problem), problem, text, options)
    except KeyUnreadable as bad:
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, str(bad)))
    found = getattr(plugin, "extract", None)
    extracted = found(problem, text) if found else Extraction(text.strip()[:2_000], "whole text")
    return verdict_of(problem, response_id, extracted, result, finish)
