"""The answer that the prose of a response commits itself to, where it is not withdrawn or cut."""

from __future__ import annotations

import re
from dataclasses import dataclass

from potstill.grading.maths.languages import in_english, points_for_commas
from potstill.grading.maths.number_words import (
    chances_written,
    dozens_written,
    durations_in_digits,
    halves_written,
)
from potstill.grading.reading.choosing import (
    HEARD,
    STRONGEST,
    Candidate,
    chosen,
    values_of_strongest,
)
from potstill.grading.reading.claims import (
    Reader,
    claims_of,
    drafts_of,
    is_numeric,
    last_of_the_strongest,
    values_taken_back,
    without_last_check,
    without_next_task,
)
from potstill.grading.reading.cues import names_answer
from potstill.grading.reading.numerals import numerals_in
from potstill.grading.reading.question import AskedQuestion, question_of
from potstill.grading.reading.sentences import hangs, letters_of, money_marked, sentences_of
from potstill.grading.reading.tables import tables_told
from potstill.grading.reading.unknowns import unknowns_named
from potstill.grading.reading.written import without_struck
from potstill.records import AnswerKind

__all__ = ["LONG", "Stated", "answer_stated"]

TAIL_CHARACTERS = 16_000
# A response this long that ends within a sentence was cut there, whatever its server says.
LONG = 1_000
_TEX_THOUSANDS = re.compile(r"(?<=\d),\\[!,]\s?(?=\d{3}(?!\d))")
_PROGRAM = re.compile(
    r"```(?:python3?|py|js|javascript|typescript|java|c|cpp|c\+\+|r|matlab|sympy|julia|ruby|go|"
    r"rust|bash|sh)\b[^\n]*\n"
    r".{0,8000}?(?:```|\Z)",
    re.S | re.I,
)
_HASHES = re.compile(
    r"(?m)^[ \t]{0,8}####[ \t]*(?!\s*(?:step|part|case|solution)\b)(?P<rest>[^\n]*)$", re.I
)

# "a_{34} = 100", where it is asked which term is 100
_MEMBER = re.compile(r"(?<![A-Za-z\\])[a-z]_\{?(\d{1,6})\}?\s*=\s*-?\d[\d,]*(?:\.\d+)?")

# A value that a text begins with, and what begins behind it: a reason, a line, a remark.
_LED = re.compile(
    r"\s*(?:(?:It|That|This)(?:\s+is|['’]s)\s+)?(?P<mark>\*{0,2})(?P<value>[-−]?[$£€]?\d[\d,]*(?:\.\d+)?(?:/\d+)?\s?%?(?:\s[A-Za-z]+){0,2}?)"
    r"(?P=mark)(?:(?P<stop>\.)\s+(?=[A-Z(])|,?\s+(?=(?:because|since|as)\b)|\s+[-–—]\s+(?=[A-Za-z])"
    r"|:?\.?\s*\n\s*(?![=+*/×-]|\d)|\s+(?=\(\d))"
)
_REASON = re.compile(r"(?i)(?:because|since|as|explanation|reason|here|we|you)\b")


_PARTS_OF_ONE = (AnswerKind.FRACTION, AnswerKind.DECIMAL, AnswerKind.PERCENT)
_ASKS_PART = re.compile(
    r"(?i)\b(?:probabilit\w+|chances?|likel\w+|odds|fractions?|proportions?|percent\w*|what\s+(?:part|portion|share))\b"
)


@dataclass(frozen=True, slots=True)
class Stated:
    """An answer that prose states: its text, or the several that remain; ``cut`` where talk follows
    it that ends in the middle. ``rule`` says what kind of sentence stated it."""

    text: str
    rule: str
    several: tuple[str, ...] = ()
    cut: bool = False


def answer_stated(
    text: str,
    kind: str,
    problem_text: str,
    *,
    cut: bool = False,
    thought: bool = False,
    long: bool = False,
) -> Stated | None:
    """Return the answer that a text states, or None where it states none.

    ``cut`` says that the text ends at a limit; ``thought`` that it is reasoning, where more is
    supposed than stated; ``long`` that it belongs to a response of some length, which no server cut
    for being complete.
    """
    long = long or len(text) > LONG
    open_end = hangs(text)
    text = halves_written(in_english(_without_struck(_tail(_hashes_named(text)))))
    question = question_of(problem_text)
    text = durations_in_digits(tables_told(text, question.words))
    if ",\\" in text:
        text = _TEX_THOUSANDS.sub(",", text)
    if is_numeric(kind):
        text = text if thought or cut or long else unknowns_named(text, question)
        if question.place:
            text = _MEMBER.sub(r"the \1th term", text)
        text = points_for_commas(text, problem_text)
        if "dozen" not in question.counted:
            text = dozens_written(text)
        if kind in _PARTS_OF_ONE and _ASKS_PART.search(problem_text):
            text = chances_written(text)
    lead, text = ("", text) if thought or not is_numeric(kind) else _led_by_value(text, question)
    text = money_marked(text)
    sentences = sentences_of(text)
    if not sentences:
        return None
    opened = text.count("\\[") > text.count("\\]")
    broken = cut or (long and (opened or open_end or not sentences[-1].ended))
    if broken and (opened or not sentences[-1].ended):
        sentences.pop()
    reader = Reader(kind, problem_text, question, thought, lead)
    drafts = drafts_of(sentences, reader)
    sentences, drafts = without_next_task(text, reader.question.squeezed, sentences, drafts)
    if not (broken or thought):
        last = last_of_the_strongest(sentences, drafts, reader)
        if last is not None:
            return Stated(last.stated.text, _rule(last))
    if broken:
        drafts = without_last_check(sentences, drafts)
    taken_back = values_taken_back(sentences, drafts, reader)
    claims: list[Candidate] = []
    if not broken:
        # Where the strongest agree on a value, nobody asks what the weaker ones say.
        claims = claims_of(drafts, taken_back, reader, STRONGEST)
        if len(values_of_strongest(claims)) > 1:
            claims = []
    claims = claims or claims_of(drafts, taken_back, reader, HEARD)
    if broken:
        # What is still being worked out where a text is cut states nothing yet.
        claims = [claim for claim in claims if not claim.stated.of_unknown]
    best = chosen(claims, sentences, reader.question, thought, broken) if claims else None
    if best is None:
        return None
    return Stated(best.stated.text, _rule(best), best.stated.several, broken)


def _led_by_value(text: str, question: AskedQuestion) -> tuple[str, str]:
    """Return the value that a text begins with as its answer, "" where it begins otherwise, and
    the text with that value as its first line.

    The number of a first item, and one that the problem names, begin a working.
    """
    found = _LED.match(text)
    if found is None:
        return "", text
    value, rest = found["value"].strip(), text[found.end() :]
    numerals = numerals_in(value)
    if len(numerals) != 1 or numerals[0].value in question.numbers or len(rest.split()) < 3:
        return "", text
    item = found["stop"] and value.isdigit() and len(value) < 3
    if item and not (_REASON.match(rest) and f"\n{int(value) + 1}" not in rest):
        return "", text
    return value, f"{value}.\n{rest}"


def _tail(text: str) -> str:
    if len(text) <= TAIL_CHARACTERS:
        return text
    start = text.find("\n", len(text) - TAIL_CHARACTERS)
    return text[start if 0 <= start < len(text) - TAIL_CHARACTERS // 2 else -TAIL_CHARACTERS :]


def _without_struck(text: str) -> str:
    """Return a text without what it strikes out and without its programs, which state nothing."""
    text = without_struck(text)
    return _PROGRAM.sub(" ", text) if "```" in text else text


def _hashes_named(text: str) -> str:
    """Return GSM8K's ``####`` as the word that it stands for."""
    if "####" not in text:
        return text
    return _HASHES.sub(
        lambda found: (
            "Answer: " + found.group("rest")
            if not found.group("rest").rstrip().endswith(":")
            else found.group()
        ),
        text,
    )


def _rule(claim: Candidate) -> str:
    """Return by what name a statement was found: behind "Answer:", speaking of an answer, or
    neither.
    """
    if claim.scope:
        return "answer line"
    named = names_answer(claim.words, letters_of(claim.words))
    return "answer sentence" if named else "sentence"
