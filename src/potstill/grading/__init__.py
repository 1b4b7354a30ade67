"""Grading: from a response to a verdict, whoever answered.

:func:`grade` is the symbolic check in this process; :class:`GradingPool` runs it in killable
workers with hard limits; :func:`verify` adds a judge model and a person's rulings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.lazy import lazy_names

if TYPE_CHECKING:
    from potstill.grading.causes import cause_of
    from potstill.grading.extraction import Extraction, extract
    from potstill.grading.grader import grade
    from potstill.grading.maths.comparison import Comparison, KeyUnreadable
    from potstill.grading.maths.equations import false_equations
    from potstill.grading.maths.equivalence import equal
    from potstill.grading.maths.kinds import infer_kind
    from potstill.grading.panel import judge_statistics, verify
    from potstill.grading.pool import GradingPool, grade_responses
    from potstill.grading.rulings import Ruling, Rulings, review
    from potstill.grading.table import grade_table

_HOMES = {
    "Comparison": "maths.comparison",
    "Extraction": "extraction",
    "GradingPool": "pool",
    "KeyUnreadable": "maths.comparison",
    "Ruling": "rulings",
    "Rulings": "rulings",
    "cause_of": "causes",
    "equal": "maths.equivalence",
    "extract": "extraction",
    "false_equations": "maths.equations",
    "grade": "grader",
    "grade_responses": "pool",
    "grade_table": "table",
    "infer_kind": "maths.kinds",
    "judge_statistics": "panel",
    "review": "rulings",
    "verify": "panel",
}

__all__ = [
    "Comparison",
    "Extraction",
    "GradingPool",
    "KeyUnreadable",
    "Ruling",
    "Rulings",
    "cause_of",
    "equal",
    "extract",
    "false_equations",
    "grade",
    "grade_responses",
    "grade_table",
    "infer_kind",
    "judge_statistics",
    "review",
    "verify",
]

__getattr__ = lazy_names(__name__, _HOMES)
