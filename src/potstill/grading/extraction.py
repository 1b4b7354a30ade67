"""What of a response is its final answer, and by which rule it was found.

Every rule is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from string import whitespace

from potstill.grading.boxes import boxed_values, boxes_in
from potstill.grading.maths.directions import directions_in
from potstill.grading.maths.languages import in_english
from potstill.grading.maths.literals import is_written_out, shows_program
from potstill.grading.maths.normalise import tidy
from potstill.grading.maths.number_words import asks_dozens, dozens_counted
from potstill.grading.maths.parts import parts_of
from potstill.grading.maths.wording import read_letter
from potstill.grading.reading.belonging import says_opposite
from potstill.grading.reading.claims import is_numeric
from potstill.grading.reading.cues import end_of_answer, names_answer, own_talk, takes_back
from potstill.grading.reading.printed import printed_value
from potstill.grading.reading.question import question_of
from potstill.grading.reading.restating import restated
from potstill.grading.reading.sentences import letters_of
from potstill.grading.reading.sets import set_named
from potstill.grading.reading.statements import LONG, answer_stated
from potstill.grading.reading.told_parts import parts_told
from potstill.grading.reading.verdict_words import verdict_word
from potstill.grading.reading.words import is_judged
from potstill.grading.reading.written import as_written_out, introduces, without_head
from potstill.records import SEVERAL_VALUES, AnswerKind

__all__ = ["Extraction", "extract"]

BARE_LENGTH = 120
_SAMPLE_BOX = re.compile(
    r"(?i)(?:\b(?:box,?\s+)?(?:like|such\s+as|e\.g\.|for\s+example|as\s+in|format|"
    r"form)\b[^.\n]{0,12}|\(if\b[^.\n)]*|"
    r"\bwhereas\b[^.\n]*)$"
)
# "It is not \\boxed{18}", "\\boxed{18} is the wrong answer".
_DENIED_BEFORE = re.compile(
    r"(?i)(?:\b(?:not|never|cannot\s+be|rather\s+than|instead\s+of|unlike)|n['’]t(?:\s+be)?|"
    r"\b(?:wrong|incorrect|mistake)\s+to\s+(?:say|answer|write|think|claim)(?:\s+that\s+it\s+is)?)\s+"
    r"(?:equal\s+to\s+|simply\s+|just\s+|the\s+answer\s+)?[\s$\\(\[{*:]*$"
)
_DENIED_BEHIND = re.compile(
    r"(?i)[\s$\\)\]*]*(?:is|was|would\s+be|are)\s+(?:clearly\s+|obviously\s+)?(?:the\s+|an?\s+)?"
    r"(?:wrong|incorrect|false|impossible|not\s+(?:right|correct|true|possible|the\s+(?:\w+\s+)?answer))\b"
)
_CLOSED_BOX = re.compile(r"\\f?boxed\s?\{([^{}]{1,200})\}")
_TAG = re.compile(
    r"(?is)<(answer|final|final_answer|result|"
    r"solution)\b[^<>]{0,40}>\s*(?P<inside>(?:(?!<\1\b).){1,2000}?)\s*</\1\s*>"
)
_JSON = re.compile(
    r"(?i)[\"'](?P<name>(?:final[_ ]?)?(?:answer|result))[\"']\s*:\s*(?P<value>\"(?:[^\"\\]|"
    r"\\.){1,400}\"|"
    r"'[^'\n]{1,400}'|"
    r"-?\d[\d,]*(?:\.\d+)?|\[[^\[\]\n]{1,400}\])\s*[,}]"
)
_THINK_END = re.compile(
    r"(?i)</(?:think(?:ing)?|thought|reasoning|seed:think)\s*>|<\|end_of_thought\|>"
)
_THINK_START = re.compile(
    r"(?i)<(?:think(?:ing)?|thought|reasoning|seed:think)\s*>|<\|begin_of_thought\|>"
)
_MUSING = re.compile(
    r"(?i)\b(?:wait|hmm|alternatively|let me (?:think|check|verify|see|re)|okay, so)\b"
)
_MUSED = ("wait", "hmm", "alternatively", "let me ", "okay, so")
_PROSE = re.compile(
    r"(?i)\b(?:therefore|because|since|the|we|is|are|so|thus|hence|please|cannot|problem|"
    r"i|let|that|this|which|would|have|die|der|das|ist|lautet|beträgt|la|le|les|est|il|el|es)\b"
)
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
# A short text that works something out is no bare answer.
_WORKED_OUT = re.compile(
    r"[→⇒;]|[?!]\s+\S|\\(?:Right|right)arrow|\\implies|[\d)}]\.\s+[A-Z]|:\s.*="
)
MOST_PARTS = 300
# What a value begins with; a name or a verb before it makes a sentence.
_BEGINS_BARE = re.compile(
    r"(?i)\W*(?:(?:about|approximately|approx\.?|exactly|roughly|around|negative|minus|"
    r"[a-z]\s?=)\s*)?"
    r"(?:[-+−$£€(\[{|\\√π∞\d.]|(?![AI]\s+[A-Za-z])[a-zA-Z](?![A-Za-z'’])|(?:zero|one|two|three|four|five|six|seven|"
    r"eight|nine|ten|eleven|"
    r"twelve|\w+teen|\w+ty|hundred)\b|(?:pi|sqrt|infinity|all|no|none|empty|real|undefined|true|"
    r"false)\b)"
)
# "还剩27颗" is a sentence, "18 passed, 12 failed" names two numbers.
_FOREIGN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2}\s{0,3}\d")
_TWO_THINGS = re.compile(r"\d\s+[A-Za-z]{3,}[^,;]*[,;]\s+\d[\d.]*\s+[A-Za-z]{3,}")
_STATES = re.compile(r"\d[^=]*=|\d.*\b(?:is|are|was|were|equals?|costs?|weighs?)\b.*\d")
# "9 boys and 12 girls, so 21", "46 (correction: 56)"
_GOES_ON = re.compile(
    r"(?i)\d.*(?:[,;]\s*(?:so|thus|hence|therefore)\s|\((?:correction|edit|sorry|actually|wait)\b).*\d"
)
_WORDED = (AnswerKind.WORD, AnswerKind.DATE, AnswerKind.TIME, AnswerKind.WORD_NUMBER)
_VERB = re.compile(r"(?i)\s(?:is|are|was|were|has|have|had|gets?|got|wins?|won)\s|,\s+with\s")
_TIME = re.compile(r"\d:\d\d|\d\s?[ap]\.?m\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Extraction:
    """An answer as text and the rule that found it; both empty where none was found.

    ``several`` holds the values that a statement leaves open; ``cut`` says that the answer was
    stated in what goes on after it and is then cut. ``turned`` are words beside a stated value that
    turn it round (:mod:`potstill.grading.maths.directions`).
    """

    text: str
    rule: str
    several: tuple[str, ...] = ()
    cut: bool = False
    turned: tuple[str, ...] = ()


def extract(text: str, kind: str = "", problem_text: str = "", *, cut: bool = False) -> Extraction:
    """Return the final answer of a response.

    In this order: the last ``\\boxed{}`` (several side by side where the kind is a list), a tag or
    a field of JSON named answer, a text short enough to be the answer itself, the sentence that
    states it. What stands behind the end of the reasoning comes before the reasoning. ``cut`` says
    that the response ended at its token limit.
    """
    found = _extract(text, kind, problem_text, cut)
    if found.rule in ("", "bare") or not (turned := directions_in(text, found.text)):
        return found
    return replace(found, turned=tuple(sorted(turned)))


def _extract(text: str, kind: str, problem_text: str, cut: bool) -> Extraction:
    if is_numeric(kind):
        text = as_written_out(text, problem_text)
    if asks_dozens(problem_text):
        text = dozens_counted(text)
    thought, visible = _parted(text)
    closed = bool(visible.strip())
    found = _found(visible, kind, problem_text, cut, len(text) > LONG) if closed else None
    # A write-up that is cut has only steps to show, unless it speaks of its answer.
    if found is not None and (not found.cut or not thought or found.rule != "sentence"):
        return found
    if thought and (found := _found_in_thought(thought, kind, problem_text, closed)) is not None:
        return found
    return Extraction("", "")


def _parted(text: str) -> tuple[str, str]:
    """Return the reasoning of a response, where it is marked as such, and what stands behind it."""
    if (end := _last(_THINK_END.finditer(text))) is not None:
        return text[: end.start()], text[end.end() :]
    start = _THINK_START.search(text)
    if start is not None and not text[: start.start()].strip():
        return text[start.end() :], ""
    return "", text


def _found(text: str, kind: str, problem_text: str, cut: bool, long: bool) -> Extraction | None:
    if "boxed" in text and (values := _boxes_before_next_task(text)):
        if kind in SEVERAL_VALUES and len(values) > 1:
            return Extraction(", ".join(dict.fromkeys(v for v, _, _ in values)), "boxed list")
        back = _taken_back(text, values[-1], kind, problem_text, cut)
        return back or Extraction(values[-1][0], "boxed")
    if "boxed" in text:
        text = _CLOSED_BOX.sub(r"\1", text)  # of boxes that are denied prose says more
    if (tagged := _tagged(text)) is not None:
        if len(_WORDS.findall(tagged)) > 2:
            stated = answer_stated(tagged, kind, problem_text)
            if stated is not None:
                return Extraction(stated.text, "tag", stated.several)
        return Extraction(tagged, "tag")
    stripped = without_head(text.strip()) if is_numeric(kind) else text.strip()
    if _OWN_READING.match(stripped) and len(stripped) <= _SHORT:
        return Extraction(stripped, "bare")
    if shows_program(problem_text) and (value := printed_value(stripped, problem_text)):
        return Extraction(value, "sentence")
    printed = _PRINTED.search(stripped) if _ends_as_value(stripped) else None
    if printed is not None and not printed["denied"] and is_written_out(printed["value"]):
        return Extraction(printed["value"], "sentence")
    if kind == AnswerKind.WORD and (said := verdict_word(stripped, problem_text)):
        return Extraction(said, "sentence")
    if kind in SEVERAL_VALUES and (listed := _items(stripped)):
        return Extraction(listed, "bare")
    if kind in SEVERAL_VALUES and len(stripped) <= MOST_PARTS and _is_parts(stripped):
        return Extraction(stripped, "bare")
    if kind in SEVERAL_VALUES and not cut and (told := parts_told(stripped)):
        return Extraction(told, "sentence")
    if (
        kind == AnswerKind.INTERVAL
        and len(stripped) <= BARE_LENGTH
        and (in_words := set_named(stripped))
    ):
        return Extraction(in_words, "bare")
    judged = kind == AnswerKind.LETTER and is_judged(stripped)
    named = kind != AnswerKind.LETTER or read_letter(stripped) is not None
    opposite = kind == AnswerKind.TIME and says_opposite(stripped, question_of(problem_text))
    if named and not (judged or opposite) and _is_bare(stripped, kind):
        if kind == AnswerKind.WORD and problem_text and _VERB.search(stripped):
            stated = answer_stated(text, kind, problem_text)
            if stated is not None and stated.text:
                return Extraction(stated.text, stated.rule)
        return Extraction(_unfenced(stripped), "bare")
    musing = len(text) > 2_000 and _muses(text[-6_000:])
    stated = answer_stated(text, kind, problem_text, cut=cut, thought=musing, long=long)
    if stated is None:
        short = 0 < len(stripped) <= BARE_LENGTH and "\n" not in stripped and not (cut or long)
        terse = (
            not introduces(stripped)
            and len(_WORDS.findall(stripped)) <= 6
            and len(_PROSE.findall(stripped)) < 2
        )
        bare = short and terse and not (judged or opposite)
        return Extraction(stripped, "bare") if bare else None
    return Extraction(stated.text, stated.rule, stated.several, stated.cut)


# A value as a program prints it, at the end of the sentence that says so.
_PRINTED = re.compile(
    r"(?P<denied>(?:\bnot|n['’]t|\bnever)\s+)?(?:\b(?:returns?|prints?|outputs?|is|be|gives?)|:)\s*`{0,3}\s*"
    r"(?P<value>(?<=[\s`])[\[{('\"][^\n]{0,1000}[\]})'\"])\s*`{0,3}[.!]?$"
)


def _ends_as_value(text: str) -> bool:
    """Return whether a text ends as a list, a mapping or a string does: without it nothing of it
    is :data:`_PRINTED`, which is slow to say so.
    """
    return text[-40:].rstrip("`.!" + whitespace)[-1:] in ("]", "}", ")", "'", '"')


def _muses(text: str) -> bool:
    """Return whether a text thinks aloud, which is no write-up."""
    low = text.lower()
    return sum(map(low.count, _MUSED)) >= 3 and len(_MUSING.findall(text)) >= 3


def _taken_back(
    text: str, box: tuple[str, int, int], kind: str, problem_text: str, cut: bool
) -> Extraction | None:
    """Return what the text behind a box states in its place, or that nothing is; None where it
    stands.
    """
    behind = text[box[2] :]
    if not is_numeric(kind) or len(behind.strip()) < 12:
        return None
    withdrawn = takes_back(behind[:600], box[0])
    if not withdrawn and not _calls_answer(behind[:2_000]):
        return None
    said = behind if withdrawn else own_talk(behind)
    long = len(behind) > LONG
    stated = answer_stated(said, kind, problem_text, cut=cut, long=long)
    if stated is not None and (withdrawn or stated.rule.startswith("answer")):
        return Extraction(stated.text, stated.rule, stated.several, stated.cut)
    return Extraction("", "") if withdrawn else None


def _not_denied(text: str, values: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Return the boxes of a group that the words around them do not deny, else those before it."""
    while values:
        kept = [box for box in values if not _is_denied(text, box)]
        if kept:
            return kept
        values = boxed_values(text[: values[0][1]])
    return []


def _is_denied(text: str, box: tuple[str, int, int]) -> bool:
    before, behind = text[max(0, box[1] - 60) : box[1]], text[box[2] : box[2] + 60]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_BEHIND.match(behind))


def _calls_answer(text: str) -> bool:
    letters = letters_of(text)
    return "answer" in letters and names_answer(text, letters)


def _found_in_thought(text: str, kind: str, problem_text: str, closed: bool) -> Extraction | None:
    """Return the answer that a reasoning came to before what follows it was cut."""
    if "boxed" in text and (values := boxed_values(text)):
        back = _taken_back(text, values[-1], kind, problem_text, not closed)
        return back or Extraction(values[-1][0], "boxed in reasoning", (), True)
    stated = answer_stated(text, kind, problem_text, cut=not closed, thought=not closed)
    if stated is None:
        return None
    return Extraction(stated.text, f"{stated.rule} in reasoning", stated.several, True)


def _boxes_before_next_task(text: str) -> list[tuple[str, int, int]]:
    """Return the last boxes of the answer to the asked question, not to one that the text
    invents.
    """
    values = boxed_values(text)
    first = next(boxes_in(text), None) if values else None
    if first is not None:
        end = end_of_answer(text, first.end())
        if end < values[-1][1]:
            values = boxed_values(text[:end]) or values
    while values and _SAMPLE_BOX.search(text[max(0, values[-1][1] - 60) : values[-1][1]]):
        # "like \\boxed{20}" shows the form, "(if there were none, \\boxed{20})" another case.
        values = boxed_values(text[: values[0][1]])
    return _not_denied(text, values)


def _tagged(text: str) -> str | None:
    """Return the value of an answer tag, or of a field named answer of a text that is JSON."""
    if "<" in text and (match := _last(_TAG.finditer(text))) is not None:
        inside = _unfenced(match.group("inside").strip())
        if inside and len(inside) <= 400:
            return inside
    if "{" in text and (fields := list(_JSON.finditer(text))):
        named = [f for f in fields if "answer" in f.group("name").lower()] or fields
        return str(named[-1].group("value").strip("\"'"))
    return None


def _unfenced(text: str) -> str:
    match = re.fullmatch(r"```\w*\s*\n?(.*?)\n?\s*```", text, re.S)
    return match.group(1).strip() if match else text


def _last(matches: Iterator[re.Match[str]]) -> re.Match[str] | None:
    found = deque(matches, maxlen=1)
    return found[0] if found else None


# "twice 5" is no 5, "no. 5" no denial, "C++" no choice.
_OWN_READING = re.compile(
    r"(?i:(?:(?:twice|double|triple|thrice)\s+\S+|half\s+of\s+\S+"
    r"|an?\s+(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)|no\.\s?\d\S*)$)|[A-J](?:\+\+?|#)$"
)
_SHORT = 30
_ITEM = re.compile(r"\s*(?:[-*•–]\s+|(?P<number>\d{1,2})[.)]\s+)(?P<value>\S.{0,60}?)\s*")
_BARE_ITEMS = re.compile(r"-?\d+(?:\.\d+)?(?: +-?\d+(?:\.\d+)?)+")


def _items(text: str) -> str:
    """Return the items of a text that is a list of short lines, or of numbers with spaces between
    them, parted by commas; "" for any other.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) == 1 and len(text) <= MOST_PARTS and _BARE_ITEMS.fullmatch(text):
        parts = text.split()
        grouped = all(len(part) == 3 for part in parts[1:])  # 1 000 000 is one number
        return "" if grouped else ", ".join(parts)
    found = [_ITEM.fullmatch(line) for line in lines] if 1 < len(lines) <= 20 else []
    if not found or not all(found):
        return ""
    items = [item for item in found if item is not None]
    numbers = [item["number"] for item in items if item["number"]]
    if numbers and numbers != [str(n) for n in range(1, len(items) + 1)]:
        return ""
    return ", ".join(item["value"] for item in items)


def _is_parts(text: str) -> bool:
    """Return whether a text is several labelled values and nothing about them."""
    parts = parts_of(tidy(text))
    return parts is not None and all(
        len(value) <= 60 and _PROSE.search(value) is None for value in parts.values
    )


def _is_bare(text: str, kind: str) -> bool:
    """Return whether a text is the answer itself and no sentence about it."""
    if len(text) > BARE_LENGTH or "\n" in text.strip("`\n") or len(_PROSE.findall(text)) > 1:
        return False
    if is_numeric(kind) and (_FOREIGN.search(text) or _TWO_THINGS.search(text)):
        return False
    if is_numeric(kind) and _STATES.search(text):
        return False
    if is_numeric(kind) and (restated(text) != text or introduces(text) or _GOES_ON.search(text)):
        return False
    if in_english(text) != text:
        return False
    if kind == AnswerKind.TIME and len(_TIME.findall(text)) > 1:
        return False
    if kind == AnswerKind.LETTER and re.search(
        r"[A-J][).:].*\W[A-J][).:]|(?:\s(?:is|are|but|so|hence|thus)|,\s+leaving)\s", text
    ):
        return False
    if kind not in _WORDED and kind != AnswerKind.LETTER:
        words = len(_WORDS.findall(text))
        if words > 3 or text.count("=") > 1 or (words and not _BEGINS_BARE.match(text)):
            return False
    return not _WORKED_OUT.search(text) and text.count("=") < 4
