"""What of a response is its final answer, and by which rule it was found.

Every rule is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from potstill.records import AnswerKind

__all__ = ["Extraction", "boxed_values", "extract", "has_open_box"]

BARE_LENGTH = 120
TAIL_LENGTH = 4_000
_BOX = re.compile(r"\\f?boxed\s*(?=\{)|\\f?boxed\s+(?=[^\s{])")
_ANSWER_LINE = re.compile(
    r"(?im)^[\s>#*_\-\[(]{0,12}(?:so,?\s+|thus,?\s+|therefore,?\s+|hence,?\s+)?(?:the\s+|my\s+|our\s+)?"
    r"(?:final\s+|correct\s+)?(?:answer|result)\**\s{0,3}(?:\([a-z ]{1,20}\)\s?)?(?:is\s{0,3}:|:|=)"
    r"[\s*_]{0,8}(?P<rest>[^\n]{0,2000})"
)
_HASHES = re.compile(r"(?m)^\s{0,8}####\s{0,4}(?P<rest>[^\n]{1,400})")
_ANSWER_IS = re.compile(
    r"(?i)\b(?:final\s+|correct\s+)?answer\**\s{0,3}(?:\([a-z ]{1,20}\)\s?)?(?:to\s[^.\n]{1,80}?)?"
    r"(?:is|are|will be|would be|must be|should be|equals|comes out to|:|=)\**\s{0,3}:?\s{0,3}"
    r"(?:therefore\s|thus\s|simply\s|then\s|just\s)?(?P<rest>[^\n]{1,600})"
)
_CONCLUSION = re.compile(
    r"(?i)\b(?:therefore|thus|hence|so|in conclusion|consequently|finally|"
    r"we (?:get|find|have|obtain)|"
    r"this gives|which gives|it follows that)\b[,:]?\s{0,3}(?P<rest>[^\n]{1,400})"
)
_SENTENCE_END = re.compile(r"(?<![\d.])\.(?:\s|$)|\.(?=\s+[A-Z])|\.\s*$|(?<=[a-z)$}])\.(?=\s|$)")
_MATH = re.compile(
    r"\$\$([^$]{1,400})\$\$|\$([^$]{1,400})\$|\\\((.{1,400}?)\\\)|\\\[(.{1,400}?)\\\]", re.S
)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?%?")
_LETTER = re.compile(
    r"(?:\b(?:option|choice|letter|answer(?: is)?)\s*:?\s*\(?([A-H])\b|\(([A-H])\))"
)
_PROSE = re.compile(
    r"(?i)\b(?:therefore|because|since|the|we|is|are|so|thus|hence|please|cannot|problem|"
    r"i|let|that|this|which|would|have)\b"
)
_CLAUSE = re.compile(r"[;→⇒]|\\(?:Right|right)arrow|\\implies|,\s+(?=[A-Za-z])|\.\s+(?=[A-Z])")
# A short text that works something out is no bare answer.
_WORKED_OUT = re.compile(r"[→⇒;]|\\(?:Right|right)arrow|\\implies|[\d)}]\.\s+[A-Z]|:\s.*=")
_STATED = re.compile(
    r"\b(?:is|are|equals|gives|yields|be)\s+(?:exactly\s+|approximately\s+)?(\S[^,;]*)$"
)
_THINK_END = re.compile(r"</think(?:ing)?>")
_LISTS = (AnswerKind.SET, AnswerKind.LIST, AnswerKind.TUPLE)
_JOINTS = re.compile(
    r"(?i)^[\s$\\()\[\].,;:!]*(?:(?:and|or|,|;|\\text\s?\{\s*(?:and|or)\s*\}|as well as|"
    r"\\quad|\\qquad|[a-z]\s?(?:_\{?\w\}?)?\s?=|\$)[\s$\\()\[\].,;:!]*){0,6}$"
)


@dataclass(frozen=True, slots=True)
class Extraction:
    """An answer as text and the rule that found it; both empty where none was found."""

    text: str
    rule: str


def extract(text: str, kind: str = "") -> Extraction:
    """The final answer of a response.

    In this order: the last ``\\boxed{}`` (several side by side where the kind is a list), the last
    "Answer:" line, a text short enough to be the answer itself, the answer's own sentence.
    """
    if (end := _last(_THINK_END, text)) is not None and text[end.end() :].strip():
        text = text[end.end() :]
    if "boxed" in text:
        values = boxed_values(text)
        if values:
            if kind in _LISTS and len(values) > 1:
                return Extraction(", ".join(dict.fromkeys(v for v, _, _ in values)), "boxed list")
            return Extraction(values[-1][0], "boxed")
    stripped = text.strip()
    if (line := _answer_line(stripped)) is not None:
        return Extraction(line, "answer line")
    if _is_bare(stripped):
        return Extraction(stripped, "bare")
    return _from_sentence(stripped[-TAIL_LENGTH:], kind)


def boxed_values(text: str) -> list[tuple[str, int, int]]:
    """The last complete ``\\boxed`` values that stand side by side, with where they start and end.

    Side by side are boxes with nothing but "and", commas or a variable's name between them.
    """
    found: list[tuple[str, int, int]] = []
    for match in _BOX.finditer(text):
        start = match.end()
        end = _closing(text, start) if text[start] == "{" else min(start + 1, len(text))
        if end is None:
            continue
        value = text[start + 1 : end - 1] if text[start] == "{" else text[start:end]
        if value.strip() and not (found and match.start() < found[-1][2]):
            found.append((value.strip(), match.start(), end))
    group: list[tuple[str, int, int]] = []
    for box in reversed(found):
        if group:
            between = text[box[2] : group[-1][1]]
            if len(between) > 80 or not _JOINTS.match(between):
                break
        group.append(box)
    return group[::-1]


def has_open_box(text: str) -> bool:
    """Whether the last ``\\boxed`` of a text never closes."""
    last = _last(_BOX, text)
    if last is None:
        return text.rstrip().endswith(("\\boxed", "\\fbox"))
    return text[last.end()] == "{" and _closing(text, last.end()) is None


def _closing(text: str, start: int) -> int | None:
    """The index behind the brace that closes the one at ``start``; boxes are short, so bounded."""
    depth, index = 0, start
    limit = min(len(text), start + 4_000)
    while index < limit:
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index + 1
        index += 1
    return None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None


def _answer_line(text: str) -> str | None:
    """The value behind the last "Answer:", on the same line or on the next that is not blank."""
    candidates = [m for m in (_last(_ANSWER_LINE, text), _last(_HASHES, text)) if m is not None]
    if not candidates:
        return None
    match = max(candidates, key=lambda found: found.start())
    rest = _trimmed(match.group("rest"))
    if not rest:
        following = text[match.end() : match.end() + 2_000].split("\n")
        rest = next((_trimmed(line) for line in following if _trimmed(line)), "")
        if rest in ("\\[", "$$", "\\("):
            rest = _trimmed(" ".join(following))
    return _phrase(rest) or None


def _trimmed(text: str) -> str:
    return text.strip().strip("*_").strip()


def _phrase(text: str) -> str:
    """An answer's own words without the sentence that goes on after them."""
    text = _trimmed(text)
    end = _SENTENCE_END.search(text)
    if end is not None and end.start() > 0:
        text = text[: end.start()]
    maths = [next(g for g in m.groups() if g is not None) for m in _MATH.finditer(text)]
    if maths and _PROSE.search(_MATH.sub(" ", text)):
        return maths[-1].strip() if len(maths) == 1 else text
    return _trimmed(text)


def _is_bare(text: str) -> bool:
    if len(text) > BARE_LENGTH or "\n" in text or len(_PROSE.findall(text)) > 1:
        return False
    return not _WORKED_OUT.search(text) and text.count("=") < 4


def _from_sentence(text: str, kind: str) -> Extraction:
    if (match := _last(_ANSWER_IS, text)) is not None:
        phrase = _phrase(match.group("rest"))
        value = _value_in(phrase, kind)
        if value:
            return Extraction(value, "sentence")
    tail = [line for line in text.split("\n") if line.strip()]
    if not tail:
        return Extraction("", "")
    last = tail[-1].strip()[-600:]
    if (match := _last(_CONCLUSION, last)) is not None:
        last = match.group("rest")
    value = _conclusion_value(last, kind)
    return Extraction(value, "sentence") if value else Extraction("", "")


def _value_in(phrase: str, kind: str) -> str:
    """The value of "is 12 square feet" or "is option (C)"; the phrase itself where it is short."""
    if kind == AnswerKind.LETTER and (match := _LETTER.search(phrase)):
        return match.group(1) or match.group(2)
    if len(phrase) <= 60 and not _PROSE.search(phrase):
        return phrase
    return _conclusion_value(phrase, kind)


def _conclusion_value(sentence: str, kind: str) -> str:
    """The one value a sentence states; nothing where it states several."""
    if kind == AnswerKind.LETTER:
        letters = {m.group(1) or m.group(2) for m in _LETTER.finditer(sentence)}
        return letters.pop() if len(letters) == 1 else ""
    if kind in (AnswerKind.WORD, AnswerKind.DATE, AnswerKind.TIME, AnswerKind.WORD_NUMBER):
        words = re.sub(r"^.*\b(?:is|are|be|was)\b", "", sentence).strip(" .*")
        return words if 0 < len(words) <= 60 else ""
    maths = [next(g for g in m.groups() if g is not None) for m in _MATH.finditer(sentence)]
    if len(maths) == 1:
        return _last_side(maths[0])
    if maths:
        return ""
    if kind in _LISTS or kind in (AnswerKind.INTERVAL, AnswerKind.MATRIX, AnswerKind.EQUATION):
        groups = re.findall(r"[(\[{][^()\[\]{}]{1,200}[)\]}]", sentence)
        return groups[0] if len(groups) == 1 else ""
    sentence = _last_clause(sentence)
    if "=" in sentence:
        after = sentence.rsplit("=", 1)[1].strip(" .*")
        return after if len(after) <= 60 else ""
    stated = _STATED.search(sentence)
    if stated is not None and len(stated.group(1)) <= 40 and re.search(r"[\d√π]", stated.group(1)):
        return stated.group(1).strip(" .*")
    numbers = {m.group() for m in _NUMBER.finditer(sentence)}
    return numbers.pop() if len(numbers) == 1 else ""


def _last_side(maths: str) -> str:
    """The end of a chain of equations and implications."""
    return re.split(r"=|→|⇒|\\(?:Right|right)arrow|\\implies", maths)[-1].strip()


def _last_clause(sentence: str) -> str:
    """What a sentence comes to: its part after the last arrow, semicolon or comma before words."""
    clauses = [clause for clause in _CLAUSE.split(sentence) if re.search(r"[\d√π]", clause)]
    return clauses[-1] if clauses else sentence
