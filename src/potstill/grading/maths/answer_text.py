"""Functions and quantifiers: ``f(x) = cx for any constant c`` and what it says without its letters.

The argument of a function and a letter that a tail such as "for any integer k" binds are names that
may be chosen freely: two statements are the same where one renaming makes them so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from potstill.grading.maths.grammar import FUNCTIONS

__all__ = ["Statement", "read_statement", "renamed", "renamings"]

MAX_BOUND = 3
_DOMAINS = (
    ("ℕ", r"ℕ|positive integer|natural|non-?negative integer"),
    ("ℤ", r"ℤ|integer|whole number"),
    ("ℚ", r"ℚ|rational"),
    ("ℂ", r"ℂ|complex"),
    ("ℝ", r"ℝ|real"),
)
_LETTER = r"[A-Za-zθαβλμ](?:_\{?\w{1,3}\}?)?"
_LETTERS = rf"{_LETTER}(?:\s*(?:,|and)\s*{_LETTER}){{0,3}}"
_TAIL = re.compile(
    r"\s*(?:[,;:]\s*)?\(?\s*(?:"
    r"(?:\b(?:is\s+)?valid\s+|true\s+|holds\s+)?\bfor\s+(?:all|any|every|each|some|arbitrary|a\s+constant)"
    rf"|\bfor\s+(?:(?:positive|real|integers?|natural)\b|{_LETTERS}\s*(?:∈|≥|>|≤|<|≠))"
    r"|∀|\bwhere(?:in)?\b|\bwith\s+(?=[A-Za-z]\s*(?:∈|an?\b|any\b|is\b|≥|>|≠))"
    r"|\b(?:provided|assuming|given|as\s+long\s+as|if|when|whenever)\s+(?:that\s+)?(?=[A-Za-z]\s*≠)"
    rf"|(?<=[,;(])\s*{_LETTERS}\s*(?:∈|(?:is|are)\s+(?:an?\s+|any\s+)?(?:constant|integer|real|arbitrary))"
    rf"|(?<=\s)\(?{_LETTER}\s*∈\s*[ℤℝℕℚℂ]"
    r"|(?<=[,;(])\s*(?:any|arbitrary)\s+(?:constant|integer|real)"
    rf"|(?<=\()\s*{_LETTER}\s+(?:an?\s+|any\s+)?(?:constant|integer|real)"
    r")",
)
_CONDITION = re.compile(rf"\s*[,;(]\s*({_LETTER})\s*(?:≥|>|≤|<|≠|=\s*\d+,)\s*[^=]*$")
_SEQUENCE = re.compile(r"^([A-Za-z])_\s?\{?\s?([a-z])\s?\}?\s*=\s*(?=\S)")
_BUILT = re.compile(
    r"^[⦃{]\s*((?![A-Za-z]\s*[:|∈])[^⦃⦄:|]+?)\s*[:|]\s*([A-Za-z]\s*∈\s*[ℤℕℚℝ][^⦃⦄]*)[⦄}]$"
)
_DEFINED = re.compile(
    rf"^([A-Za-z](?:_\{{?\w{{1,3}}\}}?)?(?:\s?\^\s?\{{?\s?-1\s?\}}?|'{{1,3}})?)\s?\(\s*({_LETTER}(?:\s*,\s*{_LETTER}){{0,3}})\s*\)\s*(?:=|≡)\s*(?=\S)"
)
_MAPS = re.compile(
    rf"^(?:([A-Za-z])\s*:\s*)?(?:[^,:↦]{{1,40}}→[^,:↦]{{1,40}}[,:]\s*)?({_LETTER})\s*↦\s*(?=\S)"
)
_RELATION = re.compile(r"[<>≤≥≠∈∪]")
_WORDS_BEFORE = re.compile(
    r"^(?:(?:for\s+(?:all|any|every|each|some)|∀|let)\b[^,:]{1,60}[,:]\s*"
    r"|(?:the\s+)?functions?\s+(?=[A-Za-z]\s?\())",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """An answer without its tail: the function it defines, its body, and the letters it binds."""

    body: str
    function: str = ""
    args: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    domain: str = ""


@lru_cache(maxsize=4096)
def read_statement(text: str) -> Statement:
    """Return a tidied answer taken apart into definition, body and quantifier tail."""
    text = _WORDS_BEFORE.sub("", text, count=1)
    text = _BUILT.sub(r"\1, \2", text)
    if "↦" in text:
        text = _MAPS.sub(lambda m: f"{m.group(1) or 'f'}({m.group(2)})=", text, count=1)
    body, tail = _split_tail(text)
    definition = _DEFINED.match(body)
    function = ""
    args: tuple[str, ...] = ()
    if definition is not None and "=" not in body[definition.end() :]:
        function = definition.group(1)
        args = tuple(re.split(r"\s*,\s*", definition.group(2)))
        body = body[definition.end() :].strip()
    elif (sequence := _SEQUENCE.match(body)) is not None and "=" not in body[sequence.end() :]:
        function, args = sequence.group(1), (sequence.group(2),)
        body = body[sequence.end() :].strip()
    bound = tuple(dict.fromkeys(re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", tail)))
    used = [
        letter
        for letter in bound
        if letter not in args and letter not in "aA" + function and _uses(body, letter)
    ]
    if "a" in bound and re.search(r"(?<![A-Za-z])a\s*(?:∈|is\b|≥|>|,|$|\))|constants?\s+a\b", tail):
        used.append("a")
    return Statement(body, function, args, tuple(used[:MAX_BOUND]), _domain(tail, function))


def _split_tail(text: str) -> tuple[str, str]:
    if len(text) < 4 or not re.search(r"[a-z∀∈]", text):
        return text, ""
    match = _TAIL.search(text, 1)
    if match is None:
        match = _CONDITION.search(text, 1)
        if match is not None and _RELATION.search(text[: match.start()]):
            match = None
    if match is None:
        return text, ""
    body, tail = text[: match.start()].strip().rstrip(",;:").strip(), text[match.start() :]
    if body.count("(") == body.count(")") + 1 and body.endswith("("):
        body = body[:-1].strip().rstrip(",;:").strip()
    # What is left must be an answer of its own: a set's condition is not a remark on it.
    balanced = all(body.count(a) == body.count(b) for a, b in ("()", "⦃⦄", "{}"))
    worded = re.search(r"(?i)\b(?:is|are|true|holds?|only|except|numbers?)$", body)
    return (body, tail) if body and balanced and not worded else (text, "")


def _domain(tail: str, function: str) -> str:
    if function:
        return ""
    low = tail.lower()
    return next((name for name, words in _DOMAINS if re.search(words, low + tail)), "")


def _uses(body: str, letter: str) -> bool:
    return any(letter in run for run in _letter_runs(body))


def _letter_runs(text: str) -> list[str]:
    return [run for run in re.findall(r"\\?[A-Za-z]+", text) if _is_product(run)]


def _is_product(run: str) -> bool:
    return run[0] != "\\" and len(run) <= 3 and run.lower() not in FUNCTIONS and run != "pi"


def renamed(text: str, names: dict[str, str]) -> str:
    """Return a text with its letters renamed, all at once; commands and functions keep theirs."""

    def letter_by_letter(found: re.Match[str]) -> str:
        run = found.group()
        return "".join(names.get(c, c) for c in run) if _is_product(run) else run

    return re.sub(r"\\?[A-Za-z]+", letter_by_letter, text)


def renamings(key: Statement, answer: Statement) -> list[dict[str, str]]:
    """Return the ways to call the answer's own letters by the key's, the plain one first; [] for
    none.
    """
    base: dict[str, str] = {}
    if key.args and answer.args:
        if len(key.args) != len(answer.args):
            return []
        base = dict(zip(answer.args, key.args, strict=True))
    ways = [base]
    mine, theirs = key.bound, answer.bound or _free_letters(answer, key)
    if mine and len(mine) == len(theirs) <= MAX_BOUND and set(mine) != set(theirs):
        ways += [base | dict(zip(order, mine, strict=True)) for order in permutations(theirs)]
    # A renaming onto a letter that the answer uses otherwise would change what it says.
    return [way for way in ways if _is_safe(way, answer)]


def _free_letters(answer: Statement, key: Statement) -> tuple[str, ...]:
    """Return letters that an answer without tail uses and the key does not."""
    known = set("".join(_letter_runs(key.body))) | set(answer.args) | set("eiπ")
    found = dict.fromkeys("".join(_letter_runs(answer.body)))
    fresh = tuple(letter for letter in found if letter not in known)
    return fresh if all(letter in "kmnjlpqt" for letter in fresh) else ()


def _is_safe(way: dict[str, str], answer: Statement) -> bool:
    used = set("".join(_letter_runs(answer.body)))
    return all(new == old or new not in used or new in way for old, new in way.items())
