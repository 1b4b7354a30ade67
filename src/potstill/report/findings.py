"""What the ladder and the shared errors say, as rows and sentences, from the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from potstill.report.phrases import count, listed, p_value, points, several, span
from potstill.report.views import Place, solver_rows

__all__ = ["interaction_rows", "ladder_rows", "shared_rows", "shared_sentence", "trend_sentence"]

Row = dict[str, Any]


def ladder_rows(numbers: Row, place: Place) -> list[Row]:
    """Return base, students and teacher: accuracy, words, tokens, tokens per right answer, best for
    less.

    ``best`` marks a student that no other beats in accuracy with as few tokens (Pareto's front).
    """
    rows = [row for row in solver_rows(numbers, place) if not row["indent"] and row["n"]]
    students = [row for row in rows if row["role"] == "student"]
    for row in rows:
        right = row["accuracy"]
        row["tokens_per_right"] = row["tokens"] / right if right else None
        row["best"] = row["role"] == "student" and not any(
            _dominates(other, row) for other in students
        )
    return rows


def trend_sentence(ladder: Row, unread: Sequence[Row] = ()) -> str:
    """Return a sentence on whether accuracy falls along the ladder, and by how much a level.

    ``unread`` are the solvers with many unread answers: a trend over such a level may be format.
    """
    trend = ladder["trend"]
    first, last = trend["levels"][0], trend["levels"][-1]
    ends = f"(95 % {span(trend['low'], trend['high'])}, {p_value(trend['p'])})"
    slope = f"{points(trend['slope'], sign=True)} points a level {ends}"
    over = f"From {first} to {last}, over {several(trend['n'], 'problem')},"
    if trend["p"] >= 0.05 or trend["low"] <= 0 <= trend["high"]:
        text = f"{over} no trend can be told: {slope}."
    else:
        text = f"{over} accuracy {'falls' if trend['slope'] < 0 else 'rises'}: {slope}."
    here = (x for x in unread if (x["set"], x["split"]) == (ladder["set"], "heldout"))
    if found := [x["who"] for x in here if x["who"] in trend["levels"]]:
        text += f" Answers of {listed(found)} that could not be read count in it as not right."
    return text


def interaction_rows(ladder: Row) -> list[Row]:
    """Return by group what the last level loses to the first, and how far that is beyond the
    others'.
    """
    return [
        row | {"beyond_chance": row["p_holm"] < 0.05 and not row["low"] <= 0 <= row["high"]}
        for row in ladder["interactions"]
    ]


def shared_rows(numbers: Row, place: Place) -> list[Row]:
    """Return who shares how many wrong answers with the teacher on a held-out set; maybe none."""
    return [] if place.seen else [row for row in numbers["shared"] if row["set"] == place.set]


def shared_sentence(rows: list[Row]) -> str:
    """Return what the first student shares with the teacher beside what the base does; counts
    alone.
    """
    base = next((row for row in rows if row["who"] == "base"), None)
    student = next((row for row in rows if row["who"] != "base"), None)
    if student is None:
        return ""
    text = (
        f"Of {several(student['wrong'], 'wrong answer')} of {student['who']}, "
        f"{count(student['both'])} fell on problems that the teacher got wrong too, and "
        f"{count(student['same'])} gave the teacher’s very value"
    )
    if base is None:
        return f"{text}."
    return f"{text}; the base gave it {several(base['same'], 'time')} in {count(base['wrong'])}."


def _dominates(other: Row, row: Row) -> bool:
    as_good = other["accuracy"] >= row["accuracy"] and other["tokens"] <= row["tokens"]
    return bool(
        as_good and (other["accuracy"], -other["tokens"]) != (row["accuracy"], -row["tokens"])
    )
