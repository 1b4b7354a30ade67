"""What stands around an answer inside its own box or line: "The answer is 5 (since 2+3=5)"."""

from __future__ import annotations

import re

from potstill.grading.maths.number_words import spelled_number

__all__ = ["without_remarks"]

_ANSWER = (
    r"(?:(?:the|our|my|your|a)\s+)?(?:(?:final|correct|right|required|desired|exact|numerical)\s+)*"
    r"(?:answer|result)"
)
# "The answer is", "Final answer:", and the same in the languages that models are asked in.
_LEAD = re.compile(
    rf"^(?:(?:so|thus|therefore|hence|then|and)\b,?\s*)?(?:{_ANSWER}\s*(?:is|equals|[:=])+\s*:?"
    r"|(?:最终)?(?:答案|结果|解)\s*(?:是|为|[:：=])+|故?答案\s*(?=[\d\\$])"
    r"|(?:die\s+)?(?:antwort|lösung|ergebnis)\s*(?:ist|lautet|[:=])+\s*:?"
    r"|(?:la\s+)?(?:réponse|respuesta|risposta|resposta|solución|solution)\s*(?:finale|final)?\s*"
    r"(?:est|es|è|é|[:=])+\s*:?"
    r"|(?:ответ|відповідь|odpowiedź|svar|antwoord|cevap|jawaban|đáp án)\s*[:=]+"
    r"|(?:答え|答|解答)\s*(?:は|[:：=])+|(?:정답|답)\s*(?:은|는|[:：=])+"
    r"|(?:الجواب|الإجابة)\s*(?:هو|هي|[:：=])*|(?:उत्तर)\s*(?:है|[:：=])*)\s*(?!not\b)(?=\S)",
    re.IGNORECASE,
)
_IN_ALL = re.compile(
    r"^(?:a\s+total\s+of|altogether|in\s+(?:total|all)|overall),?\s+(?=[\d$＄])", re.I
)
_SO = re.compile(
    r"^(?:so|thus|therefore|hence)\b,?\s+(?=[-\d\\(\[{⦃√π$]|[A-Za-z]\s?=)", re.IGNORECASE
)
# "The total number of apples is 5": a subject of words alone, then its value.
_SUBJECT = re.compile(
    r"^(?:the|its|their|his|her|our)\s+"
    r"(?:(?!(?:wrong|incorrect|other|former|previous|false|initial|not|never)\b)[A-Za-z'-]+\s+){1,10}(?:is|are|equals)\s+(?:equal\s+to\s+)?"
    r"(?=[-\d\\(\[{⦃√π＄]|[A-Za-z]\s?(?:\([a-z]\)\s?)?=)",
    re.IGNORECASE,
)
_THERE = re.compile(
    r"^(?:there\s+(?:is|are|were|will\s+be)|it\s+is|it's|we\s+(?:get|have|find|need|obtain))\s+"
    r"(?:exactly\s+|only\s+|a\s+total\s+of\s+)?(?=\d|[-\\√π⦃(]|[a-z-]+\b)",
    re.IGNORECASE,
)
_NUMBER_FIRST = re.compile(r"^[-\d\\√π⦃(]")
_REASONS = (
    r"since|because|as\s+(?:desired|required|expected|needed|claimed|wanted|asked|stated|given|"
    r"before|shown|above)|not\s|and\s+not|rather\s+than|instead\s+of|reject|discard|ignor|exclud|"
    r"disregard|neglect|note|check|verif|so\s+that|by\s|using|assuming|from\s|approximate|approx|"
    r"exact|rounded|simplified|in\s+simplest|in\s+lowest|which\s+is|i\.e|as\s+an?\s|this\s"
)
_ASIDE = re.compile(
    rf"\s*[(\[]\s*(?:{_REASONS}|[^()\[\]]{{0,60}}\b(?:rejected|discarded|extraneous|invalid|"
    r"impossible|not\s+valid|excluded|inadmissible))[^()\[\]]*(?:\([^()]*\)[^()\[\]]*)*[)\]]\s*\.?$",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*(?:[,;.]?\s+(?:since|because)\s.*|[,;.]?\s*\bas\s+(?:desired|required|expected|needed|"
    r"claimed|wanted|asked|stated)|,?\s+(?:(?:and\s+)?not|rather\s+than|instead\s+of)\s+\S.*|"
    r"(?<=\w)\s+(?:in\s+(?:all|total)|altogether)|,\s*(?:altogether|all\s+told|in\s+(?:total|all)|overall|in\s+the\s+end)|"
    r"[,;]\s*(?:which|reject\w*|discard\w*|ignor\w*|exclud\w*)\s.*|[,.]?\s+q\.?e\.?d\.?)\s*[.!]?$",
    re.IGNORECASE | re.DOTALL,
)


# "1/2 of it, which is 3/8": a value again, which has to be the same.
_AGAIN = re.compile(
    r"\s*,\s*which\s+(?:is|equals|makes|gives)\s+(?:equal\s+to\s+)?(?P<value>-?[＄$]?\d[\d,]*(?:\.\d+)?(?:/\d+)?\s?%?)\.?$",
    re.IGNORECASE,
)


def without_remarks(text: str) -> str:
    """Return a tidied answer without the words that present it and the reason given after it.

    Nothing is dropped that could be the answer: "not 5" stays as it is. Linear, for an answer's
    length is bounded.
    """
    if len(text) < 4 or not any(c.isalpha() for c in text):
        return text
    bare = text
    for _ in range(3):
        shorter = _SO.sub("", _LEAD.sub("", bare, count=1), count=1).strip()
        shorter = _SUBJECT.sub("", shorter, count=1)
        shorter = _IN_ALL.sub("", shorter, count=1)
        there = _THERE.sub("", shorter, count=1)
        if _NUMBER_FIRST.match(there) or spelled_number(there.split(" ")[0]) is not None:
            shorter = there
        shorter = re.sub(r"^\*+\s*|(?<!\^)\s*(?<![\^*])\*+$", "", shorter)
        shorter = _without_tail(_ASIDE.sub("", shorter) or shorter)
        if shorter == bare or not shorter:
            break
        bare = shorter
    return bare


def _without_tail(text: str) -> str:
    tail = _TAIL.search(text, 1)
    if tail is None or not re.search(r"\w", text[: tail.start()]):
        return text
    head = text[: tail.start()].strip()
    again = _AGAIN.match(text, tail.start())
    if again is not None and head[:1].isdigit():
        return f"{head} or {again['value']}"
    return text if re.search(r"(?i)(?:\b(?:is|are|does|do|was|if|or)|['’]s)$", head) else head
