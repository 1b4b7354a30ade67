"""Values as programs print them: ``['a', 'B']``, ``{'x': 1}``, ``''``; case counts in them."""

from __future__ import annotations

import ast
import json
import re
from functools import lru_cache

from potstill.grading.maths.comparison import Comparison, different, equal_with, unreadable

__all__ = [
    "compare_literals",
    "is_literal",
    "is_printed",
    "is_program_value",
    "is_written_out",
    "shows_program",
]

_BEGINS = re.compile(r"\s*[\[({'\"]")
_EMPTY = re.compile(r"\s*(?:''|\"\"|\[\s*\]|\(\s*\)|\{\s*\})\s*")
_QUOTED = re.compile(r"\s*(?:'[^']*'|\"[^\"]*\")\s*")
_PROGRAM = re.compile(
    r"(?i)```|\bdef \w+\(|\b(?:python|javascript|java|json|program|code|script|snippet|prints?"
    r"|outputs?|returns?|strings?)\b"
)
_SHOWN = re.compile(r"\bdef \w+\(|```(?:python|py)\b")
_CONSTANTS = frozenset(["None", "True", "False"])
_NOTHING = object()


def shows_program(problem_text: str) -> bool:
    """Return whether a problem shows a program in Python."""
    return _SHOWN.search(problem_text) is not None


def is_literal(key: str, problem_text: str = "") -> bool:
    """Return whether a key can only be a value of a program: an object, one that is empty, or a
    container of texts and other values.

    A list of texts is none: it lists answers of which any is right. An empty value is one where
    the problem speaks of a program; elsewhere it is a key that is missing.
    """
    if _EMPTY.fullmatch(key):
        return _PROGRAM.search(problem_text) is not None
    value = _read(key)
    if value is _NOTHING or isinstance(value, str | int | float | bool | None):
        return False
    if isinstance(value, dict | set):
        return bool(re.search(r"['\"]", key))
    return bool(re.search(r"['\"]", key)) and not all(isinstance(item, str) for item in value)  # type: ignore[attr-defined]


def is_program_value(key: str, problem_text: str) -> bool:
    """Return whether a key is a value as a program prints it, where the problem shows the
    program: any text between quotes is a good one then.
    """
    return shows_program(problem_text) and _read(key) is not _NOTHING


def is_printed(key: str, problem_text: str) -> bool:
    """Return whether a key is a constant or a number that a program of the problem comes to."""
    known = key.strip() in _CONSTANTS or _number(key) is not _NOTHING
    return known and shows_program(problem_text)


def is_written_out(text: str) -> bool:
    """Return whether a text is a program's value with texts in it, or an empty one."""
    return bool(re.search(r"['\"]", text) or _EMPTY.fullmatch(text)) and _read(text) is not _NOTHING


def compare_literals(key: str, answer: str, problem_text: str) -> Comparison | None:
    """Return whether two values of a program are the same; None where they are to be read as
    answers are.
    """
    one, two = _read(key), _read(answer)
    if shows_program(problem_text) and two is not _NOTHING:
        one = _number(key) if one is _NOTHING else one
    if one is not _NOTHING and two is not _NOTHING and shows_program(problem_text):
        return equal_with("the same value") if _same(one, two) else different("another value")
    if is_literal(key, problem_text):
        if two is _NOTHING:
            return unreadable("the answer is no value as a program prints it")
        return equal_with("the same value") if _same(one, two) else different("another value")
    if not re.search(r"['\"]", key) or one is _NOTHING:
        return None
    if two is not _NOTHING and _same(one, two):
        return equal_with("the same value")
    of_program = _PROGRAM.search(problem_text) or (_QUOTED.fullmatch(answer) and not problem_text)
    if isinstance(one, list) and of_program and "'" in key:
        return different("another value")  # Python's own writing: no list of right answers
    if isinstance(one, str) and of_program:
        same = one in (answer.strip(), _unquoted(answer.strip()))
        return equal_with("the same text") if same else different("another text")
    return None


def _unquoted(text: str) -> str:
    """Return a text without the backticks around it."""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == "`" else text


@lru_cache(maxsize=512)
def _read(text: str) -> object:
    if text.strip() in _CONSTANTS:
        return ast.literal_eval(text.strip())
    if "\\{" in text:
        text = text.replace("\\{", "{").replace("\\}", "}")  # as TeX writes braces
    if len(text) > 2_000 or _BEGINS.match(text) is None:
        return _NOTHING
    for read in (ast.literal_eval, json.loads):
        try:
            value: object = read(text.strip())
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            continue
        return value
    return _NOTHING


def _number(key: str) -> object:
    """Return the number that a key is, beside which "[2]" is no 2."""
    return (
        ast.literal_eval(key)
        if re.fullmatch(r"-?(?:0|[1-9]\d{0,300})(?:\.\d+)?", key)
        else _NOTHING
    )


def _same(one: object, two: object) -> bool:
    """Return whether two values are equal, True being no 1 and a list no tuple."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, int | float) and isinstance(two, int | float):
        return one == two
    if type(one) is not type(two):
        return False
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[name], two[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    return one == two
