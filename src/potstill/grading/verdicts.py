"""The verdict on one response: symbolic, in this process, without limits of time or memory."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.grading.comparison import Comparison, KeyUnreadable
from potstill.grading.equivalence import equal, key_problem
from potstill.grading.extraction import Extraction, boxed_values, extract, has_open_box
from potstill.grading.normalise import tidy
from potstill.records import (
    DecidedBy,
    Finish,
    Opinion,
    Outcome,
    Problem,
    TextGold,
    Verdict,
)

__all__ = ["CUT_NOTE", "Settled", "grade", "settle", "verdict_of"]

CUT_NOTE = "cut after the answer"


@dataclass(frozen=True, slots=True)
class Settled:
    """A response that its state decides before anything is compared."""

    outcome: Outcome
    why: str


def grade(
    problem: Problem, text: str, *, finish: Finish = Finish.STOP, response_id: str = ""
) -> Verdict:
    """The symbolic verdict on one response to one problem.

    Runs in this process and without limits: for text you do not trust use a
    :class:`~potstill.grading.pool.GradingPool`. Golds other than text go to their kind's plugin.
    """
    from potstill.grading.plugins import grade_with_plugin, is_for_plugin

    if is_for_plugin(problem) or not isinstance(problem.gold, TextGold):
        return grade_with_plugin(problem, text, finish=finish, response_id=response_id)
    key = problem.gold.text
    bad = key_problem(key, problem.kind, problem.text)
    settled = Settled(Outcome.BAD_KEY, bad) if bad is not None else settle(text, finish)
    if settled is not None:
        return verdict_of_state(problem, response_id, settled)
    found = extract(text, problem.kind)
    try:
        result = compare_extracted(key, found, problem.kind, problem.text)
    except KeyUnreadable as error:
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, str(error)))
    return verdict_of(problem, response_id, found, result, finish)


def settle(text: str, finish: Finish, error: str = "") -> Settled | None:
    """The outcome of a response that never reaches a comparison, or None.

    ERRORED and FILTERED, then TRUNCATED (unless a complete boxed answer stands), then BLANK.
    """
    if finish is Finish.ERROR:
        return Settled(Outcome.ERRORED, error or "the generation failed")
    if finish is Finish.FILTERED:
        return Settled(Outcome.FILTERED, error or "the endpoint filtered the answer")
    if finish is Finish.LENGTH and (has_open_box(text) or not boxed_values(text)):
        return Settled(Outcome.TRUNCATED, "cut at the token limit before a final answer")
    if not text.strip() or (not tidy(text[:2_000]) and not tidy(text)):
        return Settled(Outcome.BLANK, "the response has no text")
    return None


def compare_extracted(key: str, found: Extraction, kind: str, problem_text: str) -> Comparison:
    """The comparison of an extracted answer; unreadable where nothing was extracted."""
    if not found.text:
        return Comparison(Opinion.UNDECIDED, "no answer was found in the text", readable=False)
    return equal(key, found.text, kind, problem_text)


def verdict_of_state(problem: Problem, response_id: str, settled: Settled) -> Verdict:
    """The verdict on a response that its state decided."""
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
    """The verdict that a comparison amounts to."""
    match result.opinion:
        case Opinion.EQUAL:
            outcome = Outcome.CORRECT
        case Opinion.DIFFERENT:
            outcome = Outcome.WRONG
        case _:
            outcome = Outcome.UNDECIDED if result.readable else Outcome.UNPARSED
    form = result.form
    if finish is Finish.LENGTH:
        form = f"{form}; {CUT_NOTE}" if form else CUT_NOTE
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
