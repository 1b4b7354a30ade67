"""Evaluation: scores with intervals, paired comparisons, and what they support."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.lazy import lazy_names

if TYPE_CHECKING:
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
        refuse_leaks,
        score,
        summarise,
    )

_HOMES = {
    "Answered": "scores",
    "Evaluated": "comparisons",
    "Kind": "comparisons",
    "LevelScore": "scores",
    "PairedComparison": "comparisons",
    "compare": "comparisons",
    "evaluate": "comparisons",
    "join": "scores",
    "refuse_leaks": "scores",
    "score": "scores",
    "summarise": "scores",
}

__all__ = [
    "Answered",
    "Evaluated",
    "Kind",
    "LevelScore",
    "PairedComparison",
    "compare",
    "evaluate",
    "join",
    "refuse_leaks",
    "score",
    "summarise",
]

__getattr__ = lazy_names(__name__, _HOMES)
