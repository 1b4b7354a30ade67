"""The scripted teacher, verifier and condenser of the pocket world, with the faults of real ones.

Nothing is drawn while it runs: whether a reply is faulty, and how, is a hash of the seed, the role
and the request. The same request always gets the same reply, on every machine; a rephrased retry or
another sampling seed gets another draw. Above temperature 0 its traces are in other words, too.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType

from potstill.chat import Completion
from potstill.pocket.problems import PocketProblem, normalise_text
from potstill.pocket.render import LEVELS, Slip, final_answer, render
from potstill.pocket.steps import show, values
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion
from potstill.records import Finish

__all__ = ["CONDENSER", "FAULTS", "TEACHER", "VERIFIER", "PocketTeacher", "draw_slip"]

TEACHER, VERIFIER, CONDENSER = "pocket-teacher", "pocket-verifier", "pocket-condenser"

FAULTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        TEACHER: MappingProxyType({"slip": 0.05, "blank": 0.02, "truncated": 0.03}),
        VERIFIER: MappingProxyType({"wrong": 0.02, "unparseable": 0.02}),
        CONDENSER: MappingProxyType({"too_long": 0.03, "wrong": 0.01}),
    }
)
"""How often each role fails: chosen so that the teacher is right nine times in ten, near the 91.4 %
of DeepSeek-R1 on its competition, with the kinds of fault found there (arXiv 2606.31048)."""

_TOKENS_PER_WORD = 1.3
_ERRORS = (1, -1, 2, -2, 10, -10, 3, -3)

_DRAWN_BY = {
    "R1": "Write the solution whole and clean: 5 to 15 short steps in order, every step that the "
    "answer needs, no dead ends, no second thoughts, no remarks about the task.",
    "R2": "Keep every step and every equation; cut repetition, restated givens and routine "
    "algebra.",
    "R3": "Keep the key steps with one equation each; join steps that follow at once.",
    "R4": "Keep only the equations that carry the solution, with a word or two between them.",
    "R5": "Keep the one idea that decides and its equation, in one or two short sentences.",
    "R6": "Write one line: the decisive equation or fact, then the answer.",
}
"""By these words a level's faults are drawn, however it is asked for: a ladder that is worded anew
changes no figure of the demo."""


def _as_drawn(message: str) -> str:
    """Return a condenser's message with the line under its level by which faults are drawn."""
    return re.sub(
        r"^(Level: (R[1-6])\n).+$",
        lambda found: found[1] + _DRAWN_BY[found[2]],
        message,
        flags=re.M,
    )


def _tokens(*texts: str) -> int:
    return round(_TOKENS_PER_WORD * sum(len(text.split()) for text in texts))


def _plausible(results: tuple[Fraction, ...]) -> bool:
    """Return whether a slipped working still looks like one: whole, positive up to the answer."""
    whole = all(r.denominator == 1 and r > 0 for r in results[:-1])
    return whole and results[-1] >= 0


def draw_slip(problem: PocketProblem, rng: random.Random) -> Slip:
    """Return a step and an error of its result that lead, consistently, to a wrong answer."""
    steps = problem.steps
    choices = [(i, Fraction(error)) for i in range(len(steps)) for error in _ERRORS]
    rng.shuffle(choices)
    for slip in choices:
        if steps[slip[0]].op == "over":
            continue
        try:
            results = values(steps, slip)
        except ZeroDivisionError:
            continue
        kind_kept = results[-1].denominator == 1 or steps[-1].op == "over"
        if kind_kept and _plausible(results) and show(results[-1]) != problem.answer:
            return slip
    last = len(steps) - 1
    return last, Fraction(1, values(steps)[-1].denominator)


def _tag(message: str, name: str) -> str:
    found = re.findall(rf"<{name}>(.*?)</{name}>", message, re.DOTALL)
    if not found:
        raise UnknownQuestion(f"the message holds no <{name}>...</{name}>; add it")
    return str(found[-1]).strip()


def _number(text: str) -> Fraction | None:
    boxed = re.findall(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}", text)
    core = (boxed[-1] if boxed else text).strip().strip("$.").replace(",", "")
    core = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", core).replace(" ", "")
    try:
        return Fraction(core)
    except (ValueError, ZeroDivisionError):
        return None


def _agree(answer: str, key: str) -> bool:
    left, right = _number(answer), _number(key)
    if left is not None and right is not None:
        return left == right
    return bool(answer) and normalise_text(answer) == normalise_text(key)


class PocketTeacher:
    """Answers chat requests about a known set of problems in one of three roles, by model name."""

    def __init__(self, problems: Iterable[PocketProblem], seed: int = 0) -> None:
        """Return a teacher of these problems; `seed` chooses which of its replies are faulty."""
        self._seed = seed
        self._by_text = {normalise_text(problem.text): problem for problem in problems}
        self._longest_first = sorted(self._by_text, key=lambda text: (-len(text), text))

    def reply(self, request: ChatRequest) -> Completion:
        """Return the role's reply, cut at `max_tokens` as an endpoint cuts it.

        Raises UnknownQuestion for another model name or a problem that is not in the set.
        """
        roles = {TEACHER: self._teach, VERIFIER: self._verify, CONDENSER: self._condense}
        if request.model not in roles:
            known = ", ".join(roles)
            raise UnknownQuestion(f"no model {request.model!r} is served here; there are {known}")
        users = [m.get("content", "") for m in request.messages if m.get("role") == "user"]
        if not users:
            raise UnknownQuestion("the request holds no user message; add one with the problem")
        rng = self._draw(request)
        if request.model == TEACHER and request.temperature:
            return self._cut(request, self._teach(users[-1], rng, reworded=True))
        return self._cut(request, roles[request.model](users[-1], rng))

    def _draw(self, request: ChatRequest) -> random.Random:
        messages = list(map(dict, request.messages))
        if request.model == CONDENSER:
            messages = [{k: _as_drawn(v) for k, v in message.items()} for message in messages]
        asked = [self._seed, request.model, messages, request.seed]
        canonical = json.dumps(asked, sort_keys=True, ensure_ascii=True)
        digest = hashlib.sha256(canonical.encode()).digest()
        return random.Random(int.from_bytes(digest[:8], "big"))

    def _cut(self, request: ChatRequest, said: Completion) -> Completion:
        text, reasoning, finish = said.text, said.reasoning, said.finish
        prompt_tokens = _tokens(*(m.get("content", "") for m in request.messages))
        limit = request.max_tokens
        if limit is not None and _tokens(reasoning, text) > limit:
            allowed = int(limit / _TOKENS_PER_WORD)
            thought = reasoning.split()
            text = " ".join(text.split()[: max(0, allowed - len(thought))])
            if len(thought) > allowed:
                reasoning = " ".join(thought[:allowed])
            finish = Finish.LENGTH
        return Completion(text, reasoning, finish, prompt_tokens, _tokens(reasoning, text))

    def _problem(self, text: str) -> PocketProblem:
        problem = self._by_text.get(normalise_text(text))
        if problem is None:
            raise UnknownQuestion(f"this problem is not in the teacher's set: {text[:80]!r}")
        return problem

    def _find(self, message: str) -> PocketProblem:
        """Return the known problem whose text stands in the message; the longest, if several do."""
        normal = f" {normalise_text(message)} "
        for text in self._longest_first:
            if f" {text} " in normal:
                return self._by_text[text]
        raise UnknownQuestion(f"no problem of the teacher's set is in the message {message[:80]!r}")

    def _teach(self, message: str, rng: random.Random, reworded: bool = False) -> Completion:
        problem = self._find(message)
        fault = _fault(TEACHER, rng)
        draw = rng.randint(1, 1 << 16) if reworded else 0
        if fault == "truncated":
            reasoning = render(problem, "R0", draw=draw)
            return Completion("", _cut_in_word(reasoning, rng), Finish.LENGTH)
        slip = draw_slip(problem, rng) if fault == "slip" else None
        reasoning = render(problem, "R0", slip, draw)
        if fault == "blank":
            return Completion("", reasoning, Finish.STOP)
        text = f"The answer is \\boxed{{{final_answer(problem, slip)}}}."
        return Completion(text, reasoning, Finish.STOP)

    def _verify(self, message: str, rng: random.Random) -> Completion:
        self._problem(_tag(message, "problem"))
        key, answer = _tag(message, "key"), _tag(message, "answer")
        fault = _fault(VERIFIER, rng)
        if fault == "unparseable":
            return Completion("I believe this is probably fine.", "", Finish.STOP)
        right = _agree(answer, key) != (fault == "wrong")
        reason = "agrees" if right else "does not agree"
        verdict = "CORRECT" if right else "INCORRECT"
        text = f"The answer {reason} with the key.\nVerdict: {verdict}"
        return Completion(text, "", Finish.STOP)

    def _condense(self, message: str, rng: random.Random) -> Completion:
        problem = self._problem(_tag(message, "problem"))
        reasoning = _tag(message, "reasoning")
        level = re.findall(r"^Level: (R[1-6])\s*$", message, re.MULTILINE)
        if not level:
            wanted = ", ".join(LEVELS[1:])
            raise UnknownQuestion(f"the message holds no line 'Level: ...' of {wanted}; add it")
        text = render(problem, level[-1])
        fault = _fault(CONDENSER, rng)
        if fault == "wrong":
            wrong = Fraction(problem.answer) + 1
            text = text.replace(_boxed(problem.answer), _boxed(show(wrong)))
        elif fault == "too_long":
            while len(text.split()) <= len(reasoning.split()):
                text = f"Let me check that again: the problem says: {problem.text} {text}"
        return Completion(text, "", Finish.STOP)


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"


def _cut_in_word(text: str, rng: random.Random) -> str:
    """Return a beginning of the text that ends inside a word."""
    inside = [
        i
        for i in range(len(text) // 3, len(text) * 9 // 10)
        if text[i - 1].isalpha() and text[i].isalpha()
    ]
    return text[: rng.choice(inside)]


def _fault(role: str, rng: random.Random) -> str:
    draw = rng.random()
    for name, share in FAULTS[role].items():
        if draw < share:
            return name
        draw -= share
    return ""
