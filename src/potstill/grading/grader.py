"""The verdict on one response, in this process."""

from __future__ import annotations

from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.maths.key_faults import key_problem
from potstill.grading.verdicts import (
    CutRule,
    Settled,
    compare_extracted,
    counted,
    read,
    verdict_of,
    verdict_of_state,
)
from potstill.records import Finish, Outcome, Problem, TextGold, Verdict

__all__ = ["grade"]


def grade(
    problem: Problem,
    text: str,
    *,
    finish: Finish = Finish.STOP,
    response_id: str = "",
    cut: CutRule = "truncated",
) -> Verdict:
    """Return the symbolic verdict on one response to one problem.

    Runs in this process and without limits: for text you do not trust use a
    :class:`~potstill.grading.pool.GradingPool`. Golds other than text go to their kind's plugin.
    ``cut`` says how an answer counts that is stated before the token limit, but not in a box.
    """
    from potstill.grading.plugins import is_for_plugin
    from potstill.grading.verdicts import grade_with_plugin

    if is_for_plugin(problem) or not isinstance(problem.gold, TextGold):
        return grade_with_plugin(problem, text, finish=finish, response_id=response_id)
    key = problem.gold.text
    bad = key_problem(key, problem.kind, problem.text)
    if bad is not None:
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, bad))
    found = read(text, finish, problem.kind, problem.text)
    if isinstance(found, Settled):
        return verdict_of_state(problem, response_id, found)
    try:
        result = compare_extracted(key, found, problem.kind, problem.text)
    except KeyUnreadable as error:
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, str(error)))
    return counted(verdict_of(problem, response_id, found, result, finish), cut)
