"""What a number is said of, where that is plainly another thing than the one asked for.

"There are 40 red balls" says nothing of the blue ones, "Boys: 18" nothing of the girls, "Amy has
36" nothing of Ben, and what was sold is not what is left.
"""

from __future__ import annotations

import re

from potstill.grading.maths.number_words import spelled_number
from potstill.grading.reading.numerals import Numeral, NumeralRole
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.rivals import LEFT, TAKEN_AWAY, opposites_of
from potstill.grading.reading.sentences import stem, words_of

__all__ = ["is_of_another", "label_of", "says_opposite"]

_BEHIND = re.compile(r"\s+(?:more\s+|other\s+)?([A-Za-z][A-Za-z'-]*)(\s+(?:and|&|or)\b)?")
_LABEL = re.compile(r"(?:^|[,;.\n(]|\band\b)\s*([A-Za-z][A-Za-z' -]{0,40}?)\s*[:=]\s*[(\[＄£€]*$")
_SUBJECT = re.compile(
    r"(?:(?i:and|so|but|then|while|therefore|thus|hence|now|that|means)\b|[\s,;:])*([A-Z][a-z]+)\b(?!['’]s)",
)
_OF_THINGS = re.compile(
    r"\b(?:number|count|amount)\s+of\s+([a-z][a-z' -]{0,40}?)\s+(?:is|was|equals)\s*[(\[＄£€]*$",
    re.IGNORECASE,
)
_AGO = re.compile(r"\b(?:\w+\s+)(?:day|week|month|year|hour|minute)s?\s+ago\b", re.IGNORECASE)
_AFTER = re.compile(
    r"\b(?:after|in)\s+(?P<count>\w+)\s+(?P<unit>day|week|month|year|hour|minute)s?\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_VERB_BEFORE = re.compile(r"([A-Za-z]+)\s+(?:(?:away|up|off|out|only|all|exactly|the|a)\s+){0,2}$")
_VERB_BEHIND = re.compile(
    r"(?:\s+(?!(?:and|but|so)\b)[a-z]+){0,3}?\s+(?:was|were|are|is|have\s+been|got)\s+([a-z]+)",
    re.IGNORECASE,
)
_HAS_NOW = re.compile(r"\b(?:have|has|are\s+there|is\s+there)\b.*\b(?:now|left)\b", re.IGNORECASE)
_CONDITION = re.compile(r",?\s(?:if|when|given\s+that)\s", re.IGNORECASE)
_NEGATES = re.compile(r"\b(?:not|never|without)\b|n['’]t\b", re.IGNORECASE)
_NOT_BEFORE = re.compile(r"(?:\bnot|n['’]t|\bnever)\s+$", re.IGNORECASE)
_WORDS_BEHIND = re.compile(r"(?:\s+[A-Za-z]+){1,5}")


def label_of(text: str, numeral: Numeral) -> frozenset[str]:
    """Return the stems of the words that label a number: "Boys: 18", "girls = 12"."""
    before = text[max(0, numeral.start - 60) : numeral.start]
    found = _LABEL.search(before) or _OF_THINGS.search(before)
    return frozenset(words_of(found.group(1))) if found is not None else frozenset()


def is_of_another(text: str, numeral: Numeral, clause: str, question: AskedQuestion) -> bool:
    """Return whether a sentence gives a number to another thing or person than is asked for.

    ``clause`` is the clause of the number.
    """
    if _is_of_another_time(clause, question.asked):
        return True
    label = label_of(text, numeral)
    said = {stem(name) for name in question.other_names} if question.names else set()
    if label and label.isdisjoint(question.words) and not label.isdisjoint(question.rivals | said):
        return True
    if question.names and (subject := _SUBJECT.match(clause)) is not None:
        others = subject.group(1) in question.other_names
        if others and question.names.isdisjoint(_NAME.findall(clause)):
            return True
    if numeral.role in _TOLD and says_opposite(clause, question):
        return True
    return _counts_another(text, numeral, question) or _was_taken_away(text, numeral, question)


def _is_of_another_time(clause: str, asked: str) -> bool:
    """Return whether a clause speaks of a time that the question does not: "two years ago", "after
    two days" where it asks for one day.
    """
    if "ago" in clause and _AGO.search(clause):
        return _AGO.search(asked) is None
    theirs = _AFTER.search(asked)
    ours = _AFTER.search(clause) if theirs is not None else None
    if theirs is None or ours is None or theirs["unit"].lower() != ours["unit"].lower():
        return False
    one, two = (spelled_number(x["count"]) or x["count"] for x in (theirs, ours))
    return one != two and one.isdigit() and two.isdigit()


_TOLD = (NumeralRole.PLAIN, NumeralRole.LABEL)


def says_opposite(clause: str, question: AskedQuestion) -> bool:
    """Return whether a clause says that they failed where it is asked how many passed."""
    opposites = opposites_of(frozenset(words_of(_CONDITION.split(question.asked)[0])))
    if not opposites or _NEGATES.search(clause):
        return False
    said = set(words_of(clause))
    return not opposites.isdisjoint(said) and opposites_of(frozenset(opposites)).isdisjoint(said)


def _counts_another(text: str, numeral: Numeral, question: AskedQuestion) -> bool:
    """Return whether the word behind a number is another thing than the one that is asked for."""
    behind = _BEHIND.match(text, numeral.end)
    if behind is None or behind.group(2) or stem(behind.group(1)) not in question.rivals:
        return False
    near = words_of(_WORDS_BEHIND.match(text, numeral.end)[0])[:4]  # type: ignore[index]
    # "12 apple pies" are pies, "40 wooden blue balls" blue ones.
    match len(question.things):
        case 1:
            return question.head not in near[:2]
        case 2:
            return (question.things - {question.head}).isdisjoint(near)
    return question.things.isdisjoint(near)


def _was_taken_away(text: str, numeral: Numeral, question: AskedQuestion) -> bool:
    """Return whether a number is what was sold where what is left is asked for, or the reverse."""
    if numeral.role not in _TOLD:
        return False
    asks_left = not LEFT.isdisjoint(question.words) or _HAS_NOW.search(question.asked) is not None
    if asks_left is not TAKEN_AWAY.isdisjoint(question.words):
        return False
    behind = _WORDS_BEHIND.match(text, numeral.end)
    following = words_of(behind[0])[:4] if behind is not None else []
    if not asks_left:
        return not LEFT.isdisjoint(following) and TAKEN_AWAY.isdisjoint(following)
    if not LEFT.isdisjoint(following):
        return False
    before = _VERB_BEFORE.search(text[: numeral.start])
    if before is not None and stem(before.group(1)) in TAKEN_AWAY:
        return _NOT_BEFORE.search(text[: before.start()]) is None
    verb = _VERB_BEHIND.match(text, numeral.end)
    return verb is not None and stem(verb.group(1)) in TAKEN_AWAY
