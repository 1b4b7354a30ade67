"""Why a key cannot be an answer, and which keys are right as their own text alone."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from potstill.grading.maths.by_kind import compare_by_kind
from potstill.grading.maths.choices import choices_in
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.maths.keys import alternatives, is_simple, is_whole, plain_key, says_no_key
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.maths.languages import decimal_point
from potstill.grading.maths.library import may_be_needed
from potstill.grading.maths.literals import is_literal, is_program_value
from potstill.grading.maths.parts import Parts, parts_of
from potstill.grading.maths.set_words import says_nothing
from potstill.records import Opinion

__all__ = ["MAX_ANSWER", "QUOTES_OR_OPENS", "key_problem", "only_text", "parts_of_key"]

_HOLDS_NOTHING = "it holds neither a letter nor a digit"
QUOTES_OR_OPENS = frozenset("'\"[({")
MAX_ANSWER = 2_000


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
        key.strip()[:1] in QUOTES_OR_OPENS
        and (is_literal(key, problem_text) or is_program_value(key, problem_text))
    ):
        return None, False
    if len(key) > MAX_ANSWER:
        return "the key is too long", False
    plain = decimal_point(plain_key(key), problem_text)
    if not re.search(r"[\w∅∞π]", plain) and not says_nothing(plain):
        return (_HOLDS_NOTHING if _is_seen(plain) else "the key is empty"), False
    if says_no_key(key, problem_text):
        return "the key says that there is none", False
    forms = alternatives(key)
    if len(forms) > 1 or forms[0] != key:
        return _any_read(forms, problem_text)
    if (parts := parts_of_key(key, problem_text)) is not None:
        return _parts_read(parts, problem_text)
    try:
        result = compare_by_kind(plain, plain, kind, problem_text)
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


def parts_of_key(key: str, problem_text: str) -> Parts | None:
    """Return the labelled parts of a key, None where it has none or is a literal."""
    if not any(mark in key for mark in ").:") or is_literal(key, problem_text):
        return None
    return parts_of(plain_key(key))


def _is_seen(text: str) -> bool:
    """Return whether a text has a character that is no space and is not invisible."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in text)
