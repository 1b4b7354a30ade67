"""Whether an answer equals its key, by the rule of the key's kind."""

from __future__ import annotations

import re
from functools import lru_cache

from potstill.grading.comparison import Comparison, KeyUnreadable, equal_with, unreadable
from potstill.grading.curves import compare_equations, compare_intervals
from potstill.grading.grammar import Unreadable
from potstill.grading.groups import (
    compare_matrices,
    compare_ordered,
    compare_ratios,
    compare_sets,
    read_group,
    without_order_remark,
)
from potstill.grading.kinds import infer_kind
from potstill.grading.normalise import tidy
from potstill.grading.numbers import compare_scalars
from potstill.grading.values import TooBig, Undefined
from potstill.grading.wording import (
    compare_bases,
    compare_dates,
    compare_letters,
    compare_times,
    compare_word_numbers,
    compare_words,
)
from potstill.records import AnswerKind, Opinion

__all__ = ["MAX_ANSWER", "compact", "equal", "is_simple", "key_problem"]

MAX_ANSWER = 2_000
_SIMPLE = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
_GROUPS = (AnswerKind.SET, AnswerKind.LIST, AnswerKind.TUPLE)


def equal(key: str, answer: str, kind: str = "", problem_text: str = "") -> Comparison:
    """Whether ``answer`` is the same answer as ``key``, and why.

    ``kind`` is inferred where it is empty. Raises KeyUnreadable where the key cannot be read.
    Bounded, but not in time: hostile text belongs into a
    :class:`~potstill.grading.pool.GradingPool`.
    """
    kind = kind or infer_kind(key, problem_text)
    if len(answer) > MAX_ANSWER:
        return unreadable(f"an answer of {len(answer)} characters")
    if is_simple(key) and is_simple(answer) and key == answer:
        return equal_with("the same text")
    if (problem := key_problem(key, kind, problem_text)) is not None:
        raise KeyUnreadable(problem)
    one, two = tidy(without_order_remark(key)), tidy(answer)
    if not two:
        return unreadable("the answer is empty")
    if compact(one) == compact(two):
        return equal_with("the same text")
    try:
        result = _compare(one, two, kind, problem_text)
    except KeyUnreadable as error:
        # The key compared well with itself above: what cannot be read is the answer beside it.
        result = unreadable(f"the answer cannot be read: {error}")
    if not result.readable:
        return _by_library(key, answer) or result
    return result


def is_simple(text: str) -> bool:
    """Whether a text is a plain integer or decimal, which needs no parser."""
    return _SIMPLE.fullmatch(text) is not None


def compact(text: str) -> str:
    """A tidied text without the spaces that separate nothing (those between digits stay)."""
    return re.sub(r"(?<!\d) +| +(?![\d\\])", "", text).strip().rstrip(".")


@lru_cache(maxsize=4096)
def key_problem(key: str, kind: str, problem_text: str = "") -> str | None:
    """Why a key cannot be read as an answer of its kind, or None where it can."""
    if is_simple(key):
        return None
    if len(key) > MAX_ANSWER:
        return "the key is too long"
    plain = tidy(without_order_remark(key))
    if not re.search(r"[\w∅∞π]", plain):
        return "the key is empty"
    if re.fullmatch(r"(?i)n/?a|none given|unknown|\?+|tbd|see .*|.*not visible.*|nan|null", plain):
        return "the key says that there is none"
    try:
        result = _compare(plain, plain, kind, problem_text)
    except KeyUnreadable as error:
        return str(error)
    if result.opinion is not Opinion.EQUAL:
        return f"the key cannot be read: {result.why}"
    return None


def _compare(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    try:
        return _by_kind(key, answer, kind, problem_text)
    except (Unreadable, TooBig, Undefined, RecursionError, ValueError) as error:
        return unreadable(f"the answer cannot be read: {error}")


def _by_library(key: str, answer: str) -> Comparison | None:
    """EQUAL where both sides are LaTeX beyond the grammar and math-verify finds them equal."""
    from potstill.grading.library import library_says_equal, may_be_needed

    if may_be_needed(key, answer) and library_says_equal(key, answer):
        return equal_with("equal by math-verify")
    return None


def _by_kind(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    match kind:
        case AnswerKind.LETTER:
            return compare_letters(key, answer)
        case AnswerKind.WORD:
            return compare_words(key, answer, problem_text)
        case AnswerKind.WORD_NUMBER:
            return compare_word_numbers(key, answer, problem_text)
        case AnswerKind.TIME:
            return compare_times(key, answer)
        case AnswerKind.DATE:
            return compare_dates(key, answer)
        case AnswerKind.BASE:
            return compare_bases(key, answer, problem_text)
        case AnswerKind.RATIO:
            return compare_ratios(key, answer, problem_text)
        case AnswerKind.SET:
            return compare_sets(key, answer, problem_text)
        case AnswerKind.LIST | AnswerKind.TUPLE:
            return compare_ordered(key, answer, kind, problem_text)
        case AnswerKind.MATRIX:
            return compare_matrices(key, answer, problem_text)
        case AnswerKind.INTERVAL:
            return compare_intervals(key, answer)
        case AnswerKind.EQUATION:
            return compare_equations(key, answer)
    return _compare_single(key, answer, kind, problem_text)


def _compare_single(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    group = read_group(answer)
    if group.bracket == "⦃" and len(group.items) == 1:
        answer = group.items[0]
    if (
        kind == AnswerKind.FRACTION
        and re.fullmatch(r"\s*\d+\s*:\s*\d+\s*", answer)
        and "ratio" in problem_text.lower()
    ):
        top, _, bottom = answer.partition(":")
        answer = f"{top.strip()}/{bottom.strip()}"
    return compare_scalars(key, answer, kind, problem_text)
