"""Two answers set side by side, whatever kind they are of."""

from __future__ import annotations

from potstill.errors import InputError
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.plugins import check_kind, grade_with_plugin
from potstill.grading.pool import GradingPool
from potstill.plugins import KINDS, plugin_names
from potstill.records import AnswerKind, Opinion, Outcome, Problem, TextGold

__all__ = ["compare_answers"]


def compare_answers(key: str, answer: str, kind: str = "") -> tuple[bool, str]:
    """Return whether an answer equals a key, and why; ``kind`` "" is inferred from the key.

    Raises InputError for a kind that nobody grades, or that only a model or a run of code can
    decide.
    """
    if kind:
        check_kind(kind)
    if kind in plugin_names(KINDS):
        return _by_plugin(key, answer, kind)
    asked = kind or infer_kind(key)
    with GradingPool(workers=1) as pool:
        try:
            found = pool.equal(key, answer, asked)
            same = found.opinion is Opinion.EQUAL
            if not same and asked == AnswerKind.LIST and _equal_as_set(key, answer, pool):
                return False, "the same values in another order; --kind set leaves order out"
        except KeyUnreadable as exc:
            return False, str(exc)
    return same, found.why


def _equal_as_set(key: str, answer: str, pool: GradingPool) -> bool:
    return pool.equal(key, answer, AnswerKind.SET).opinion is Opinion.EQUAL


def _by_plugin(key: str, answer: str, kind: str) -> tuple[bool, str]:
    if kind in ("judge", "code"):
        what = "a model decides" if kind == "judge" else "tests decide"
        raise InputError(f"{what} an answer of the kind {kind!r}; grade it in a study.")
    verdict = grade_with_plugin(Problem("key", "", TextGold(key), kind, ""), answer)
    return verdict.outcome is Outcome.CORRECT, verdict.why
