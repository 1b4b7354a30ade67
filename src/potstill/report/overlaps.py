"""What the overlap of held-out problems with the training side makes of the figures, as rows."""

from __future__ import annotations

from typing import Any

from potstill.evaluation.near_duplicates import ALIKE, APART
from potstill.report.phrases import count, several
from potstill.report.views import Place, solver_rows

__all__ = ["KIND_WORDS", "kind_rows", "overlap_rows", "overlap_sentence", "repeat_training"]

Row = dict[str, Any]

KIND_WORDS = {"exact": "word for word", "near": "nearly", "masked numbers": "with other numbers"}
"""How two problems are alike, as the tables of pairs say it."""

_KINDS = {
    "exact": "the same, word for word",
    "near": "nearly the same, with the same numbers",
    "masked numbers": "the same or nearly, with other numbers",
}


def overlap_sentence(numbers: Row) -> str:
    """Return how many held-out problems resemble one of the training side."""
    heldout = {pair["heldout_id"] for pair in numbers["overlap"]}
    if not heldout:
        return (
            "No held-out problem was found to be one of the training side again, nor to be one "
            "but for its numbers."
        )
    of = numbers["corpus"]["splits"].get("heldout", 0)
    who = several(len(heldout), "held-out problem")
    if of >= len(heldout):
        who = f"{count(len(heldout))} of {several(of, 'held-out problem')}"
    pairs = several(len(numbers["overlap"]), "pair")
    return f"{who} {repeat_training(numbers, len(heldout))} ({pairs})."


def repeat_training(numbers: Row, n: int) -> str:
    """Return what so many held-out problems do, by the kinds of overlap that were found."""
    verb = "repeats" if n == 1 else "repeat"
    if {pair["kind"] for pair in numbers["overlap"]} <= {"masked numbers"}:
        return f"{verb} a problem of the training side, or nearly, with other numbers"
    return f"{verb} a problem of the training side: word for word, nearly, or with other numbers"


def kind_rows(numbers: Row) -> list[Row]:
    """Return for each kind of overlap how many held-out problems and pairs, and what was done."""
    found: dict[tuple[str, str], list[Row]] = {}
    for pair in numbers["overlap"]:
        found.setdefault((pair["kind"], pair["action"]), []).append(pair)
    return [
        {
            "kind": _KINDS.get(kind, kind),
            "problems": len({pair["heldout_id"] for pair in pairs}),
            "pairs": len(pairs),
            "action": action,
        }
        for (kind, action), pairs in found.items()
    ]


def overlap_rows(numbers: Row, place: Place) -> list[Row]:
    """Return each solver of a held-out set with its score on the problems that are ``alike``, and
    on those ``apart``; either is None where there are none.
    """
    if place.apart:
        return []
    scores = {
        (x["role"], x["level"], x["group"]): x
        for x in numbers["near_duplicates"]["scores"]
        if x["set"] == place.set and x["n"]
    }
    rows = []
    for row in solver_rows(numbers, place):
        alike, apart = (scores.get((row["role"], row["level"], g)) for g in (ALIKE, APART))
        if not row["indent"] and (alike or apart):
            rows.append(
                {"label": row["label"], "role": row["role"], "alike": alike, "apart": apart}
            )
    return rows
