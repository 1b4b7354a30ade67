"""The gates as rules on text: each takes what it must know and says what it found, or nothing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from potstill.grading.maths.equations import false_equations
from potstill.problems.overlap.pairs import numbers_of
from potstill.problems.raw import normalise

__all__ = [
    "asks_back",
    "begins_as",
    "cites_key",
    "echoes",
    "false_equation",
    "foreign_numbers",
    "foreign_script",
    "not_derived",
    "repeats",
    "stops_short",
]

_LEAKS = re.compile(
    r"""
    \b(?:given|provided|stated|supplied)\s+(?:(?:correct|final|true|official)\s+)?answer\b
    | \b(?:expected|official|reference)\s+(?:correct\s+)?answer\s+
        (?:(?:is|was|of|should\s+be)\s+)?[-–−\d\\(√]
    | \bcorrect\s+answer\s+(?:is\s+|was\s+)?(?:given|provided|stated|supplied)\b
    | \b(?:answer|solution|result)\s+key\b
    | \bthe\s+key\s+(?:says|gives|states|is\s+given|claims|lists)\b
    | \bthe\s+(?:correct|true|final)\s+answer\s+(?:you\s+)?(?:given|provided|stated)\b
    | \b(?:but|since|wait,?|as|because|given|however,?)\s+(?:that\s+)?(?:the\s+)?
        (?:correct|true)\s+answer\s+(?:is|must|should|was)\b
    | \bcorrect\s+answer\s+(?:is|must\s+be|should\s+be)\s+[^\s]*[^\s.],?\s+
        (?:so|but|thus|hence|perhaps|re-?evaluate|recheck)\b
    | \b(?:per|by|under|following)\s+(?:the\s+)?given\s+reasoning\b
    | \bcorrect\s+answer\s+\S{1,12},?\s+(?:perhaps|maybe|so|we)\b
    | \b(?:match(?:es|ing)?|agrees\s+with|consistent\s+with)\s+the\s+
        (?:given|provided|correct|expected|stated|true)\s+(?:final\s+)?answer\b
    | \b(?:problem|question|prompt)\s+(?:says|states|gives|claims)\s+(?:that\s+)?the\s+
        (?:\w+\s+)?answer\b
    | \bif\s+the\s+problem\s+expects\s+[-\d\\]
    | \breverse[-\s]engineer
    """,
    re.I | re.X,
)
_ASKS_BACK = re.compile(
    r"""
    \b(?:if|could)\s+you\s+(?:can|could)?\s*(?:please\s+)?(?:provide|share|supply)\b
    | \b(?:original|actual|exact)\s+(?:problem|question)\s+(?:text|statement)?\s*
        (?:was|is|were)?\s*(?:not\s+(?:given|provided|visible)|different|unknown|missing)
    """,
    re.I | re.X,
)


def cites_key(text: str, problem_text: str = "") -> str:
    """Return the words with which a text cites a key that its writer was shown, "" if none.

    What the problem itself says (a table of given answers, say) is no citation.
    """
    return _not_of_the_problem(_LEAKS, text, problem_text)


def asks_back(text: str, problem_text: str = "") -> str:
    """Return the words with which a text asks for a problem, or says that it has none, "" if
    none.
    """
    return _not_of_the_problem(_ASKS_BACK, text, problem_text)


def _not_of_the_problem(words: re.Pattern[str], text: str, problem_text: str) -> str:
    known = problem_text.casefold()
    for found in words.finditer(text):
        if " ".join(found[0].casefold().split()) not in known:
            return " ".join(found[0].split())
    return ""


_ECHO_WORDS = 8
"""So many words of a request in a row are no solution's own."""
_TAG = re.compile(r"</?(?:problem|reasoning)>")


def echoes(text: str, problem_text: str, request: tuple[str, ...]) -> str:
    """Return the first words of ``request`` that a text repeats in place of an answer, "" if none.

    A small condenser copies what it was asked, and with it the answer of a second try. What the
    problem itself says is no echo.
    """
    if (tag := _TAG.search(text)) and tag[0] not in problem_text:
        return tag[0]
    said, asked = _words(text), _words(problem_text)
    return next((run.strip() for run in _runs(request) if run in said and run not in asked), "")


_FIRST_WORDS, _LINE_WORDS = 3, 4
"""So many words of an instruction are its own where a text, and where a later sentence, begins.

Of 16,072 traces, solutions and lessons of others none begins so; a later sentence of 18 of them
began with three words of an earlier ladder ("the key steps"), of none with four.
"""
_SENTENCE = re.compile(r"(?<=[.!?:])\s|\n")


def begins_as(text: str, problem_text: str, instructions: tuple[str, ...]) -> str:
    """Return the first words of a text, or of a sentence in it, that an instruction says, "" if
    none.

    A small condenser begins with what it was told to write: "The decisive fact is ...", and its
    students do so after it. What the problem itself says is no echo.
    """
    asked, whole = _words(problem_text), text.strip()
    begun = [(whole, _FIRST_WORDS)]
    begun += [(sentence, _LINE_WORDS) for sentence in _SENTENCE.split(whole)]
    for sentence, size in begun:
        first = " ".join(["", *_words(sentence[:200]).split()[:size], ""])
        if first in _runs(instructions, size) and first not in asked:
            return first.strip()
    return ""


@lru_cache(maxsize=8)
def _runs(request: tuple[str, ...], most: int = _ECHO_WORDS) -> Mapping[str, None]:
    """Return every few words in a row of a request's parts, a short part as a whole, in order."""
    found: list[str] = []
    for words in (_words(part).split() for part in request):
        size = min(most, len(words))
        found += [f" {' '.join(words[k : k + size])} " for k in range(len(words) - size + 1)]
    return dict.fromkeys(found)


def _words(text: str) -> str:
    """Return a text's words in lower case, a blank before and after each, marks left out."""
    return " ".join(["", *re.findall(r"[^\W_]+", text.casefold()), ""])


_HANGING = re.compile(
    r"""(?:[-−–+*/=<>≤≥≈≠×·÷±→⇒∈∪∩,:;(\[{^_\\] | \\(?:times|cdot|frac|sqrt|approx|implies|to|div|pm
    |Rightarrow|leq?|geq?|equiv|pmod|text|left|quad|in|cup|cap|mid|binom|mod|sin|cos|tan|log))$""",
    re.X,
)
_HANGING_WORD = re.compile(
    r"\b(?:the|an|of|to|and|or|is|are|was|be|with|for|from|by|on|at|that|which|where|if|then|"
    r"because|since|as|get|must|can|could|this|their|its|but|not|has|have|gives)$",
    re.I,
)
_HEADING = re.compile(r"(?:#{1,6}\s|\W{0,4}(?:step|part|case)\s+\w{1,3}\b).{0,80}", re.I)
_ANSWER_MARK = re.compile(
    r"\\boxed\b|(?:^|\n)\W{0,9}(?:final\s+)?answer\b|\banswer\W{1,4}is\b", re.I
)
_CONCLUDES = re.compile(
    r"\\boxed\b|\b(?:answer|conclusion|output|therefore|thus|hence|so)\b|∴", re.I
)
_ANSWER_LINE = re.compile(r"(?:\n\W{0,9}(?:final\s+)?answer\b[^\n]*)+$", re.I)
_FULL_STOP = re.compile(r"[.!?。][\"'”’)\]*_`]*$")
_MATH_END = re.compile(r"(?:\\\]|\\\)|\$|\\end\{\w+\*?\})[*_]*$")
_VALUE_END = re.compile(r"(?:\*\*[^*]*\d[^*]*\*\*|→\s*[^\s,:;(=]*\d[^\s,:;(=]*)$")
_STEPS = re.compile(r"(?:^|\n)\W{0,9}step\s*\d", re.I)
_LONG_WORDS = 200  # a shorter list of steps may well do without a concluding line
_HALF_NUMBER = re.compile(r"[×*·+/]\s*0\.$")


def stops_short(text: str, *, answered: bool) -> str:
    """Return why a text was cut before its end, "" if it was not.

    An open formula, an operator, half a sentence or a heading is no ending. Unless ``answered``
    (the right final answer was found in it), neither is a line that just stops, nor a step after
    which no conclusion comes.
    """
    body = text.rstrip()
    if not body:
        return ""
    return _breaks_off(body, answered) or _answer_tacked_on(body)


def _answer_tacked_on(body: str) -> str:
    """Return whether an answer line was put after a text that had broken off before it."""
    before = _ANSWER_LINE.sub("", body).rstrip()
    if before == body or not before or before.endswith((":", ":**", ":*")):
        return ""
    last = before.splitlines()[-1].strip()
    return "" if _HEADING.fullmatch(last) else _breaks_off(before, answered=True)


def _breaks_off(body: str, answered: bool) -> str:
    inside = _open_formula(body)
    if inside:
        return f"ends inside {inside}"
    last = body.splitlines()[-1].strip()
    bare = last.rstrip("*_` ")
    closed = bool(_FULL_STOP.search(body) or _MATH_END.search(body))
    if _HEADING.fullmatch(last) and (last.startswith("#") or not closed) and "=" not in last:
        return "ends in a heading"
    if _HALF_NUMBER.search(bare):
        return "ends in the middle of a number"
    if not closed and (_HANGING.search(bare) or _HANGING_WORD.search(bare)):
        return "ends in the middle of a line"
    if answered:
        loose = not closed and len(bare.split()) > 1 and not re.search(r"\d", last)
        return "ends in the middle of a sentence" if loose and not _CONCLUDES.search(last) else ""
    tail = body[-200:]
    if not closed and not _ANSWER_MARK.search(tail) and not _VALUE_END.search(last):
        return "ends without a full stop or an answer"
    whole_length = len(body.split()) >= _LONG_WORDS
    if whole_length and _STEPS.search(body) and not _CONCLUDES.search(body.split("\n\n")[-1]):
        return "ends after a step, without a conclusion"
    return ""


_FENCES = (("\\(", "\\)"), ("\\[", "\\]"))
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(\w+\*?)\}")


def _open_formula(text: str) -> str:
    for opening, closing in _FENCES:
        start = text.rfind(opening)
        # "\\[2pt]" is a line break with a length, no display
        while start > 0 and text[start - 1] == "\\":
            start = text.rfind(opening, 0, start)
        if start >= 0 and closing not in text[start:]:
            return f"a formula ({opening} without {closing})"
    if text.count("$$") % 2:
        return "a formula ($$ without $$)"
    if text.count("```") % 2:
        return "a block of code"
    depth = Counter[str]()
    for what, name in _ENVIRONMENT.findall(text):
        depth[name] += 1 if what == "begin" else -1
    return next((f"\\begin{{{name}}}" for name, n in depth.items() if n > 0), "")


_TOKEN = re.compile(r"\S+")


def repeats(text: str, *, times: int = 4, least_words: int = 4) -> str:
    """Return the phrase that a text says ``times`` times in a row, "" if none.

    Word groups of up to 30 words, or a line that comes twice as often and makes a quarter of all.
    """
    import numpy as np

    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    counts = Counter(line for line in lines if len(line.split()) >= least_words)
    if counts:
        line, count = counts.most_common(1)[0]
        # a table or a list of cases says some lines often; a loop says little else
        if count >= 2 * times and count >= 0.25 * len(lines):
            return line
    words = _TOKEN.findall(text)
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(word, len(numbers)) for word in words])
    for size in range(1, 31):
        least = max(size * (times - 1), least_words * 2)
        if np.count_nonzero(codes[size:] == codes[:-size]) < least:  # too few, even if in a row
            continue
        run = 0
        for k in range(size, len(words)):
            run = run + 1 if words[k] == words[k - size] else 0
            if run >= least:
                phrase = " ".join(words[k - size + 1 : k + 1])
                if re.search(r"[^\W\d_]{2}|\d{2}", phrase):  # rows of dashes are a table
                    return phrase
                run = 0
    return ""


def foreign_script(text: str, problem_text: str, *, share: float = 0.01) -> str:
    """Return the script other than the problem's own that more than ``share`` of the letters are
    in.

    Greek is notation. Returns "" where there is none.
    """
    known = set(_scripts(problem_text)) | {"LATIN", "GREEK", "MATHEMATICAL", "DOUBLE-STRUCK"}
    scripts = _scripts(text)
    letters = sum(scripts.values())
    for script, count in scripts.most_common():
        if script not in known and count >= 2 and count > share * letters:
            return script
    return ""


_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "CYRILLIC", "ARABIC", "HEBREW", "DEVANAGARI",
            "THAI", "BENGALI", "TAMIL", "GEORGIAN", "ARMENIAN")  # fmt: skip


def _scripts(text: str) -> Counter[str]:
    if text.isascii():
        return Counter({"LATIN": sum(map(str.isalpha, text))})
    found: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            script = unicodedata.name(char, "").split(" ", 1)[0]
            found[script if script in _SCRIPTS else "LATIN"] += count
    return found


def false_equation(text: str) -> str:
    """Return the first numeric equation in a text that does not hold, "" if all do."""
    found = false_equations(text)
    return found[0] if found else ""


def foreign_numbers(text: str, problem_text: str, *, least_share: float = 0.15) -> str:
    """Return what tells that a reasoning is of another problem: too few of the problem's numbers in
    it.

    Only for problems with three different numbers and more; 0, 1 and 2 stand everywhere and are not
    counted. Returns "" where enough are there.
    """
    asked = {n for n in numbers_of(normalise(problem_text)) if n not in ("0", "1", "2")}
    if len(asked) < 3:
        return ""
    used = set(numbers_of(normalise(text)))
    there = asked & used
    if len(there) >= least_share * len(asked):
        return ""
    return f"{len(there)} of the problem's {len(asked)} numbers"


def not_derived(text: str, answer: str, problem_text: str = "") -> str:
    """Return an answer that falls from the sky: it is in the last line and nowhere before it.

    Texts of one line, and answers that are a single digit or letter, cannot tell. Returns the
    answer or "".
    """
    lines = [line for line in text.strip().splitlines() if line.strip(" \\[]$*")]
    while lines and not re.search(r"\w", re.sub(r"\\\w+", "", lines[-1]) or ""):
        lines.pop()
    wanted = _squeeze(answer)
    if len(lines) < 3 or len(wanted) < 2 or not wanted[-1].isalnum():
        return ""
    before = _squeeze("\n".join(lines[:-1]))
    last = _squeeze(lines[-1])
    if wanted in before or wanted not in last or wanted in _squeeze(problem_text):
        return ""
    derives = re.search(r"[=≈]", lines[-1]) is not None
    return "" if derives else answer


_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")


def _squeeze(text: str) -> str:
    """Return a text without spaces and LaTeX dress, in which an answer can be looked for."""
    plain = _FRACTION.sub(r"\1/\2", text.replace("\\sqrt", "√").replace("\\pi", "π"))
    return re.sub(r"[\s,{}()\\$*]", "", normalise(plain))
