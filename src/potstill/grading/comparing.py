"""Two answers set side by side, whatever kind they are of."""

from __future__ import annotations

from potstill.errors import InputError
from potstill.grading.key_reading import kind_of_key
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.plugins import check_kind
from potstill.grading.pool import GradingPool
from potstill.grading.verdicts import grade_with_plugin
from potstill.plugins import KINDS, plugin_names
from potstill.records import AnswerKind, Opinion, Outcome, Problem, TextGold

__all__ = ["compare_answers"]

_OPINIONS = {Outcome.CORRECT: Opinion.EQUAL, Outcome.WRONG: Opinion.DIFFERENT}


def compare_answers(key: str, answer: str, kind: str = "") -> tuple[Opinion, str]:
    """Return whether an answer equals a key (EQUAL, DIFFERENT, UNDECIDED), and why; ``kind`` "" is
    inferred from the key.

    Raises InputError for a kind that nobody grades, or that only a model or a run of code can
    decide, and for a key that is none.
    """
    if kind:
        check_kind(kind)
    if kind in plugin_names(KINDS):
        return _by_plugin(key, answer, kind)
    asked = kind or kind_of_key(key)
    with GradingPool(workers=1) as pool:
        try:
            found = pool.equal(key, answer, asked)
            unequal = found.opinion is Opinion.DIFFERENT
            if unequal and asked == AnswerKind.LIST and _equal_as_set(key, answer, pool):
                return found.opinion, "the same values in another order; --kind set leaves it out"
        except KeyUnreadable as exc:
            raise _no_key(key, str(exc)) from exc
    return found.opinion, found.why


def _equal_as_set(key: str, answer: str, pool: GradingPool) -> bool:
    return pool.equal(key, answer, AnswerKind.SET).opinion is Opinion.EQUAL


def _by_plugin(key: str, answer: str, kind: str) -> tuple[Opinion, str]:
    if kind in ("judge", "code"):
        what = "a model decides" if kind == "judge" else "tests decide"
        raise InputError(f"{what} an answer of the kind {kind!r}; grade it in a study.")
    verdict = grade_with_plugin(Problem("key", "", TextGold(key), kind, ""), answer)
    if verdict.outcome is Outcome.BAD_KEY:
        raise _no_key(key, verdict.why)
    return _OPINIONS.get(verdict.outcome, Opinion.UNDECIDED), verdict.why


def _no_key(key: str, why: str) -> InputError:
    return InputError(f"{key[:60]!r} cannot be a key: {why}; give the right answer first.")
