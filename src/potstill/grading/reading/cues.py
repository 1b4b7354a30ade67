"""How sentences commit themselves: what concludes, supposes, corrects, checks or takes back."""

from __future__ import annotations

import re

from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.sentences import Sentence, sentences_of, words_of

__all__ = [
    "CORRECTS",
    "HEADING",
    "MARKED",
    "NOW",
    "POINTS_BACK",
    "REMARKS",
    "REPLACES",
    "UNSURE",
    "WITHDRAWS",
    "affirms",
    "conceded_before",
    "end_of_answer",
    "is_check",
    "may_withdraw",
    "names_answer",
    "next_tasks",
    "own_talk",
    "rechecks",
    "recomputes",
    "statement_score",
    "takes_back",
    "withdraws_value",
]

_ANSWER_WORD = re.compile(
    r"(?i)\b\b(?:answer|final\s+result)\b(?!\s+(?:choice|key|sheet))[^.,;=:?!]{0,60}?"
    r"(?:\b(?:is|are|was|equals|will be|would be|should be|must be|comes out)\b|[:=])"
    r"|\bcorrect\s+(?:value|number|amount|total|one|result)\s+is\b"
    r"|\d[\d,.]*(?:\s\w+){0,3}\s(?:is|as|must be|should be)\s(?:the|my|our)\s(?:\w+\s)?answer\b"
)
# An answer that is somebody else's, or was one's own.
_OTHERS_ANSWER = re.compile(
    r"(?i)\b(?:wrong|incorrect|common|textbook|book|first|initial|original|earlier|previous|"
    r"tempting|naive|student\s+\w+|"
    r"someone|somebody|some\s+(?:people|argue|say)|many)\b(?:'s)?[^.]{0,40}?\banswers?\b"
)
# What somebody only says is said to be so.
_HEARSAY = re.compile(
    r"(?i)\b(?:someone|somebody|some|others|people|many|(?:an?|another|one|the|my|some|many|most)\s+(?:other\s+)?"
    r"(?:student|pupil|friend|person|people|classmate|colleague|reader|user|child)s?)\s+(?:(?:may|might|would|could)\s+)?"
    r"(?:claim|sa[iy]|think|thought|believe|argue|guess|answer|assert|insist)(?:e?d|s)?\b"
)
_TELLERS = frozenset(
    [
        *(
            "someone",
            "somebody",
            "some",
            "others",
            "people",
            "many",
            "student",
            "students",
            "pupil",
        ),
        *("pupils", "friend", "friends", "person", "classmate", "colleague", "reader", "user"),
        "child",
    ]
)
_CONCLUDES = re.compile(
    r"(?i)^(?:and\s+)?(?:therefore|thus|hence|consequently|accordingly|in conclusion|to conclude|"
    r"in total|"
    r"in all|altogether|overall|as a result|finally|in summary|to summarize|to sum up|this means|"
    r"that means|this gives|it follows|we conclude|we find|i conclude)\b"
)
_SO = re.compile(
    r"(?i)^(?:so|then|which means|that's|that is|now|∴|⇒|=>)\b|\b(?:therefore|thus|hence|so)\b[, ]"
)
_CONNECTIVE = re.compile(
    r"(?i)^(?:therefore|thus|hence|so|in conclusion|in summary|to summarize|finally|overall|"
    r"consequently)\b,?\s*"
)
_PLANS = re.compile(
    r"(?i)^(?:(?:first|next|now|then|finally|second|third|lastly)\w*,?\s+)?(?:to\s+(?:find|"
    r"determine|calculate|"
    r"solve|get|know|figure|compute|verify|check)|we\s+(?:need|must|can|have\s+to|should|know|"
    r"are given)|"
    r"let'?s|let\s+(?:me|us|the|\(?\\?\(?\s?[a-z]\b)|i\s+(?:need|will|could|can|have to)|"
    r"you\s+(?:need|can))\b"
)
_EXPLAINS = re.compile(
    r"(?i)^(?:this|that|it|which)\s+is\s+(?:because|since|due\s+to|based\s+on|calculated|"
    r"obtained)\b"
)
_SUPPOSES = re.compile(
    r"(?i)^(?:if|suppose|assume|assuming|unless|what if|say)\b|\b(?:in that case|maybe|perhaps|"
    r"might|"
    r"suppose|hypothetical\w*|could be|may be|not sure|alternatively|would have been|if it were|"
    r"one would|it'd be|had\s+\w+\s+not|"
    r"let'?s say)\b"
)
# "If A, then B" states B where the problem has A.
_IF_THEN = re.compile(r"(?i)if\b(?!.*\b(?:would|could|might|were|had)\b)[^?]{3,300},")
# "If we subtract 2 from 7, we get 5" supposes nothing.
_WORKS_OUT = re.compile(
    r"(?i)(?:so,?\s+)?if\s+(?:we|you|i)\s+(?:add|subtract|multiply|divide|combine|sum|compute|calculate|"
    r"put|take|count|solve|plug|substitute)\b(?!.*\b(?:would|could|might)\b)"
)
NOW = re.compile(
    r"(?i)\b(?:now|currently|today|at present|right now|originally|initially|at first)\b"
)
_TASK_LINE = re.compile(
    r"(?i)[\s>#*_]{0,8}(?:(?:next\s+|new\s+|another\s+|follow-?up\s+|similar\s+)?(?:question|problem|"
    r"exercise|example|task|instructions?|prompt|input)\s{0,3}\d{0,3}\s{0,3}[:.]|"
    r"(?:q|human|user|student)\s?\d{0,3}\s?:|<\|?(?:im_start|user|human|endoftext|eot)|\[INST\]|"
    r"(?:instruction|question|problem|human|user)\s*$)"
)
_TASK_HEADS = (
    *("question", "problem", "exercise", "example", "task", "instruction", "prompt", "input", "q"),
    *("human", "user", "student", "next", "new ", "another", "follow", "similar", "<", "[inst"),
)
_TASK_TALK = re.compile(
    r"(?i)\b(?:now,?\s+try|try\s+this|for\s+practice|practice\s+problem|you will be given|"
    r"you are an? (?:ai|assistant|helpful|language|expert|teacher|student|chat)|"
    r"the user (?:asks|wants|has asked)|a chat between|as an ai (?:language )?model|"
    r"(?:write|create|generate) an? (?:\w+\s){0,3}(?:question|story|problem|program|function|essay|"
    r"article|python))\b"
)
# One of these stands in every match; looking for them first is cheap.
_TALKS = (
    *("try", "practice", "you will be given", "you are a", "the user ", "a chat between"),
    *("as an ai ", "write a", "create a", "generate a"),
)
HEADING = re.compile(
    r"(?i)^(?:the\s+|my\s+|our\s+)?(?:(?:final|correct(?:ed)?|revised|updated)\s+)?(?:answers?|result|ans|"
    r"conclusion)\s*[:.=]?$"
)
MARKED = re.compile(
    r"(?i)^(?:so,?\s+|thus,?\s+|therefore,?\s+|hence,?\s+)?(?:the\s+|my\s+|our\s+)?"
    r"(?:(?:final|correct(?:ed)?|revised|updated)\s+)?"
    r"(?:answer|ans|result)\b(?:\s*\([a-z ]{1,20}\))?\s{0,2}(?:is\s{0,2}:|\.?\s?[:=]|\.|"
    r"(?=\d))\s*(?P<rest>.*)$",
    re.S,
)
WITHDRAWS = re.compile(
    r"(?i)\b(?:(?:that|this|it|which)(?:'s| is| was| seems| must be)?\s+(?:\w+\s+)?(?:wrong|"
    r"incorrect|"
    r"not\s+(?:right|correct|possible|true)|a\s+mistake|an\s+error|impossible)|(?:does|"
    r"did)(?:n't| not)\s+"
    r"(?:make sense|work|match|fit|add up)|i(?:'ve| have)?\s+(?:made\s+(?:a|an|some|"
    r"the)\s+(?:\w+\s+)?(?:mistake|"
    r"error)|forgot|miscalculated|misread|overlooked)|(?:that|this|it|which)\s+can(?:'t|"
    r"not)\s+be(?!\s+(?:done|seen))|correction|scratch that|double[- ]counted|oops)\b"
)
UNSURE = re.compile(r"(?i)\b(?:maybe|perhaps|if|might|unless|suppose|whether)\b")
# "No, 18." puts another value in the place of the one before.
REPLACES = re.compile(
    r"(?i)(?:no|actually(?:,?\s+no)?|correction|oops|sorry|wait,?\s+no|"
    r"on second thought)\b[,:.!—–-]{1,2}\s*(?:[^.?]{0,60}\b(?:is|be|are)\s+)?"
    r"[＄$]?\d[\d,.]*\W*$"
)
CORRECTS = re.compile(
    r"(?i)^(?:(?:oh|oops|hmm|ah)[,.! ]+)?(?:wait|actually|no|correction|sorry|on second thought|"
    r"rather|in fact|not\s[^.;,]{1,40},?\sbut)\b"
    r"|\b(?:it|answer|total|result|that)\s+should\s+(?:actually\s+|really\s+|"
    r"instead\s+)?be\b"
)
# "You might think 9, but it is actually 21": what is only thought stands before the "but".
_CONCEDED = re.compile(
    r"(?i)^[^.;]{0,60}\b(?:(?:might|may|could|would|is\s+tempting\s+to)\s+(?:\w+\s+){0,2}(?:think|"
    r"say|guess|expect|believe|assume|answer|be\s+tempted)|(?:looks|seems|sounds|appears)\b|at\s+first"
    r"|(?:says?|said|claims?|claimed|thinks?|thought|believes?|guess(?:es|ed)?)\b)"
    r"[^.;]{0,80}?,?\s+but\s+(?=\S)"
)
_CONCEDING = frozenset(["but"])
_RECHECKS = re.compile(
    r"(?i)\blet(?:'s| me| us)\s+(?:just\s+|also\s+|quickly\s+)?(?:double[- ]?check|verify|check|"
    r"confirm|re-?check|"
    r"make\s+sure|go\s+(?:over|through)|re-?read|see\s+if|think\s+again|validate)|"
    r"\bto\s+(?:double-?check|verify|make\s+sure|"
    r"be\s+(?:sure|safe))\b|^(?:another way|alternatively|just to)\b"
)
REMARKS = re.compile(
    r"(?i)\b(?:verif\w+|check\w*|confirm\w*|note|remark|average|if|would|could|had|alternatively|"
    r"another|similarly|also|"
    r"fun|example|because)\b"
)
_CHECK = re.compile(
    r"(?i)(?:(?:to|let(?:'s| me| us)|we\s+can)\s+)?(?:quick(?:ly)?\s+)?"
    r"(?:double[- ]?check|check|verify|verification|proof|confirm)\b[^:,.=\d]{0,30}[:,]\s.*\d"
)
_CHECKING = frozenset(["check", "doublecheck", "verify", "verification", "proof", "confirm"])
_RECOMPUTES = re.compile(
    r"(?i)\b(?:let\s+me|let['’]?s|i(?:['’]ll| will| should| need to| have to)|let\s+us)\s+"
    r"(?:just\s+|quickly\s+)?"
    r"(?:re-?(?:do|compute|calculate|count|work|consider|think|evaluate)|correct|fix|"
    r"try\s+(?:that\s+|this\s+|it\s+)?again|"
    r"start\s+(?:over|again)|compute\s+(?:that\s+|it\s+)?again)\b"
)
_RECOMPUTING = frozenset(["let", "lets", "i"])
_AFFIRMS = re.compile(
    r"(?i)\b(?:seems?|looks?|sounds?|is|that's|am)\s+(?:\w+\s+)?(?:correct|right|reasonable|good|"
    r"confident|"
    r"the answer)\b|\bmakes sense\b|\bmatches\b|\bchecks out\b|\bsame (?:result|answer)\b"
)
POINTS_BACK = re.compile(
    r"(?i)(?:this|that|which|so this|so that)\s+is\s+(?:the|our|my)\s+(?:final\s+|"
    r"correct\s+)?answer\b"
)


_NUMBER = re.compile(r"(?<![\d.,])\d+(?:,\d{3})*(?:\.\d+)?")
_FIRST_PERSON = re.compile(r"(?i)\bi\b|^(?:correction|oops|scratch)")
_SUPPOSED_ANSWER = re.compile(r"(?i)^if\b[^.]*\b(?:would|could|might|were|had)\b|\bwould\s+have\b")


def statement_score(text: str, question: AskedQuestion, letters: frozenset[str]) -> float:
    """Return how far a sentence commits itself to an answer to the question; none below 0.

    ``letters`` are its runs of letters in lower case: looking one up is cheaper than a pattern.
    """
    if text.rstrip(" *_\"'").endswith("?"):
        return -1.0
    share = question.share(words_of(text))
    score = 2.5 * share
    if not _ANSWERING.isdisjoint(letters):
        score += 4.0 if _ANSWER_WORD.search(text) else 0.0
        if not _OTHERS.isdisjoint(letters) and _OTHERS_ANSWER.search(text):
            score -= 8.0
    if not _TELLERS.isdisjoint(letters) and _HEARSAY.search(text):
        score -= 8.0
    if question.later and NOW.search(text):
        score -= 1.0
    if _CONCLUDES.match(text):
        score += 1.5
    elif not _SO_WORDS.isdisjoint(letters) or text[:1] in "∴⇒=":
        score += 1.0 if _SO.search(text) else 0.0
    if text.startswith("(") and text.find(")") == len(text.rstrip(".")) - 1:
        score -= 2.0
    # "If she buys 3, how many has she?" is answered in its own "if"
    asked_so = question.would and share >= 0.5
    works = _WORKS_OUT.match(text) is not None
    if not (asked_so or works or _SUPPOSING.isdisjoint(letters)) and _SUPPOSES.search(text):
        score -= 1.0 if _IF_THEN.match(text) else 3.0
    if "=" not in text and _PLANS.match(_CONNECTIVE.sub("", text)):
        score -= 2.0
    if _EXPLAINS.match(text):
        score -= 2.5
    return score


# One of these stands in every match of the pattern that is named after them.
_ANSWERING = frozenset(["answer", "result", "correct"])
_AFFIRMING = frozenset(
    [
        *("correct", "right", "reasonable", "good", "confident", "answer", "sense", "matches"),
        *("checks", "same"),
    ]
)
_RECHECKING = frozenset(["let", "to", "another", "alternatively", "just"])
# One of these stands in what takes a value back or puts another in its place.
_WITHDRAWING = frozenset(
    [
        *("wrong", "incorrect", "not", "mistake", "error", "impossible", "t", "cannot", "forgot"),
        *("miscalculated", "misread", "overlooked", "correction", "scratch", "counted", "oops"),
        *("no", "actually", "sorry", "wait", "second", "re", "redo", "recompute", "recalculate"),
        *("recount", "rework", "reconsider", "rethink", "reevaluate", "correct", "fix", "again"),
        "over",
    ]
)
_SO_WORDS = frozenset(["so", "then", "which", "that", "now", "therefore", "thus", "hence"])
_OTHERS = frozenset(
    [
        *("wrong", "incorrect", "common", "textbook", "book", "first", "initial", "original"),
        *("earlier", "previous", "tempting", "naive", "student", "someone", "somebody", "some"),
        "many",
    ]
)
_SUPPOSING = frozenset(
    [
        *("if", "suppose", "assume", "assuming", "unless", "what", "say", "case", "maybe"),
        *("perhaps", "might", "hypothetical", "hypothetically", "could", "may", "sure", "it"),
        *("alternatively", "would", "let", "had"),
    ]
)


def is_check(text: str, letters: frozenset[str]) -> bool:
    """Return whether a sentence only checks what was stated: "Check: 26 + 70 = 96"."""
    return (
        not _CHECKING.isdisjoint(letters)
        and _CHECK.match(text) is not None
        and not names_answer(text, letters)
    )


def recomputes(text: str, letters: frozenset[str]) -> bool:
    """Return whether a sentence announces that what was stated is worked out anew."""
    return not _RECOMPUTING.isdisjoint(letters) and _RECOMPUTES.search(text) is not None


def affirms(text: str, letters: frozenset[str]) -> bool:
    """Return whether a sentence, with its letters, says that something is right."""
    return not _AFFIRMING.isdisjoint(letters) and _AFFIRMS.search(text) is not None


def rechecks(sentence: Sentence) -> bool:
    """Return whether a sentence begins to check what stands before it."""
    return (
        not _RECHECKING.isdisjoint(sentence.letters) and _RECHECKS.search(sentence.text) is not None
    )


def conceded_before(text: str, letters: frozenset[str]) -> int:
    """Return where a sentence goes on behind what it concedes: "You might think 9, but"."""
    found = _CONCEDED.match(text) if not _CONCEDING.isdisjoint(letters) else None
    return found.end() if found is not None else 0


def may_withdraw(letters: frozenset[str]) -> bool:
    """Return whether a sentence of these letters can take back a value or replace it."""
    return not _WITHDRAWING.isdisjoint(letters)


def takes_back(text: str, value: str = "") -> bool:
    """Return whether a text takes back the ``value`` that was stated before it.

    "Many add and get 61, which is wrong" takes back a number of its own.
    """
    for sentence in sentences_of(text):
        found = WITHDRAWS.search(sentence.text) if may_withdraw(sentence.letters) else None
        if found is None or UNSURE.search(sentence.text) or sentence.text.endswith("?"):
            continue
        if withdraws_value(sentence.text, found, value):
            return True
    return False


def withdraws_value(text: str, found: re.Match[str], value: str) -> bool:
    """Return whether what a sentence takes back, where it is ``found``, is a value stated before it
    and no number of its own.
    """
    others = _NUMBER.findall(text[: found.start()])
    return not others or not value or value in others or bool(_FIRST_PERSON.search(found.group()))


def own_talk(text: str) -> str:
    """Return a text without the sentences that suppose, check, or tell of another's answer."""
    sentences = sentences_of(text)
    return "\n".join(
        sentence.text
        for sentence in sentences
        # a last one that is cut says that the text is
        if (sentence is sentences[-1] and not sentence.ended)
        or not (
            affirms(sentence.text, sentence.letters)
            or rechecks(sentence)
            or _OTHERS_ANSWER.search(sentence.text)
            or _SUPPOSED_ANSWER.search(sentence.text)
        )
    )


def names_answer(text: str, letters: frozenset[str]) -> bool:
    """Return whether a text, with its letters, calls something its answer or result."""
    return not _ANSWERING.isdisjoint(letters) and _ANSWER_WORD.search(text) is not None


def next_tasks(text: str, start: int = 0) -> list[tuple[int, int]]:
    """Return where invented next tasks and leaked instructions begin, from ``start`` on."""
    found: list[tuple[int, int]] = []
    at = 0
    for line in text.split("\n"):
        if line.lstrip(" \t>#*_")[:12].lower().startswith(_TASK_HEADS):
            match = _TASK_LINE.match(line)
            if match is not None and at >= start:
                found.append((at, at + match.end()))
        at += len(line) + 1
    low = text.lower()
    if any(talk in low for talk in _TALKS):
        found += [match.span() for match in _TASK_TALK.finditer(text, start)]
    return sorted(found)


def end_of_answer(text: str, start: int = 0) -> int:
    """Return where an invented next task or leaked instructions begin, else the text's length."""
    for begin, _ in next_tasks(text, start):
        if begin > start and text[start:begin].strip():
            return begin
    return len(text)
