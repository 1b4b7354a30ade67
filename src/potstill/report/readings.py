"""Format told apart from reasoning: how answers were read, and what that may make of a difference.

"Could not be read or decided" is said of UNPARSED and UNDECIDED answers: they count as not right,
and nobody knows how many of them are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.evaluation.formats import MANY_UNREAD
from potstill.records import Outcome, Reading
from potstill.report.phrases import count, listed, percent, points
from potstill.report.views import Place

__all__ = [
    "READING_WORDS",
    "format_clause",
    "format_rows",
    "format_sentence",
    "reading_rows",
    "readings_present",
    "unread_advice",
    "unread_sentence",
]

Row = dict[str, Any]

READING_WORDS = {
    Reading.BOX.value: "from a box",
    Reading.STATED.value: "stated",
    Reading.UNREAD.value: "not read",
    Reading.CUT.value: "cut",
    Reading.NONE.value: "no answer",
}
_ALWAYS = (Reading.BOX.value, Reading.STATED.value, Reading.UNREAD.value, Reading.CUT.value)
_UNREAD = "could not be read or decided"


def reading_rows(rows: list[Row]) -> list[Row]:
    """Return the solvers' rows with ``boxed``: the accuracy if only right answers in a box counted.

    ``boxed`` is None where no key could be read or readings were not counted.
    """
    found = []
    for row in rows:
        readable = row["responses"] - row["outcomes"][Outcome.BAD_KEY.value]
        right = row["readings_right"].get(Reading.BOX.value)
        boxed = None if right is None or not readable else right / readable
        found.append(row | {"boxed": boxed})
    return found


def readings_present(rows: list[Row]) -> list[str]:
    """Return the readings that occur in any of the rows; box, stated, not read and cut always."""
    return [r for r in READING_WORDS if r in _ALWAYS or any(x["readings"].get(r) for x in rows)]


def format_rows(numbers: Row, place: Place) -> list[Row]:
    """Return each paired difference over a whole set, under other readings of the same answers.

    ``claim`` says what becomes of it: "not tested", "none" where it is not beyond chance, "stands"
    where it is so however the unread answers are counted, else "may be format".
    """
    found = []
    for c in numbers["comparisons"]:
        if (c["set"], c["split"], c["group"]) == (place.set, place.split, "all"):
            named = {k: c[k] for k in ("a", "b", "difference")}
            found.append(c["format"] | named | {"claim": _claim(c)})
    return found


def unread_sentence(row: Mapping[str, Any]) -> str:
    """Return whose answers could not be read, how many, and what follows for the figures."""
    whose = _whose(row["who"], count(row["responses"]))
    share = percent(row["unread"] / row["responses"])
    return (
        f"{count(row['unread'])} of {whose} answers on {row['set']} ({share} %) {_UNREAD}. They "
        "count as not right, so its accuracy may be too low, and a difference between it and "
        "another may be format."
    )


def unread_advice() -> str:
    """Return what can be done about answers that could not be read."""
    return (
        "A verifier (verify: undecided) is a second reader of them, of base and students alike; "
        "potstill review DIR shows a sample to a person, the base's first."
    )


def format_clause(pair: Row) -> str:
    """Return how much of a difference may be format, as a clause to put behind it; "" where none
    matters.

    It is said where the difference is beyond chance only as the unread answers are counted, and
    wherever more than 2 % of the answers that count against it could not be read.
    """
    if pair["blocked"]:
        return ""
    if not pair["beyond_chance"]:
        return _undecided(pair)
    if not _matters(pair):
        return ""
    size = points(abs(pair["difference"]))
    if _moved(pair) >= abs(pair["difference"]):
        return f"; but all of these {size} points may be format: {_told_unread(pair)}"
    part = f"up to {points(_moved(pair))} of these {size} points may be format: "
    if pair["survives_format"]:
        return f"; {part}{_told_unread(pair)}, and what is left is beyond chance too"
    return f"; but {part}{_told_unread(pair)}, and what is left cannot be told from zero"


def format_sentence(pairs: list[Row]) -> str:
    """Return which of several differences beyond chance may be format, in a sentence; "" for
    none.
    """
    parts = []
    for pair in pairs:
        if pair["beyond_chance"] and _matters(pair):
            size, moved = abs(pair["difference"]), _moved(pair)
            part = "all" if moved >= size else f"up to {points(moved)}"
            parts.append(
                f"{part} of the {points(size)} points of {pair['a']} ({_told_unread(pair)})"
            )
    return f"Some of that may be format: {listed(parts)}." if parts else ""


def _claim(pair: Row) -> str:
    if pair["p"] is None:
        return "not tested"
    if not pair["beyond_chance"]:
        return "none"
    return "stands" if pair["survives_format"] else "may be format"


def _matters(pair: Row) -> bool:
    return not pair["survives_format"] or _moved(pair) > MANY_UNREAD


def _lower(pair: Row) -> str:
    """Return the side whose unread answers count against the difference: that which stands
    lower.
    """
    return "b" if pair["difference"] > 0 else "a"


def _moved(pair: Row) -> float:
    """Return how far the difference moves if all unread answers of the lower side are right."""
    return _share(pair, _lower(pair))


def _share(pair: Row, side: str) -> float:
    answers = _answers(pair, side)
    return float(pair["format"][f"unread_{side}"] / answers) if answers else 0.0


def _answers(pair: Row, side: str) -> int:
    return int(pair["n"] * len(pair[f"seeds_{side}"]) * pair[f"draws_{side}"])


def _told_unread(pair: Row) -> str:
    side = _lower(pair)
    whose = _whose(pair[side], count(_answers(pair, side)))
    return f"{count(pair['format'][f'unread_{side}'])} of {whose} answers {_UNREAD}"


def _undecided(pair: Row) -> str:
    """Return what unread answers leave open of a difference that is not claimed."""
    sides = [side for side in "ab" if _share(pair, side) > MANY_UNREAD]
    if not sides:
        return ""
    told = [
        f"{count(pair['format'][f'unread_{side}'])} of "
        f"{_whose(pair[side], count(_answers(pair, side)))}"
        for side in sides
    ]
    ends = pair["format"]
    return (
        f"; it lies between {points(ends['least'], sign=True)} and "
        f"{points(ends['most'], sign=True)} points as the answers that {_UNREAD} are right or "
        f"wrong ({listed(told)})"
    )


def _whose(name: str, n: str) -> str:
    known = f"the {name}" if name in ("base", "teacher") else name
    return f"{known}'s {n}"
