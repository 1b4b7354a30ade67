"""What touches a number in a sentence and makes another value of it, or leaves its value open.

"The answer is √3" states no 3, "12 or 13" neither of the two, and "3, but that is wrong" nothing.
What can be written as one value is; of all else it is said that it is open, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from potstill.grading.maths.number_words import DENOMINATORS
from potstill.grading.reading.numerals import Numeral
from potstill.grading.reading.sentences import stem

__all__ = ["Changed", "change_of", "is_bound", "is_denied", "is_taken_back"]

_NOUN = (
    r"(?:square|cube|\w+th|\d+(?:st|nd|rd|th))\s+root|square|cube|reciprocal|negative|negation|"
    r"opposite|inverse|complement|conjugate|factorial|logarithm|log|sine|cosine|tangent|"
    r"absolute\s+value|double|triple|twice|multiple|power|root"
)
_ROOTED = re.compile(r"((?:(?<![\w.,])\d+(?:\.\d+)?\s?)?[√∛∜]\s?\(?\s?)$")
# What stands before a number and leaves another value, or none.
_BEFORE = re.compile(
    rf"(?:[±∓≥≤≠><|/^_\[⌊⌈]|(?<!boxed)\{{|\bplus\s+or\s+minus|\s—|[A-Za-zπ](?:_?\d+)?\(|-\()\s?$"
    r"|\b(?:log|ln|lg|sin|cos|tan|cot|sec|csc|exp|sqrt|abs|arcsin|arccos|arctan|gcd|lcm)(?:_?\d+)?\s+$"
    rf"|\b(?:the\s+)(?:{_NOUN})\s+of\s+(?:the\s+)?$"
    r"|(?:%|‰|[½⅓⅔¼¾⅕⅛]|\d/\d+|\b(?:percent|half|third|quarter|fifth|sixth|eighth|tenth)s?)\s+of\s+$"
    r"|\b(?:thrice|nowhere\s+near|far\s+from|away\s+from)\s+$"
    r"|\b(?:answer|result|value|it|total|[a-z])\s+(?:is|must\s+be|should\s+be|will\s+be)\s+"
    r"(?:at\s+(?:least|most)|no\s+(?:more|less|fewer|greater)\s+than|up\s+to)\s+$",
    re.IGNORECASE,
)
# Letters that touch a number are a currency's, or a name of which it is a part: CO2, x3, 0x3.
_LETTERS_BEFORE = re.compile(r"[A-Za-zπ]+$")
_CURRENCIES = {
    *("usd", "us", "eur", "gbp", "cad", "aud", "hk", "nz", "rs", "inr", "chf", "jpy", "cny", "sek"),
    *("nok", "dkk", "r", "a", "c", "s"),
}
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_POWERS = {"squared": "^2", "cubed": "^3", "factorial": "!", "²": "^2", "³": "^3"}
_BEHIND = re.compile(
    rf"""(?P<pi> \s?(?:π|\\?pi\b)(?!\s?/) )
    | (?P<root> \s?[√∛∜]\s?\(?\d+(?:\.\d+)?\)? )
    | (?P<power> \s+(?:squared|cubed|factorial)\b | [²³] )
    | \s?(?P<vulgar> [½⅓⅔¼¾⅕⅛] )
    | \s+(?P<part> {"|".join(DENOMINATORS)} )\b
    | (?P<apostrophe> ['’]\d{{3}}(?!\d) )
    | (?P<open>
        \s?(?:π|\\?pi\b) | [⁰¹⁴⁵⁶⁷⁸⁹ⁿ⁻‰|&] | \s[&|]\s | \s?[±∓]\s?\d | \s+plus\s+or\s+minus\b
        | [A-Za-z]\d | [aA]\b | !!
        | \s+(?:raised\s+)?to\s+the\s+(?:\w+\s+)?(?:power\b|\d) | (?:st|nd|rd|th)\s+(?:power|root)\b
        | \s+\(?mod(?:ulo)?\b | \s+in\s+base\b | \s+(?:with\s+)?(?:a\s+)?remainder\b | \s*[rR]\s?\d
        | \s+or\s+(?:more|less|fewer|so|above|below|higher|greater)\b
        | \s+(?:over|point|choose|nCr|nPr|vs\.?|versus|out\s+of(?:\s+every)?)\s+(?:\d|\w+\.?$)
        | \s+(?:bn|score|gross)\b | ,\d{{1,2}}(?![\d,]) | ,\d{{4,}} | \s\d{{3}}\b | \.\d{{3}}[.,]\d
        | \s?:\s?\d | [-–—]\d | \s[-–—]\s\d[^-+*×/=]*$
      )
    """,
    re.IGNORECASE | re.VERBOSE,
)
# A comma before "or" begins another name of the same: "4 times 10, or 40".
_JOINT = re.compile(
    r"(?:\s+(?P<unit>[A-Za-z]+))?\s*(?P<joint>/\s?or|\bor|\bto|\band|&|\||\bvs\.?|\bversus|\bpoint)\s+",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:,\s*[-−]?\d+(?:\.\d+)?)+,?\s*(?:and|or|&)\s+[-−]?\d")
_NEXT_WORD = re.compile(r"\s?-?([A-Za-z]+)")
_EITHER = re.compile(r"\b(?:either|between)\s+$", re.IGNORECASE)
_OF_NUMBER = re.compile(r"\s+of\s+\d")

_CORRECTED = re.compile(
    r"[^.;:\d]{0,40}(?:,|—|–|\.\.\.|…|\s-|\s\()\s*(?:(?:oh|um|er|ah),?\s+)?"
    r"(?:no\b,?|wait\b|sorry\b|oops\b|or\s+rather\b|i\s+mean\b|i\s+meant\b|make\s+that\b|"
    r"correction\b|scratch\s+that\b|actually\b)[^\d]{0,40}\d",
    re.IGNORECASE,
)
_FALSE = (
    r"(?:wrong|incorrect|false|impossible|not\s+(?:right|correct|true|possible|(?:the|an?)\s+(?:right\s+|"
    r"correct\s+|final\s+)?(?:answer|solution|result))|too\s+(?:big|small|large|low|high)|a\s+mistake)\b"
)
_WITHDRAWN = re.compile(
    rf"[^.;:\d]{{0,40}},?\s+but\s+(?:that|this|it|which)\s*(?:is|was|'s|’s|seems|looks)?\s+(?:be\s+)?{_FALSE}"
    r"|[^.;:\d]{0,40},?\s+but\s+(?:that|this|it|which)\s+can(?:not|'t|’t)\s+be\b"
    rf"|\s+(?:[a-z]+\s+)?(?:is|was|are|were)\s+(?:clearly\s+|obviously\s+|definitely\s+)?{_FALSE}",
    re.IGNORECASE,
)
_EXCEPTED = re.compile(
    r"\b(?:(?:any|every)thing\s+but|all\s+but|any\s+(?:number|value)\s+(?:but|except)|other\s+than|"
    r"except(?:\s+for)?|neither\s+[^.;]{1,40}\s+nor|neither)\s+$",
    re.IGNORECASE,
)


# "did not keep 25", "I doubt that it is 25"; a comma or a copula begins a new statement.
_DENIED = re.compile(
    r"(?:\b(?:not|never|cannot|no\s+longer)|n['’]t)\s+(?:(?!(?:is|are|was|were|be|than|by|so|because|since|for|"
    r"until|only)\b)[a-z]+\s+){0,2}(?:[a-z]\s?=\s?)?[＄£€]?$"
    r"|(?<!no )(?<!not )(?<!n't )(?<!without )(?<!without a )\bdoubt\b[^.,;:]{0,30}$"
    r"|\b(?:wrong|incorrect|mistake|false)\s+to\s+(?:say|answer|think|claim|write)\s+"
    r"(?:that\s+)?(?:it\s+is\s+)?$",
    re.IGNORECASE,
)
_BOUND_BEFORE = re.compile(
    r"(?:\b(?:at\s+(?:least|most)|no\s+(?:more|less|fewer)\s+than|up\s+to|almost|nearly|not\s+quite|"
    r"(?:a\s+)?(?:maximum|minimum)\s+of|(?:just|slightly|well|little|bit)\s+(?:under|over|below|above))"
    r"|(?:^|\b(?:is|are|was|were|has|have|had)\s+)(?:under|over|below|above))\s+(?:the\s+|a\s+)?[＄£€]?$",
    re.IGNORECASE,
)
_BOUND_BEHIND = re.compile(
    r"(?:\s+[a-z]+){0,2}?\s+(?:or\s+(?:more|less|fewer)|at\s+(?:least|most)|and\s+(?:more|up))\b"
    r"|\+(?=\s*(?:[a-z.]|$))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Changed:
    """What a number becomes by what touches it: ``text``, or the values that stay ``open``."""

    text: str = ""
    open: tuple[str, ...] = ()


def change_of(
    text: str, numeral: Numeral, numerals: list[Numeral], *, counted: bool
) -> Changed | None:
    """Return what one of a sentence's ``numerals`` is changed to; None where it stands for itself.

    ``counted`` says that the question counts what the words behind the number name.
    """
    shown = numeral.text
    ahead = text[max(0, numeral.start - 60) : numeral.start]
    behind = text[numeral.end : numeral.end + 60]
    if (rooted := _ROOTED.search(ahead)) is not None:
        return Changed(f"{''.join(rooted[1].replace('(', '').split())}{shown}")
    if (before := _BEFORE.search(ahead)) is not None:
        return Changed(open=(shown, f"{' '.join(before.group().split())} {shown}"))
    named = _LETTERS_BEFORE.search(ahead) if not numeral.spelled else None
    if named is not None and named.group().lower() not in _CURRENCIES:
        return Changed(open=(shown, f"{named.group()}{shown}"))
    after = _BEHIND.match(behind)
    if after is not None and (found := _by_suffix(after, shown, counted)):
        return found
    if (listed := _LISTED.match(behind)) is not None and not counted:
        return Changed(open=(shown, listed.group().strip(" ,")))
    if not shown.isdigit() and not numeral.money and _OF_NUMBER.match(behind):
        return Changed(open=(shown, f"{shown}{behind.split('.')[0]}"))
    return _beside(text, numeral, numerals, counted)


def is_taken_back(text: str, start: int, end: int) -> bool:
    """Return whether a sentence corrects, withdraws or excepts the number within itself."""
    behind = text[end : end + 120]
    return bool(
        _CORRECTED.match(behind)
        or _WITHDRAWN.match(behind)
        or _EXCEPTED.search(text[max(0, start - 60) : start])
    )


def is_denied(text: str, start: int) -> bool:
    """Return whether the verb before a number denies it: "he did not keep 25"."""
    return _DENIED.search(text[max(0, start - 60) : start]) is not None


def is_bound(text: str, start: int, end: int) -> bool:
    """Return whether a number only bounds what is meant: "at least 12", "nearly 12"."""
    before = _BOUND_BEFORE.search(text[max(0, start - 40) : start])
    return before is not None or _BOUND_BEHIND.match(text, end) is not None


def _by_suffix(after: re.Match[str], shown: str, counted: bool) -> Changed | None:
    behind = after.group().strip()
    if after.group("pi"):
        return Changed(f"{shown}π")
    if after.group("root"):
        return Changed(f"{shown}{behind}")
    if after.group("power"):
        return Changed(f"{shown}{_POWERS[behind.lower()]}")
    if after.group("vulgar"):
        return Changed(f"{shown} {_VULGAR[behind]}")
    if after.group("part"):
        if counted or not shown.isdigit():
            return None  # coins, or the parts that were asked for
        return Changed(f"{shown}/{DENOMINATORS[behind.lower()]}")
    if after.group("apostrophe"):
        return Changed(shown + behind[1:])
    return Changed(open=(shown, f"{shown}{after.group().rstrip()}"))


def _beside(text: str, numeral: Numeral, numerals: list[Numeral], counted: bool) -> Changed | None:
    """Return the values that stay open where another number is joined to this one."""
    at = numerals.index(numeral)
    for left, right in pairwise(numerals[max(0, at - 1) : at + 2]):
        joined = _JOINT.fullmatch(text[left.end : right.start])
        if joined is None:
            continue
        either = _EITHER.search(text[: left.start])
        if either or _leaves_open(joined, text[right.end : right.end + 30], counted):
            return Changed(open=(left.text, right.text))
    return None


def _leaves_open(joined: re.Match[str], behind: str, counted: bool) -> bool:
    """Return whether two joined numbers are two values: with words of their own behind them they
    may be one ("60 minutes or 1 hour") or two things counted.
    """
    unit, joint = (joined.group("unit") or "").lower(), joined.group("joint").lower()
    after = _NEXT_WORD.match(behind)
    if unit and (after is None or stem(after.group(1).lower()) != stem(unit)):
        return False
    return not counted or joint != "and"
