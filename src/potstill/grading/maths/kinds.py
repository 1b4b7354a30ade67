"""What kind of answer a key is, read from the key and the problem's text."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from potstill.grading.maths.answer_text import read_statement
from potstill.grading.maths.bases import read_base
from potstill.grading.maths.choices import choices_in, read_choice, read_letters
from potstill.grading.maths.clock import (
    WEEKDAYS,
    in_digits,
    read_time,
    spoken_times_in_digits,
)
from potstill.grading.maths.forms import asked_form, shape
from potstill.grading.maths.grammar import (
    FUNCTIONS,
    Name,
    Node,
    Unreadable,
    names_in,
    read_expression,
)
from potstill.grading.maths.groups import read_group, split_top, without_order_remark
from potstill.grading.maths.keys import plain_key
from potstill.grading.maths.languages import decimal_point
from potstill.grading.maths.literals import is_literal, shows_program
from potstill.grading.maths.normalise import MONEY, tidy
from potstill.grading.maths.parts import labels_several, parts_of
from potstill.grading.maths.scalars import forms_of, read_compound, read_scalar
from potstill.grading.maths.set_words import names_a_set, says_nothing
from potstill.grading.maths.values import TooBig, Undefined, same
from potstill.records import AnswerKind

__all__ = ["infer_kind"]

# The first words of the names of letters in which words are written; of ℝ and µ they are others.
_SCRIPTS = {
    *("LATIN", "GREEK", "CYRILLIC", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "ARABIC", "HEBREW"),
    *("DEVANAGARI", "BENGALI", "TAMIL", "TELUGU", "THAI", "GEORGIAN", "ARMENIAN", "ETHIOPIC"),
}
_WORDED_BOUND = re.compile(
    r"^[A-Za-zθ] is (?:at (?:least|most)|(?:strictly )?(?:greater|less|more))\b"
)
# In the French way too: ]1, 2].
_HALF_OPEN = re.compile(r"^\(.*\]$|^\[.*\)$|^\].*[\]\[]$|^\[.*\[$")
_DAYS = set(WEEKDAYS)
_HEDGES = frozenset(["approximately", "about", "around", "roughly", "exactly", "root", "mod"])
_MONTH = re.compile(
    r"\b(?:january|february|march|april|june|july|august|september|october|november|december|"
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|may\s+\d)\b",
    re.IGNORECASE,
)
_CHOICES = re.compile(r"(?:^|\s|\(|\{)\(?A\s?[.):}].{0,400}?\(?B\s?[.):}]", re.DOTALL)
_FREE_ORDER = re.compile(
    r"\ball\b|roots?\b|solutions?\b|zeros?\b|separated by commas|possible values|set of|list\b|"
    r"any order|solve\b|values of|which of|"
    r"lösungen|nullstellen|\balle\b|\btou(?:te)?s les|soluciones|"
    r"ra[íi][cz]es|soluzioni|radici|soluções|"
    r"решени|корни|所有|全部|すべて|모든|"
    r"(?:find|determine|name|what\s+are|give)\s+(?:the|these|those)\s+"
    r"(?:(?:two|three|four|five|six|\d)\s+)?(?:(?:real|whole|positive|natural|prime|possible)\s+)?"
    r"(?:numbers|integers|primes|factors|divisors|multiples)\b(?!\s*(?:\$|[a-z]\b|in\b|next|(?<=numbers)\s?of\b))",
    re.IGNORECASE,
)
_FIXED_ORDER = re.compile(
    r"respectively|in order\b|in that order|(?:in|de)creasing order|ascending|descending|"
    r"order from|from (?:least|greatest|smallest|largest)|ordered (?:pair|triple|list|quadruple)|"
    r"in the order|\bnext\b|sequence|\bfirst\b|\bthe (?:larg|small|great|high|low)\w+est\b",
    re.IGNORECASE,
)
_INTERVAL_WORDS = re.compile(
    r"interval|inequality|domain|range of|set of all (?:possible )?(?:real )?values|"
    r"for what values|[<>≤≥]\s*0|\\le|\\ge",
    re.IGNORECASE,
)
_POINT_WORDS = re.compile(
    r"ordered (?:pair|triple|quadruple)|coordinates|\bpoints?\b|vector|midpoint|\bpair\b|vertex",
    re.IGNORECASE,
)
_BASE_ASKED = re.compile(
    r"(?:express|answer|write|give|convert|equivalent|represent|equal to what|what is)[^.?]{0,90}"
    r"\bbase[\s$-]*(?:\d|\\?\w)",
    re.IGNORECASE,
)
# What a value is called: a segment, an angle, a derivative, a probability.
_DESIGNATION = re.compile(
    r"[A-Z]{2,3}|\|[A-Z]{2}\||\\overline\s?\{[A-Z]{2}\}|m?\s?(?:\\angle|∠)\s?[A-Z1-9]{1,3}|"
    r"\\frac\s?\{\s?d\s?[a-z]\s?\}\s?\{\s?d\s?[a-z]\s?\}|[a-zA-Z]'{1,2}\s?\([a-z]\)"
)
# "five to ten" may be a ratio or a range; "ten past nine" is a time alone.
_SPOKEN_TIME = re.compile(r"[a-z0-9 -]+ (?:past|minutes? (?:to|before|after)) [a-z0-9]+")
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\d[ T]00:00(?::00(?:\.0+)?)?")
_TIME_WORDS = re.compile(
    r"clock|\ba\.?m\b|\bp\.?m\b|what time|time of day|noon|midnight", re.IGNORECASE
)


@lru_cache(maxsize=4096)
def infer_kind(key: str, text: str = "") -> str:
    """Return the :class:`~potstill.records.AnswerKind` of a key, given the problem's text.

    Never raises: a key that reads as nothing else is an expression, and grading calls it BAD_KEY
    if it cannot be read as that either.
    """
    if is_literal(key, text):
        return str(AnswerKind.EXPRESSION)
    whole = plain_key(key).strip().rstrip(".").strip()
    if (parts := parts_of(whole)) is not None:
        chosen = set(parts.labels) <= set(choices_in(text))
        return str(AnswerKind.SET if chosen else AnswerKind.LIST)
    plain = decimal_point(read_statement(whole).body, text)
    free = without_order_remark(tidy(key)) != tidy(key)
    return str(
        _worded(plain, text)
        or _grouped(plain, text, free=free)
        or _single(plain, text)
        or AnswerKind.EXPRESSION
    )


def _worded(plain: str, text: str) -> AnswerKind | None:
    low = plain.lower()
    if read_choice(plain) is not None and not re.search(r"[=<>≤≥]", plain):
        return None if labels_several(plain) else AnswerKind.LETTER
    if _MIDNIGHT.fullmatch(plain):
        return AnswerKind.DATE  # as tables keep a day
    if read_time(plain) is not None and (
        re.search(r"[ap]\.?m\b|noon|midnight|o'?clock", low) or not asked_form(text).ratio
    ):
        if re.fullmatch(r"\d{1,2}:\d{2}(?::\d{2})?", plain) and asked_form(text).ratio:
            return None
        if not re.fullmatch(r"\d{1,2}:\d{2}", plain) or _TIME_WORDS.search(text) or not text:
            return AnswerKind.TIME
        return AnswerKind.TIME if int(plain.partition(":")[0]) <= 12 else None
    if _SPOKEN_TIME.fullmatch(low) and read_time(spoken_times_in_digits(plain)) is not None:
        return AnswerKind.TIME
    if re.fullmatch(r"(?i:option|choice)\s*:?\s*\(?[A-J]\)?", plain):
        return AnswerKind.LETTER
    if re.fullmatch(r"\(?[A-Z]\)?|[a-z]\)|\([a-z]\)", plain):
        if _CHOICES.search(text) or "letter" in text.lower() or not text or plain[0] == "(":
            return AnswerKind.LETTER
        if plain.isupper() and f"${plain}$" not in text:
            return AnswerKind.LETTER
    words = re.findall(r"[A-Za-z]+", low)
    if _is_foreign_word(plain):
        return AnswerKind.WORD
    if re.fullmatch(r"(?:1\d|20)\d\d-[01]\d-[0-3]\d", plain) or in_digits(plain):
        return AnswerKind.DATE
    if low in _DAYS or (_MONTH.search(plain) and re.search(r"\d", plain)):
        return AnswerKind.DATE if low not in _DAYS else AnswerKind.WORD
    if _is_base(plain, text):
        return AnswerKind.BASE
    if names_a_set(plain):
        return None
    if words and not re.search(r"[\d=+*/^<>≤≥√π∞\\|]", plain) and _is_word(plain, words, text):
        return AnswerKind.WORD
    word_number = re.fullmatch(rf"([A-Za-z]{{3,}})(?: [A-Za-z]+)*,? {MONEY}?-?[\d.,/]+\.?", plain)
    if word_number and word_number.group(1).lower() not in FUNCTIONS | _HEDGES:
        return AnswerKind.WORD_NUMBER
    return None


def _is_foreign_word(plain: str) -> bool:
    """Return whether a key is words, some of them with letters that no formula has: "München"."""
    if not re.fullmatch(r"[^\W\d_]+(?:[ .'’-]+[^\W\d_]+)*", plain) or plain.isascii():
        return False
    scripts = [unicodedata.name(x, "").partition(" ")[0] for x in plain if x.isalpha()]
    if not set(scripts) <= _SCRIPTS:
        return False
    # Up to three Greek letters side by side are a product; a word in Chinese may be one sign.
    if set(scripts) <= {"LATIN", "GREEK"} and set(scripts) != {"LATIN"}:
        return all(len(word) > 3 for word in plain.split() if not word.isascii())
    return len(plain) > 1 or scripts == ["CJK"]


# Yes, no, true and false, where their letters might be taken for a product.
_YES_NO = {
    *("yes", "no", "true", "false"),
    *("ja", "nein", "wahr", "falsch", "nee", "waar", "oui", "non", "vrai", "faux"),
    *("sí", "sì", "vero", "falso", "sim", "não", "nej", "tak", "nie", "да", "нет"),
    *("ano", "ne", "igen", "nem", "evet", "hayır", "kyllä", "nai", "ναι", "όχι"),
}


def _is_word(plain: str, words: list[str], text: str) -> bool:
    if "," in plain or re.search(r"[(\[⦃{]", plain):
        return False
    if len(words) == 1 and words[0] in ("pi", "e", "i", "x", "infinity", "inf"):
        return False
    if len(words) == 1 and len(plain) > 2 and _is_named(plain, text):
        return True
    try:
        read_expression(plain)
    except Unreadable:
        return bool(re.fullmatch(r"[A-Za-z' .-]+", plain)) and len(max(words, key=len)) > 1
    # Capitals side by side name something ("CA", "ON"); small letters are a product.
    return bool(re.fullmatch(r"[A-Z]{2,}|No|Yes|On|None", plain)) or plain.lower() in _YES_NO


def _is_named(plain: str, text: str) -> bool:
    """Return whether "Ben" or "red" is no product: a name, or a word of the problem's prose."""
    if re.fullmatch(r"[A-Z][a-z]{2,}", plain):
        return True
    prose = re.sub(r"\$[^$]*\$", " ", text)
    return re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", prose) is not None


def _is_base(plain: str, text: str) -> bool:
    read = read_base(plain)
    if read is None:
        return False
    return read[1] is not None or bool(
        _BASE_ASKED.search(text)
        and re.search(r"base (?!ten\b|10\b)", text[-200:].replace("$", " "))
        and re.search(
            r"(?:in|to|as an?|to what number in)\s+base[^.]*[.?]?\s*$", text.replace("$", "")
        )
    )


def _grouped(plain: str, text: str, free: bool) -> AnswerKind | None:
    if "\\begin" in plain or plain.startswith("[["):
        return AnswerKind.MATRIX
    if read_letters(plain) is not None or (says_nothing(plain) and plain[0] in "∅⦃{"):
        return AnswerKind.SET
    if names_a_set(plain) or re.search(r"[∪∩∖<>≤≥≠ℝℤℕℚℂ∈]|\breals?\b", plain):
        return AnswerKind.INTERVAL
    if "∞" in plain and re.match(r"^[(\[].*[)\]]$", plain):
        return AnswerKind.INTERVAL
    if _WORDED_BOUND.match(plain):
        return AnswerKind.INTERVAL
    if re.fullmatch(r"\d+ to \d+(?: to \d+)*", plain):
        return AnswerKind.RATIO
    ratio = split_top(plain, ":")
    if len(ratio) > 1 and all(ratio):
        return AnswerKind.RATIO
    if plain == "∅" or plain.startswith("⦃") or re.match(r"^\{.*[,;].*\}$", plain):
        return AnswerKind.SET
    if (named := _equation(plain)) is not None:
        return named
    if re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?", plain) or MONEY in plain:
        return None
    if read_compound(plain) is not None:
        return None
    group = read_group(plain)
    if _HALF_OPEN.match(plain) and len(split_top(plain[1:-1], ";" if ";" in plain else ",")) == 2:
        return AnswerKind.INTERVAL
    if group.rows:
        return AnswerKind.MATRIX
    if group.bracket == "" and len(group.items) > 1:
        if " or " in plain and not free and _one_value(group.items):
            return None
        if re.fullmatch(r"-?[\d/]+,\d{3}", plain):
            return None
        return _list_or_set(text, free or "±" in plain or " or " in plain, group.items)
    if len(group.items) > 1:
        return _bracketed(group.bracket, group.items, text)
    return None


def _bracketed(bracket: str, items: tuple[str, ...], text: str) -> AnswerKind:
    if len(items) == 2 and _INTERVAL_WORDS.search(text) and not _POINT_WORDS.search(text[-300:]):
        return AnswerKind.INTERVAL
    if bracket == "[":
        interval = len(items) == 2 and not shows_program(text)
        return AnswerKind.INTERVAL if interval else AnswerKind.LIST
    return AnswerKind.TUPLE


def _one_value(items: tuple[str, ...]) -> bool:
    try:
        nodes = [read_scalar(item).node for item in items]
        return all(same(nodes[0], node) for node in nodes[1:])
    except (Unreadable, Undefined, TooBig):
        return False


def _list_or_set(text: str, free: bool, items: tuple[str, ...]) -> AnswerKind:
    if free or all(item.startswith("(") for item in items):
        return AnswerKind.SET
    if _FIXED_ORDER.search(text):
        return AnswerKind.LIST
    return AnswerKind.SET if _FREE_ORDER.search(text) else AnswerKind.LIST


def _equation(plain: str) -> AnswerKind | None:
    sides = [side.strip() for side in plain.split("=")]
    if len(sides) < 2 or _DESIGNATION.fullmatch(sides[0]):
        return None
    if len(sides) > 2 or "," in plain:
        return None
    try:
        one, two = (read_expression(side) for side in sides)
    except Unreadable:
        return None
    if not names_in(one) and not names_in(two):
        return None
    if isinstance(one, Name) and not names_in(two):
        return None
    return AnswerKind.EQUATION


def _single(plain: str, text: str) -> AnswerKind | None:
    try:
        scalar = read_scalar(next(iter(forms_of(plain)), ""))
    except Unreadable:
        try:
            scalar = read_scalar(re.split(r"=", plain)[-1].strip())
        except Unreadable:
            return None
    if scalar.unit in ("dollar", "cent", "euro", "sterling", "rupee", "yen"):
        return AnswerKind.MONEY if scalar.unit != "cent" else AnswerKind.QUANTITY
    if scalar.unit == "percent":
        return AnswerKind.PERCENT
    if scalar.unit == "degree":
        return AnswerKind.DEGREE
    if scalar.unit:
        return AnswerKind.QUANTITY
    return _numeric(scalar.node)


def _numeric(node: Node) -> AnswerKind:
    match shape(node):
        case "integer":
            return AnswerKind.INTEGER
        case "decimal":
            return AnswerKind.DECIMAL
        case "fraction" | "mixed number":
            return AnswerKind.FRACTION
    if _mentions(node, "i"):
        return AnswerKind.COMPLEX
    if names_in(node):
        return AnswerKind.EXPRESSION
    return AnswerKind.ROOT if _has_root(node) else AnswerKind.EXPRESSION


def _mentions(node: Node, name: str) -> bool:
    if isinstance(node, Name):
        return node.name == name
    return any(_mentions(arg, name) for arg in getattr(node, "args", ()))


def _has_root(node: Node) -> bool:
    if getattr(node, "op", "") in ("sqrt", "root", "root3"):
        return True
    return any(_has_root(arg) for arg in getattr(node, "args", ()))
