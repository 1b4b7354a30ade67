"""Evaluation: scores with intervals, paired comparisons, and what they support."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
        refuse_seen,
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
    "refuse_seen": "scores",
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
    "refuse_seen",
    "score",
    "summarise",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
