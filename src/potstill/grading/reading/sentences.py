"""A response as the sentences that a reader sees: lines, ends, money and formulas told apart.

Every function is linear in the length of its text.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from potstill.grading.maths.normalise import MONEY
from potstill.grading.reading.vocabulary import ABBREVIATIONS, PASTS, UNIT_ABBREVIATIONS

__all__ = ["Sentence", "hangs", "letters_of", "money_marked", "sentences_of", "stem", "words_of"]


# It begins with one set of characters, which the search jumps to.
_END = re.compile(
    r"[.!?。！？\\](?:(?<=[.!?])(?:['\")\]*_]{0,4}(?=\s)|(?=[A-Z][a-z]+\s[a-z])|['\")\]*_]{0,4}$)"
    r"|(?<=[。！？])|(?<=\\)\](?=\s*[A-Z][a-z]|\s*$))"
)
_ITEM_NUMBER = re.compile(r"\s*\(?\d{1,3}[.)]\s*")
_LAST_WORD = re.compile(r"([A-Za-z][A-Za-z.]*)$")
_NAME_BEFORE = re.compile(r"(?:[A-Z][a-z]+|[A-Z]\.)\s?$")
_DISPLAY = re.compile(r"\\\[.{0,3000}?\\\]|\$\$.{0,3000}?\$\$", re.S)
# Displayed formulas that stand without brackets, and drawings, which say nothing.
_ENVIRONMENT = re.compile(
    r"(?<!\\\[)(?<!\\\[\s)(?<!\$\$)\\begin\{(?P<name>align|aligned|gather|gathered|equation|"
    r"eqnarray|multline|split)"
    r"\*?\}(?P<inside>.{0,4000}?)\\end\{(?P=name)\*?\}",
    re.S,
)
_DRAWING = re.compile(r"\[asy\].{0,8000}?(?:\[/asy\]|\Z)", re.S)
_FORMULA = re.compile(
    r"\\\[(?P<a>.{1,2000}?)\\\]|\\\((?P<b>.{1,600}?)\\\)|\$\$(?P<c>[^$]{1,2000})\$\$"
    # A dollar pair is TeX where no mark has a space inside and no digit follows, as in Pandoc.
    r"|(?<![\\$\d])\$(?P<d>[^\s$](?:[^$\n]{0,400}[^\s$\\])?)\$(?!\d)",
    re.S,
)
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}(?![A-Za-z])")
_IN_TEXT = re.compile(
    r"\\(?:text|mathrm|mbox|textbf|operatorname)\s?\{[^{}]*\}|\\(?:begin|end)\s?\{[^{}]*\}|\\[A-Za-z]+"
)
_MARKUP = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|`|^\s{0,3}#{1,6}\s+|^\s*>\s?")
_MARKED_UP = re.compile("[*_`#>]")
_ITEM = re.compile(r"^\s*(?:[-*•–]\s+|\(?\d{1,3}[.)]\s+|(?:step\s+\d+\s*[:.)-]\s*))", re.IGNORECASE)
_ENDS = frozenset(".!?:;)]}$|。！？＞>")
_HANGS = re.compile(r"(?:[=+(/,]|(?:\A|\s)\$)\s*\Z")
_LETTERS = re.compile("[a-z]+")
_WORD = re.compile(r"[A-Za-z][A-Za-z']*|\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(slots=True)
class Sentence:
    """One sentence: its text without markup, where it starts, whether it ends and begins a line.

    ``line`` numbers the line it stands in, ``item`` says that the line is an item of a list, and
    ``ended`` whether a full stop, a bracket or a new line closes it. ``letters`` are its runs of
    letters in lower case: looking one up there is cheaper than a pattern.
    """

    text: str
    start: int
    line: int
    item: bool
    ended: bool
    letters: frozenset[str]


# A sentence within its line: where it starts, its text, its letters.
_Piece = tuple[int, str, frozenset[str]]


def letters_of(text: str) -> frozenset[str]:
    """Return the runs of the letters a to z of a text, in lower case."""
    return frozenset(_LETTERS.findall(text.lower()))


def sentences_of(text: str) -> list[Sentence]:
    """Return the sentences of a text in order, displayed formulas within their sentence."""
    if "\\[" in text or "$$" in text:
        text = _DISPLAY.sub(lambda found: found.group().replace("\n", " "), text)
    found: list[Sentence] = []
    # A text that is caught in a loop says the same lines over and over.
    known: dict[str, tuple[bool, list[_Piece]]] = {"": (False, [])}
    start = 0
    for number, line in enumerate(text.split("\n")):
        if line not in known:
            known[line] = _in_line(line)
        item, pieces = known[line]
        # The number of a next item that never came is no sentence.
        if pieces and not (found and found[-1].item and _ITEM_NUMBER.fullmatch(line)):
            found += [
                Sentence(plain, start + at, number, item, True, letters)
                for at, plain, letters in pieces
            ]
        start += len(line) + 1
    if found and not _is_ended(found[-1].text) and (hangs(text) or not text[-1:].isspace()):
        found[-1] = replace(found[-1], ended=False)
    return found


def hangs(text: str) -> bool:
    """Return whether a text ends before something that has to follow: "84 =", "and (", a lone $."""
    return _HANGS.search(text[-40:]) is not None


def _in_line(line: str) -> tuple[bool, list[_Piece]]:
    """Return whether a line is an item of a list, and its sentences."""
    if not line.strip():
        return False, []
    item = _ITEM.match(line)
    begin = item.end() if item else 0
    pieces: list[tuple[int, int]] = []
    for match in _END.finditer(line, begin):
        if _ends_none(line, match, begin):
            continue
        pieces.append((begin, match.end()))
        begin = match.end()
    if line[begin:].strip():
        pieces.append((begin, len(line)))
    return item is not None, [
        (a, plain, letters_of(plain)) for a, b in pieces if (plain := _plain(line[a:b]))
    ]


def _ends_none(line: str, match: re.Match[str], begin: int) -> bool:
    """Return whether a full stop belongs to an abbreviation, an initial or a number."""
    if match.group()[0] != ".":
        return False
    at = match.start()
    opened = line.rfind("\\[", begin, at)
    if opened >= 0 and line.find("\\]", opened, at) < 0:
        return True  # within a displayed formula
    if not line[at - 1 : at].isalpha() and line[at - 1 : at] != ".":
        return False
    before = _LAST_WORD.search(line, max(begin, at - 12), at)
    if before is None:
        return False
    word = before.group(1).lower()
    if before.start() > begin and line[before.start() - 1] not in " (*_\"'[":
        return False
    if len(word) > 1 and word not in ABBREVIATIONS and word not in UNIT_ABBREVIATIONS:
        return False
    after = line[match.end() : match.end() + 12].lstrip(" *_\"'(")
    if word in ABBREVIATIONS:
        return word != "no" or after[:1].isdigit()
    if before.start() == begin and re.fullmatch("[A-J]", before.group(1)):
        return True  # the letter of a choice
    if len(word) == 1 and before.group(1).isupper() and after[:1].isupper():
        # "Ann B. Cole" and "J. Cole"; but "A, B and C. So" ends.
        return before.start() == begin or bool(_NAME_BEFORE.search(line[: before.start()][-24:]))
    return word in UNIT_ABBREVIATIONS and not after[:1].isupper()


def _plain(text: str) -> str:
    return (_MARKUP.sub("", text) if _MARKED_UP.search(text) else text).strip()


def _is_ended(text: str) -> bool:
    return text.rstrip(" *_`\"'")[-1:] in _ENDS


_INDEXED = re.compile(
    r"(?<![\w\\.^])[A-Za-z](?:_\{?\d\}?|[₀-₉]|\d)\s?=\s?[-−]?\d+(?:[.,/]\d+)*(?![\w/^])"
)


def money_marked(text: str) -> str:
    """Return a text in which every dollar sign that means money is :data:`MONEY`.

    A dollar sign is TeX where two of them pair around something without prose; elsewhere, and where
    it is escaped, it is money where a digit follows and is dropped where none does.
    """
    if "&" in text:
        text = html.unescape(text)
    if "[asy]" in text:
        text = _DRAWING.sub(" ", text)
    if "\\begin" in text:
        text = _ENVIRONMENT.sub(lambda m: f"\\[{m.group('inside')}\\]", text)
    if "$" not in text and "\\(" not in text and "\\[" not in text:
        # "x_1 = 2 and x₂ = 3" without marks
        if "=" not in text or len(_INDEXED.findall(text)) < 2:
            return text
        text = _INDEXED.sub(r"\\(\g<0>\\)", text)
    text = text.replace("\\$", MONEY)
    kept: list[str] = []
    at = 0
    for match in _FORMULA.finditer(text):
        inside = next(group for group in match.groups() if group is not None)
        if match.group("d") is not None and _PROSE.search(_IN_TEXT.sub(" ", inside)):
            continue
        kept.append(_money(text[at : match.start()]))
        marks = "()" if match.group("d") is not None or match.group("b") is not None else "[]"
        # What ends a formula ends its clause or sentence too.
        bare = inside.rstrip()
        end = (
            bare[-1]
            if bare[-1:] in (".", ",", ";") and not bare.endswith(("..", "\\,", "\\;"))
            else ""
        )
        kept.append(f"\\{marks[0]}{bare[:-1] if end else inside}\\{marks[1]}{end}")
        at = match.end()
    kept.append(_money(text[at:]))
    return "".join(kept)


def _money(text: str) -> str:
    return re.sub(r"\$(?=\s?-?\s?[\d.])", MONEY, text).replace("$", " ")


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Return a word without the endings that number and tense give it, digits without commas."""
    if word[:1].isdigit():
        return word.replace(",", "")
    word = word.lower().removesuffix("'s").removesuffix("'")
    word = PASTS.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) > 2 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text as stems, in order."""
    return list(map(stem, _WORD.findall(text)))
