"""Evaluation: scores with intervals, paired comparisons, and what they support."""

from potstill.evaluation.comparisons import (
    Evaluated,
    Kind,
    PairedComparison,
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
    "Evaluated",
    "Kind",
    "LevelScore",
    "PairedComparison",
    "compare",
    "evaluate",
    "join",
    "refuse_seen",
    "score",
    "summarise",
]
