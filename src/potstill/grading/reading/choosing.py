"""Which statement of a text is its answer: the last of the strongest, unless it goes on."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from potstill.grading.reading.cues import REMARKS, rechecks
from potstill.grading.reading.numbers import StatedValue
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.sentences import Sentence, words_of

__all__ = [
    "HEARD",
    "LEAST",
    "LEAST_BROKEN",
    "PLAIN_WORD",
    "STRONGEST",
    "Candidate",
    "chosen",
    "values_of_strongest",
]

PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
# How far below the top a claim is one of the strongest, and how far it still counts as said.
STRONGEST = 1.0
HEARD = 2.0
LEAST = 1.0
LEAST_BROKEN = 2.0
LEAST_THOUGHT = 3.0


@dataclass(slots=True)
class Candidate:
    """A sentence that states a value, how strongly, and where."""

    place: int
    score: float
    stated: StatedValue
    scope: bool
    firm: bool
    words: str


def chosen(
    claims: list[Candidate],
    sentences: list[Sentence],
    question: AskedQuestion,
    thought: bool,
    broken: bool,
) -> Candidate | None:
    """Return the claim that a text commits itself to: the last of the strongest.

    Where another of the strongest is said again behind it, that one; in a text that is cut, where
    the end proves nothing, the one that is said most.
    """
    count = len(sentences)
    concluded = any(claim.score >= 3.0 for claim in claims[:-1])
    if claims[-1].place == count - 1 and not broken and not concluded:
        claims[-1].score += 1.0
    top = max(claim.score for claim in claims)
    if top < (LEAST_THOUGHT if thought else LEAST_BROKEN if broken else LEAST):
        return None
    strong = [claim for claim in claims if claim.score >= top - STRONGEST]
    best = strong[-1]
    if best.stated.several:
        agreed = [c for c in strong if c.stated.value in best.stated.several]
        return agreed[-1] if agreed else best
    if broken:
        if thought:
            # What is mused on the way to a cut is no statement.
            firm = [claim for claim in claims if claim.firm and claim.score >= LEAST_THOUGHT - 1.0]
            twice = [c for c in strong if _said(c.stated.value, claims, top) >= 2.5]
            if not firm and not twice:
                return None
            strong = firm or strong
        return _said_most(claims, strong, top)
    # The latest first, so that of two said as often the later one is meant.
    values = list(dict.fromkeys(c.stated.value for c in reversed(strong) if not c.stated.several))
    if _works_on(best, claims[-1], sentences, question):
        return claims[-1]
    if len(values) > 1:
        said = {value: _said(value, claims, top) for value in values}
        behind = {
            claim.stated.value
            for claim in claims
            if claim.place > best.place and claim.score >= top - HEARD
        }
        other = max(values, key=lambda value: said[value])
        if other in behind and said[other] > 1.3 * said[best.stated.value]:
            return next(c for c in reversed(strong) if c.stated.value == other)
    return best


def values_of_strongest(claims: list[Candidate]) -> set[tuple[str, ...]]:
    """Return what the strongest claims state, each the values that it leaves open or its one."""
    top = max((claim.score for claim in claims), default=0.0)
    return {
        claim.stated.several or (claim.stated.value,)
        for claim in claims
        if claim.score >= top - STRONGEST
    }


def _works_on(
    best: Candidate, last: Candidate, sentences: list[Sentence], question: AskedQuestion
) -> bool:
    """Return whether a text ends in a calculation that goes on from its strongest statement.

    What a step states in the question's words ("she has 6 muffins left") is no answer where a terse
    last line computes a value that was not named before; what a check or a remark computes is none.
    """
    if last.place <= best.place or last.place != len(sentences) - 1 or not last.stated.computed:
        return False
    terse = len(PLAIN_WORD.findall(last.words)) <= 6
    shares = [question.share(frozenset(words_of(claim.words))) for claim in (best, last)]
    if last.stated.value == best.stated.value or not (terse or shares[1] >= shares[0]):
        return False
    between = sentences[best.place + 1 :]
    if any(rechecks(sentence) or REMARKS.search(sentence.text) for sentence in between):
        return False
    told = " ".join(s.text for s in sentences[: best.place + 1]).replace(",", "")
    return re.search(rf"(?<![\d.]){re.escape(last.stated.value)}(?![\d.]*\d)", told) is None


def _said_most(claims: list[Candidate], strong: list[Candidate], top: float) -> Candidate:
    """Return the claim that a text which is cut makes most, or the several that it wavers
    between.
    """
    values = {claim.stated.value for claim in strong if not claim.stated.several}
    said = sorted(((_said(value, claims, top), value) for value in values), reverse=True)
    if not said:
        return strong[-1]
    best = next(c for c in reversed(strong) if c.stated.value == said[0][1])
    times = Counter(claim.stated.value for claim in strong)
    most = times[said[0][1]]
    rivals = [
        value
        for weight, value in said[1:]
        if weight > (0.3 if times[value] > 2 and times[value] > most / 3 else 0.6) * said[0][0]
    ]
    if rivals:
        return Candidate(
            best.place,
            top,
            StatedValue("", "", (said[0][1], *rivals)),
            best.scope,
            best.firm,
            best.words,
        )
    return best


def _said(value: str, claims: list[Candidate], top: float) -> float:
    """Return how often, and how strongly, a value is stated in other words."""
    weights: dict[str, float] = {}
    for claim in claims:
        if claim.stated.value == value and claim.score > top - HEARD:
            weights[claim.words] = max(weights.get(claim.words, 0.0), claim.score - top + HEARD)
    return sum(weights.values())
