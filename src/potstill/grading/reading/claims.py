"""The sentences of a text that state a value: how strongly each does, and what is taken back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from potstill.grading.reading.choosing import LEAST, LEAST_BROKEN, PLAIN_WORD, Candidate
from potstill.grading.reading.cues import (
    CORRECTS,
    HEADING,
    MARKED,
    POINTS_BACK,
    REPLACES,
    UNSURE,
    WITHDRAWS,
    affirms,
    conceded_before,
    is_check,
    may_withdraw,
    names_answer,
    next_tasks,
    rechecks,
    recomputes,
    statement_score,
    withdraws_value,
)
from potstill.grading.reading.formulas import formula_stated, free_letters, set_apart
from potstill.grading.reading.numbers import StatedValue, number_stated
from potstill.grading.reading.numerals import VOCABULARY, numerals_in
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.ratios import ratio_stated
from potstill.grading.reading.sentences import Sentence, words_of
from potstill.grading.reading.sets import set_named
from potstill.grading.reading.shares import share_stated
from potstill.grading.reading.suppositions import is_supposed
from potstill.grading.reading.times import time_stated
from potstill.grading.reading.words import is_judged, letter_stated, rules_out, word_stated
from potstill.records import AnswerKind

__all__ = [
    "Reader",
    "claims_of",
    "drafts_of",
    "is_numeric",
    "last_of_the_strongest",
    "values_taken_back",
    "without_last_check",
    "without_next_task",
]

LONGEST = 600
_NUMERIC = frozenset(
    {
        "", AnswerKind.INTEGER, AnswerKind.DECIMAL, AnswerKind.FRACTION, AnswerKind.MONEY,
        AnswerKind.PERCENT, AnswerKind.DEGREE, AnswerKind.QUANTITY,
    }
)  # fmt: skip
_GROUPED = frozenset(
    {
        AnswerKind.SET, AnswerKind.LIST, AnswerKind.TUPLE, AnswerKind.EQUATION, AnswerKind.INTERVAL,
    }
)  # fmt: skip
_WORDED = frozenset(
    {
        AnswerKind.WORD, AnswerKind.DATE, AnswerKind.TIME, AnswerKind.WORD_NUMBER,
    }
)  # fmt: skip
_DIGIT_OR_COMMAND = re.compile(r"[\d\\]")
_NONE = re.compile(r"\b[Nn]o\s")
_MARKING = frozenset(["answer", "answers", "ans", "result", "conclusion"])
_CORRECTING = frozenset(
    [
        *("wait", "actually", "no", "correction", "sorry", "thought", "rather", "should"),
        *("fact", "not"),
    ]
)
_GLUED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2}\s{0,3}\d")
_JOINED = re.compile(r"[;=]|,\s|\bi\.e|\bor\b")
_VERB = re.compile(r"(?i)\s(?:is|are|was|were|has|have|had|will)\s|^(?:no|yes)\b,")


def is_numeric(kind: str) -> bool:
    """Return whether answers of a kind are single numbers."""
    return kind in _NUMERIC


@dataclass(slots=True)
class Draft:
    """A sentence that may state the answer: how strongly it says so, before its value is read."""

    place: int
    text: str
    letters: frozenset[str]
    marked: bool
    score: float
    scope: bool
    affirmed: bool = False

    @property
    def firm(self) -> bool:
        """Whether it commits itself: it speaks of an answer, or says that it is right."""
        return (
            self.scope
            or self.affirmed
            or names_answer(self.text, self.letters)
            or affirms(self.text, self.letters)
        )


@dataclass(slots=True)
class Reader:
    """What sentences are read for; each is read once, however often a loop repeats it.

    ``leads`` is the value that the text begins with, as its answer.
    """

    kind: str
    problem_text: str
    question: AskedQuestion
    thought: bool
    leads: str = ""
    known: dict[tuple[str, bool], StatedValue | None] = field(default_factory=dict)

    def stated(self, draft: Draft) -> StatedValue | None:
        """Return what a draft states, or None where it states nothing."""
        key = (draft.text, draft.marked)
        if key not in self.known:
            # The end of a sentence that never ends holds what it comes to.
            self.known[key] = _value_of(
                draft.text[-LONGEST:], self.kind, self.problem_text, self.question, draft.marked
            )
        return self.known[key]


def drafts_of(sentences: list[Sentence], reader: Reader) -> list[Draft]:
    drafts: list[Draft] = []
    # The line that stands behind "Answer:", -1 where the next one will.
    scope, fresh, answer_line = False, False, -1
    numeric = reader.kind in _NUMERIC
    known: dict[str, float] = {}
    for place, sentence in enumerate(sentences):
        text, marked = sentence.text, None
        letters = sentence.letters
        if not _MARKING.isdisjoint(letters):
            marked = MARKED.match(sentence.text)
            text = marked.group("rest").strip() if marked is not None else sentence.text
            if HEADING.match(sentence.text) or (marked is not None and not text):
                scope, fresh, answer_line = True, True, -1
                continue
        if (conceded := conceded_before(text, letters)) > 0:
            text = text[conceded:]
        if marked is not None:
            scope, fresh, answer_line = True, True, sentence.line
        elif scope and answer_line < 0:
            answer_line = sentence.line
        if drafts and "answer" in letters and POINTS_BACK.match(sentence.text):
            drafts[-1].score += 2.0
        follows = reader.thought and drafts and drafts[-1].place == place - 1
        if follows and affirms(sentence.text, letters):
            drafts[-1].score += 1.5
            drafts[-1].affirmed = True
        if numeric and not (
            _DIGIT_OR_COMMAND.search(text)
            or not VOCABULARY.isdisjoint(letters)
            or ("no" in letters and _NONE.search(text))
        ):
            continue
        alone = len(sentences) == 1 and reader.kind == AnswerKind.LETTER
        if not alone and len(text) > 15 and "".join(text.split()) in reader.question.squeezed:
            continue  # the problem, said again
        if numeric and any(d.score >= LEAST for d in drafts) and is_check(text, letters):
            continue
        if numeric and not reader.thought and is_supposed(text, place, sentences, reader.question):
            continue
        near = scope and sentence.line == answer_line
        if sentence.text not in known:
            phrase = marked is not None or (near and fresh)
            known[sentence.text] = _base_score(text, phrase, letters, reader)
        score = known[sentence.text]
        if place == 0 and reader.leads and text.rstrip(".") == reader.leads:
            score = max(score, 0.0) + 4.5
        if score < 0 and not reader.thought:
            continue
        if scope:
            alone = place + 1 == len(sentences) or sentences[place + 1].line != sentence.line
            score += _in_scope(fresh, alone, text, reader.question) if near else 1.0
            fresh = False
        drafts.append(Draft(place, text, letters, marked is not None, score, scope))
    return drafts


def _base_score(text: str, phrase: bool, letters: frozenset[str], reader: Reader) -> float:
    if phrase and _is_phrase(text):
        return 3.0
    score = statement_score(text, reader.question, letters)
    asks = text.rstrip().endswith("?")
    if -2.0 <= score < 1.5 and reader.kind == AnswerKind.LETTER and rules_out(text) and not asks:
        score = 1.5
    if reader.thought:
        return score + (2.0 if affirms(text, letters) else 0.0)
    corrects = score >= 0 and not _CORRECTING.isdisjoint(letters) and CORRECTS.search(text)
    return score + (3.0 if corrects else 0.0)


def _is_phrase(text: str) -> bool:
    """Return whether what stands behind "Answer:" is a value and no sentence."""
    return len(PLAIN_WORD.findall(text)) <= 2 and not _VERB.search(text) and not _GLUED.search(text)


def claims_of(
    drafts: list[Draft], taken_back: dict[str, int], reader: Reader, within: float
) -> list[Candidate]:
    """Return what the drafts state that can come within so much of the strongest, in the order of
    the text, and what the last of them states.
    """
    claims: list[Candidate] = []
    best = 0.0
    last = drafts[-1].place if drafts else 0
    for draft in sorted(drafts, key=lambda draft: -draft.score):
        # A value adds one at most.
        if draft.score + 1.0 + within < best and draft.place != last:
            continue
        stated = reader.stated(draft)
        if stated is None or draft.place < taken_back.get(stated.value, -1):
            continue
        score = draft.score + _by_value(draft, stated, reader.question)
        best = max(best, score)
        claims.append(
            Candidate(
                draft.place, score, stated, draft.scope, reader.thought and draft.firm, draft.text
            )
        )
    claims.sort(key=lambda claim: claim.place)
    return claims


def last_of_the_strongest(
    sentences: list[Sentence], drafts: list[Draft], reader: Reader
) -> Candidate | None:
    """Return the last claim, where none before it can be stronger: read alone, since it is the
    answer.

    Most texts end in their answer, and reading what every sentence before it states is most of the
    work. None where the others have to be read to tell.
    """
    for at in range(len(drafts) - 1, -1, -1):
        draft = drafts[at]
        stated = reader.stated(draft)
        if stated is None:
            continue
        score = draft.score + _by_value(draft, stated, reader.question)
        if stated.several or score < LEAST:
            return None
        # A value adds one at most, and the strongest are those within one of the top.
        if any(other.score > score for other in drafts[:at]):
            return None
        if any(may_withdraw(sentence.letters) for sentence in sentences[draft.place + 1 :]):
            return None
        return Candidate(draft.place, score, stated, draft.scope, False, draft.text)
    return None


def _by_value(draft: Draft, stated: StatedValue, question: AskedQuestion) -> float:
    """Return what a value adds to the strength of the sentence that states it."""
    score = max(-2.0, min(0.5 * (stated.rating - 2.0), 1.0))
    if stated.value in question.numbers:
        score -= 2.5 if question.restated(frozenset(words_of(draft.text))) else 0.75
    return score - (1.0 if stated.several else 0.0)


def _in_scope(fresh: bool, alone: bool, text: str, question: AskedQuestion) -> float:
    """Return what a sentence behind "Answer:" gains by it: all, unless a retelling goes on from
    there.
    """
    if fresh:
        return 4.0 if alone or question.share(frozenset(words_of(text))) >= 0.6 else 2.0
    return 3.0 if alone else 1.0


def _value_of(
    text: str, kind: str, problem_text: str, question: AskedQuestion, marked: bool
) -> StatedValue | None:
    if marked and _is_phrase(text):
        phrase = text.strip().rstrip(".").strip()
        if kind not in _NUMERIC or not _JOINED.search(phrase):
            numbers = {n.value for n in numerals_in(phrase)}
            return StatedValue(phrase, numbers.pop() if len(numbers) == 1 else phrase)
    if kind in _NUMERIC:
        if kind == AnswerKind.QUANTITY and (clocked := _clocked(text)):
            return StatedValue(clocked, clocked)
        if "of" in text and (share := share_stated(text, question, kind)):
            return StatedValue(share, share.rstrip("%"))
        plain, apart = set_apart(text)
        offered = tuple(formula if _may_answer(formula, kind) else "" for formula in apart)
        return number_stated(plain, problem_text, offered)
    if kind in (AnswerKind.RATIO, AnswerKind.TIME):
        state = ratio_stated if kind == AnswerKind.RATIO else time_stated
        value, open_ = state(set_apart(text)[0], question)
        if value or open_:
            return StatedValue(value, value, open_)
    if kind == AnswerKind.LETTER:
        letter, open_ = letter_stated(text, problem_text)
        rating = 4.0 if is_judged(text) else 2.0
        return StatedValue(letter, letter, open_, rating) if letter or open_ else None
    if kind in _WORDED:
        word = word_stated(text, question, question.asked)
        if marked and len(text.split()) <= 6:
            word = word if word.lower() in ("yes", "no") else text.rstrip(".")
        return StatedValue(word, word.lower()) if word else None
    if kind in _GROUPED and (named := set_named(text)):
        return StatedValue(named, named)
    formula, several = formula_stated(text, kind in _GROUPED, problem_text)
    if formula and not (kind in _GROUPED and re.fullmatch(r"[A-Za-z]", formula)):
        return StatedValue(formula, formula)
    if several:
        return StatedValue("", "", ("several formulas",))
    plain, apart = set_apart(text)
    return None if apart or kind in _GROUPED else number_stated(plain, problem_text)


def _clocked(text: str) -> str:
    """Return the "3:35" that is all of a sentence's digits, a duration where that is asked for."""
    found = _CLOCK.findall(text)
    return found[0] if len(found) == 1 and not any(map(str.isdigit, _CLOCK.sub("", text))) else ""


_CLOCK = re.compile(r"(?<![\d:.])\d{1,3}:[0-5]\d(?::[0-5]\d)?(?![\d:]|\s?[ap]\.?m\b)")


def _may_answer(formula: str, kind: str) -> bool:
    """Return whether a formula can be the answer sought: one with variables is no number."""
    return bool(formula.strip()) and (kind not in _NUMERIC or not free_letters(formula))


def without_next_task(
    text: str, problem: str, sentences: list[Sentence], drafts: list[Draft]
) -> tuple[list[Sentence], list[Draft]]:
    """Return what stands before an invented next task, where an answer was stated before it."""
    for begin, end in next_tasks(text):
        if len(problem) > 30 and problem[:40] in "".join(text[end : end + 300].split()):
            # Examples stand before the question that was asked.
            drafts = [d for d in drafts if sentences[d.place].start > begin]
        elif any(sentences[d.place].start < begin and d.score >= LEAST for d in drafts):
            inside = [s for s in sentences if s.start < begin]
            return inside, [d for d in drafts if d.place < len(inside)]
    return sentences, drafts


def without_last_check(sentences: list[Sentence], drafts: list[Draft]) -> list[Draft]:
    """Return the drafts before the check that a text was cut in, where it checks what it had
    stated.
    """
    for place in range(len(sentences) - 1, 0, -1):
        if rechecks(sentences[place]):
            before = [draft for draft in drafts if draft.place < place]
            if any(d.score >= LEAST_BROKEN and d.place >= place - 3 for d in before):
                return [d for d in drafts if d.place < place or d.firm]
    return drafts


def values_taken_back(
    sentences: list[Sentence], drafts: list[Draft], reader: Reader
) -> dict[str, int]:
    """Return the values that a later sentence takes back, and where it does."""
    found: dict[str, int] = {}
    for place, sentence in enumerate(sentences):
        text = sentence.text
        if not may_withdraw(sentence.letters):
            continue
        if not reader.thought and REPLACES.match(text):
            meant = next((d for d in reversed(drafts) if d.place < place), None)
            if meant is not None and (stated := reader.stated(meant)):
                found[stated.value] = place
            continue
        anew = not reader.thought and recomputes(text, sentence.letters)
        withdrawn = WITHDRAWS.search(text)
        if not (withdrawn or anew) or text.endswith("?") or (not anew and UNSURE.search(text)):
            continue
        meant = next((d for d in reversed(drafts) if d.place < place and d.score >= 1.0), None)
        if meant is None or meant.place < place - 3 or (stated := reader.stated(meant)) is None:
            continue
        if (
            withdrawn is None
            or anew
            or reader.thought
            or withdraws_value(text, withdrawn, stated.value)
        ):
            found[stated.value] = place
    return found
