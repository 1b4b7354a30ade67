"""The text of a problem's solution at each level, R0 to R6, and in the base's own terse style.

R0 rambles as a teacher does; R1 is a sentence per step with sub-steps for every hard operation;
R2 keeps sub-steps for products, divisions and remainders only; R3, R4 and R5 are at most three, two
and one bare equations, the rest merged into those; R6 is the answer alone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from fractions import Fraction

from potstill.errors import InputError
from potstill.pocket.problems import PocketProblem
from potstill.pocket.steps import HARD_OPS, equation, operands, show, substeps, values

__all__ = ["LEVELS", "final_answer", "render", "render_terse", "textbook"]

LEVELS = ("R0", "R1", "R2", "R3", "R4", "R5", "R6")
_EQUATION_BUDGET = {"R3": 3, "R4": 2, "R5": 1}
_CLOSING = {"R3": "The answer is ", "R4": "Answer: ", "R5": ""}
_OPENERS = (
    "Let us solve this step by step.",
    "Let us work through the problem step by step.",
    "We solve the problem one step at a time.",
)
_CLOSINGS = (
    "Therefore, the answer is {}.",
    "This means that the answer is {}.",
    "So, in the end, the answer is {}.",
)
_R0_OPENERS = (
    "Okay, let me think about this problem.",
    "Alright, let me read the problem carefully.",
    "Hmm, let me see what is being asked here.",
)
_R0_DEAD_ENDS = (
    "Wait, maybe I can guess the answer at once? No, that is too risky, so let me go on.",
    "Wait, should I do it in another order? No, that does not help, so I stay with this way.",
    "Hmm, maybe there is a shorter way? I do not see one, so let me go on step by step.",
)
_R0_CHECKS = (
    "Let me check that again: {}. Good.",
    "Wait, let me check: {}. Yes, that fits.",
    "Just to be sure: {}. Right.",
)
Slip = tuple[int, Fraction]


def _rng(problem: PocketProblem, purpose: str) -> random.Random:
    digest = hashlib.sha256(f"{purpose}|{problem.key}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def final_answer(problem: PocketProblem, slip: Slip | None = None) -> str:
    """Return the answer that a working ends in: the right one, unless a step slips."""
    return show(values(problem.steps, slip)[-1])


def _boxed(problem: PocketProblem, slip: Slip | None = None) -> str:
    return f"\\boxed{{{final_answer(problem, slip)}}}"


def _substeps(
    problem: PocketProblem, index: int, hard_only: bool, slip: Slip | None = None
) -> tuple[str, ...]:
    op = problem.steps[index].op
    if (slip is not None and slip[0] == index) or (hard_only and op not in HARD_OPS):
        return ()
    left, right = operands(problem.steps, values(problem.steps, slip), index)
    return substeps(op, left, right)


def _prose(problem: PocketProblem, index: int, hard_only: bool) -> str:
    """Return R1's sentences of a step."""
    steps = problem.steps
    left, right = equation(steps, values(steps), index)
    lead = "First, we find" if index == 0 else ("Next, we find", "Then we find")[index % 2]
    inner = _substeps(problem, index, hard_only)
    if not inner:
        return f"{lead} {steps[index].finds}, which is {left} = {right}."
    worked = ", ".join(inner)
    return f"{lead} {steps[index].finds}, which is {left}. Here {worked}, so {left} = {right}."


def _note(problem: PocketProblem, index: int) -> str:
    """Return R2's sentence of a step."""
    steps = problem.steps
    left, right = equation(steps, values(steps), index)
    inner = "".join(f"{line}, " for line in _substeps(problem, index, hard_only=True))
    finds = steps[index].finds
    return f"{finds[0].upper()}{finds[1:]}: {inner}{left} = {right}."


def _bare(problem: PocketProblem, kept: Collection[int]) -> str:
    steps = problem.steps
    results = values(steps)
    merged = [i for i in range(len(steps)) if i not in kept]
    return "; ".join(" = ".join(equation(steps, results, i, merged)) for i in sorted(kept))


def _kept(step_count: int, budget: int) -> set[int]:
    """Return the steps to write out, evenly spread, the last among them."""
    budget = min(budget, step_count)
    return {(group + 1) * step_count // budget - 1 for group in range(budget)}


def _check(problem: PocketProblem, index: int, slip: Slip | None) -> str:
    """Return the inverse of a step as an equation; empty where none is worth writing."""
    results = values(problem.steps, slip)
    left, right = operands(problem.steps, results, index)
    inverse = {"+": "-", "-": "+", "x": "/", "/": "x"}.get(problem.steps[index].op)
    if inverse is None or right == 0 or (slip is not None and slip[0] == index):
        return ""
    return f"{show(results[index])} {inverse} {show(right)} = {show(left)}"


def _trace(problem: PocketProblem, slip: Slip | None, draw: int = 0) -> str:
    """Return R0: it restates, doubts, checks and arrives; another ``draw`` in other words, or in
    whole sentences without a doubt.
    """
    rng = _rng(problem, f"trace {draw}" if draw else "trace")
    steps, results = problem.steps, values(problem.steps, slip)
    parts = [rng.choice(_R0_OPENERS), f"The problem says: {problem.text}"]
    if draw and slip is None and rng.random() < 0.5:
        parts += [_prose(problem, i, hard_only=False) for i in range(len(steps))]
        return " ".join([*parts, f"So the final answer should be {_boxed(problem)}."])
    dead_end_at = rng.randrange(len(steps)) if rng.random() < 0.6 else -1
    for index, step in enumerate(steps):
        if index == dead_end_at:
            parts.append(rng.choice(_R0_DEAD_ENDS))
        left, right = equation(steps, results, index)
        lead = "First I need to find" if index == 0 else "Now I need to find"
        inner = "".join(f"{line}, " for line in _substeps(problem, index, False, slip))
        parts.append(f"{lead} {step.finds}. That should be {left}.")
        parts.append(f"Hmm, {inner}so {left} = {right}.")
        check = _check(problem, index, slip)
        if check and rng.random() < 0.4:
            parts.append(rng.choice(_R0_CHECKS).format(check))
    parts.append("I have used everything that the problem gives, so I am done.")
    parts.append(f"So the final answer should be {_boxed(problem, slip)}.")
    return " ".join(parts)


def render(problem: PocketProblem, level: str, slip: Slip | None = None, draw: int = 0) -> str:
    r"""Return a problem's solution at a level, ending in `\boxed{}`.

    Each level has fewer words than the one above. Only R0 can hold a `slip`, a step's index and the
    error of its result, and is another text for another `draw`; raises InputError for a slip
    elsewhere or an unknown level.
    """
    if level not in LEVELS:
        raise InputError(f"there is no level {level!r}; the levels are {', '.join(LEVELS)}")
    if level == "R0":
        return _trace(problem, slip, draw)
    if slip is not None:
        raise InputError(f"only R0 can hold a slip, not {level}; render R0")
    rng = _rng(problem, "lesson")
    count = len(problem.steps)
    if level == "R1":
        body = [_prose(problem, i, hard_only=False) for i in range(count)]
        closing = rng.choice(_CLOSINGS).format(_boxed(problem))
        return " ".join([rng.choice(_OPENERS), *body, closing])
    if level == "R2":
        notes = [_note(problem, i) for i in range(count)]
        return " ".join([*notes, f"So it is {_boxed(problem)}."])
    if level == "R6":
        return _boxed(problem)
    body_text = _bare(problem, _kept(count, _EQUATION_BUDGET[level]))
    return f"{body_text}. {_CLOSING[level]}{_boxed(problem)}"


def render_terse(problem: PocketProblem, rng: random.Random) -> str:
    """Return a solution in the base's own style: bare equations, merged or left out at random.

    Several steps: 60 % all equations, 30 % merged at random, 10 % the answer at once. One step:
    30 % the answer at once. With more of those, greedy decoding takes the answer at once for most
    problems: its first token is one, that of an equation is any digit (docs/log.md 2026-11-28).
    """
    count, draw = len(problem.steps), rng.random()
    if draw < (0.3 if count == 1 else 0.1):
        return _boxed(problem)
    kept = set(range(count))
    if count > 1 and draw < 0.4:
        kept -= set(rng.sample(range(count - 1), rng.randint(1, count - 1)))
    return f"{_bare(problem, kept)}. {_boxed(problem)}"


def textbook(problem: PocketProblem, rng: random.Random) -> tuple[str, str]:
    """Return an exercise of a textbook and its solution: the levels' prose, not in chat form."""
    opening = f"Exercise {rng.randint(1, 99)}. {problem.text}\nSolution. "
    draw = rng.random()
    if draw < 0.05:
        return opening, _trace(problem, None)
    if draw < 0.3:
        closing = rng.choice(("So it is {}.", "The answer is {}", "Answer: {}"))
        notes = [_note(problem, i) for i in range(len(problem.steps))]
        return opening, " ".join([*notes, closing.format(_boxed(problem))])
    body = [_prose(problem, i, hard_only=draw < 0.45) for i in range(len(problem.steps))]
    if rng.random() < 0.6:
        body.insert(0, rng.choice(_OPENERS))
    return opening, " ".join([*body, rng.choice(_CLOSINGS).format(_boxed(problem))])
