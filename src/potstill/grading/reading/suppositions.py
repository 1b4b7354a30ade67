"""Sentences that hold only under a condition that the problem does not state.

"If he loses none, he has 7" states nothing where he loses 2. A condition that repeats the problem
("If he has 7 and loses 2"), one that says how it is worked out ("If we subtract"), and one that
only hedges ("If I am right") leave their sentence as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from potstill.grading.reading.numerals import values_in
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.sentences import Sentence, letters_of, stem
from potstill.grading.reading.vocabulary import COMMON

__all__ = ["is_supposed"]

_FIRST = re.compile(
    r"(?i)^(?:(?:so|then|and|but|now|also|even|however|similarly|in\s+(?:that|this)\s+case)\b,?\s+)*"
    r"(?P<word>if|unless)\s+(?P<clause>[^?]{3,300}?)(?:,|\bthen\b)"
)
_LAST = re.compile(
    r"(?i)\S\s(?<!\bas\s)(?<!\beven\s)(?<!\bonly\s)(?<!\bsee\s)(?<!\bcheck\s)(?<!\bknow\s)(?<!\btell\s)"
    r"(?<!\bverify\s)(?<!\bdetermine\s)(?<!\bfind\sout\s)(?P<word>if|unless)\s(?P<clause>[^?,;]{3,200})$"
)
_SUPPOSED = re.compile(
    r"(?i)^(?:(?:now|so|but|and)\b,?\s+)?(?:suppose|supposing|imagine|let['’]?s\s+(?:say|suppose|assume))\s+"
    r"(?P<clause>[^.?!]{3,200})[.!]?$"
)
_FOLLOWS = re.compile(r"(?i)^(?:then|so|in\s+(?:that|this)\s+case|this|that)\b")
# How it is worked out, or a hedge; "no other" leaves everything as it is.
_IDLE = re.compile(
    r"(?i)^(?:that\b|so\b|not\b|(?:i|we|you|one)(?:['’]m|['’]re|['’]ve)?\b"
    r"|(?:(?:all|any|the|my|our|this|these|that)\s+){1,2}(?:\w+\s+){0,3}(?:is|are|was|were)\s+"
    r"(?:right|correct|true|accurate|valid)\b)"
    r"|\b(?:needed|necessary|possible|applicable|desired|preferred)$"
    r"|\b(?:no|nothing|none\s+of\s+the|any)\s+(?:other|more|else|further)\b(?!.*\b(?:but|except)\b)"
)
_FORMULA = re.compile(r"[=<>≤≥\\\ue000]")
_NEGATIONS = frozenset(
    ["no", "none", "not", "never", "without", "nobody", "nothing", "neither", "zero", "t"]
)
_OTHERWISE = frozenset(["instead", "else", "otherwise", "another", "again"])
_KNOWN = frozenset(map(stem, (*COMMON, "do", "does", "then")))


_IFS = frozenset(["if", "unless"])
_SUPPOSITIONS = frozenset(["suppose", "supposing", "imagine", "say", "assume"])
# How many sentences before a condition tell what is known.
NEAR = 40


def is_supposed(text: str, place: int, sentences: list[Sentence], question: AskedQuestion) -> bool:
    """Return whether a sentence, or what is kept of it in ``text``, holds only under a condition
    that neither the problem states nor the sentences before it.
    """
    last = sentences[place - 1] if place else None
    follows = last is not None and not _SUPPOSITIONS.isdisjoint(last.letters)
    if not follows and _IFS.isdisjoint(sentences[place].letters):
        return False
    before = " ".join(sentence.text for sentence in sentences[max(0, place - NEAR) : place])
    if last is not None and follows and _FOLLOWS.match(text):
        supposed = _SUPPOSED.match(last.text)
        if supposed is not None:
            return _is_new(supposed["clause"], before, question, supposed=True)
    return any(
        (found["word"].lower() == "unless" and not _IDLE.search(found["clause"]))
        or _is_new(found["clause"], before, question)
        for found in _conditions(text)
    )


def _conditions(text: str) -> Iterator[re.Match[str]]:
    for pattern in (_FIRST, _LAST):
        if (found := pattern.search(text.rstrip(" .!*"))) is not None:
            yield found


def _is_new(clause: str, before: str, question: AskedQuestion, *, supposed: bool = False) -> bool:
    """Return whether a condition says what the problem does not."""
    if _FORMULA.search(clause) or (not supposed and _IDLE.search(clause)):
        return False
    letters, told = letters_of(clause), question.letters
    if not _NEGATIONS.isdisjoint(letters) and _NEGATIONS.isdisjoint(told):
        return True
    if not _OTHERWISE.isdisjoint(letters) and _OTHERWISE.isdisjoint(told):
        return True
    if values_in(clause) - question.numbers - values_in(before) - {"1"}:
        return True
    stems = {stem(word) for word in letters if len(word) > 1} - _KNOWN
    new = stems - {stem(word) for word in told | letters_of(before)}
    return not supposed and len(new) > len(stems) / 2
