"""The report: claims, figures and tables, all from the same numbers."""

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
from potstill.report.terminal import print_table

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
    "print_table",
]
