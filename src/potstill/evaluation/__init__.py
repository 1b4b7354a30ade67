"""Evaluation: scores with intervals, paired comparisons, and what they support."""

from potstill.evaluation.comparisons import (
    Comparison,
    Evaluation,
    Kind,
    compare,
    evaluate,
)
from potstill.evaluation.scores import (
    Answered,
    LevelScore,
    join,
    refuse_seen,
    score,
    summarise,
)

__all__ = [
    "Answered",
    "Comparison",
    "Evaluation",
    "Kind",
    "LevelScore",
    "compare",
    "evaluate",
    "join",
    "refuse_seen",
    "score",
    "summarise",
]
