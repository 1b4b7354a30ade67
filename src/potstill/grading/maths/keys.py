"""What a key is before it is compared: its alternatives, its plain text, and why it may be bad."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from potstill.grading.maths.groups import without_order_remark
from potstill.grading.maths.normalise import MONEY, tidy
from potstill.grading.maths.number_words import spelled_number
from potstill.grading.maths.remarks import without_remarks
from potstill.grading.maths.spellings import respelled
from potstill.grading.maths.units import split_unit

__all__ = [
    "alternatives",
    "compact",
    "is_simple",
    "is_whole",
    "plain_answer",
    "plain_key",
    "says_no_key",
    "without_counted",
]

MAX_ALTERNATIVES = 20
_SIMPLE = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
_LISTED = re.compile(r"^\s*[\[(]\s*([\"']).*\1\s*,?\s*[\])]\s*$", re.DOTALL)
_QUOTED = re.compile(r"\s*([\"'])(.*?)\1\s*(?:,|$)", re.DOTALL)
# "or" in the languages of the units table, between two values.
_OR = re.compile(
    r"(?<=[\d)}\]⦄π∞%a-z])\s+(?:oder|ou|o|bzw\.?|или|либо|أو|या)\s+(?=[-+\d(\\\[{⦃√π∞.a-z])"
    r"|(?<=[\d)}\]⦄π∞%a-z])\s*(?:或者|或|または|또는)\s*(?=[-+\d(\\\[{⦃√π∞.a-z])"
)
# "25 or 25%": a key that leaves the sign to the answer.
_PERCENT_OR_BARE = re.compile(r"^(-?[\d.]{1,15}) or (\1 ?%)$|^((-?[\d.]{1,15}) ?%) or \4$")
# "minus 5", and 0x1F as programs write it.
_WORDED_SIGN = re.compile(r"^(?:minus|negative)\s+(?=[\d.]|\\frac|√)", re.IGNORECASE)
_PROGRAMMED = re.compile(r"0x[0-9a-f]+|0b[01]+|0o[0-7]+", re.IGNORECASE)
_BASES = {"x": 16, "b": 2, "o": 8}
# A number, and the same number in words in brackets behind it or before it.
_WORDED = r"([A-Za-z][A-Za-z -]{1,80})"
_TWICE = re.compile(
    rf"^(?:(-?\d[\d,]*)\s?\({_WORDED}\)|{_WORDED}\((-?\d[\d,]*)\))\s?([A-Za-z][A-Za-z .]*)?$"
)
# What a number counts, in brackets behind it: ASDiv's "9 (apples)". "3 (mod 7)" is no such thing.
_COUNTED = re.compile(
    rf"(-?[{MONEY}€£¥₹]?\d[\d,]*(?:\.\d+)?(?:\s\d+)?(?:/\d+)?)"
    r"(?:\s?\(\s?(?!mod\b|base\b)([A-Za-z][A-Za-z.' -]{0,60})\)"
    r"|\s\(\s?(?!mod\b|base\b)([A-Za-zμΩ°%][^()=+<>]{0,40})\))"
)
_HEDGED = re.compile(r"(?i)(?:or|about|approximately|approx\.?|roughly|around|exactly)\s.*\d")
# What stands in a table where a key is missing.
_NO_KEY = re.compile(
    r"""(?ix)
    [#]+¡?[a-z/]+[a-z0-9/]*[!?]?                       # a spreadsheet's #REF!, #N/A, #¡VALOR!, #NV
    | n\.?\s?/?\s?a\.? | k\.\s?a\.?  | s\s?/\s?o | nan | null | nil | undef | <[a-z _]+>
    | tb[dcas] | to\s?do | fix\s?me | x{3,} | pending | missing | unknown | unbekannt | fehlt
    | inconnue? | desconocid[oa] | placeholder | ditto | idem
    | loading | to\ be\ (?:determined|done|announced|added|confirmed|defined)
    | (?:the\ )?answers?\ (?:may\ |will\ |can\ )?(?:var(?:y|ies)|differ)
    | (?:not|none)\ (?:available|given|provided|known|applicable|specified|found)
    | no\ answer(?:\ (?:given|provided|key|available))? | keine\ (?:angabe|antwort|lösung)
    | (?:see|siehe|vgl\.?|cf\.?|voir|cfr\.?|véase|ver|vedi)\ .{1,200} | s\.\ ?[ou]\.
    | same\ as\ (?:above|before|below) | as\ above | wie\ oben | (?:left\ )?to\ the\ reader
    | proof | beweis | q\.?\ ?e\.?\ ?d | \[?(?:image|picture|graph|figure|diagram|drawing)\ ?\d*\]
    | \?+ | .*not\ visible.*
    | =\ ?[a-z][a-z.]{1,20}\(.*\)  # a spreadsheet's formula
    | =\ ?\$?[a-z]{1,2}\$?\d{1,5}(?:[-+*/:]\$?[a-z]{1,2}\$?\d{1,5})*
    | asdf\w* | lorem\ ipsum.* | blah(?:\ blah)*
    | (?:to\ be\ )(?:re-?)?checked | (?:re-?)?check\ (?:this|again|later)
    | https?://\S+ | [_*.\s–—-]+ | .{1,100}\.(?:png|jpe?g|gif|svg|pdf)
    """
)
_BAR = re.compile(r"(?<=⦃)([^⦃⦄{}|:]{1,30})\|")
_OPENING = {"(": ")", "[": "]", "{": "}", "⦃": "⦄"}


def is_simple(text: str) -> bool:
    """Return whether a text is a plain integer or decimal, which needs no parser."""
    return _SIMPLE.fullmatch(text) is not None


def compact(text: str) -> str:
    """Return a tidied text without the spaces that separate nothing.

    Those between digits stay, and the one that makes a pair of ``12, 345``.
    """
    text = re.sub(r"(?<=\d), +(?=\d{3}(?!\d))", ",\N{OPEN BOX}", text)
    return re.sub(r"(?<!\.)\.$", "", re.sub(r"(?<!\d) +| +(?![\d\\])", "", text).strip())


@lru_cache(maxsize=4096)
def alternatives(key: str) -> tuple[str, ...]:
    """Return the answers that a key lists as quoted texts (``["3/4", "0.75"]``), or the key
    alone.
    """
    if "%" in key and " or " in key and (either := _PERCENT_OR_BARE.match(tidy(key))) is not None:
        return either.group(1) or either.group(3), either.group(2) or either.group(4)
    if _LISTED.match(key) is None:
        return (key,)
    try:
        read = json.loads(key)
    except (ValueError, RecursionError):
        read = [match.group(2) for match in _QUOTED.finditer(key.strip()[1:-1])]
    found = [item for item in read if isinstance(item, str) and item.strip()]
    if not found or len(found) != len(read) or len(found) > MAX_ALTERNATIVES:
        return (key,)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def plain_key(key: str) -> str:
    """Return a key in the one notation, without a remark on its order or a reason after it."""
    return plain_answer(without_order_remark(key))


def plain_answer(text: str) -> str:
    """Return an answer in the one notation, without the words around it."""
    text = without_remarks(tidy(respelled(text)))
    text = _said_once(_WORDED_SIGN.sub("-", text))
    if _PROGRAMMED.fullmatch(text) is not None:
        return f"{text[2:]}_{{{_BASES[text[1].lower()]}}}"
    if "⦃" in text:
        text = _BAR.sub(r"\1:", text)
    if not text.isascii() or " o" in text:
        text = _OR.sub(" or ", text)
    return text


def _said_once(text: str) -> str:
    """Return ``7`` of ``7 (seven)`` and of ``seven (7)``, a unit behind them kept, and ``9`` of
    ``9 (apples)``.
    """
    if "(" not in text:
        return text
    if (found := _TWICE.match(text)) is not None:
        digits, word = found.group(1) or found.group(4), found.group(2) or found.group(3)
        if spelled_number(word) == digits.replace(",", ""):
            return f"{digits} {found.group(5) or ''}".strip()
    counted = _COUNTED.fullmatch(text)
    if counted is None:
        return text
    what = (counted[2] or counted[3]).strip()
    if spelled_number(what) is not None or _HEDGED.match(what):  # "7 (eight)" is neither
        return text
    if counted[1][:1] not in "-0123456789":
        return counted[1]
    if split_unit(f"5 {what}").unit:
        return f"{counted[1]} {what}"
    if counted[3] and not all(map(_counts, re.split(r"[\s*·/]+", what))):
        return text
    # a unit is part of the value, what is counted is none of it
    return counted[1] if len(what) > 1 else text


# "how many pairs of skates are left"
_COUNTS = re.compile(
    r"(?i)\bhow\s+many\s+(?:more\s+|other\s+|total\s+)?(?P<noun>[a-z][a-z' -]{1,40}?)\s+"
    r"(?:do|does|did|will|would|is|are|was|were|can|could|should|has|have|had|must|in|on|at|left|remain\w*|equal)\b"
)
_COUNT = re.compile(
    r"(?P<value>-?\d[\d,]*(?:\.\d+)?(?:\s\d+/\d+|/\d+)?)\s+(?P<noun>[A-Za-z][A-Za-z' -]*?)"
    r"(?:\s+(?:(?:are|is|were|was)\s+)?(?:left|in\s+all|altogether|(?:in\s+)?total))?\.?"
)


def without_counted(key: str, answer: str, problem_text: str) -> str:
    """Return the number alone of an answer whose words are those of the key, or of what the problem
    counts: "42 pairs" where it asks how many pairs of skates there are.
    """
    if (found := _COUNT.fullmatch(answer.strip())) is None:
        return answer
    counted = _COUNTED.fullmatch(key.strip())
    asked = [m["noun"] for m in _COUNTS.finditer(problem_text)][-1:]
    nouns = [(counted[2] or counted[3])] if counted is not None else []
    given = _plain_nouns(found["noun"])
    if split_unit(f"5 {given[0]}").unit or split_unit(f"5 {found['noun']}").unit:
        return answer
    same = any(_plain_nouns(noun)[: len(given)] == given for noun in nouns + asked)
    return found["value"] if same else answer


def _plain_nouns(text: str) -> list[str]:
    return [word.removesuffix("s") for word in text.casefold().split()]


def _counts(word: str) -> bool:
    """Return whether a word in brackets names what is counted, or its unit: no variable."""
    return bool(re.fullmatch(r"[A-Za-z]{3,}|[A-Z]+\d", word) or split_unit(f"5 {word}").unit)


# A doubt, or letters typed to fill the field, unless the problem itself has them.
_DOUBT = re.compile(
    r"(?ix) (?:i(?:\ am|['’]m)\ )?(?:not|un)\ ?(?:sure|certain|decided)(?:\ yet)?"
    r"| (?:i\ )?(?:don['’]?t|do\ not)\ know"
    r"| (?:i\ have\ )?no\ (?:idea|clue) | dunno | idk"
    r"| weiß\ (?:ich\ )?nicht | je\ ne\ sais\ pas | no\ sé | unsicher"
)
_TYPED = re.compile(r"(?i)abcd?|xyz|aaa+|dummy")
_SPELT = re.compile(r"\b(?:letters?|alphabet\w*|strings?|words?|codes?|spell\w*|characters?)\b")
_RUN = re.compile(r"[a-z]+")


def says_no_key(key: str, problem_text: str = "") -> bool:
    """Return whether a key says that there is none: ``#REF!``, ``n/a``, ``TBD``, "see page 7",
    "not sure"; ``abc`` too, where the problem has neither the word nor its letters.
    """
    bare = key.strip().strip("()[]\"'").rstrip(".").strip()
    told = problem_text.casefold()
    if bare and bare.casefold() not in told:
        if _DOUBT.fullmatch(bare):
            return True
        if told and bare == key.strip().rstrip(".") and _TYPED.fullmatch(bare):
            return not (bare.isupper() or _is_told(bare.casefold(), told))
    return any(_NO_KEY.fullmatch(text) is not None for text in (bare, key.strip()))


def _is_told(word: str, problem: str) -> bool:
    """Return whether a problem speaks of words, or has a word's letters alone or in another
    order.
    """
    runs = set(_RUN.findall(problem))
    return (
        _SPELT.search(problem) is not None
        or set(word) <= runs
        or any(sorted(run) == sorted(word) for run in runs)
    )


def is_whole(text: str) -> bool:
    """Return whether a tidied text has all its brackets: what is cut is no answer."""
    stack: list[str] = []
    half_open = bool(re.search(r"[(\[][^()\[\]]*,[^()\[\]]*[)\]]", text))
    for character in text:
        if character in _OPENING:
            stack.append(_OPENING[character])
        elif character in ")]}⦄":
            if not stack:
                return False
            expected = stack.pop()
            if expected != character and not (half_open and expected in ")]" and character in ")]"):
                return False
    return not stack
