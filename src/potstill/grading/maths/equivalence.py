"""Whether an answer equals its key, by the rule of the key's kind."""

from __future__ import annotations

import re

from potstill.grading.maths.by_kind import BEST, compare_by_kind
from potstill.grading.maths.choices import Choice, choices_in, names_several, read_choice
from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    unreadable,
)
from potstill.grading.maths.constants import compare_constants
from potstill.grading.maths.directions import OTHER_WAY, contradicts, directions_of, value_first
from potstill.grading.maths.key_faults import MAX_ANSWER, QUOTES_OR_OPENS, key_problem, parts_of_key
from potstill.grading.maths.keys import (
    alternatives,
    compact,
    is_simple,
    plain_answer,
    plain_key,
    without_counted,
)
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.maths.languages import decimal_point, points_of_thousands
from potstill.grading.maths.library import library_says_equal, may_be_needed
from potstill.grading.maths.literals import compare_literals, is_printed
from potstill.grading.maths.part_answers import compare_parts
from potstill.grading.maths.parts import parts_of
from potstill.grading.maths.spellings import same_formula, with_the_keys_words
from potstill.grading.maths.vectors import as_tuples
from potstill.grading.maths.wording import read_letter
from potstill.grading.maths.wrappers import unwrapped_answer, without_point_name
from potstill.records import AnswerKind, Opinion

__all__ = ["equal"]

_POINTED = (AnswerKind.TUPLE, AnswerKind.INTERVAL, AnswerKind.LETTER, AnswerKind.EXPRESSION)
# "B - a safe choice": a dash and words, none of them doubt or another letter.
_DASHED = re.compile(
    r"^(\(?[A-J]\)?)\s+-\s+(?=[A-Za-z])(?!.*(?:\b[A-J]\b|\b(?:or|not|maybe|perhaps|no|wrong)\b))"
)
_IN_BRACKETS = re.compile(r"^\(?([A-J])\)?\s+\(([^()]{1,80})\)\.?$")
_DASHED_VALUE = re.compile(r"^(\(?[A-J]\)?)\s+-\s+(?=[\d\\])")


def equal(key: str, answer: str, kind: str = "", problem_text: str = "") -> Comparison:
    """Return whether ``answer`` is the same answer as ``key``, and why.

    ``kind`` is inferred where it is empty. Raises KeyUnreadable where the key cannot be read.
    Bounded, but not in time: hostile text belongs into a
    :class:`~potstill.grading.pool.GradingPool`.
    """
    turned = directions_of(answer)
    if turned:
        key, answer = value_first(key), value_first(answer)
    given, (key, answer) = key, with_the_keys_words(key, answer)
    kind = kind if key == given else ""
    result = _equal(key, answer, kind, problem_text)
    if result.opinion is Opinion.EQUAL and turned and contradicts(directions_of(key), turned):
        return different(OTHER_WAY)
    return result


def _equal(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    if len(answer) > MAX_ANSWER:
        return unreadable(f"an answer of {len(answer)} characters")
    if is_simple(key) and key == answer:
        return equal_with("the same text")
    if key.strip()[:1] in QUOTES_OR_OPENS or is_printed(key, problem_text):
        literal = compare_literals(key, answer, problem_text)
        if literal is not None:
            return literal
    answer = unwrapped_answer(answer)
    if same_formula(key, answer):
        return equal_with("the same formula")
    forms = alternatives(key)
    if len(forms) > 1 or forms[0] != key:
        return _any_of(forms, answer, kind, problem_text)
    if (parts := parts_of_key(key, problem_text)) is not None:
        return compare_parts(parts, plain_answer(answer), problem_text, equal)
    answer = without_counted(key, answer, problem_text)
    if (lasting := _hours_on_a_clock(key, answer, problem_text)) is not None:
        key, answer = lasting
        kind = "" if kind == AnswerKind.TIME else kind
    kind = kind or infer_kind(key, problem_text)
    if (problem := key_problem(key, kind, problem_text)) is not None:
        raise KeyUnreadable(problem)
    if kind in _POINTED and (points := without_point_name(key, answer)) is not None:
        key, answer = points
    one, two = plain_key(key), plain_answer(answer)
    if "," in one + two:
        one, two = decimal_point(one, problem_text), decimal_point(two, problem_text)
    if kind == AnswerKind.LIST and (parts := parts_of(two)) is not None:
        two = ", ".join(parts.values)
    if not two:
        return unreadable("the answer is empty")
    if compact(one) == compact(two):
        return equal_with("the same text")
    two = points_of_thousands(two, problem_text)
    if kind == AnswerKind.LETTER:
        two = _IN_BRACKETS.sub(r"\1. \2", _DASHED.sub(r"\1. ", two))
        if choices_in(problem_text):
            two = _DASHED_VALUE.sub(r"\1. ", two)
    by_choice = _by_choice(one, two, kind, problem_text)
    if by_choice is not None and (kind == AnswerKind.LETTER or by_choice.opinion is Opinion.EQUAL):
        return by_choice
    if (vectors := as_tuples(one, two)) is not None:
        one, two, kind = *vectors, AnswerKind.TUPLE
    try:
        result = compare_by_kind(one, two, kind, problem_text)
    except KeyUnreadable as error:
        # The key is its own text at least.
        result = unreadable(f"{error}, so that only its own text is right")
    if result.opinion is not Opinion.EQUAL:
        result = compare_constants(one, two, problem_text) or result
    if not result.readable:
        return _by_library(key, answer) or result
    return result


# "1:30 h" lasts an hour and a half, where the other side lasts too; alone it may be a time of day.
_HOURS = re.compile(r"\s*(\d{1,3}):([0-5]\d)\s?(?:h|hrs?|hours?)\.?\s*", re.I)
_CLOCK = re.compile(r"\d{1,2}:[0-5]\d")
_ASKS_DURATION = re.compile(r"\b(?:how\s+long|how\s+much\s+time|duration)\b", re.I)
_HOURS_AND_MINUTES = re.compile(
    r"\s*\d{1,2}\s?(?:h|hrs?|hours?)\.?,?\s+(?:and\s+)?\d{1,2}\s?(?:min|mins|minutes?)\.?\s*", re.I
)
_LASTS = re.compile(r"\d\s?(?:h|hrs?|hours?|min|mins|minutes?)\b", re.I)


def _hours_on_a_clock(key: str, answer: str, problem_text: str) -> tuple[str, str] | None:
    """Return two durations of which one shows its hours as a clock does, in hours and minutes; None
    where they are not.
    """
    if ":" not in key + answer:
        return None
    asks = _ASKS_DURATION.search(problem_text)
    if asks and _CLOCK.fullmatch(key) and _HOURS_AND_MINUTES.fullmatch(answer):
        return f"{key.replace(':', ' h ')} min", answer
    if not (_LASTS.search(key) and _LASTS.search(answer)):
        return None
    one, two = (_HOURS.fullmatch(x) for x in (key, answer))
    if one is None and two is None:
        return None
    first, second = (
        f"{found[1]} h {found[2]} min" if found else text
        for found, text in ((one, key), (two, answer))
    )
    return first, second


def _any_of(forms: tuple[str, ...], answer: str, kind: str, problem_text: str) -> Comparison:
    """Return the best that any of a key's alternatives says."""
    results: list[Comparison] = []
    problem = ""
    for form in forms:
        try:
            # Each form has its own kind; the kind of the list is that of none of them.
            results.append(equal(form, answer, "", problem_text))
        except KeyUnreadable as error:
            problem = str(error)
    if not results:
        raise KeyUnreadable(problem)
    return max(results, key=lambda result: BEST.index(result.opinion))


def _by_library(key: str, answer: str) -> Comparison | None:
    """Return EQUAL where both sides are LaTeX beyond the grammar and math-verify finds them
    equal.
    """
    if may_be_needed(key, answer) and library_says_equal(key, answer):
        return equal_with("equal by math-verify")
    return None


def _by_choice(key: str, answer: str, kind: str, problem_text: str) -> Comparison | None:
    """Return a comparison by letter and value where key or problem say which value a letter has."""
    chosen = _choice_of_key(key, kind, problem_text)
    if names_several(answer):
        return None
    if chosen is None:
        return _labelled(key, answer, kind)
    given = read_choice(answer) or Choice(read_letter(answer) or "", "")
    if kind != AnswerKind.LETTER and re.fullmatch(r"[a-z]", answer):
        return None  # a variable, where the key is no letter
    value = given.value or ("" if given.letter else answer)
    if given.letter and given.letter != chosen.letter:
        return different("another choice")
    if not value:
        return equal_with("the same choice")
    if _same_text(chosen.value, value):
        return equal_with("the value of the choice")
    others = [text for letter, text in choices_in(problem_text).items() if letter != chosen.letter]
    if any(_same_text(other, value) for other in others):
        return different("the value of another choice")
    if not given.letter:
        return None
    if re.search(r"\d", value) and not re.search(r"[A-Za-z]{2}", re.sub(r"\\[A-Za-z]+", "", value)):
        return different("another value beside the letter")
    return equal_with("the same choice")


def _labelled(key: str, answer: str, kind: str) -> Comparison | None:
    """Return EQUAL where an answer is the key's value behind a letter that nothing contradicts."""
    given = read_choice(answer) if kind != AnswerKind.LETTER else None
    if given is None or read_choice(key) is not None or not answer.lstrip("([")[:1].isupper():
        return None
    return equal_with("the value of a choice") if _same_text(key, given.value) else None


def _same_text(value: str, answer: str) -> bool:
    """Return whether the text of a choice and an answer are the same value."""
    try:
        return equal(value, answer).opinion is Opinion.EQUAL
    except KeyUnreadable:
        return False


def _choice_of_key(key: str, kind: str, problem_text: str) -> Choice | None:
    """Return the letter and the value that a key stands for, as far as key or problem say."""
    if (own := read_choice(key)) is not None and kind in (AnswerKind.LETTER, ""):
        return own
    offered = choices_in(problem_text) if problem_text else {}
    if kind == AnswerKind.LETTER:
        letter = read_letter(key) or ""
        return Choice(letter, offered[letter]) if offered.get(letter) else None
    letters = [letter for letter, value in offered.items() if compact(value) == compact(key)]
    return Choice(letters[0], key) if len(letters) == 1 else None
