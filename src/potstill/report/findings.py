"""What the ladder and the shared errors say, as rows and sentences, from the numbers alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from potstill.report.agreement import why_apart
from potstill.report.phrases import count, listed, p_value, percent, points, several, span
from potstill.report.views import NEARLY_NOTHING, UNEXPLAINED, Place, solver_rows

__all__ = [
    "cause_sentence",
    "corpus_sentence",
    "grader_sentence",
    "interaction_rows",
    "ladder_rows",
    "shared_rows",
    "shared_sentence",
    "trend_sentence",
]

Row = dict[str, Any]


def ladder_rows(numbers: Row, place: Place) -> list[Row]:
    """Return base, students and teacher: accuracy, words, tokens, tokens per right answer, best for
    less.

    ``best`` marks a base or student that no other beats in accuracy with as few tokens (Pareto's
    front), but for a student below the base beyond chance and who solves nearly nothing: few tokens
    alone are not good. The teacher stands outside: it has its own condition and its own tokens.
    """
    rows = [row for row in solver_rows(numbers, place) if not row["indent"] and row["n"]]
    ours = [row for row in rows if row["role"] != "teacher"]
    for row in rows:
        right = row["accuracy"]
        known = right and row["tokens"] is not None
        row["tokens_per_right"] = row["tokens"] / right if known else None
        beaten = any(_dominates(other, row) for other in ours)
        row["best"] = row in ours and _is_of_use(row) and not beaten
    return rows


def trend_sentence(ladder: Row, unread: Sequence[Row] = (), levels: Sequence[Row] = ()) -> str:
    """Return a sentence on whether accuracy falls along the ladder, and by how much a level.

    ``unread`` are the solvers with many unread answers: a trend over such a level may be format.
    ``levels`` are the scores of the set by level: where they do not all go one way, it is said.
    """
    trend = ladder["trend"]
    first, last = trend["levels"][0], trend["levels"][-1]
    ends = f"(95 % {span(trend['low'], trend['high'])}, {p_value(trend['p'])})"
    if trend["low"] == trend["high"]:
        ends = f"({p_value(trend['p'])}; no interval can be told, for all problems move alike)"
    slope = f"{points(trend['slope'], sign=True)} points a level {ends}"
    over = f"From {first} to {last}, over {several(trend['n'], 'problem')},"
    if trend["p"] >= 0.05 or trend["low"] <= 0 <= trend["high"]:
        why = why_apart(trend)
        text = f"{over} no trend can be told: {slope}{'; ' if why else ''}{why}."
    else:
        falls = trend["slope"] < 0
        text = f"{over} accuracy {'falls' if falls else 'rises'}: {slope}, as a straight line."
        text += _turns(trend["levels"], levels, falls=falls)
    here = (x for x in unread if (x["set"], x["split"]) == (ladder["set"], "heldout"))
    if found := [x["who"] for x in here if x["who"] in trend["levels"]]:
        text += f" Answers of {listed(found)} that could not be read count in it as not right."
    return text


def _turns(names: Sequence[str], levels: Sequence[Row], *, falls: bool) -> str:
    """Return which steps go against a trend, as a sentence; "" where every step follows it."""
    accuracy = {x["level"]: x["accuracy"] for x in levels if x["role"] == "student"}
    known = [name for name in names if name in accuracy]
    turns = [
        f"{after} ({percent(accuracy[after])} %) stands {'above' if falls else 'below'} {before} "
        f"({percent(accuracy[before])} %)"
        for before, after in itertools.pairwise(known)
        if (accuracy[after] - accuracy[before]) * (1 if falls else -1) > 0
    ]
    if not turns:
        return ""
    return f" It does not {'fall' if falls else 'rise'} at every level: {listed(turns)}."


def cause_sentence(numbers: Row, place: Place) -> str:
    """Return of how many answers that are not right a cause was found; "" where none was sought.

    A cause is any but those of UNEXPLAINED.
    """
    found = [
        x
        for x in numbers["causes"]
        if (x["set"], x["split"], x["group"]) == (place.set, place.split, "all")
    ]
    explained = sum(
        n for x in found for cause, n in x["counts"].items() if cause not in UNEXPLAINED
    )
    rows = [x for x in solver_rows(numbers, place) if not x["indent"]]
    asked = {x["who"] for x in found}
    wrong = sum(
        row["responses"] - row["outcomes"]["CORRECT"] - row["outcomes"]["BAD_KEY"]
        for row in rows
        if (row["level"] or row["role"]) in asked
    )
    if not wrong:
        return ""
    unexplained = max(wrong - explained, 0)
    text = f"Of {several(wrong, 'answer')} not right, a cause was found for "
    if not unexplained:
        return f"{text}{count(wrong)}."
    return (
        f"{text}{count(explained)}; for the other {count(unexplained)} "
        f"({percent(unexplained / wrong)} %) none was found: no working was shown, or none that "
        "can be checked."
    )


def corpus_sentence(corpus: Row) -> str:
    """Return how many problems were brought in, excluded, trained on, and why those."""
    brought, excluded = corpus["problems"], sum(corpus["set_aside"].values())
    text = f"{several(brought, 'problem')} {_were(brought)} brought in"
    none = corpus["set_aside"].get("no majority", 0)
    if unsent := excluded - none:
        text += f"; {count(unsent)} of them {_were(unsent)} excluded and never sent to a model"
    if none:
        text += f"; {count(none)} without a key {_were(none)} excluded after the teacher answered"
    if corpus["trained"] is None:
        return f"{text}."
    trained, validated = count(corpus["trained"]), count(corpus["validated"])
    if corpus["require"] == "own":
        passed = "passed at some level, and each level was trained on those that passed at it"
    else:
        passed = "passed at every level that is compared and were trained on"
    return (
        f"{text}. {trained} of the problems to train on {passed}; {validated} of those for "
        "validation passed likewise, to choose the checkpoints by."
    )


def grader_sentence(grader: Row, shown: int) -> str:
    """Return what the judge was asked, and where it and the symbolic check disagreed; ``shown``
    disagreements are in the page.
    """
    stayed = f"{several(grader['undecided'], 'response')} stayed undecided"
    if not grader["judge_asked"]:
        return f"No judge was asked; {stayed}."
    text = f"The judge was asked about {several(grader['judge_asked'], 'answer')}"
    if unread := grader["judge_unparseable"]:
        text += f", and decided nothing that could be read of {count(unread)}"
    text += f"; {stayed}. "
    n = len(grader["disagreements"])
    if not n:
        return f"{text}It and the symbolic check never disagreed."
    more = f"; the first {shown} are below, all are in report.json" if n > shown else ""
    return f"{text}It and the symbolic check disagreed {several(n, 'time')}{more}."


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


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
    return [] if place.apart else [row for row in numbers["shared"] if row["set"] == place.set]


def shared_sentence(rows: list[Row]) -> str:
    """Return what the first student shares with the teacher beside what the base does; counts
    alone.
    """
    base = next((row for row in rows if row["who"] == "base"), None)
    student = next((row for row in rows if row["who"] != "base"), None)
    if student is None:
        return ""
    text = (
        f"Of {several(student['wrong'], 'wrong answer')} of {student['who']} to problems that the "
        f"teacher was asked too, {count(student['both'])} fell on ones that it got wrong, and "
        f"{count(student['same'])} gave the teacher’s very value"
    )
    if base is None:
        return f"{text}."
    return f"{text}; the base gave it {several(base['same'], 'time')} in {count(base['wrong'])}."


def _is_of_use(row: Row) -> bool:
    against = row["against"]
    below = against and against["beyond_chance"] and against["difference"] < 0
    return bool(row["accuracy"] >= NEARLY_NOTHING and not below)


def _dominates(other: Row, row: Row) -> bool:
    as_good = other["accuracy"] >= row["accuracy"] and other["tokens"] <= row["tokens"]
    return bool(
        as_good and (other["accuracy"], -other["tokens"]) != (row["accuracy"], -row["tokens"])
    )
