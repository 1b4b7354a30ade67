"""The report: claims, figures and tables, all from the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.lazy import lazy_names

if TYPE_CHECKING:
    from potstill.report.build import build_report
    from potstill.report.data import (
        CallCount,
        CauseCount,
        Corpus,
        Disagreement,
        Grader,
        LessonCount,
        LossCurve,
        LossPoint,
        OverlapPair,
        ReportData,
        Reproduction,
        Unread,
        UnreadExample,
    )

_HOMES = {
    "CallCount": "data",
    "CauseCount": "data",
    "Corpus": "data",
    "Disagreement": "data",
    "Grader": "data",
    "LessonCount": "data",
    "LossCurve": "data",
    "LossPoint": "data",
    "OverlapPair": "data",
    "ReportData": "data",
    "Reproduction": "data",
    "Unread": "data",
    "UnreadExample": "data",
    "build_report": "build",
}

__all__ = [
    "CallCount",
    "CauseCount",
    "Corpus",
    "Disagreement",
    "Grader",
    "LessonCount",
    "LossCurve",
    "LossPoint",
    "OverlapPair",
    "ReportData",
    "Reproduction",
    "Unread",
    "UnreadExample",
    "build_report",
]

__getattr__ = lazy_names(__name__, _HOMES)
