"""The value that a response says a program prints or returns, as the program would write it."""

from __future__ import annotations

import ast
import re

__all__ = ["printed_value"]

MOST_CHARACTERS = 4_000
_MARKS = re.compile(r"\[/?(?:ANSWER|PYTHON)\]")
# What is said to be printed stands behind: "f(5) ==", ">>> f(5)", "the output is"; and behind
# "it returns", which may only tell of a branch.
_SAID = re.compile(
    r"(?:(?P<call>\b[A-Za-z_]\w*\([^\n]{0,400}?\))[`*]*\s*"
    r"(?:==|->|→|=>|=|\n|\b(?:(?:will|would)\s+)?(?:returns?|gives?|evaluates\s+to|is)\b)"
    r"|(?P<named>\b(?:outputs?|return(?:ed)?\s+value|results?|answer|value\s+returned)\b"
    r"[^.\n:=()]{0,60}?(?:\b(?:is|be|was)\b|[:=]))"
    r"|\b(?:returns?|prints?|outputs?|returning|printing|gives?)\b)"
    r"\s*(?:(?:exactly|simply|just|the|an?|value|list|string|tuple|dictionary|set|boolean|bool|integer|number)\s+){0,3}"
    r"[\s:]*(?:```\w*\s*)?[`*]*",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?:True|False|None|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?![\w%/])")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ENDS = re.compile(
    r"(?:[`*]|\s)*(?:$|[.,;:!)\]](?:\s|$)|\n|\b(?:because|since|as|and\s+not|not)\b)"
)
_SET_OFF = re.compile(r"(?:```\w*\s|\*\*`?|`)\s*(?P<inside>[^\n]*?)\s*(?:```|`?\*\*|`)\.?")
_HASHED = re.compile(r"(?m)^[ \t]*#### *(\S.*?)[ \t]*\Z")
_REST = re.compile(
    r"(?i)(?:so\s+|therefore,?\s+|it\s+|the\s+)*(?:outputs?|prints|returns)"
    r"(?:\s+(?:is|would\s+be|will\s+be))?\s*:?\s+(?!not\b)(\S[^\n]{0,80})"
)


def printed_value(text: str, problem_text: str) -> str:
    """Return the last value that a text says the program of a problem prints or returns; "" where
    it says none.
    """
    text = _MARKS.sub("", text[-MOST_CHARACTERS:]).strip()
    whole = _SET_OFF.fullmatch(text)
    inside = whole["inside"].strip() if whole is not None else text
    if _literal_at(inside, 0) == inside:
        return inside
    if returned := _value_returned(text, problem_text):
        return returned
    hashed = _HASHED.search(text)
    if hashed is not None and _literal_at(hashed[1], 0) == hashed[1]:
        return hashed[1]
    own = weak = ""
    for match in _SAID.finditer(text):
        literal = _literal_at(text, match.end())
        end = match.end() + len(literal)
        if not literal or _ENDS.match(text, end) is None:
            continue
        if match["call"] and not _is_asked(match["call"], problem_text):
            continue
        if match["call"] or match["named"]:
            own = literal
        elif not _GOES_ON.search(text, end) and _OF_PROGRAM.search(
            text[max(0, match.start() - 80) : match.start()]
        ):
            weak = literal
    if own or weak:
        return own or weak
    if (worked := _end_of_steps(text)) and worked.strip("'\"") not in problem_text:
        return worked
    rest = _REST.fullmatch(text) if len(text) <= 160 else None
    return rest[1].rstrip(".").strip("`*") if rest is not None else ""


_RETURNS = re.compile(r"(?m)^\s*return\s+(\S[^\n]{0,200}?)\s*$")
_COMES_TO = re.compile(
    r"[`*]*\s*(?:==|=|->|→|\b(?:is|gives?|returns?|evaluates\s+to|equals|becomes)\b)\s*[`*]*"
)
# A step that a text ends in: "and reversed it is 'olleh'."
_STEP = re.compile(
    r"(?P<denied>\b(?:not|never)\s|n['’]t\s)?[^\n]{0,80}"
    r"(?:\b(?:is|gives?|becomes|yields|equals|produces|get|have)\b|[=→:])\s*[`*]*$"
)


_IF = re.compile(r"\b(?:if|when|suppose|unless|example)\b[^.\n]*$", re.IGNORECASE)


def _value_returned(text: str, problem_text: str) -> str:
    """Return the last value that a text gives to the one expression that the program returns."""
    returned = _RETURNS.findall(problem_text)
    # a name alone has other values before the last
    if len(returned) != 1 or returned[0].isidentifier():
        return ""
    value = ""
    at = text.find(returned[0])
    while at >= 0:
        end = at + len(returned[0])
        alone = not (text[at - 1 : at].isalnum() or text[at - 1 : at] in ("_", "."))
        joint = _COMES_TO.match(text, end)
        if alone and joint is not None:
            literal = _literal_at(text, joint.end())
            ends = _ENDS.match(text, joint.end() + len(literal)) is not None
            supposed = _IF.search(text[max(0, at - 120) : at]) is not None
            value = literal if literal and ends and not supposed else value
        at = text.find(returned[0], end)
    return value


def _end_of_steps(text: str) -> str:
    """Return the value in quotes or brackets that a text's last step comes to, where the steps
    before it come to others.
    """
    last = text.rstrip(" .`*\n").rpartition("\n")[2]
    for opening in re.finditer(r"['\"\[({]", last):
        at = opening.start()
        literal = _literal_at(last, at)
        if literal and at + len(literal) == len(last):
            step = _STEP.search(last[max(0, at - 120) : at])
            return literal if step is not None and not step["denied"] else ""
    return ""


# Another sentence behind "it returns '' for an empty text".
_GOES_ON = re.compile(r"[.\n]\s*\S")
# Of a branch, or of another function, "returns" tells nothing of the call that is asked for.
_OF_PROGRAM = re.compile(
    r"(?:^|[,;.]\s|\b(?:it|so|and|thus|therefore|hence|function|program|code|method|call|script|snippet|"
    r"f|which|will|would|then|finally)[`*]?)\s*$",
    re.IGNORECASE,
)


def _is_asked(call: str, problem_text: str) -> bool:
    """Return whether a call is one that a problem shows, or of its function where it shows none."""
    name = call.partition("(")[0]
    if "def " in problem_text and f"def {name}(" not in problem_text:
        return False  # "len(x)", a step of the program
    one, two = ("".join(text.replace('"', "'").split()) for text in (call, problem_text))
    if one in two:
        return True
    uses = re.findall(rf"(?<!def )(?<!\w){re.escape(name)}\(", problem_text)
    return not uses and f"def {name}(" in problem_text


def _literal_at(text: str, at: int) -> str:
    """Return the value in Python's writing that begins at a place of a text, or ""."""
    end = _end_of_literal(text, at)
    written = text[at:end]
    if not written:
        return ""
    try:
        ast.literal_eval(written)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return ""
    return written


def _end_of_literal(text: str, at: int) -> int:
    if (named := _NAMED.match(text, at)) is not None:
        return named.end()
    stack: list[str] = []
    quote = ""
    index = at
    while index < min(len(text), at + 2_000):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in _CLOSING:
            stack.append(_CLOSING[character])
        elif stack and character == stack[-1]:
            stack.pop()
        elif not stack:
            return at
        index += 1
        if not stack and not quote:
            return index
    return at
