"""What a problem asks for: the words of its question, the thing counted, the kind of quantity."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from potstill.grading.maths.languages import asks_for_bound
from potstill.grading.maths.units import split_unit
from potstill.grading.reading.numerals import values_in
from potstill.grading.reading.rivals import LEFT, rivals_in
from potstill.grading.reading.sentences import (
    letters_of,
    money_marked,
    sentences_of,
    stem,
    words_of,
)
from potstill.grading.reading.vocabulary import COMMON

__all__ = ["AskedQuestion", "question_of"]

_COMMON = frozenset(map(stem, COMMON))
_ASKS = re.compile(
    r"(?i)\b(?:how\s+(?:many|much|old|long|far|fast|tall|big|heavy|high|often|deep|wide)|what|"
    r"which|who|"
    r"calculate|find|determine|compute|evaluate|express|simplify|solve|how)\b"
)
_COUNTED = re.compile(
    r"(?i)\bhow\s+many\s+(?P<noun>(?:(?!(?:of|do|does|did|will|would|is|are|was|were|can|could|"
    r"should|has|have|"
    r"had|must|in|on|at|if|to|for|per|"
    r"from)\b)[A-Za-z'-]+\s*){1,6})(?:of\s+(?P<of>[A-Za-z'-]+(?:\s[a-z'-]+)?))?"
)
_ASKED_FORMULA = re.compile(r"\\\((.{1,80}?)\\\)|\\\[(.{1,80}?)\\\]")
# "Give the number of full boxes." says which of two questions counts.
_ONLY = re.compile(
    r"(?i)^(?:give|answer|state|report|write|find)\b.*?\b(?:number|count) of ([a-z' -]{2,40})"
)
_MONEY_ASKED = re.compile(
    r"(?i)\bhow\s+much\b.*\b(?:money|cost|costs|pay|paid|pays|spend|spent|spends|earn|earned|"
    r"earns|owe|owes|"
    r"owed|save|saved|saves|charge|charged|price|change|worth|profit|make|makes|made|bill|salary|"
    r"budget|"
    r"refund|raise|raised|need|left|give|interest|loss|lose|have|has|savings|pocket|get|value|"
    r"receive|tip)\b"
    r"|\b(?:cost|price|profit|salary|revenue|dollars|income|bill|fee|budget|value|earnings|"
    r"amount of money|expenses?|savings|wage|debt|balance)\b"
)
_DIFFERENCES = frozenset(
    [
        *("more", "less", "fewer", "difference", "longer", "older", "younger", "taller", "shorter"),
        *("higher", "lower", "greater", "farther", "further", "earlier", "later", "faster"),
        *("slower", "heavier", "times", "cheaper", "left"),
    ]
)
_SUPPOSED = frozenset(["would", "could", "might", "if"])
_RATES = frozenset(["per", "each", "every", "average", "rate", "speed", "a", "an"])
_NEGATIONS = frozenset(["not", "never", "without"])
_LATER = frozenset(["will", "after"])
_BOUNDS = frozenset(
    [
        *("least", "most", "minimum", "maximum", "minimal", "maximal", "fewest", "greatest"),
        *("largest", "smallest", "lowest", "highest", "need", "needs", "needed", "require"),
        *("requires", "required", "must", "can", "could", "enough", "afford", "up"),
    ]
)
_NUMBER_OF = re.compile(
    r"(?i)\bnumber\s+of\s+(?P<noun>(?:(?!(?:of|in|on|at|is|are|was|were|that|who|left)\b)"
    r"[A-Za-z'-]+\s*){1,4})"
)
_IN_SO_MANY = re.compile(r"(?i)\bin \d")
_IN_UNIT = re.compile(r"\bin\s+([a-z]+)")
_PLACE_ASKED = re.compile(r"(?i)\b(?:what|which)\s+(?:place|position|rank|floor|grade|day|term)\b")
_SOLVING = re.compile(r"(?i)\b(?:solve|solution of|root of|values? of)\b")
_PRICED = re.compile(r"[＄£€₹]|\bdollars?\b|\bcents?\b")
# Each begins with one set of characters, which the search jumps to.
_NAME_INSIDE = re.compile(r"[A-Z](?<=[a-z,;'] [A-Z])[a-z]+")
_NAME_FIRST = re.compile(
    r"(?:^|[.?!]\s+)([A-Z][a-z]+)(?='s|\s(?:is|has|had|was|can|will|[a-z]+(?:s|ed)\b))"
)
_LETTER_ASKED = re.compile(r"\b(?:[Ff]ind|of|for|is)\s+([a-zA-Z])\b(?!')")
_MONEY_NOUNS = frozenset({stem("dollars"), stem("cents"), stem("euros"), stem("rupees")})
_PERCENT_ASKED = re.compile(r"(?i)\bpercent(?:age)?\b|%")


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """What is asked: ``words`` and ``counted`` are stems, ``numbers`` all that the problem states.

    ``money``, ``percent``, ``place`` (an ordinal), ``solving`` (an equation) and ``difference`` say
    what the answer may be, as far as the question tells; ``would`` that it supposes, ``rate`` that
    it asks for so much of one, ``negated`` for those that are not, ``later`` for another time,
    ``bounded`` for a least or a most. ``rivals`` are stems of what the problem sets beside the
    ``things`` asked for, of which ``head`` is the noun. ``letters`` are the problem's runs of
    letters.
    """

    words: frozenset[str]
    counted: frozenset[str]
    counted_of: frozenset[str]
    numbers: frozenset[str]
    money: bool
    percent: bool
    place: bool
    solving: bool
    difference: bool
    would: bool
    rate: bool
    negated: bool
    later: bool
    bounded: bool
    things: frozenset[str]
    head: str
    rivals: frozenset[str]
    asked: str
    asked_formulas: frozenset[str]
    units: frozenset[str]
    names: frozenset[str]
    other_names: frozenset[str]
    facts: tuple[frozenset[str], ...]
    weights: dict[str, float]
    weight: float
    squeezed: str
    letters: frozenset[str]

    def restated(self, text_words: frozenset[str]) -> bool:
        """Return whether a text says again what one sentence of the problem says."""
        return len(text_words) > 2 and any(
            len(text_words & fact) >= 0.75 * len(text_words) for fact in self.facts
        )

    def share(self, text_words: Collection[str]) -> float:
        """Return the part of the question's words that a text repeats, in [0, 1]."""
        weights = self.weights
        if not weights:
            return 0.5
        return sum(w for word, w in weights.items() if word in text_words) / self.weight


@lru_cache(maxsize=2048)
def question_of(problem_text: str) -> AskedQuestion:
    """Return what the last question of a problem asks for; empty where the problem has no text."""
    text = money_marked(problem_text[-6_000:])
    sentences = [sentence.text for sentence in sentences_of(text)]
    asked = _asked_sentence(sentences)
    letters = letters_of(asked)
    counted: set[str] = set()
    counted_of: set[str] = set()
    for match in _COUNTED.finditer(asked):
        counted = {word for word in words_of(match.group("noun")) if word not in _COMMON}
        counted_of = {w for w in words_of(match.group("of") or "") if w not in _COMMON}
    named = _COUNTED.search(asked) or _NUMBER_OF.search(asked)
    noun = _things_named(named.group("noun")) if named else []
    things, head = frozenset(noun), noun[-1] if noun else ""
    in_money = bool(counted & _MONEY_NOUNS)
    if in_money:
        counted = set()
    # Of the formulas of a question only a lone variable is a word that an answer repeats.
    prose = _ASKED_FORMULA.sub(
        lambda m: f" {inside} " if len(inside := (m.group(1) or m.group(2)).strip()) == 1 else " ",
        asked,
    )
    words = frozenset(word for word in words_of(prose) if word not in _COMMON)
    names = _names_in(asked)
    priced = _PRICED.search(text) is not None
    facts = tuple(frozenset(words_of(s)) for s in sentences if asked not in s)[:40]
    told = frozenset().union(*facts)
    weights = {word: _weight(word, told) for word in words}
    return AskedQuestion(
        words=words,
        counted=frozenset(counted),
        counted_of=frozenset(counted_of),
        numbers=values_in(text),
        money=in_money or (priced and not counted and bool(_MONEY_ASKED.search(asked))),
        bounded=not _BOUNDS.isdisjoint(letters) or asks_for_bound(asked),
        things=things,
        head=head,
        rivals=rivals_in(text, things, head, _COMMON),
        asked=asked,
        asked_formulas=_formulas_asked(asked),
        units=frozenset(
            unit for word in _IN_UNIT.findall(asked) if (unit := split_unit(f"5 {word}").unit)
        ),
        names=names,
        other_names=_names_in(text) - names,
        facts=facts,
        weights=weights,
        weight=sum(weights.values()) or 1.0,
        squeezed="".join(text.split()),
        letters=letters_of(text),
        percent=bool(_PERCENT_ASKED.search(asked)) and not counted,
        place=_PLACE_ASKED.search(asked) is not None,
        solving=_SOLVING.search(asked) is not None,
        difference=not _DIFFERENCES.isdisjoint(letters),
        would=not _SUPPOSED.isdisjoint(letters),
        rate=not _RATES.isdisjoint(letters),
        negated=not _NEGATIONS.isdisjoint(letters) or "n't" in asked.lower(),
        later=not _LATER.isdisjoint(letters) or _IN_SO_MANY.search(asked) is not None,
    )


_IRREGULAR = frozenset(["people", "children", "men", "women", "feet", "fish", "sheep", "mice"])


_TITLES = frozenset(["Mrs", "Ms", "Mr", "Dr"])


def _things_named(noun: str) -> list[str]:
    """Return the stems of a noun up to its last plural: of "students walk" the students, of "walk"
    nothing.
    """
    words = noun.split()
    while words and not (words[-1].endswith("s") or words[-1].lower() in _IRREGULAR):
        words.pop()
    if "'" in noun:
        return []
    if words and words[0] in _TITLES:
        return []
    return [w for word in words if (w := stem(word)) not in _COMMON and w not in LEFT]


def _weight(word: str, told: frozenset[str]) -> float:
    """Return what a word of the question tells: less where the problem speaks of it all along, and
    a number ("in 4 years") more.
    """
    if word[0].isdigit():
        return 1.5
    return 0.5 if word in told else 1.0


def _formulas_asked(asked: str) -> frozenset[str]:
    """Return the variables and expressions whose value a question asks for, without spaces."""
    found = [m.group(1) or m.group(2) for m in _ASKED_FORMULA.finditer(asked)]
    found += _LETTER_ASKED.findall(asked)
    return frozenset("".join(formula.split()).rstrip(".,?") for formula in found)


def _names_in(text: str) -> frozenset[str]:
    """Return the names of a text: capitalised words that no sentence begins with, or that come
    twice.
    """
    found = _NAME_INSIDE.findall(text) + _NAME_FIRST.findall(text)
    return frozenset(word for word in found if stem(word) not in _COMMON)


def _asked_sentence(sentences: list[str]) -> str:
    """Return the sentence that asks, from its question word on."""
    if not sentences:
        return ""
    asking = [s for s in sentences if s.endswith("?")] or [s for s in sentences if _ASKS.search(s)]
    sentence = asking[-1] if asking else sentences[-1]
    last = sentences[-1]
    if last != sentence and (only := _ONLY.search(last)) is not None:
        return f"how many {only.group(1)}"
    found = list(_ASKS.finditer(sentence))
    return sentence[found[0].start() :] if found else sentence
