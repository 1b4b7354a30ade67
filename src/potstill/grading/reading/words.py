"""Answers that are words: a name, yes or no, one of the words offered, the letter of a choice."""

from __future__ import annotations

import re
from functools import lru_cache

from potstill.grading.maths.polarity import affirms_or_denies, supposes
from potstill.grading.maths.wording import IDLE_NO
from potstill.grading.reading.question import AskedQuestion
from potstill.grading.reading.sentences import stem
from potstill.grading.reading.vocabulary import COMMON

__all__ = ["choices_of", "is_judged", "letter_stated", "rules_out", "word_stated"]

_CONNECTIVE = re.compile(
    r"(?i)^(?:(?:so|thus|therefore|hence|consequently|finally|in conclusion|overall|then|and|"
    r"now)\b,?\s*)+"
)
_SUBORDINATE = re.compile(
    r"(?i),?\s+(?:since|because|as|where|which|while|so that|although|with)\b"
)
_COPULA = re.compile(
    r"(?i)\s(?:is|are|was|were|be|will be|must be|would be|equals|ist|sind|lautet|heißt|est|sont|"
    r"[:=])\s+|:\s+"
)
_OFFERED = re.compile(
    r"(?i)\b((?:[A-Za-z-]+(?:\s[a-z-]+)?,\s+){0,6}[A-Za-z-]+,?\s+or\s+(?:(?:the|an?)\s+)?[A-Za-z-]+)\b"
)
_YES_NO = re.compile(r"(?i)^(?:is|are|was|were|do|does|did|can|could|will|would|has|have|should)\b")
_TRUE_FALSE = re.compile(r"(?i)\btrue\s+or\s+false\b")
# What is denied of the thing before it, or takes the thing behind it away.
_DENIES = re.compile(
    r"(?i)^(?:not|never|no\s+longer|wrong|incorrect|false|impossible|unjustified|out\s+of\s+the\s+question)\b"
)
_ENDS_IN_NOT = re.compile(r"(?i)(?:\b(?:not|never|cannot)|n['’]t)$")
_NEGATED = re.compile(
    r"(?i)\b(?:not|never|neither|nor|isn't|aren't|no longer)\s+(?:the\s+|a\s+|an\s+)?"
    r"(?:\\text\s?\{|[\s$\\({\"'*])*$"
)
_NOT_BEFORE = re.compile(r"(?:\b(?:[Nn]ot|[Nn]ever)|n['’]t)\s+(?:\\text\s?\{|[\s$\\({\"'*])*$")
_FILLERS = frozenset(
    map(stem, (*COMMON, "both", "called", "named", "only", "option", "choice", "correct", "final"))
)
# What is said not to be known.
_UNKNOWN = re.compile(
    r"(?i)\b(?:(?:do|does|did|can|could|will)(?:\s+not|n['’]t|not)\s+(?:\w+\s+)?(?:know|say|tell|decide|"
    r"determine|be\s+(?:sure|certain))|(?:not|un)\s?(?:sure|certain|clear|known)|no\s+idea|"
    r"(?:know|tell|say|determine|decide)\s+whether)\b"
)
_CHOICE = re.compile(
    r"(?:^|"
    r"[\s$\\({])\(?\\?(?:text(?:bf)?\s?\{)?\(?(?P<letter>[A-J])[).:]\s?\}?\)?[\s~\\]*(?P<text>.{1,160}?)"
    r"(?=\s*(?:\n|$|[\s$\\({]\(?\\?(?:text(?:bf)?\s?\{)?\(?[A-J][).:]))",
    re.S,
)
_LETTER = re.compile(
    r"(?:\b(?:option|choice|letter|answers?|statements?|alternative)\b(?:\s+(?:is|are|should be|"
    r"must be))?\s*:?\s*"
    r"|\b(?:is|are|be|choose|pick|select)\s+)"
    r"(?:option\s+|choice\s+|letter\s+)?[(\[]?(?P<a>[A-J])\b(?![a-z'’])|\((?P<b>[A-J])\)|"
    r"(?<![A-Za-z])(?P<c>[A-J])"
    r"(?=\s+(?:is|are)\s+(?:the\s+|an?\s+)?(?:correct|right|true|only|best|answer|prime|larg|"
    r"small|great))"
    r"|^\W*(?P<d>[A-J])(?:\W*$|[).:]\s|\s+\([^()]{1,80}\)(?=\s*(?:$|[,.;])))"
)
# Letters that are ruled out, by what stands before or behind them.
_SOME = r"\(?[A-J]\)?(?:(?:\s*,\s*|\s+)(?:(?:and|or|nor|&)\s+)?\(?[A-J]\)?(?![a-z'’]))*"
_RULED_OUT = re.compile(
    r"(?:\b(?:[Nn]ot|[Rr]ul(?:e|es|ed|ing)\s+out|[Ee]liminat\w+|[Ee]xclud\w+|[Dd]iscard\w*|[Rr]ather\s+than|"
    r"[Ii]nstead\s+of|[Nn]either|than|[Uu]nlike)|n['’]t(?:\s+be)?)\s+(?:(?:the\s+)?(?:[Oo]ption|[Cc]hoice|answer)s?\s+"
    rf"|[^.,;()\n]{{1,40}}\s(?=\([A-J]\)))?{_SOME}(?![A-Za-z'’])"
    rf"|(?<![A-Za-z])(?:[Oo]ptions?\s+|[Cc]hoices?\s+)?{_SOME}\s+(?:is|are|was|were|looks?|seems?|can(?:not|['’]t))\s+"
    r"(?:[a-z]+\s+){0,2}?(?:wrong|false|incorrect|tempting|not|too|out|impossible|excluded|eliminated|"
    r"ruled|attractive|plausible|closer?)\b(?:(?!\b(?:but|so|leaving)\b)[^.,;])*"
)
# "D. Earth: incorrect": a choice with what is thought of it, which is one of a list.
_JUDGED = re.compile(
    r"(?i)\W*(?:option\s+|choice\s+)?(?-i:(?P<letter>[A-J]))\s*[).:].*?(?:[:–—,-]\s*|\s|\()"
    r"(?:(?P<right>correct|right|true|yes|[✓✔✅])|(?:incorrect|wrong|false|no|not\s+(?:correct|right|true)|"
    r"[✗✘❌×]))\W*$",
    re.DOTALL,
)
# "✓ B", a choice behind its mark
_MARKED = re.compile(
    r"\W*(?:(?P<right>[✓✔✅☑])|[✗✘❌×☐])\W*(?P<letter>[A-J])(?:[).:].*|\W*)$", re.DOTALL
)
_ASKS_WRONG = re.compile(r"(?i)\b(?:not|false|incorrect|wrong|except|untrue)\b|n['’]t\b")
_REMAINS = re.compile(
    r"(?<![A-Za-z'’])\(?([A-J])\)?(?=\s*(?:[.,;:!]|$|\([^()]{1,80}\)\W*$|\s(?:is|because|since|as)\b))"
)
# "9 = 3 × 3, so C." ends in the letter that it comes to.
_COMES_TO = re.compile(
    r"(?:[,;:]?\s*(?:\b(?:so|thus|hence|therefore|leaving|which\s+(?:is|leaves|gives|means|makes\s+it|matches))\b|→|⇒|=>|->|∴)\s*:?,?\s*)"
    r"(?:(?:only|it\s+is|it['’]s|it\s+must\s+be|the\s+answer\s+is|the\s+correct\s+(?:answer|choice|option)\s+is|answer|we\s+(?:choose|pick|select))\s*:?\s*)?"
    r"(?:option\s+|choice\s+|letter\s+)?[(\[]?(?P<letter>[A-J])[)\]]?(?:\s+\([^()]{1,80}\))?[^\w?]*$"
)
_ONE_LETTER = re.compile(r"(?<![A-Za-z'’])[A-J](?![A-Za-z'’])")
_LETTERS = re.compile(r"\b[A-J](?:\s*(?:,|and|&|,\s*and)\s*[A-J]\b)+")


@lru_cache(maxsize=1024)
def choices_of(problem_text: str) -> dict[str, str]:
    """Return the choices that a problem offers, by letter; empty where it offers fewer than two."""
    found = {
        m.group("letter"): m.group("text").strip(" $.,;") for m in _CHOICE.finditer(problem_text)
    }
    return found if len(found) > 1 and "A" in found and "B" in found else {}


def is_judged(text: str) -> bool:
    """Return whether a text is a choice with what is thought of it: "D. Earth: incorrect"."""
    return _judgement(text) is not None


def _judgement(text: str) -> re.Match[str] | None:
    return _MARKED.match(text) or _JUDGED.match(text)


def rules_out(text: str) -> bool:
    """Return whether a sentence rules letters out, or comes to one."""
    return _RULED_OUT.search(text) is not None or _COMES_TO.search(text) is not None


def letter_stated(text: str, problem_text: str) -> tuple[str, tuple[str, ...]]:
    """Return the letter that a sentence chooses, and the several that it leaves open."""
    text = _CONNECTIVE.sub("", text)
    if (judged := _judgement(text)) is not None:
        right = judged["right"] and not _ASKS_WRONG.search(problem_text)
        return (judged["letter"] if right else ""), ()
    if (concluded := _COMES_TO.search(text)) is not None:
        return concluded["letter"], ()
    kept = _RULED_OUT.sub(" ", text)
    out = {x for found in _RULED_OUT.finditer(text) for x in _ONE_LETTER.findall(found.group())}
    if kept != text:
        if len(left := set(_REMAINS.findall(kept)) - out) == 1:
            return left.pop(), ()
        text = kept
    main = text
    if (tail := _SUBORDINATE.search(text)) is not None and tail.start() > 8:
        main = text[: tail.start()]
    if (several := _LETTERS.search(main)) is not None and not re.search(
        r"(?i)\bnot\b", main[: several.start()]
    ):
        return several.group(), ()
    for part in dict.fromkeys((main, text)):
        letters = {
            letter: None
            for match in _LETTER.finditer(part)
            if (letter := next(g for g in match.groups() if g)) not in out
            and not _NEGATED.search(part[: match.start()])
            and not re.match(
                r"\)?\s+(?:is|are)\s+(?:not|wrong|false|incorrect)", part[match.end() :]
            )
        }
        if len(letters) == 1:
            return str(next(iter(letters))), ()
        if len(letters) > 1:
            return "", tuple(letters)
    return _by_value(main, problem_text), ()


def _by_value(text: str, problem_text: str) -> str:
    """Return the letter of the one choice whose text a sentence repeats."""
    if re.search(r"(?i)\b(?:not|never|cannot)\b|n['’]t\b", text):
        return ""
    low = " ".join(re.sub(r"[$\\{}]", " ", text.lower()).split())
    named = [
        letter
        for letter, choice in choices_of(problem_text).items()
        if (plain := " ".join(re.sub(r"[$\\{}]|text(?:bf)?", " ", choice.lower()).split()))
        and re.search(rf"(?<![\w.]){re.escape(plain)}(?![\w]|\.\d)", low)
    ]
    return named[0] if len(named) == 1 else ""


def word_stated(text: str, question: AskedQuestion, asked: str) -> str:
    """Return the words that a sentence answers to a question; empty where it answers none."""
    if _UNKNOWN.search(text):
        return ""
    text = IDLE_NO.sub("", _CONNECTIVE.sub("", text)).strip().rstrip(".!")
    if (called := _CALLED.match(text)) is not None and not _OPEN_WORDS.search(called["word"]):
        return called["word"].strip()
    if (judged := _judges(text, asked)) != "":
        return judged
    if _YES_NO.match(asked) or _TRUE_FALSE.search(asked):
        said = affirms_or_denies(text)
        if said is not None:
            return (("false", "true") if _TRUE_FALSE.search(asked) else ("no", "yes"))[said]
        if supposes(text):
            return ""
    if (concluded := _CONCLUDED.match(text)) is not None:
        text = text[concluded.end() :]
        if (judged := _judges(text, asked)) != "":
            return judged
    text = _COMPARED.sub("", text) or text
    if _compares_otherwise(text, asked):
        return ""
    if (tail := _SUBORDINATE.search(text)) is not None and tail.start() > 8:
        text = text[: tail.start()]
    if (
        yes_no := re.search(
            r"(?i)(?:^|\b(?:is|answer:?|:)\s*)(yes|no)\b(?=[*\"'”’)]*\s*(?:$|[.,;:!?–—-]|because\b|since\b|as\b))",
            text,
        )
    ) and (_YES_NO.match(asked) or re.search(r"(?i)\byes\b", asked)):
        return str(yes_no.group(1))
    if (offered := _offered(text, asked)) is not None:
        return offered
    if re.match(r"(?i)(?:who|whose|which)\b", asked):
        known = question.names | question.other_names
        named = [
            name
            for name in dict.fromkeys(
                m.group()
                for m in re.finditer(r"[A-Z][a-z]+", text)
                if not _NOT_BEFORE.search(text, 0, m.start())
            )
            if name in known
        ]
        if len(named) == 1:
            return str(named[0])
    sides = [side.strip(" ,:") for side in _COPULA.split(text, maxsplit=1)]
    if len(sides) == 2 and all(sides):
        if _ENDS_IN_NOT.search(sides[0]):
            return ""
        one, two = (_left_over(side, question) for side in sides)
        chosen = sides[1] if two or not one else sides[0]
        if chosen is sides[0] and _DENIES.match(sides[1]):
            return ""
        if affirms_or_denies(chosen) is not None and affirms_or_denies(text) is None:
            return ""  # "No is incorrect", "It may be false"
        return chosen if 0 < len(chosen) <= 60 else ""
    rest = _left_over(text, question)
    return " ".join(rest) if 0 < len(rest) <= 4 else ""


# "The answer is Ezra's class."
_CALLED = re.compile(
    r"(?i)(?:the|my|our)\s+(?:final\s+|correct\s+|right\s+)?answer\s+is:?\s+"
    r"(?P<word>(?:M(?:r|rs|s)\.\s|Dr\.\s|[^.,;:]){1,50})(?:$|,\s+(?=because|since|as)|\s+(?=because|since)\b)"
)
_OPEN_WORDS = re.compile(
    r"(?i)^(?:not|that|never|neither|either|in|on|at|to|by|given|found|probably|perhaps|maybe|possibly)\b(?!$)|\b(?:or|not|is|are|has|have|than)\b"
)
_CONCLUDED = re.compile(r"(?i).*[,;]\s*(?:and\s+)?(?:so|thus|hence|therefore)\b,?\s*")
_COMPARED = re.compile(r"(?i)(?:,\s*(?:with\s+)?(?:more|less|fewer|followed)\b|\s+than\b).*$")
_COMPARATIVE = re.compile(
    r"(?i)\b(?:is|are|was|were|has|have|had|runs?|moves?|costs?|weighs?|gets?|got)\s+(?:the\s+|much\s+|far\s+)?"
    r"(more|most|less|least|fewer|fewest|(?!other\b|never\b|her\b|over\b|under\b)[a-z]{2,}(?:er|est))\b"
)
_ANY_COMPARATIVE = re.compile(r"(?i)\b(more|most|less|least|fewer|fewest|[a-z]{3,}(?:er|est))\b")
_DEGREES = re.compile(r"(?:i?er|i?est)$")
_IS_IT_SO = re.compile(r"(?i)^(is|are|was|were|can|will|has|have|does|do|did)\s+(.+?)\s*\?$")
_SAYS_NOT = re.compile(r"(?i)\b(is|are|was|were|can|will|has|have|does|do|did)(?:\s+not|n['’]t)\b")


def _compares_otherwise(text: str, asked: str) -> bool:
    """Return whether a sentence says who is slower where it is asked who is faster."""
    wanted = {_positive(word) for word in _ANY_COMPARATIVE.findall(asked)}
    said = {_positive(word) for word in _COMPARATIVE.findall(text)}
    return bool(wanted and said) and wanted.isdisjoint(said)


def _positive(word: str) -> str:
    alike = {"most": "more", "least": "less", "fewest": "few", "fewer": "few"}
    return alike.get(word.lower()) or _DEGREES.sub("", word.lower())


def _judges(text: str, asked: str) -> str:
    """Return yes or no where a sentence repeats what a question asks about, or denies it.

    "17 is a prime number" and "17 is not a prime number" answer "Is 17 a prime number?".
    """
    question = _IS_IT_SO.match(asked)
    if question is None or re.search(r"(?i)\bnot\b|n['’]t\b|\bor\b", question[2]):
        return ""
    verb, rest = question[1].lower(), question[2].lower().split()
    said = _SAYS_NOT.sub(r"\1", text.lower(), count=1).split()
    at = said.index(verb) if verb in said else -1
    if at < 1:
        return ""
    whole = _bare_words(said[:at]) + _bare_words(said[at + 1 :]) == _bare_words(rest)
    if not whole and not _of_it(said[:at], said[at + 1 :], rest):
        return ""
    return "no" if _SAYS_NOT.search(text) else "yes"


def _bare_words(words: list[str]) -> list[str]:
    return [word for word in words if word not in ("a", "an", "the", "number")]


def _of_it(subject: list[str], said: list[str], asked: list[str]) -> bool:
    """Return whether "it is prime" says of it all that "Is 91 a prime number?" asks."""
    if subject[-1:] not in (["it"], ["this"], ["that"], ["he"], ["she"]) or len(subject) > 2:
        return False
    one, two = _bare_words(said), _bare_words(asked)
    head = two[: len(two) - len(one)]
    return bool(one) and two[len(head) :] == one and 0 < len(head) <= 2 and "and" not in two


def _offered(text: str, asked: str) -> str | None:
    """Return the one word of "a, b or c" in the question that a sentence names and does not
    deny.
    """
    offers = _OFFERED.findall(asked)
    if not offers:
        return None
    words = [w.strip() for w in re.split(r",\s*(?:or\s+)?|\s+or\s+", offers[-1]) if w.strip()]
    words = [re.sub(r"(?i)^(?:the|an?)\s+", "", word) for word in words]
    words = [word.split()[-1] if index == 0 else word for index, word in enumerate(words)]
    named = [
        word
        for word in words
        if (found := re.search(rf"(?i)\b{re.escape(word)}\b", text)) is not None
        and not _NEGATED.search(text[: found.start()])
    ]
    return named[0] if len(named) == 1 else None


def _left_over(text: str, question: AskedQuestion) -> list[str]:
    """Return the words of a text that neither the question has nor any sentence needs."""
    words = re.findall(r"[^\W\d_][\w'’-]*|\d+(?:\.\d+)?", text)
    return [w for w in words if stem(w) not in question.words and stem(w) not in _FILLERS]
