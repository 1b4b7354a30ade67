"""Answers to be compared with others, written as a string, one sign a problem."""

from __future__ import annotations

import dataclasses

from potstill.evaluation import Answered
from potstill.records import Condition, Outcome, Role, Sampling, Split

HERE = Condition("set1", "", "{problem}", Sampling(max_tokens=256), "float32")


LONGER = dataclasses.replace(HERE, template="Solve: {problem}", sampling=Sampling(max_tokens=512))


CONDITIONS = {c.condition_id: c for c in (HERE, LONGER)}


def cell(
    role: Role, level: str, right: str, condition: Condition = HERE, seed: int = 0
) -> list[Answered]:
    """Make answers of a string: 1 right, 0 wrong, E errored, - not answered."""
    outcomes = {"1": Outcome.CORRECT, "0": Outcome.WRONG, "E": Outcome.ERRORED}
    return [
        Answered(
            solver=f"{level or role.value}-{seed}",
            role=role,
            level=level,
            seed=seed,
            set="competition",
            split=Split.HELDOUT,
            problem_id=f"p{i:03}",
            groups={},
            condition_id=condition.condition_id,
            outcome=outcomes[mark],
            words=5,
            tokens=9,
        )
        for i, mark in enumerate(right)
        if mark != "-"
    ]
