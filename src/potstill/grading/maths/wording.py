"""Equality of answers that are words: letters, words, words with a number."""

from __future__ import annotations

import re
from functools import lru_cache

from potstill.grading.maths.choices import names_several
from potstill.grading.maths.clock import WEEKDAYS
from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.normalise import MONEY, tidy, tidy_words
from potstill.grading.maths.numbers import compare_scalars
from potstill.grading.maths.polarity import POLAR, affirms_or_denies
from potstill.grading.maths.unit_table import UNIT
from potstill.records import Opinion

__all__ = ["IDLE_NO", "compare_letters", "compare_word_numbers", "compare_words", "read_letter"]

IDLE_NO = re.compile(
    r"(?i)\b(?:there\s+is\s+|i\s+have\s+)?no\s+(?:doubts?|question|problem|wonder|matter|need|way|"
    r"idea|one|longer|more|less|other)\b"
)
"""A "no" that answers nothing: "there is no doubt"."""

_LETTER = re.compile(
    r"^\W*(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice|letter|statement)\s*(?:is|:)?\s*)?"
    r"[(\[{]*\s*(?P<letter>[A-Za-z])\s*(?:[)\]}]+|[.):]|$)(?P<rest>.*)$",
    re.DOTALL | re.IGNORECASE,
)
# Words of any sentence. What a problem calls its things is taken from its own text.
_FILLERS = """
all the a an is are it its it's this that these those answer final therefore so thus hence of
on in at to by for with per each average expected expects he she they we i will would be
been was were must does do day statement true correct option choice word name result there just
only simply
"""
_FILLER = frozenset(_FILLERS.split())
_STEMS = {
    "loses": "lose", "lost": "lose", "loss": "lose", "losing": "lose",
    "wins": "win", "won": "win", "winning": "win", "gain": "win", "gains": "win",
    "increases": "increase", "increased": "increase", "decreases": "decrease",
    "decreased": "decrease",
}  # fmt: skip
# What turns a word into its opposite, or leaves it open.
_OPEN = frozenset(
    ["not", "never", "neither", "nor", "no", "or", "either", "and", "without", "except", "but"]
)
_LISTED = re.compile(r"(\w+),?\s+(?:or|and)\s+(?:an?\s+|the\s+)?(\w+)|(\w+),\s")
_QUOTED = re.compile(r"['\"‘“]\s?(\w+)[.,]?\s?['\"’”]")


def read_letter(text: str) -> str | None:
    """Return the choice letter that an answer names, in upper case, or None."""
    match = _LETTER.match(tidy(text))
    return match.group("letter").upper() if match else None


# "Ann (12)": a name and its number.
_NUMBERED = re.compile(r"\s*\(\s*[$＄]?\d[\d,.]*(?:\s[a-z]+)?\s*\)(?=\W*$)")


# "A: no, B": another letter behind a denial of the first.
_ANOTHER = re.compile(r"(?i:\b(?:no|not|wrong|wait|actually|rather)\b)[^A-J]{0,20}\b[A-J]\b\W*$")


def compare_letters(key: str, answer: str) -> Comparison:
    """Return whether two answers name the same choice: C, (C), "C) Circle", "option C"."""
    one = read_letter(key)
    if one is None:
        raise KeyUnreadable("the key names no letter")
    bare = re.sub(r"[^A-Za-z]", "", tidy(answer))
    match = _LETTER.match(tidy(answer))
    if match is None:
        if re.fullmatch(r"[A-Za-z]{2,4}", bare):
            return different("more than one letter")
        return unreadable("the answer names no letter")
    rest = match.group("rest")
    again = re.match(r"\s*(?:,|and\b|or\b|&)\s*\(?[A-Za-z]\)?\s*$", rest) or _ANOTHER.search(rest)
    if names_several(tidy(answer)) or again:
        return different("more than one letter")
    two = match.group("letter").upper()
    return equal_with("the same letter") if one == two else different("another letter")


def compare_words(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Return whether two answers are the same word or name, case and filler words aside.

    A key of two forms ("color or colour") is either.
    """
    forms = re.split(r"\s+or\s+", key)
    if len(forms) > 1 and all(form.strip() for form in forms):
        results = [_compare_word(form, answer, problem_text) for form in (key, *forms)]
        equal = next((r for r in results if r.opinion is Opinion.EQUAL), None)
        return equal or results[0]
    return _compare_word(key, answer, problem_text)


def _compare_word(key: str, answer: str, problem_text: str) -> Comparison:
    if not any(map(str.isdigit, key)):
        answer = _NUMBERED.sub("", answer) or answer
    one, two = tidy_words(key), tidy_words(answer)
    if not any(character.isalnum() for character in one):
        raise KeyUnreadable("the key holds no word")
    if tidy(key).isupper() and " " not in one and len(one) in (2, 3) and _compact(key):
        # Letters that name something ("CA") are compared as written.
        if _compact(key) == _compact(answer):
            return equal_with("the same word")
        if re.fullmatch(r"[A-Za-z]{2,4}", _compact(answer)) and one != two:
            return different("other letters")
    if one == two or one.replace(" ", "") == two.replace(" ", ""):
        return equal_with("the same word")
    if not two:
        return unreadable("the answer holds no word")
    if one in POLAR:
        return _compare_polar(one, answer, problem_text)
    wanted, given = _content(one, one), _content(two, one)
    if wanted == given:
        return equal_with("the same word")
    if given[:-1] == wanted and _names_its_kind(given[-1], problem_text):
        return equal_with("the same word")
    if _is_same_list(one, two, problem_text) or _is_said(wanted, two, problem_text):
        return equal_with("the same word")
    own = _own_words(problem_text)
    if not (_OPEN - set(wanted)) & set(given) and [w for w in given if w not in own] == wanted:
        return equal_with("the same word")
    options = _options(problem_text)
    if options and set(wanted) <= options:
        named = [word for word in given if word in options]
        negated = {"not", "never", "neither", "no", "or", "either"} - set(wanted)
        if set(named) == set(wanted) and not negated & set(two.split()):
            return equal_with("the same choice")
        if named:
            return different("another choice")
    short = two[:3]
    if one in WEEKDAYS and len(two.rstrip(".")) <= 5 and one.startswith(two.rstrip(".")):
        return equal_with("the same day") if len(short) == 3 else undecided("too short a name")
    return different("another word")


def _compare_polar(key: str, answer: str, problem_text: str) -> Comparison:
    """Return whether an answer affirms where the key is yes or true, or denies where it is no or
    false.
    """
    said = affirms_or_denies(answer)
    words = tidy_words(answer)
    last = words.endswith(key) and "?" not in answer
    if said is None and last and _content(words, key) == [key]:
        said = POLAR[key]
    if said is None and _denies_existence(words, problem_text):
        said = False
    if said is None:
        return unreadable("the answer neither affirms nor denies")
    if said is POLAR[key]:
        return equal_with("the same word" if key in words.split() else "the same in other words")
    return different("the other word")


_NONE_THERE = re.compile(
    r"(?:(?:there|it|the\s[a-z]+)\s(?:is|are|exists?|has|have)\s)?"
    r"no\s(?P<what>[a-z' -]{2,60}?)(?:\sexists?)?"
)
_ASKS_WHETHER_THERE_IS = re.compile(r"(?i)\b(?:there|have|has|exists?|any|contain|contains)\b")


def _denies_existence(words: str, problem_text: str) -> bool:
    """Return whether "there is no solution" denies that there is what a problem asks for."""
    found = _NONE_THERE.fullmatch(words)
    if found is None or not _ASKS_WHETHER_THERE_IS.search(problem_text[-300:]):
        return False
    asked = set(re.findall(r"[a-z'-]+", problem_text.lower()))
    asked |= {word + "s" for word in asked} | {word.removesuffix("s") for word in asked}
    return set(found["what"].split()) <= asked


def _names_its_kind(word: str, problem_text: str) -> bool:
    """Return whether a last word adds nothing: "rational number", "Alice wins" of a winner."""
    if word in ("number", "function", "series", "sequence"):
        return True
    return (
        word == "wins"
        and re.search(r"(?i)\bwho\b[^.?]{0,40}\bwins?\b|\bwinner\b|winning strategy", problem_text)
        is not None
    )


_AND = re.compile(r"\s*(?:,\s*(?:and\s+)?|\s+and\s+|\s+&\s+)")
_ORDERED = re.compile(
    r"respectively|in order|in that order|order from|\bthen\b|sequence", re.IGNORECASE
)


def _is_same_list(key: str, answer: str, problem_text: str) -> bool:
    """Return whether both join the same names by "and", in whatever order."""
    if " and " not in key or _OPEN - {"and"} & set(key.split()) or _ORDERED.search(problem_text):
        return False
    one, two = (
        sorted(" ".join(_content(piece, piece)) for piece in _AND.split(side))
        for side in (key, answer)
    )
    return len(one) > 1 and all(one) and one == two


_SAID = re.compile(
    r"^((?:(?:the|this|that|it|its|his|her|their|our|he|she|they|[a-z]|an)\b)(?:\s[\w'-]{1,20}){0,8}?)\s"
    r"(?:is|are|was|were|will be|must be)\s(?:(?:called|named|an?|the|always)\s)?([\w' -]{1,60})$"
)
# A subject that is about another thing than what is asked, or denies it.
_OTHER_SUBJECT = frozenset(
    ["wrong", "incorrect", "other", "opposite", "false", "if", "that", "which", "who", "than",
     "another",
     "think", "said", "says", "second", "third", "unlike", "first", "initial", "previous", "only"]
)  # fmt: skip


def _is_said(wanted: list[str], answer: str, problem_text: str) -> bool:
    """Return whether a sentence says of its subject what the key says: "The function is even."

    Words of the subject must be the problem's own, where there is a problem.
    """
    if len(wanted) == 1 and wanted[0].endswith("s") and answer.endswith(" " + wanted[0]):
        answer = f"{answer[: -len(wanted[0])]}is {wanted[0]}"
    match = _SAID.match(answer)
    if match is None or (_OPEN - set(wanted)) & set(answer.split()):
        return False
    subject = set(match.group(1).split()) - _FILLER
    if subject & _OTHER_SUBJECT or _content(match.group(2), match.group(2)) != wanted:
        return False
    low = problem_text.lower()
    if "win" in low:
        subject -= {"winner"}
    return not problem_text or subject <= set(re.findall(r"[\w'-]+", low))


def _compact(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", tidy(text))


def _content(words: str, keep: str) -> list[str]:
    """Return the words that say something; fillers too where the key has no others."""
    only_fillers = all(word in _FILLER for word in keep.split())
    kept = set(keep.split()) if only_fillers else set()
    found = [word.strip(".,;:!'()") for word in words.split()]
    return [word for word in found if word and (word not in _FILLER or word in kept)]


@lru_cache(maxsize=512)
def _own_words(problem_text: str) -> frozenset[str]:
    """Return what a problem calls its things: its small words, without those that it lets choose
    from.
    """
    text = problem_text[-4_000:]
    listed = {word for found in _LISTED.findall(text) for word in found}
    listed |= set(_QUOTED.findall(text))
    small = re.findall(r"(?<![A-Za-z'])[a-z]{3,}(?![A-Za-z'])", text)
    return frozenset(small) - {word.lower() for word in listed} - _OPEN - set(_STEMS)


def _options(problem_text: str) -> set[str]:
    """Return the words that a problem offers: "ALWAYS, SOMETIMES, or NEVER", 'Yes' or 'No'."""
    found = re.findall(r"\b([A-Za-z]+)(?:,? or |, )", problem_text[-600:])
    found += re.findall(r" or '?([A-Za-z]+)", problem_text[-600:])
    return {word.lower() for word in found if word.isupper() or word in ("Yes", "No")}


def compare_word_numbers(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Return whether a word and its number are both the same: "Lose 18" and "lose $18"."""
    word, number = _word_and_number(key, frozenset())
    if number is None or not word:
        raise KeyUnreadable("the key is not a word with a number")
    given, value = _word_and_number(answer, _own_words(problem_text) - set(word))
    if value is None:
        return unreadable("the answer holds no number") if not given else different("no number")
    same_number = compare_scalars(number, value, "decimal", problem_text)
    if not given:
        return undecided("the answer lacks the word")
    if given != word:
        return different("another word")
    return same_number


def _word_and_number(text: str, own: frozenset[str]) -> tuple[tuple[str, ...], str | None]:
    plain = tidy(text).replace(MONEY, " ").replace("$", " ")
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?", plain)
    if re.search(r"[^\w\s.,:;()'/-]|π|_", plain) or re.search(r"-\s*[A-Za-z]", plain):
        return (), None
    letters = re.findall(r"[a-z]+", re.sub(r"\\[a-z]+", " ", plain.lower()))
    dropped = _FILLER | own
    words = {_STEMS.get(w, w) for w in letters if w not in dropped and not _is_unit(w)}
    return tuple(sorted(words)), numbers[0] if len(numbers) == 1 else None


def _is_unit(word: str) -> bool:
    return len(word) > 3 and word in UNIT
