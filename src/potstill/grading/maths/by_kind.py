"""Two tidied answers compared by what holds for every kind, then by the rule of theirs."""

from __future__ import annotations

import re

from potstill.grading.maths.answer_text import Statement, read_statement, renamed, renamings
from potstill.grading.maths.bases import compare_bases
from potstill.grading.maths.choices import read_letters
from potstill.grading.maths.clock import compare_dates, compare_times
from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.curves import compare_equations
from potstill.grading.maths.grammar import Unreadable
from potstill.grading.maths.groups import (
    compare_matrices,
    compare_ordered,
    compare_ratios,
    compare_sets,
    read_group,
)
from potstill.grading.maths.intervals import (
    compare_intervals,
    in_brackets,
    is_relation,
    reads_as_set,
)
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.maths.naming import compare_named
from potstill.grading.maths.number_words import spelled_number
from potstill.grading.maths.numbers import compare_scalars
from potstill.grading.maths.residues import compare_progressions, compare_residues
from potstill.grading.maths.set_words import says_endless, says_nothing, says_undefined
from potstill.grading.maths.values import TooBig, Undefined
from potstill.grading.maths.wording import compare_letters, compare_word_numbers, compare_words
from potstill.records import AnswerKind, Opinion

__all__ = ["BEST", "compare_by_kind"]

_VERBAL = (AnswerKind.LETTER, AnswerKind.WORD, AnswerKind.TIME, AnswerKind.DATE, AnswerKind.BASE)
_POINT = re.compile(
    r"ordered (?:pair|triple)|coordinates|\bpoints?\b|vector|midpoint|\bpair\b|vertex",
    re.IGNORECASE,
)
_ONE_NAMED = re.compile(r"^([a-z])\s*=\s*[^=,;]+$")
# A value, a derivative or a member, where a function or a sequence is asked for.
_OF_A_FUNCTION = re.compile(
    r"^[A-Za-z]'{0,3}\s?\([^)]*\)\s*=|^\\frac\s?\{\s?d|^[A-Za-z]_\s?\{?\s?\w+\s?\}?\s*="
)
BEST = (Opinion.DIFFERENT, Opinion.UNDECIDED, Opinion.EQUAL)


def compare_by_kind(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    """Return whether two tidied answers are equal by the rule of a kind.

    Raises KeyUnreadable where the key cannot be read.
    """
    try:
        return _by_meaning(key, answer, kind, problem_text)
    except (Unreadable, RecursionError, ValueError) as error:
        return unreadable(f"the answer cannot be read: {error}")
    except (TooBig, Undefined) as error:
        return unreadable(f"the answer has no value: {error}", hollow=True)


def _by_meaning(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    """Return what holds for every kind, then the rule of the kind: emptiness, statements, names."""
    for says in (says_nothing, says_undefined, says_endless):
        if says(key):
            return equal_with("none of them has a value") if says(answer) else _not_nothing(answer)
    if (letters := read_letters(key)) is not None:
        return _compare_letter_sets(letters, answer)
    glued = kind == AnswerKind.WORD and re.fullmatch(r"[A-J]{2,6}", key)
    if glued and (letters := read_letters(answer)) is not None:
        return _compare_letter_sets(letters, key)
    if kind == AnswerKind.WORD and (integers := compare_progressions(key, answer)) is not None:
        return integers
    if kind in _VERBAL:
        return _by_kind(key, answer, kind, problem_text)
    if (residues := compare_residues(key, answer)) is not None:
        return residues
    one, two = read_statement(key), read_statement(answer)
    if one.args or one.bound or two.bound or two.args or one.domain or two.domain:
        return _compare_statements(one, two, kind, problem_text)
    return _by_names(one.body, two.body, kind, problem_text)


def _not_nothing(answer: str) -> Comparison:
    if re.search(r"[A-Za-z]{3}", answer) and not re.search(r"\d|∅|ℝ", answer):
        return unreadable("words where the key says that there is none")
    return different("a value where the key says that there is none")


def _by_names(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    named = compare_named(key, answer, kind, problem_text)
    if named is None and _says_it_otherwise(key, answer):
        return equal_with("the same equation", "asked for a value")
    return named or _by_kind(key, answer, kind, problem_text)


def _says_it_otherwise(key: str, answer: str) -> bool:
    """Return whether ``x - 2 = 0`` says what ``x = 2`` says."""
    solved = _ONE_NAMED.match(key)
    if solved is None or "=" not in answer or _ONE_NAMED.match(answer):
        return False
    if solved.group(1) not in answer:
        return False
    try:
        return compare_equations(key, answer).opinion is Opinion.EQUAL
    except KeyUnreadable:
        return False


def _compare_statements(one: Statement, two: Statement, kind: str, problem_text: str) -> Comparison:
    """Return definitions and quantified answers: equal under one way to call the bound letters."""
    if one.domain and two.domain and one.domain != two.domain:
        return undecided(f"the key is for {one.domain}, the answer for {two.domain}")
    if one.function and two.function and one.function != two.function:
        return undecided(f"the key defines {one.function}, the answer {two.function}")
    key, body = one.body, two.body
    if one.args:
        kind = infer_kind(key, "")
        if not two.args:
            if _OF_A_FUNCTION.match(body):
                return different("a value or a derivative of a function for the function")
            if "y" not in one.args:
                body = re.sub(rf"^(?:y|{re.escape(one.function)})\s*=\s*(?=[^=]+$)", "", body)
    elif two.args and (given := re.match(r"^y\s*=\s*([^=]+)$", key)) is not None:
        key, kind = given.group(1), infer_kind(given.group(1), "")
    best: Comparison | None = None
    for way in renamings(one, two):
        result = _by_names(key, renamed(body, way), kind, problem_text)
        if best is None or BEST.index(result.opinion) > BEST.index(best.opinion):
            best = result
    return best or different("other arguments")


def _compare_letter_sets(key: frozenset[str], answer: str) -> Comparison:
    given = read_letters(answer)
    if given is None and re.fullmatch(r"[A-J]{1,10}", answer.strip().rstrip(".")):
        given = frozenset(answer.strip().rstrip("."))
    if given is None:
        return unreadable("the answer names no letters")
    return equal_with("the same letters") if given == key else different("other letters")


def _by_kind(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    match kind:
        case AnswerKind.LETTER:
            return compare_letters(key, answer)
        case AnswerKind.WORD:
            return _compare_words_or_numbers(key, answer, problem_text)
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
            if re.search(r"[∪∩∖]", answer):
                return compare_intervals(key, answer)
            return compare_sets(key, answer, problem_text)
        case AnswerKind.LIST | AnswerKind.TUPLE:
            if _meant_as_interval(key, answer, problem_text):
                return compare_intervals(key, answer)
            if re.match(r"^[A-Za-z]\s*∈\s*[(\[]", answer):
                return different("an interval for values")
            return compare_ordered(key, answer, kind, problem_text)
        case AnswerKind.MATRIX:
            return compare_matrices(key, answer, problem_text)
        case AnswerKind.INTERVAL:
            return compare_intervals(key, answer)
        case AnswerKind.EQUATION:
            return compare_equations(key, answer)
    return _compare_single(key, answer, kind, problem_text)


def _compare_words_or_numbers(key: str, answer: str, problem_text: str) -> Comparison:
    """Return words by their letters, and a key that is a number in words also by its value."""
    result = compare_words(key, answer, problem_text)
    if result.opinion is Opinion.EQUAL or spelled_number(key) is None:
        return result
    return compare_scalars(key, answer, AnswerKind.INTEGER, problem_text)


def _meant_as_interval(key: str, answer: str, problem_text: str) -> bool:
    """Return whether ``(0, 2)`` is the interval: beside an inequality, a union or a half-open
    bracket.
    """
    if not re.match(r"^\(.*\)$", key) or len(read_group(key).items) != 2:
        return False
    if in_brackets(answer) != answer:
        return not _POINT.search(problem_text)
    half_open = re.match(r"^[(\[\]].*[)\]\[]$", answer) and (answer[0], answer[-1]) != ("(", ")")
    if half_open and _POINT.search(problem_text):
        return (answer[0], answer[-1]) != ("[", "]")
    return bool(half_open or (is_relation(answer) and reads_as_set(answer)))


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
