"""Whether an answer equals its key, by the rule of the key's kind."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from potstill.grading.maths.answer_text import Statement, read_statement, renamed, renamings
from potstill.grading.maths.bases import compare_bases
from potstill.grading.maths.choices import (
    Choice,
    choices_in,
    names_several,
    read_choice,
    read_letters,
)
from potstill.grading.maths.clock import compare_dates, compare_times
from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.constants import compare_constants
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
from potstill.grading.maths.keys import (
    alternatives,
    compact,
    is_simple,
    is_whole,
    plain_answer,
    plain_key,
    says_no_key,
    without_counted,
)
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.maths.languages import decimal_point
from potstill.grading.maths.library import library_says_equal, may_be_needed
from potstill.grading.maths.literals import (
    compare_literals,
    is_literal,
    is_printed,
    is_program_value,
)
from potstill.grading.maths.naming import compare_named
from potstill.grading.maths.number_words import spelled_number
from potstill.grading.maths.numbers import compare_scalars
from potstill.grading.maths.part_answers import compare_parts
from potstill.grading.maths.parts import Parts, parts_of
from potstill.grading.maths.residues import compare_progressions, compare_residues
from potstill.grading.maths.set_words import says_endless, says_nothing, says_undefined
from potstill.grading.maths.values import TooBig, Undefined
from potstill.grading.maths.vectors import as_tuples
from potstill.grading.maths.wording import (
    compare_letters,
    compare_word_numbers,
    compare_words,
    read_letter,
)
from potstill.grading.maths.wrappers import unwrapped_answer, without_point_name
from potstill.records import AnswerKind, Opinion

__all__ = ["MAX_ANSWER", "compact", "equal", "is_simple", "key_problem", "only_text"]

MAX_ANSWER = 2_000
_VERBAL = (AnswerKind.LETTER, AnswerKind.WORD, AnswerKind.TIME, AnswerKind.DATE, AnswerKind.BASE)
_POINT = re.compile(
    r"ordered (?:pair|triple)|coordinates|\bpoints?\b|vector|midpoint|\bpair\b|vertex",
    re.IGNORECASE,
)
_POINTED = (AnswerKind.TUPLE, AnswerKind.INTERVAL, AnswerKind.LETTER, AnswerKind.EXPRESSION)
# "B - a safe choice": a dash and words, none of them doubt or another letter.
_DASHED = re.compile(
    r"^(\(?[A-J]\)?)\s+-\s+(?=[A-Za-z])(?!.*(?:\b[A-J]\b|\b(?:or|not|maybe|perhaps|no|wrong)\b))"
)
_IN_BRACKETS = re.compile(r"^\(?([A-J])\)?\s+\(([^()]{1,80})\)\.?$")
_DASHED_VALUE = re.compile(r"^(\(?[A-J]\)?)\s+-\s+(?=[\d\\])")
_ONE_NAMED = re.compile(r"^([a-z])\s*=\s*[^=,;]+$")
# A value, a derivative or a member, where a function or a sequence is asked for.
_OF_A_FUNCTION = re.compile(
    r"^[A-Za-z]'{0,3}\s?\([^)]*\)\s*=|^\\frac\s?\{\s?d|^[A-Za-z]_\s?\{?\s?\w+\s?\}?\s*="
)
_HOLDS_NOTHING = "it holds neither a letter nor a digit"
_QUOTES_OR_OPENS = frozenset("'\"[({")
_BEST = (Opinion.DIFFERENT, Opinion.UNDECIDED, Opinion.EQUAL)


def equal(key: str, answer: str, kind: str = "", problem_text: str = "") -> Comparison:
    """Return whether ``answer`` is the same answer as ``key``, and why.

    ``kind`` is inferred where it is empty. Raises KeyUnreadable where the key cannot be read.
    Bounded, but not in time: hostile text belongs into a
    :class:`~potstill.grading.pool.GradingPool`.
    """
    if len(answer) > MAX_ANSWER:
        return unreadable(f"an answer of {len(answer)} characters")
    if is_simple(key) and key == answer:
        return equal_with("the same text")
    if key.strip()[:1] in _QUOTES_OR_OPENS or is_printed(key, problem_text):
        literal = compare_literals(key, answer, problem_text)
        if literal is not None:
            return literal
    answer = unwrapped_answer(answer)
    forms = alternatives(key)
    if len(forms) > 1 or forms[0] != key:
        return _any_of(forms, answer, kind, problem_text)
    if (parts := _parts_of_key(key, problem_text)) is not None:
        return compare_parts(parts, plain_answer(answer), problem_text, equal)
    answer = without_counted(key, answer, problem_text)
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
        result = _compare(one, two, kind, problem_text)
    except KeyUnreadable as error:
        # The key is its own text at least.
        result = unreadable(f"{error}, so that only its own text is right")
    if result.opinion is not Opinion.EQUAL:
        result = compare_constants(one, two, problem_text) or result
    if not result.readable:
        return _by_library(key, answer) or result
    return result


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
    return max(results, key=lambda result: _BEST.index(result.opinion))


def _parts_of_key(key: str, problem_text: str) -> Parts | None:
    """Return the labelled parts of a key, None where it has none or is a literal."""
    if not any(mark in key for mark in ").:") or is_literal(key, problem_text):
        return None
    return parts_of(plain_key(key))


def key_problem(key: str, kind: str, problem_text: str = "") -> str | None:
    """Return why a key cannot be read as an answer, or None where it can.

    A key that is beyond the grammar is no bad key: its own text is its answer
    (:func:`only_text`). Bad are keys that are empty, say that there is none, are cut off,
    contradict themselves or have no value.
    """
    return _key_read(key, kind, problem_text)[0]


def only_text(key: str, kind: str, problem_text: str = "") -> bool:
    """Return whether a key can be compared as text alone: it is no bad key, and beyond the grammar.

    One that math-verify may read is none of them.
    """
    return _key_read(key, kind, problem_text)[1] and not may_be_needed(key, key)


@lru_cache(maxsize=4096)
def _key_read(key: str, kind: str, problem_text: str) -> tuple[str | None, bool]:
    """Return what is bad about a key, and whether it is a good one that no rule can read."""
    if is_simple(key) or (
        key.strip()[:1] in _QUOTES_OR_OPENS
        and (is_literal(key, problem_text) or is_program_value(key, problem_text))
    ):
        return None, False
    if len(key) > MAX_ANSWER:
        return "the key is too long", False
    plain = plain_key(key)
    if not re.search(r"[\w∅∞π]", plain) and not says_nothing(plain):
        return (_HOLDS_NOTHING if _is_seen(plain) else "the key is empty"), False
    if says_no_key(key, problem_text):
        return "the key says that there is none", False
    forms = alternatives(key)
    if len(forms) > 1 or forms[0] != key:
        return _any_read(forms, problem_text)
    if (parts := _parts_of_key(key, problem_text)) is not None:
        return _parts_read(parts, problem_text)
    try:
        result = _compare(plain, plain, kind, problem_text)
    except KeyUnreadable as error:
        return (str(error), False) if error.hollow or not is_whole(plain) else (None, True)
    if result.opinion is Opinion.EQUAL:
        return None, False
    if is_whole(plain) and not result.hollow:
        return None, True
    return f"the key cannot be read: {result.why}", False


def _any_read(forms: tuple[str, ...], problem_text: str) -> tuple[str | None, bool]:
    """Return the best of what :func:`_key_read` says of a key's alternatives."""
    found = [_key_read(form, infer_kind(form, problem_text), problem_text) for form in forms]
    texts = [as_text for problem, as_text in found if problem is None]
    return (None, all(texts)) if texts else found[0]


def _parts_read(parts: Parts, problem_text: str) -> tuple[str | None, bool]:
    """Return what is bad about the parts of a key, and whether none of them can be read."""
    if set(parts.labels) <= set(choices_in(problem_text)):
        return None, False
    found = [
        _key_read(value, infer_kind(value, problem_text), problem_text) for value in parts.values
    ]
    for label, (problem, _) in zip(parts.labels, found, strict=True):
        if problem is not None:
            return f"part {label}: {problem}", False
    return None, all(as_text for _, as_text in found)


def _is_seen(text: str) -> bool:
    """Return whether a text has a character that is no space and is not invisible."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)


def _compare(key: str, answer: str, kind: str, problem_text: str) -> Comparison:
    try:
        return _by_meaning(key, answer, kind, problem_text)
    except (Unreadable, RecursionError, ValueError) as error:
        return unreadable(f"the answer cannot be read: {error}")
    except (TooBig, Undefined) as error:
        return unreadable(f"the answer has no value: {error}", hollow=True)


def _by_library(key: str, answer: str) -> Comparison | None:
    """Return EQUAL where both sides are LaTeX beyond the grammar and math-verify finds them
    equal.
    """
    if may_be_needed(key, answer) and library_says_equal(key, answer):
        return equal_with("equal by math-verify")
    return None


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
        if best is None or _BEST.index(result.opinion) > _BEST.index(best.opinion):
            best = result
    return best or different("other arguments")


def _compare_letter_sets(key: frozenset[str], answer: str) -> Comparison:
    given = read_letters(answer)
    if given is None and re.fullmatch(r"[A-J]{1,10}", answer.strip().rstrip(".")):
        given = frozenset(answer.strip().rstrip("."))
    if given is None:
        return unreadable("the answer names no letters")
    return equal_with("the same letters") if given == key else different("other letters")


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
