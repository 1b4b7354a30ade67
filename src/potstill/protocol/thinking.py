"""What a reply says told apart from what it thought, by the marks that models and servers leave.

Templates mark reasoning in many ways, and a server that does not know its model's way passes the
marks on within the content. Here they become two texts without marks; what is still left over is
for the gate on lessons (:func:`potstill.chat.template_mark`).
"""

from __future__ import annotations

import re

__all__ = ["split_reasoning", "split_thought"]

_TAG = r"(?:[a-z]{1,12}[:_])?(?:think(?:ing)?|thought)|reasoning"
_MARK = re.compile(
    rf"""(?P<open> <(?:{_TAG})(?:\s+\w+=[^<>]*)?> | \[THINK\] | ◁think▷ | <\|begin_of_thought\|>
        | <\|START_THINKING\|> | <\|channel>thought\b )
    | </(?:{_TAG})\s*> | \[/THINK\] | ◁/think▷ | <\|end_of_thought\|> | <\|END_THINKING\|>
    | <channel\|>""",
    re.IGNORECASE | re.VERBOSE,
)
# Seed-OSS counts its own tokens within its reasoning.
_BUDGET_NOTE = re.compile(
    r"<seed:cot_budget_reflect>(?:(?!<seed:cot_budget_reflect>).)*?</seed:cot_budget_reflect>\s*",
    re.DOTALL,
)
# Harmony (gpt-oss): <|start|>assistant<|channel|>analysis<|message|>...<|end|>
_HEAD = re.compile(
    r"(?:<\|start\|>[^<]*+)?(?:<\|channel\|>\s*+(?P<channel>\w++)[^<]*+)?"
    r"(?:<\|constrain\|>[^<]*+)?"
    r"<\|message\|>"
)
_BODY_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)")
# The same with its special tokens skipped: analysisWe need ...assistantfinal4
_BARE_FIRST, _BARE_COMMENT, _BARE_LAST = "analysis", "assistantcommentary", "assistantfinal"
_BARE_CUT = re.compile(r"\s*analysis(?=[A-Z])")
_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "„": "“"}
_NOUN = r"(?:tags?|tokens?|marks?|markers?|elements?|delimiters?|symbols?|strings?)\b"
_NAMED_BEHIND = re.compile(rf"[ \t]+{_NOUN}", re.IGNORECASE)
_NAMED_BEFORE = re.compile(rf"\b{_NOUN}[ \t]+\Z", re.IGNORECASE)
_SURELY_TWICE = 40  # characters; a shorter beginning may be the same by chance
_BOX = re.compile(r"<\|(?:begin|end)_of_box\|>")  # GLM-4.5V dresses its answer so
_CONTROL = (
    r"(?:<\|(?!(?:channel|message|start|constrain|(?:begin|end)_of_thought|(?:START|END)_THINKING)\|>)"
    r"[A-Za-z_]{2,40}\|>|<｜[^｜<>\n]{1,40}｜>|<end_of_turn>|<eos>|\[EOS\])"
)
_CONTROL_FIRST = re.compile(rf"\s*(?:{_CONTROL}\s*(?:assistant\s*(?=\n|<))?)+\s*")
_CONTROL_LAST = re.compile(rf"{_CONTROL}\Z")
_LONGEST_CONTROL = 60
_ROLE = re.compile(r"\A\s*assistant\s*\n\n")  # the head of a turn, its special tokens skipped
_WRAPPED = re.compile(r"\s*<(answer|response)>(.*)</\1>\s*", re.DOTALL)


def split_reasoning(content: str, reasoning: str) -> tuple[str, str]:
    """Return the reasoning and the text of a reply, each without marks and neither said twice.

    ``reasoning`` is what stood beside the content ("" for nothing).
    """
    thought, text = split_thought(content)
    thought_beside, said_beside = split_thought(reasoning)
    if thought_beside:
        # What a server's parser missed: all of it stands beside an empty content.
        reasoning, text = thought_beside, text or said_beside
    else:
        reasoning = said_beside
    first, whole = reasoning.strip(), text.strip()
    rest = whole.removeprefix(first)
    if first and first == whole:
        reasoning = ""  # one text in both fields: it is the answer, for there is no other
    elif rest != whole and "\n" in rest[:2] and _is_surely_repeated(first):
        text = rest.lstrip()
    return reasoning or thought, text


def _is_surely_repeated(reasoning: str) -> bool:
    """Return whether an answer that begins with it repeats it: a shorter one may be an answer."""
    sentence = reasoning.endswith((".", "!", "?", ":")) and len(reasoning.split()) > 2
    return sentence or len(reasoning) >= _SURELY_TWICE


def _names_mark(content: str, mark: re.Match[str]) -> bool:
    """Return whether a mark is not one but named: quoted, or "the </think> tag"."""
    before, after = content[max(0, mark.start() - 20) : mark.start()], content[mark.end() :][:20]
    quoted = before[-1:] in _QUOTES and after[:1] == _QUOTES.get(before[-1:])
    return quoted or bool(_NAMED_BEHIND.match(after)) or bool(_NAMED_BEFORE.search(before))


def split_thought(content: str) -> tuple[str, str]:
    """Return what a content holds as reasoning, and the rest, without the marks between them.

    A mark that closes what was never opened ends reasoning that began with the content.
    """
    content = _ROLE.sub("", _trimmed(_BUDGET_NOTE.sub("", content)))
    channels = _channels(content)
    if channels is not None:
        return channels
    thought: list[str] = []
    said: list[str] = []
    inside = closed = False
    at, ended = 0, len(content.rstrip())
    for mark in _MARK.finditer(content):
        if _names_mark(content, mark):
            continue
        piece, at = content[at : mark.start()], mark.end()
        if mark["open"]:
            (thought if inside else said).append(piece)
        elif inside:
            thought.append(piece)
        elif closed and at >= ended:
            said.append(piece)  # a stray mark behind the answer
        else:
            thought += [*said, piece]
            said = []
        inside, closed = bool(mark["open"]), closed or not mark["open"]
    if at == 0:
        return "", _BOX.sub("", content)
    (thought if inside else said).append(content[at:])
    text = _BOX.sub("", _trimmed("".join(said).strip()))
    wrapped = _WRAPPED.fullmatch(text)
    text = wrapped[2].strip() if wrapped else text
    return "\n\n".join(part.strip() for part in thought if part.strip()), text


def _channels(content: str) -> tuple[str, str] | None:
    """Return reasoning and answer of a content in harmony's channels; None for any other."""
    heads = "<|message|>" in content and list(_HEAD.finditer(content))
    if not heads:
        thinks, last, answer = content.lstrip().partition(_BARE_LAST)
        if last and thinks.startswith(_BARE_FIRST):
            thinks = thinks.removeprefix(_BARE_FIRST).replace(_BARE_COMMENT, "\n\n")
            return thinks.strip(), answer.strip()
        cut = _BARE_CUT.match(content)
        return (content[cut.end() :].strip(), "") if cut else None
    thought: list[str] = []
    said: list[str] = []
    at = 0
    for head in heads:
        said.append(content[at : head.start()])
        end = _BODY_END.search(content, head.end())
        body = content[head.end() : end.start() if end else len(content)]
        at = end.end() if end else len(content)
        (said if (head["channel"] or "final").lower() == "final" else thought).append(body)
    said.append(content[at:])
    parts = ("\n\n".join(p.strip() for p in part if p.strip()) for part in (thought, said))
    return next(parts), _trimmed(next(parts))


def _trimmed(text: str) -> str:
    """Return the text without the control tokens that it begins or ends with."""
    if "<" not in text and "[" not in text:
        return text
    text = _CONTROL_FIRST.sub("", text, count=1) if _CONTROL_FIRST.match(text) else text
    if text.rstrip().endswith("</s>") and "<s>" not in text:
        text = text.rstrip().removesuffix("</s>")
    end = len(text)
    while (found := _last_control(text, end)) is not None:
        end = found
    return text[:end]


def _last_control(text: str, end: int) -> int | None:
    """Return where the control token begins that stands before ``end``, and any blank before it."""
    while end and text[end - 1].isspace():
        end -= 1
    start = max(0, end - _LONGEST_CONTROL)
    found = _CONTROL_LAST.search(text[start:end])
    if found is None:
        return None
    begin = start + found.start()
    while begin and text[begin - 1].isspace():
        begin -= 1
    return begin
