"""How likely a number of a sentence is what the sentence answers to the question."""

from __future__ import annotations

import re
from functools import lru_cache

from potstill.grading.maths.units import asked_units, split_unit, unit_dimension
from potstill.grading.reading.belonging import label_of
from potstill.grading.reading.cues import NOW
from potstill.grading.reading.numerals import Numeral, NumeralRole
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.rivals import LEFT, TAKEN_AWAY
from potstill.grading.reading.sentences import stem, words_of

__all__ = ["COMPOUND", "CUE", "THEN", "clause_of", "counts", "rating_of"]

_REMARK = re.compile(r"\([^()]{0,120}\)|\[[^\[\]]{0,120}\]")
_ASIDE = re.compile(
    r"(?i)(?:which|since|because|where|given|considering|assuming|including|as|with|by|for|per|"
    r"at|out of|"
    r"from|than|of|after|before|over|during|within|every|each|another|other|both|first|among|all|"
    r"not|"
    r"when|if|on|across|between|the|these|those|her|his|their|to|in|into|until|reach|have|has|had|"
    r"using|only|additional|extra)\s+(?:the\s+|a\s+|an\s+|his\s+|her\s+|their\s+|these\s+|"
    r"those\s+|all\s+|just\s+|"
    r"only\s+|about\s+|each\s+|every\s+|another\s+|other\s+|first\s+|next\s+|last\s+|full\s+|"
    r"original\s+|"
    r"remaining\s+|total\s+of\s+|additional\s+|extra\s+)*$"
)
CUE = re.compile(
    r"(?i)(?:\b(?:is|are|was|were|be|equals?|total(?:s|ed)?|totall?ing|of|approximately|about|"
    r"exactly|"
    r"roughly|around|simply|just|indeed|therefore|then|so|thus|hence|now|currently|still|only|"
    r"costs?|has|have|had|"
    r"needs?|gets?|makes?|made|earns?|earned|pays?|paid|spends?|spent|owes?|saves?|saved|took|"
    r"takes?|"
    r"left|will|gives?|becomes?|remain(?:s|ing)?|buy|bought|sold|sells?|read|reads|ate|eats?)|"
    r"[:=≈])"
    r"\s*(?:a total of\s*|a\s*|an\s*|the\s*|exactly\s*|approximately\s*|about\s*|only\s*|also\s*)?$"
)
_COMES_TO = re.compile(
    r"(?i)(?:\b(?:gives?|gave|giving|leaves?|leaving|makes?|making|yields?|brings?|brought|"
    r"bringing)\b(?:\s+(?:us|you|me|him|her|"
    r"them|it))?(?:\s+with)?|\b(?:results?\s+in|comes?\s+(?:out\s+)?to|adds?\s+up\s+to|"
    r"totall?ing|for\s+a\s+total\s+of|"
    r"which\s+(?:equals|totals|amounts\s+to)))\s*(?:a\s+total\s+of\s*|the\s+answer\s*)?$"
)
_WORD_OF_UNIT = re.compile(r"\s?-?((?:square |cubic )?[A-Za-z]+)")
_WORDS_BEHIND = re.compile(r"[^.,;:()=\d]{0,60}")
_WORD = re.compile(r"[A-Za-z']+")
_NAME = re.compile(r"[A-Z][a-z]+")
_NEAR_BEHIND = re.compile(r"[^\d,;:]{0,60}")
_NEAR_BEFORE = re.compile(r"[^\d;:.]{0,40}$")
_AMONG = re.compile(r"(?i)\s*(?:out\s+)?of\s+(?:the|his|her|their|these|those|all|its)?\s*\d[\d,]*")
COMPOUND = re.compile(
    r"(?i)\d\s*(?:hours?|hrs?|minutes?|mins?|feet|foot|ft|pounds?|lbs?|dollars?|weeks?|days?|"
    r"years?|months?)"
    r"\s*(?:,|and)?\s*(?:and\s*)?$"
)
_COMPUTED = (NumeralRole.RESULT, NumeralRole.NAMED, NumeralRole.PLAIN)
# A clause that follows from the one before it.
THEN = re.compile(
    r"(?i)\s*(?:and\s+)?(?:so|thus|hence|therefore|which\s+(?:implies|means|gives|yields|"
    r"simplifies|we\s+can\s+solve)|"
    r"giving|yielding|leaving|leaves|we\s+(?:get|find|have|obtain|see))\b"
)
_ALSO_THEN = re.compile(r"(?i)[,;]\s+(?:so|thus|hence|therefore)\s[^,;.]*$")
_NOT_SO = re.compile(r"(?:n't|\bnot)\W*$")
_LEFT_SIDE = re.compile(r"(?:^|[\s,])(\d*[A-Za-z][^\s=,]*(?:\s?[-+*]\s?[A-Za-z0-9]+){0,4})\s*=\s*$")
_VERB_BEHIND = re.compile(r"\s+(?:[a-z]+\s+)?([a-z]+ed)\b")
_CONDITION = re.compile(r"(?i)\s(?:if|when|given\s+that)\s")
_OUT_OF = re.compile(r"(?i)\d\s+(?:out\s+)?of\s+(?:the|his|her|their|these|those|all|its)?\s*$")
_COMPARED = re.compile(
    r"(?i)\s?(?:[a-z]+\s+){0,2}(?:more|less|fewer|greater|higher|lower|older|younger|taller|"
    r"shorter|longer|"
    r"times)\b"
)
_RATE = re.compile(r"(?i)(?:\s[a-z]+){0,2}(?:\s+(?:per|each|apiece|every)\b|/[a-z])")
_EACH = re.compile(r"(?i)\b(?:each|every|apiece)\b[^.,;]{0,24}$")
_SUPPOSED = frozenset(map(stem, ("would", "could", "might", "if")))
_CLAUSE_START = re.compile(
    r"(?i)[;:]|,(?=\s+(?:and|but|so|thus|hence|therefore|giving|we|while|which|leaving|with|not|"
    r"then|that|or|because|since|after|in|the|he|she|it|"
    r"they|for)\b)|\s(?=(?:and|but|while|so|which|giving|leaving|leaves)\s+[A-Za-z])"
    r"|\s(?=so\s+\d)|,(?=\s+(?-i:[A-Z][a-z]+)\s[^,;]{0,30}=)"
)
_OPENING_CLAUSE = re.compile(
    r"(?i)(?:so,?\s+|and\s+|but\s+)?(?:since|because|as|given|if|when|after|once|although|"
    r"while)\b[^,]{0,200},"
)
_ADDED_CLAUSE = re.compile(
    r"(?i),?\s(?:which|since|because|denn|weil|car|porque|perché|where|leaving|whereas|"
    r"given that|considering|assuming|after|based on|compared to|compared with|not|than)\b"
    r"|(?<=\d):\s|\s[—–]\s"
)


def rating_of(text: str, numeral: Numeral, question: AskedQuestion, problem_text: str) -> float:
    """Return how likely a number of a sentence is what the sentence answers to the question."""
    before, clause = text[: numeral.start], clause_of(text, numeral)
    score = counts(text, numeral, question) + _by_role(numeral, question)
    if numeral.value not in question.numbers and not _copied(numeral, problem_text):
        score += 2.0
    elif numeral.value in question.words and numeral.role is not NumeralRole.RESULT:
        score -= 1.5
    follows = not text.startswith(clause) and bool(THEN.match(clause))
    if numeral.role is NumeralRole.PLAIN and clause.lstrip().startswith("and "):
        # "so 12 failed and 18 passed"
        follows = follows or _ALSO_THEN.search(text[: text.find(clause)]) is not None
    if (numeral.start >= _main_end(text) and not follows) or _in_remark(text, numeral.start):
        score -= 1.0
    if numeral.start < _main_start(text):
        score -= 1.5
    if _OUT_OF.search(before[-30:]):
        score -= 2.0
    elif _COMES_TO.search(before[-48:]):
        score += 1.5
    elif CUE.search(before[-48:]):
        score += 1.0
    elif _ASIDE.search(before[-48:]):
        score -= 1.5
    if _COMPARED.match(text[numeral.end : numeral.end + 40]):
        score += 1.5 if question.difference else -1.5
    if "each" in before[-40:] or "every" in before[-40:] or "apiece" in before[-40:]:
        score -= 1.0 if _EACH.search(before[-40:]) else 0.0
    if not question.rate and _RATE.match(text[numeral.end : numeral.end + 40]):
        score -= 2.0
    if label_of(text, numeral) & (question.things | {stem(name) for name in question.names}):
        score += 2.0
    if (verb := _VERB_BEHIND.match(text, numeral.end)) is not None:
        # of "passed if 40% failed" only what stands before the condition is asked
        main = words_of(_CONDITION.split(question.asked)[0])
        score += 1.0 if stem(verb[1]) in main and stem(verb[1]) not in question.counted else 0.0
    score += _by_name(text, numeral, clause, question)
    if follows and numeral.role in _COMPUTED:
        score += 2.5
    if before[-8:].rstrip(" ＄$(").endswith("="):
        named = _LEFT_SIDE.search(before[-28:].rstrip("＄$( "))
        if named is not None:
            score += _by_left_side("".join(named.group(1).split()), numeral, question)
    words = frozenset(words_of(clause))
    low = clause.lower()
    if ("not" in words or "without" in words or "n't" in low) is not question.negated:
        # What was not sold is what is left.
        kept = LEFT & question.words and (TAKEN_AWAY & words or _NOT_SO.search(low))
        score -= 0.0 if kept else 1.5
    if not question.would and not _SUPPOSED.isdisjoint(words):
        score -= 1.5
    if question.later:
        score -= 1.0 if NOW.search(clause) else -0.5 if "will" in words else 0.0
    if COMPOUND.search(before[-30:]):
        score -= 4.0
    score += _by_unit(text, numeral, question, problem_text)
    return score + 2.5 * question.share(words)


def counts(text: str, numeral: Numeral, question: AskedQuestion) -> float:
    """Return how well the words behind a number name what the question counts."""
    if not question.counted:
        return 0.0
    wanted = {"dozen"} if "dozen" in question.counted else question.counted
    following = text[numeral.end :]
    # "21 of the 28 bulbs" counts bulbs twice.
    if (among := _AMONG.match(following)) is not None:
        following = following[among.end() :]
    behind = _WORDS_BEHIND.match(following)
    words = [stem(word) for word in _WORD.findall(behind.group() if behind else "")[:6]]
    for distance, word in enumerate(words):
        if word in wanted:
            of_what = (
                set(words[distance + 2 :])
                if words[distance + 1 : distance + 2] == ["of"]
                else set()
            )
            if of_what and question.counted_of and not question.counted_of & of_what:
                return 0.0
            return 3.0 if distance < 3 else 2.0
    return 0.0


def clause_of(text: str, numeral: Numeral) -> str:
    """Return the clause of a sentence that a number stands in, with the word that joins it."""
    start, end = 0, len(text)
    for match in _CLAUSE_START.finditer(text):
        if match.end() <= numeral.start:
            start = match.end()
        elif match.start() >= numeral.end:
            end = match.start()
            break
    return text[start:end]


def _by_name(text: str, numeral: Numeral, clause: str, question: AskedQuestion) -> float:
    """Return what the names near a number tell: it may be another person's, or another day's."""
    if not question.names:
        return 0.0
    local = _NEAR_BEHIND.match(text, numeral.end)
    ahead = _NEAR_BEFORE.search(text[max(0, numeral.start - 40) : numeral.start])
    for where in (local.group() if local else "", ahead.group() if ahead else "", clause):
        said = frozenset(_NAME.findall(where))
        if said & question.names:
            return 1.0 if where is not clause else 0.0
        if said & question.other_names:
            return -2.0
    return 0.0


def _by_left_side(name: str, numeral: Numeral, question: AskedQuestion) -> float:
    """Return what the left side of an equation tells: the thing asked for, or another unknown."""
    if name in question.asked_formulas:
        return 2.5
    if name != "f" and any(_rivals(name, asked) for asked in question.asked_formulas):
        return -6.0
    if numeral.role is not NumeralRole.NAMED or name == "f" or name in question.words:
        return 0.0
    return -2.5 if question.words and not question.solving else 0.0


def _rivals(name: str, asked: str) -> bool:
    """Return whether the left side of an equation is another unknown than the one asked for."""
    if len(asked) == 1:
        return bool(re.fullmatch(r"\d*[A-Za-z]", name))
    return "(" in asked and "(" in name and asked[0] == name[0]


def _by_unit(text: str, numeral: Numeral, question: AskedQuestion, problem_text: str) -> float:
    """Return what the unit of measurement behind a number tells, where the question asks for
    one.
    """
    asked = asked_units(problem_text) or question.units
    if not asked or numeral.money or numeral.percent:
        return 0.0
    behind = _WORD_OF_UNIT.match(text, numeral.end)
    unit = split_unit(f"5 {behind.group(1).lower()}").unit if behind is not None else ""
    if not unit:
        return 0.0
    if unit in asked:
        return 1.5
    return -1.5 if any(unit_dimension(one) == unit_dimension(unit) for one in asked) else 0.0


def _by_role(numeral: Numeral, question: AskedQuestion) -> float:
    """Return what a number's part in a calculation and its sign of money or percent tell."""
    score = {NumeralRole.RESULT: 2.5, NumeralRole.NAMED: 1.0, NumeralRole.LABEL: -2.0}.get(
        numeral.role, 0.0
    )
    if question.money:
        score += 2.0 if numeral.money else -0.5
    elif numeral.money and question.counted:
        score -= 2.0
    if question.percent:
        score += 2.5 if numeral.percent else -0.5
    elif numeral.percent:
        score -= 2.0
    return score


def _copied(numeral: Numeral, problem_text: str) -> bool:
    """Return whether a formula stands in the problem as it is."""
    formula = numeral.value.removeprefix("formula ")
    return formula != numeral.value and formula.replace(" ", "") in problem_text.replace(" ", "")


@lru_cache(maxsize=512)
def _main_start(text: str) -> int:
    """Return where the main clause of a sentence begins that opens with a reason or a condition."""
    match = _OPENING_CLAUSE.match(text)
    return match.end() if match else 0


@lru_cache(maxsize=512)
def _main_end(text: str) -> int:
    """Return where the main clause of a sentence ends: at the first clause that adds to it."""
    match = _ADDED_CLAUSE.search(text[12:])
    return match.start() + 12 if match else len(text)


def _in_remark(text: str, at: int) -> bool:
    if "(" not in text and "[" not in text:
        return False
    return any(m.start() <= at < m.end() for m in _REMARK.finditer(text))
