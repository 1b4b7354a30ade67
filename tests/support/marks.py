"""Answers written as a string, one letter a problem: how each was read, and whether it is right."""

from __future__ import annotations

from potstill.evaluation import Answered
from potstill.records import Condition, Outcome, Role, Sampling, Split

HERE = Condition("set1", "", "{problem}", Sampling(max_tokens=256), "float32")
THERE = Condition("set1", "Reason.", "{problem}", Sampling(max_tokens=4096), "api")
CONDITIONS = {c.condition_id: c for c in (HERE, THERE)}

LETTERS = {
    "B": (Outcome.CORRECT, "boxed"),
    "b": (Outcome.WRONG, "boxed list"),
    "S": (Outcome.CORRECT, "last sentence"),
    "s": (Outcome.WRONG, "answer line"),
    "U": (Outcome.UNPARSED, ""),
    "D": (Outcome.UNDECIDED, "boxed"),
    "C": (Outcome.TRUNCATED, ""),
    "-": (Outcome.BLANK, ""),
    "K": (Outcome.BAD_KEY, ""),
}
"""Upper case B and S are right, lower case wrong; the rule of each as a verdict has it."""


def answered(role: Role, level: str, marks: str, seed: int = 0) -> list[Answered]:
    """Make the answers of base, teacher or one seed of a level, one per letter."""
    condition = THERE if role is Role.TEACHER else HERE
    return [
        Answered(
            solver=f"{level or role.value}-{seed}",
            role=role,
            level=level,
            seed=seed,
            set="pocket",
            split=Split.HELDOUT,
            problem_id=f"p{i:04}",
            groups={},
            condition_id=condition.condition_id,
            outcome=LETTERS[mark][0],
            words=5,
            tokens=9,
            rule=LETTERS[mark][1],
        )
        for i, mark in enumerate(marks)
    ]
