"""The yes, no, maybe, true or false that a response answers with."""

from __future__ import annotations

import re

from potstill.grading.maths.polarity import affirms_or_denies, supposes
from potstill.grading.reading.cues import takes_back

__all__ = ["verdict_word"]

_WORD = r"(?P<word>yes|no|maybe|true|false)"
_FIRST = re.compile(rf"(?i)\W*{_WORD}[*_\"'”’]*(?:[.!]\s+|\s*\n\s*)(?=\S)")
# One that ends its clause; "no evidence" and "yes and no" answer nothing.
_ALONE = re.compile(
    rf"(?i)(?<![\w-]){_WORD}(?=[*_\"'”’)}}$\]]*\s*(?:$|[.,;:!\n]|[–—-]\s|\b(?:because|since|rather|"
    r"instead|not|as|for)\b))"
)
_BOTH = re.compile(
    r"(?i)\b(?:yes|no|maybe|true|false)\s*(?:,|/|\band\b|\bor\b)\s*(?:(?:yes|no|maybe|true|false)\b\W{0,3}"
    r"(?:or\s+|and\s+)?)+"
)
_OWN = re.compile(r"(?i)\bI(?:\s(?:would|will)|['’]d|['’]ll)?\s+(?:say|answer|think|go\s+with)\b")
# Behind one of these it is another's, or denied.
_DENIED = re.compile(
    r"(?i)\b(?:not|never|to\s+answer|than|instead\s+of|say|says|said|others?|some|many|between|whether|if|"
    r"of|one|be\s+tempted\s+to|(?:can(?:not|['’]t)|not|never|may|might|could)\s+be)\s+(?:a\s+|an\s+|the\s+|say(?:s|ing)?\s+)?[\"'“‘*$\\({]*$"
)
# "whether the answer is yes", "possibly yes"
_OPEN = re.compile(
    r"(?i)\b(?:whether|if)\s+(?:[a-z]+\s+){0,4}(?:is|was|be|are)\s+[\"'“‘*]*$|\b(?:possibly|perhaps|maybe)\s+(?:an?\s+)?[\"'“‘*]*$"
)
_CONCLUDED = re.compile(
    rf"(?i)(?:(?P<cue>\b(?:answer|decision|conclusion|verdict|so|therefore|thus|hence|wait|actually|correction)\b"
    rf"[^.?!\n]{{0,40}}?)|(?:^|[.!?\n]\s*)[*_\"'“]*)(?<![\w-]){_WORD}\b(?=[*_\"'”’)]*\s*(?:$|[.,;:!\n]))"
)
_SENTENCES = re.compile(r"[.!?]\s+\S|\n")
_ASKS_SO = re.compile(
    r"(?i)\b(?:yes|true\s+or\s+false)\b|(?:^|[.!?:\n]\s*)(?:is|are|was|were|do|does|did|can|could|will|"
    r"would|has|have|had|should)\s(?:(?!\bor\b)[^?])*\?"
)


def verdict_word(text: str, problem_text: str) -> str:
    """Return the one word of yes, no, maybe, true and false that a text answers with, a text that
    affirms or denies in other words itself, or "".
    """
    first = _FIRST.match(text)
    if first is not None:
        behind = text[first.end() :]
        said = first["word"].lower()
        others = [m for m in _CONCLUDED.finditer(behind) if m["word"].lower() != said]
        if others:
            return others[-1]["word"] if others[-1]["cue"] else ""
        return "" if takes_back(behind) else first["word"]
    if len(text) > 200 or not _ASKS_SO.search(problem_text):
        return ""
    if supposes(text) and affirms_or_denies(text) is None:
        return ""
    plain = _OWN.sub(" ", _BOTH.sub(" ", text))
    named = {
        m["word"].lower(): m["word"]
        for m in _ALONE.finditer(plain)
        if not any(p.search(plain[: m.start()]) for p in (_DENIED, _OPEN))
    }
    if not named and _SENTENCES.search(text) is None and affirms_or_denies(text) is not None:
        return text
    return next(iter(named.values())) if len(named) == 1 else ""
