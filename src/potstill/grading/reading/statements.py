"""The answer that the prose of a response commits itself to, where it is not withdrawn or cut."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from potstill.grading.reading.formulas import formula_stated, free_letters, set_apart
from potstill.grading.reading.numbers import ANSWER_WORD, Statement, number_stated, statement_score
from potstill.grading.reading.numerals import spells_number
from potstill.grading.reading.question import Question, question_of
from potstill.grading.reading.sentences import Sentence, money_marked, sentences_of, words_of
from potstill.grading.reading.words import letter_stated, word_stated
from potstill.records import AnswerKind

__all__ = [
    "LONG",
    "Stated",
    "answer_stated",
    "end_of_answer",
    "is_numeric",
    "names_answer",
    "takes_back",
]

TAIL_CHARACTERS = 24_000
# A response this long that ends within a sentence was cut there, whatever its server says.
LONG = 1_000
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
_NEXT_TASK = re.compile(
    r"(?im)^[\s>#*_]{0,8}(?:(?:next\s+|new\s+|another\s+|follow-?up\s+|similar\s+)?(?:question|"
    r"problem|exercise|"
    r"example|task|instructions?|prompt|input)\s{0,3}\d{0,3}\s{0,3}[:.]|(?:q|human|user|"
    r"student)\s?\d{0,3}\s?:|"
    r"<\|?(?:im_start|user|human|endoftext|eot)|\[INST\]|###\s*(?:instruction|question|problem|"
    r"human|user))"
    r"|(?i:\bnow,?\s+try\b|\btry\s+this\b|\bfor\s+practice\b|\bpractice\s+problem|\byou are an? (?:ai|assistant|helpful|language|expert|teacher|student|chat)|"
    r"\byou will be given\b|"
    r"\bthe user (?:asks|wants|has asked)|\ba chat between\b|\bas an ai (?:language )?model\b|"
    r"\b(?:write|create|generate) an? (?:\w+\s){0,3}(?:question|story|problem|program|function|"
    r"essay|"
    r"article|python)\b)"
)
_HEADING = re.compile(
    r"(?i)^(?:the\s+|my\s+|our\s+)?(?:final\s+|correct\s+)?(?:answers?|result|ans|"
    r"conclusion)\s*[:.=]?$"
)
_MARKED = re.compile(
    r"(?i)^(?:so,?\s+|thus,?\s+|therefore,?\s+|hence,?\s+)?(?:the\s+|my\s+|our\s+)?(?:final\s+|"
    r"correct\s+)?"
    r"(?:answer|ans|result)\b(?:\s*\([a-z ]{1,20}\))?\s{0,2}(?:is\s{0,2}:|\.?\s?[:=]|\.|"
    r"(?=\d))\s*(?P<rest>.*)$",
    re.S,
)
_STRUCK = re.compile(r"~~[^~\n]{1,80}~~")
_PROGRAM = re.compile(
    r"```(?:python3?|py|js|javascript|typescript|java|c|cpp|c\+\+|r|matlab|sympy|julia|ruby|go|rust|bash|sh)\b[^\n]*\n"
    r".{0,8000}?(?:```|\Z)",
    re.S | re.I,
)
_HASHES = re.compile(
    r"(?m)^[ \t]{0,8}####[ \t]*(?!\s*(?:step|part|case|solution)\b)(?P<rest>[^\n]*)$", re.I
)
_WITHDRAWS = re.compile(
    r"(?i)\b(?:(?:that|this|it|which)(?:'s| is| was| seems| must be)?\s+(?:\w+\s+)?(?:wrong|"
    r"incorrect|"
    r"not\s+(?:right|correct|possible|true)|a\s+mistake|an\s+error|impossible)|(?:does|"
    r"did)(?:n't| not)\s+"
    r"(?:make sense|work|match|fit|add up)|i(?:'ve| have)?\s+(?:made\s+(?:a|an|some|"
    r"the)\s+(?:\w+\s+)?(?:mistake|"
    r"error)|forgot|miscalculated|misread|overlooked)|(?:that|this|it|which)\s+can(?:'t|"
    r"not)\s+be(?!\s+(?:done|seen))|correction|scratch that|double[- ]counted|oops)\b"
)
_UNSURE = re.compile(r"(?i)\b(?:maybe|perhaps|if|might|unless|suppose|whether)\b")
_MAY_WITHDRAW = re.compile(
    r"wrong|rror|mist|orrec|oubl|ops|righ|possible|true|n['o]t |forgot|miscal|misr|overl|scratch"
)
# "No, 18." puts another value in the place of the one before.
_REPLACES = re.compile(
    r"(?i)(?:no|actually(?:,?\s+no)?|correction|oops|sorry|wait,?\s+no|on second thought)\b[,:.!—–-]{1,2}\s*(?:[^.?]{0,60}\b(?:is|be|are)\s+)?"
    r"[＄$]?\d[\d,.]*\W*$"
)
_CORRECTS = re.compile(
    r"(?i)^(?:(?:oh|oops|hmm|ah)[,.! ]+)?(?:wait|actually|no|correction|sorry|on second thought|"
    r"rather)\b|\b(?:it|answer|total|result|that)\s+should\s+(?:actually\s+|really\s+|"
    r"instead\s+)?be\b"
)
_RECHECKS = re.compile(
    r"(?i)\blet(?:'s| me| us)\s+(?:just\s+|also\s+|quickly\s+)?(?:double[- ]?check|verify|check|"
    r"confirm|re-?check|"
    r"make\s+sure|go\s+(?:over|through)|re-?read|see\s+if|think\s+again|validate)|"
    r"\bto\s+(?:double-?check|verify|make\s+sure|"
    r"be\s+(?:sure|safe))\b|^(?:another way|alternatively|just to)\b"
)
_REMARKS = re.compile(
    r"(?i)\b(?:verif\w+|check\w*|confirm\w*|note|remark|average|if|would|could|had|alternatively|another|similarly|also|"
    r"fun|example|because)\b"
)
_AFFIRMS = re.compile(
    r"(?i)\b(?:seems?|looks?|sounds?|is|that's|am)\s+(?:\w+\s+)?(?:correct|right|reasonable|good|"
    r"confident|"
    r"the answer)\b|\bmakes sense\b|\bmatches\b|\bchecks out\b|\bsame (?:result|answer)\b"
)
_POINTS_BACK = re.compile(
    r"(?i)(?:this|that|which|so this|so that)\s+is\s+(?:the|our|my)\s+(?:final\s+|"
    r"correct\s+)?answer\b"
)
_HAS_DIGIT = re.compile(r"[\d\\]|\b[Nn]o\s")
_JOINED = re.compile(r"[;=]|,\s|\bi\.e|\bor\b")
_VERB = re.compile(r"(?i)\s(?:is|are|was|were|has|have|had|will)\s|^(?:no|yes)\b,")
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_WINDOW = 1.0
_LEAST = 1.0
_LEAST_BROKEN = 2.0
_LEAST_THOUGHT = 3.0


@dataclass(frozen=True, slots=True)
class Stated:
    """An answer that prose states: its text, or the several that remain; ``cut`` where talk follows
    it that ends in the middle. ``rule`` says what kind of sentence stated it."""

    text: str
    rule: str
    several: tuple[str, ...] = ()
    cut: bool = False


@dataclass(slots=True)
class _Claim:
    """A sentence that states a value, how strongly, and where."""

    place: int
    score: float
    stated: Statement
    scope: bool
    firm: bool
    words: str


def is_numeric(kind: str) -> bool:
    """Return whether answers of a kind are single numbers."""
    return kind in _NUMERIC


def takes_back(text: str) -> bool:
    """Return whether a text takes back what was stated before it."""
    return any(
        _WITHDRAWS.search(sentence.text)
        and not _UNSURE.search(sentence.text)
        and not sentence.text.endswith("?")
        for sentence in sentences_of(text)
    )


def names_answer(text: str) -> bool:
    """Return whether a text calls something its answer."""
    return "answer" in text.lower() and bool(ANSWER_WORD.search(text))


def end_of_answer(text: str, start: int = 0) -> int:
    """Return where an invented next task or leaked instructions begin, else the text's length."""
    for match in _NEXT_TASK.finditer(text, start):
        if match.start() > start and text[start : match.start()].strip():
            return match.start()
    return len(text)


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
    text = money_marked(_without_struck(_tail(_hashes_named(text))))
    sentences = sentences_of(text)
    if not sentences:
        return None
    opened = text.count("\\[") > text.count("\\]")
    broken = cut or (long and (opened or not sentences[-1].ended))
    if broken and (opened or not sentences[-1].ended):
        sentences.pop()
    reader = _Reader(kind, problem_text, question_of(problem_text), thought)
    drafts = _drafts(sentences, reader)
    sentences, drafts = _without_next_task(text, reader.question.squeezed, sentences, drafts)
    if broken:
        drafts = _without_last_check(sentences, drafts)
    claims = _claims(drafts, _taken_back(sentences, drafts, reader), reader)
    if broken:
        # What is still being worked out where a text is cut states nothing yet.
        claims = [claim for claim in claims if not claim.stated.of_unknown]
    best = _chosen(claims, sentences, reader.question, thought, broken) if claims else None
    if best is None:
        return None
    return Stated(best.stated.text, _rule(best), best.stated.several, broken)


def _tail(text: str) -> str:
    if len(text) <= TAIL_CHARACTERS:
        return text
    start = text.find("\n", len(text) - TAIL_CHARACTERS)
    return text[start if 0 <= start < len(text) - TAIL_CHARACTERS // 2 else -TAIL_CHARACTERS :]


def _without_struck(text: str) -> str:
    """A text without what it strikes out and without its programs, which state nothing."""
    if "~~" in text:
        text = _STRUCK.sub(" ", text)
    return _PROGRAM.sub(" ", text) if "```" in text else text


def _hashes_named(text: str) -> str:
    """GSM8K's ``####`` as the word that it stands for."""
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


@dataclass(slots=True)
class _Draft:
    """A sentence that may state the answer: how strongly it says so, before its value is read."""

    place: int
    text: str
    marked: bool
    score: float
    scope: bool
    firm: bool


@dataclass(slots=True)
class _Reader:
    """What sentences are read for; each is read once, however often a loop repeats it."""

    kind: str
    problem_text: str
    question: Question
    thought: bool
    known: dict[tuple[str, bool], Statement | None] = field(default_factory=dict)

    def stated(self, draft: _Draft) -> Statement | None:
        """Return what a draft states, or None where it states nothing."""
        key = (draft.text, draft.marked)
        if key not in self.known:
            # The end of a sentence that never ends holds what it comes to.
            self.known[key] = _value_of(
                draft.text[-LONGEST:], self.kind, self.problem_text, self.question, draft.marked
            )
        return self.known[key]


def _drafts(sentences: list[Sentence], reader: _Reader) -> list[_Draft]:
    drafts: list[_Draft] = []
    # The line that stands behind "Answer:", -1 where the next one will.
    scope, fresh, answer_line = False, False, -1
    known: dict[str, float] = {}
    for place, sentence in enumerate(sentences):
        marked = _MARKED.match(sentence.text)
        text = marked.group("rest").strip() if marked is not None else sentence.text
        if _HEADING.match(sentence.text) or (marked is not None and not text):
            scope, fresh, answer_line = True, True, -1
            continue
        if marked is not None:
            scope, fresh, answer_line = True, True, sentence.line
        elif scope and answer_line < 0:
            answer_line = sentence.line
        if drafts and _POINTS_BACK.match(sentence.text):
            drafts[-1].score += 2.0
        follows = reader.thought and drafts and drafts[-1].place == place - 1
        if follows and _AFFIRMS.search(sentence.text):
            drafts[-1].score += 1.5
            drafts[-1].firm = True
        if reader.kind in _NUMERIC and not (_HAS_DIGIT.search(text) or spells_number(text)):
            continue
        if len(text) > 15 and "".join(text.split()) in reader.question.squeezed:
            continue  # the problem, said again
        near = scope and sentence.line == answer_line
        if sentence.text not in known:
            phrase = marked is not None or (near and fresh)
            known[sentence.text] = _base_score(sentence, text, phrase, reader)
        score = known[sentence.text]
        if score < 0 and not reader.thought:
            continue
        if scope:
            alone = place + 1 == len(sentences) or sentences[place + 1].line != sentence.line
            score += _in_scope(fresh, alone, text, reader.question) if near else 1.0
            fresh = False
        drafts.append(_Draft(place, text, marked is not None, score, scope, _firm(scope, text)))
    return drafts


def _firm(scope: bool, text: str) -> bool:
    """Whether a sentence commits itself: it speaks of an answer, or says that it is right."""
    return scope or bool(ANSWER_WORD.search(text) or _AFFIRMS.search(text))


def _base_score(sentence: Sentence, text: str, phrase: bool, reader: _Reader) -> float:
    if phrase and _is_phrase(text):
        return 3.0
    score = statement_score(text, reader.question)
    if reader.thought:
        return score + (2.0 if _AFFIRMS.search(text) else 0.0)
    return score + (3.0 if score >= 0 and _CORRECTS.search(sentence.text) else 0.0)


def _is_phrase(text: str) -> bool:
    """Whether what stands behind "Answer:" is a value and no sentence."""
    return len(_PLAIN_WORD.findall(text)) <= 2 and not _VERB.search(text)


def _claims(drafts: list[_Draft], taken_back: dict[str, int], reader: _Reader) -> list[_Claim]:
    """What the drafts state that can still matter, in the order of the text."""
    claims: list[_Claim] = []
    best = 0.0
    last = drafts[-1].place if drafts else 0
    for draft in sorted(drafts, key=lambda draft: -draft.score):
        if draft.score + 3.0 < best and draft.place != last:
            continue
        stated = reader.stated(draft)
        if stated is None or draft.place < taken_back.get(stated.value, -1):
            continue
        score = draft.score + _by_value(draft, stated, reader.question)
        best = max(best, score)
        claims.append(_Claim(draft.place, score, stated, draft.scope, draft.firm, draft.text))
    claims.sort(key=lambda claim: claim.place)
    return claims


def _by_value(draft: _Draft, stated: Statement, question: Question) -> float:
    """What a value adds to the strength of the sentence that states it."""
    score = max(-2.0, min(0.5 * (stated.rating - 2.0), 1.0))
    if stated.value in question.numbers:
        score -= 2.5 if question.restated(frozenset(words_of(draft.text))) else 0.75
    return score - (1.0 if stated.several else 0.0)


def _rule(claim: _Claim) -> str:
    """By what name a statement was found: behind "Answer:", speaking of an answer, or neither."""
    if claim.scope:
        return "answer line"
    return "answer sentence" if ANSWER_WORD.search(claim.words) else "sentence"


def _in_scope(fresh: bool, alone: bool, text: str, question: Question) -> float:
    """What a sentence behind "Answer:" gains by it: all, unless a retelling goes on from there."""
    if fresh:
        return 4.0 if alone or question.share(frozenset(words_of(text))) >= 0.6 else 2.0
    return 3.0 if alone else 1.0


def _value_of(
    text: str, kind: str, problem_text: str, question: Question, marked: bool
) -> Statement | None:
    if marked and _is_phrase(text):
        phrase = text.strip().rstrip(".").strip()
        if kind not in _NUMERIC or not _JOINED.search(phrase):
            return Statement(phrase, phrase)
    if kind in _NUMERIC:
        plain, apart = set_apart(text)
        offered = tuple(formula if _may_answer(formula, kind) else "" for formula in apart)
        return number_stated(plain, problem_text, offered)
    if kind == AnswerKind.LETTER:
        letter, open_ = letter_stated(text, problem_text)
        return Statement(letter, letter, open_) if letter or open_ else None
    if kind in _WORDED:
        word = word_stated(text, question, question.asked)
        if marked and len(text.split()) <= 6:
            word = word if word.lower() in ("yes", "no") else text.rstrip(".")
        return Statement(word, word.lower()) if word else None
    formula, several = formula_stated(text, kind in _GROUPED, problem_text)
    if formula and not (kind in _GROUPED and re.fullmatch(r"[A-Za-z]", formula)):
        return Statement(formula, formula)
    if several:
        return Statement("", "", ("several formulas",))
    plain, apart = set_apart(text)
    return None if apart or kind in _GROUPED else number_stated(plain, problem_text)


def _may_answer(formula: str, kind: str) -> bool:
    """Whether a formula can be the answer sought: one with variables is no number."""
    return bool(formula.strip()) and (kind not in _NUMERIC or not free_letters(formula))


def _without_next_task(
    text: str, problem: str, sentences: list[Sentence], drafts: list[_Draft]
) -> tuple[list[Sentence], list[_Draft]]:
    """What stands before an invented next task, where an answer was stated before it."""
    for match in _NEXT_TASK.finditer(text):
        if len(problem) > 30 and problem[:40] in "".join(
            text[match.end() : match.end() + 300].split()
        ):
            # Examples stand before the question that was asked.
            drafts = [d for d in drafts if sentences[d.place].start > match.start()]
            continue
        if any(sentences[d.place].start < match.start() and d.score >= _LEAST for d in drafts):
            inside = [s for s in sentences if s.start < match.start()]
            return inside, [d for d in drafts if d.place < len(inside)]
    return sentences, drafts


def _without_last_check(sentences: list[Sentence], drafts: list[_Draft]) -> list[_Draft]:
    """The drafts before the check that a text was cut in, where it checks what it had stated."""
    for place in range(len(sentences) - 1, 0, -1):
        if _RECHECKS.search(sentences[place].text):
            before = [draft for draft in drafts if draft.place < place]
            if any(d.score >= _LEAST_BROKEN and d.place >= place - 3 for d in before):
                return [d for d in drafts if d.place < place or d.firm]
    return drafts


def _taken_back(sentences: list[Sentence], drafts: list[_Draft], reader: _Reader) -> dict[str, int]:
    """The values that a later sentence takes back, and where it does."""
    found: dict[str, int] = {}
    if not any(
        _MAY_WITHDRAW.search(sentence.text) or _REPLACES.match(sentence.text)
        for sentence in sentences
    ):
        return found
    for place, sentence in enumerate(sentences):
        text = sentence.text
        if not reader.thought and _REPLACES.match(text):
            meant = next((d for d in reversed(drafts) if d.place < place), None)
            if meant is not None and (stated := reader.stated(meant)):
                found[stated.value] = place
            continue
        if not _WITHDRAWS.search(text) or text.endswith("?") or _UNSURE.search(text):
            continue
        meant = next((d for d in reversed(drafts) if d.place < place and d.score >= 1.0), None)
        if meant is not None and meant.place >= place - 3 and (stated := reader.stated(meant)):
            found[stated.value] = place
    return found


def _chosen(
    claims: list[_Claim],
    sentences: list[Sentence],
    question: Question,
    thought: bool,
    broken: bool,
) -> _Claim | None:
    """The claim that a text commits itself to: the last of the strongest.

    Where another of the strongest is said again behind it, that one; in a text that is cut, where
    the end proves nothing, the one that is said most.
    """
    count = len(sentences)
    concluded = any(claim.score >= 3.0 for claim in claims[:-1])
    if claims[-1].place == count - 1 and not broken and not concluded:
        claims[-1].score += 1.0
    top = max(claim.score for claim in claims)
    if top < (_LEAST_THOUGHT if thought else _LEAST_BROKEN if broken else _LEAST):
        return None
    strong = [claim for claim in claims if claim.score >= top - _WINDOW]
    best = strong[-1]
    if best.stated.several:
        agreed = [c for c in strong if c.stated.value in best.stated.several]
        return agreed[-1] if agreed else best
    if broken:
        if thought:
            # What is mused on the way to a cut is no statement.
            firm = [claim for claim in claims if claim.firm and claim.score >= _LEAST_THOUGHT - 1.0]
            twice = [c for c in strong if _said(c.stated.value, claims, top) >= 2.5]
            if not firm and not twice:
                return None
            strong = firm or strong
        return _said_most(claims, strong, top)
    values = {claim.stated.value for claim in strong if not claim.stated.several}
    if _works_on(best, claims[-1], sentences, question):
        return claims[-1]
    if len(values) > 1:
        said = {value: _said(value, claims, top) for value in values}
        behind = {
            claim.stated.value
            for claim in claims
            if claim.place > best.place and claim.score >= top - 2.0
        }
        other = max(values, key=lambda value: said[value])
        if other in behind and said[other] > 1.3 * said[best.stated.value]:
            return next(c for c in reversed(strong) if c.stated.value == other)
    return best


def _works_on(
    best: _Claim, last: _Claim, sentences: list[Sentence], question: Question
) -> bool:
    """Whether a text ends in a calculation that goes on from its strongest statement.

    What a step states in the question's words ("she has 6 muffins left") is no answer where a terse
    last line computes a value that was not named before; what a check or a remark computes is none.
    """
    if last.place <= best.place or last.place != len(sentences) - 1 or not last.stated.computed:
        return False
    terse = len(_PLAIN_WORD.findall(last.words)) <= 6
    shares = [question.share(frozenset(words_of(claim.words))) for claim in (best, last)]
    if last.stated.value == best.stated.value or not (terse or shares[1] >= shares[0]):
        return False
    between = [sentence.text for sentence in sentences[best.place + 1 :]]
    if any(_RECHECKS.search(text) or _REMARKS.search(text) for text in between):
        return False
    told = " ".join(s.text for s in sentences[: best.place + 1]).replace(",", "")
    return re.search(rf"(?<![\d.]){re.escape(last.stated.value)}(?![\d.]*\d)", told) is None


def _said_most(claims: list[_Claim], strong: list[_Claim], top: float) -> _Claim:
    """The claim that a text which is cut makes most, or the several that it wavers between."""
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
        return _Claim(
            best.place,
            top,
            Statement("", "", (said[0][1], *rivals)),
            best.scope,
            best.firm,
            best.words,
        )
    return best


def _said(value: str, claims: list[_Claim], top: float) -> float:
    """How often, and how strongly, a value is stated in other words."""
    weights: dict[str, float] = {}
    for claim in claims:
        if claim.stated.value == value and claim.score > top - 2.0:
            weights[claim.words] = max(weights.get(claim.words, 0.0), claim.score - top + 2.0)
    return sum(weights.values())
