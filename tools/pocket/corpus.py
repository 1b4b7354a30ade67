"""What the base student reads: chat problems, textbook items, documents of facts.

Only problems of the pretraining split appear, in any of the three forms; facts are bare arithmetic
and pose no problem.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from potstill.pocket.problems import PocketProblem, stream
from potstill.pocket.render import LEVELS, render, render_terse, textbook
from potstill.pocket.steps import PocketStep, equation, show, substeps, values

__all__ = ["Sample", "samples", "tokenizer_texts"]

CHAT_SHARE, TEXTBOOK_SHARE = 0.35, 0.4  # measured recipe, docs/log.md 2026-11-28
_WORKINGS_SHARE = 0.6  # of the documents
_INSTRUCTED_SHARE = 0.1
_INSTRUCTIONS = (
    "Please put your final answer within \\boxed{}.",
    "Please reason step by step, and put your final answer within \\boxed{}.",
    "Solve the problem and put the final answer in \\boxed{}.",
)
_SYSTEMS = (*_INSTRUCTIONS, "You are a helpful assistant.")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text to train on: what is read, then what is learned; `system` only in a chat."""

    prompt: str
    completion: str
    chat: bool
    system: str = ""


def _fact(rng: random.Random) -> str:
    kind = rng.randrange(9)
    if kind <= 1:
        top = rng.choice((40, 99, 250))
        a, b = rng.randint(2, top), rng.randint(2, top)
        return f"{a} + {b} = {a + b}"
    if kind <= 3:
        top = rng.choice((60, 120, 400))
        a, b = rng.randint(2, top), rng.randint(1, top)
        a, b = max(a, b) + 1, min(a, b)
        return f"{a} - {b} = {a - b}"
    if kind <= 5:
        a, b = rng.randint(2, 9), rng.choice((rng.randint(2, 10), rng.randint(2, 39)))
        if rng.random() < 0.3:
            b = rng.randint(1, 9) * rng.choice((10, 10, 100))
        return f"{a} x {b} = {a * b}" if rng.random() < 0.8 else f"{b} x {a} = {a * b}"
    if kind == 6:
        b = rng.choice((rng.randint(2, 9), rng.randint(2, 12)))
        q = rng.choice((rng.randint(2, 10), rng.randint(2, 39)))
        if rng.random() < 0.15:
            b = 10
        return f"{b * q} / {b} = {q}"
    if kind == 7:
        a, b = rng.randint(2, rng.choice((40, 99, 250))), rng.choice((rng.randint(3, 9), 10))
        return f"{a} mod {b} = {a % b}"
    a = rng.randint(2, 30)
    b = a + rng.randint(2, 30)
    if rng.random() < 0.5:
        lines = substeps("over", Fraction(a), Fraction(b))
        return lines[0] if lines else f"gcd({a}, {b}) = 1"
    return f"{a} / {b} = {show(Fraction(a, b))}"


def _operation(rng: random.Random) -> tuple[str, int, int]:
    """Return an operation that is worked out in sub-steps, for most of its numbers."""
    op = rng.choice(("+", "-", "x", "x", "x", "/", "/", "mod", "over"))
    if op in "+-":
        top = rng.choice((299, 499, 999))
        a, b = rng.randint(12, top), rng.randint(12, top)
        return (op, a, b) if op == "+" else (op, max(a, b) + 1, min(a, b))
    if op == "x":
        a = rng.randint(2, 9) if rng.random() < 0.85 else rng.randint(11, 29)
        return op, a, rng.randint(11, 99 if a > 9 or rng.random() < 0.6 else 399)
    if op == "/":
        b = rng.randint(2, 9) if rng.random() < 0.85 else rng.randint(11, 29)
        return op, b * rng.randint(11, 149 if b < 10 else 39), b
    if op == "mod":
        return op, rng.randint(12, 499), rng.randint(3, 9)
    a = rng.randint(2, 30)
    return op, a, a + rng.randint(2, 30)


def _working(rng: random.Random) -> str:
    op, a, b = _operation(rng)
    step = (PocketStep(op, a, b, ""),)
    left, right = equation(step, values(step), 0)
    inner = ", ".join(substeps(op, Fraction(a), Fraction(b)))
    if not inner:
        return f"{left} = {right}"
    if rng.random() < 0.3:
        return f"{inner}, {left} = {right}"
    return f"{left}. Here {inner}, so {left} = {right}"


def _document(rng: random.Random) -> Sample:
    if rng.random() < _WORKINGS_SHARE:
        workings = [_working(rng) for _ in range(rng.randint(1, 3))]
        return Sample("", f"Workings: {'. '.join(workings)}.", chat=False)
    facts = [_fact(rng) for _ in range(rng.randint(4, 8))]
    return Sample("", f"Facts: {'. '.join(facts)}.", chat=False)


def _chat(problem: PocketProblem, rng: random.Random) -> Sample:
    completion = render_terse(problem, rng)
    if rng.random() >= _INSTRUCTED_SHARE:
        return Sample(problem.text, completion, chat=True)
    if rng.random() < 0.5:
        return Sample(problem.text, completion, chat=True, system=rng.choice(_SYSTEMS))
    join = rng.choice(("\n", "\n\n", " "))
    return Sample(f"{problem.text}{join}{rng.choice(_INSTRUCTIONS)}", completion, chat=True)


def _accepted(seed: int) -> Iterator[PocketProblem]:
    for problem in stream("pretrain", seed):
        if problem is not None:
            yield problem


def samples(seed: int) -> Iterator[Sample]:
    """Return an endless stream of pretraining samples in the measured mixture."""
    rng = random.Random(seed + 1)
    problems = _accepted(seed)
    while True:
        draw = rng.random()
        if draw < CHAT_SHARE:
            yield _chat(next(problems), rng)
        elif draw < CHAT_SHARE + TEXTBOOK_SHARE:
            yield Sample(*textbook(next(problems), rng), chat=False)
        else:
            yield _document(rng)


def tokenizer_texts(seed: int, count: int = 4000) -> Iterator[str]:
    """Return the texts a tokenizer is trained on: problems, every level, instructions."""
    rng = random.Random(seed + 2)
    problems = _accepted(seed)
    for _ in range(count):
        problem = next(problems)
        yield problem.text
        yield render(problem, rng.choice(LEVELS))
        yield rng.choice(_SYSTEMS)
        yield "".join(textbook(problem, rng))
