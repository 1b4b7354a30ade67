"""The same rows for the page, the Markdown, the terminal and the CSV files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from potstill.records import Cause, Level, Outcome

__all__ = [
    "CAUSE_WORDS",
    "NEARLY_NOTHING",
    "OUTCOME_WORDS",
    "UNEXPLAINED",
    "WORKED_SOLUTIONS",
    "Grid",
    "Place",
    "best_student",
    "cause_table",
    "draw_rows",
    "grids",
    "is_table",
    "outcomes_present",
    "places",
    "primary_place",
    "solver_rows",
]

Row = dict[str, Any]

OUTCOME_WORDS = {
    Outcome.CORRECT.value: "correct",
    Outcome.WRONG.value: "wrong",
    Outcome.TRUNCATED.value: "truncated",
    Outcome.BLANK.value: "blank",
    Outcome.UNPARSED.value: "unparsed",
    Outcome.UNDECIDED.value: "undecided",
    Outcome.FILTERED.value: "filtered",
    Outcome.ERRORED.value: "errored",
    Outcome.BAD_KEY.value: "bad key",
}

CAUSE_WORDS = {cause.value: cause.value for cause in Cause} | {
    Cause.OTHER.value: "nothing that can be checked"
}

NEARLY_NOTHING = 0.05
"""Below this accuracy a solver is said not to solve the problems, whatever its base does."""

UNEXPLAINED = (Cause.NO_WORKING.value, Cause.OTHER.value)
"""Causes that explain no answer: nothing was shown, or nothing that can be checked."""

WORKED_SOLUTIONS = "worked-solutions"
"""What the study of a person's own table calls its teacher (``potstill init NAME --from FILE``)."""

_SPLIT_WORDS = {
    "heldout": "held out of training",
    "kept": "kept to see what was lost",
    "train": "seen in training",
    "valid": "validation, seen while the checkpoint was chosen",
}

_ROLES = {"base": 0, "student": 1, "teacher": 2}


@dataclass(frozen=True, slots=True)
class Place:
    """One problem set at one split."""

    set: str
    split: str

    @property
    def apart(self) -> bool:
        """Whether these are no held-out problems of the lessons' kind: seen in training, or kept to
        see what was lost.
        """
        return self.split != "heldout"

    @property
    def title(self) -> str:
        """The set and, in words, where its problems stood."""
        return f"{self.set}, {_SPLIT_WORDS.get(self.split, self.split)}"


@dataclass(frozen=True, slots=True)
class Grid:
    """Accuracies of one grouping: a row per value, a column per solver."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[Row | None, ...]], ...]


def places(numbers: Row) -> list[Place]:
    """Return every set and split that was scored: held out first, the primary set before the
    others.
    """
    found = [Place(x["set"], x["split"]) for x in numbers["levels"]]
    primary = primary_place(numbers)
    return sorted(dict.fromkeys(found), key=lambda p: (p.apart, p != primary))


def primary_place(numbers: Row) -> Place | None:
    """Return where the primary comparison was made; the first held-out set if none was declared."""
    for c in numbers["comparisons"]:
        if c["kind"] == "primary":
            return Place(c["set"], c["split"])
    return next(
        (Place(x["set"], x["split"]) for x in numbers["levels"] if x["split"] == "heldout"), None
    )


def solver_rows(numbers: Row, place: Place) -> list[Row]:
    """Return base, students in the ladder's order, teacher; with several seeds one row each below
    theirs.

    Each row: label, level, role, indent, seeds, draws, n, responses, outcomes, accuracy (None where
    no key could be read), low, high, sd, words, tokens (None of a table's solutions, which no model
    wrote), and ``against``, its comparison with the base.
    """
    rows: list[Row] = []
    table = is_table(numbers)
    for x in _ordered(_here(numbers["levels"], place, "all")):
        seeds = x["seeds"]
        against = _against_base(numbers, place, x)
        label = x["level"] or x["role"]
        rows.append(_row(x, label, 0, x["n"], x["responses"], against))
        if table and x["role"] == "teacher":
            rows[-1]["tokens"] = None
        if len(seeds) > 1:
            for s in _here(numbers["scores"], place, "all"):
                if s["solver"] in x["solvers"]:
                    one = s | {"draws": x["draws"]}
                    rows.append(_row(one, f"seed {s['seed']}", 1, x["n"], s["n"], None))
    return rows


def draw_rows(numbers: Row, place: Place) -> list[Row]:
    """Return base, students and teacher that answered each problem several times, with what their
    draws come to: draws, at_k, agreement; empty where none did.
    """
    here = _ordered(_here(numbers["levels"], place, "all"))
    return [x | {"label": x["level"] or x["role"]} for x in here if x["at_k"]]


def is_table(numbers: Row) -> bool:
    """Return whether the teacher is a table of worked solutions, and no model that was asked."""
    teachers: list[str] = next(
        (x["solvers"] for x in numbers["levels"] if x["role"] == "teacher"), []
    )
    return bool(teachers == [WORKED_SOLUTIONS])


def best_student(rows: list[Row]) -> Row | None:
    """Return the student's row of the highest accuracy, of equals the first; None without one."""
    students = [x for x in rows if x["role"] == "student" and x["accuracy"] is not None]
    return max(students, key=lambda x: float(x["accuracy"]), default=None)


def cause_table(numbers: Row, place: Place) -> Row:
    """Return the causes of wrong answers on a whole set: who (columns), of how many responses, and
    rows.

    Each row is a cause and how many of each solver's responses it explains; those
    of UNEXPLAINED, which explain none, come last.
    """
    found = sorted(
        _here(numbers["causes"], place, "all"),
        key=lambda x: _ROLES.get(x["who"], _ROLES["student"]),
    )
    causes = sorted(
        {cause for x in found for cause in x["counts"]},
        key=lambda cause: (cause in UNEXPLAINED, -sum(x["counts"].get(cause, 0) for x in found)),
    )
    rows = [(cause, [x["counts"].get(cause, 0) for x in found]) for cause in causes]
    return {
        "columns": [x["who"] for x in found],
        "responses": [x["n"] for x in found],
        "rows": rows,
    }


def outcomes_present(rows: list[Row]) -> list[str]:
    """Return the outcomes that occur in any of the rows, CORRECT and WRONG always, in
    precedence.
    """
    always = ("CORRECT", "WRONG")
    return [o for o in OUTCOME_WORDS if o in always or any(r["outcomes"][o] for r in rows)]


def grids(numbers: Row, place: Place) -> list[Grid]:
    """Return one grid per grouping of the place's problems (section, year, ...)."""
    here = [x for x in numbers["levels"] if Place(x["set"], x["split"]) == place]
    solvers = _ordered([x for x in here if x["group"] == "all"])
    keys = [(x["role"], x["level"]) for x in solvers]
    found: dict[str, dict[str, dict[tuple[str, str], Row]]] = {}
    for x in here:
        if x["group"] != "all":
            name, _, value = x["group"].partition("=")
            found.setdefault(name, {}).setdefault(value, {})[x["role"], x["level"]] = x
    return [
        Grid(
            name=name,
            columns=tuple(level or role for role, level in keys),
            rows=tuple(
                (value, max(x["n"] for x in cells.values()), tuple(cells.get(k) for k in keys))
                for value, cells in sorted(values.items(), key=_natural)
            ),
        )
        for name, values in found.items()
    ]


def _natural(item: tuple[str, Any]) -> tuple[bool, float, str]:
    """Return where a group's value stands: numbers by size, before words."""
    number = item[0].isdecimal()
    return (not number, float(item[0]) if number else 0.0, item[0])


def _here(rows: list[Row], place: Place, group: str) -> list[Row]:
    return [x for x in rows if Place(x["set"], x["split"]) == place and x["group"] == group]


def _ordered(rows: list[Row]) -> list[Row]:
    ladder = [level.value for level in Level]
    return sorted(
        rows,
        key=lambda x: (
            _ROLES[x["role"]],
            ladder.index(x["level"]) if x["level"] in ladder else len(ladder),
        ),
    )


def _against_base(numbers: Row, place: Place, x: Row) -> Row | None:
    for c in numbers["comparisons"]:
        here = (c["set"], c["split"], c["group"]) == (place.set, place.split, "all")
        base = c["b"] == "base" or c["b"].startswith("base-")
        if here and base and c["a"] == x["level"] and x["role"] == "student":
            return dict(c)
    return None


def _row(x: Row, label: str, indent: int, n: int, responses: int, against: Row | None) -> Row:
    return {
        "label": label,
        "role": x["role"],
        "level": x["level"],
        "indent": indent,
        "seeds": len(x.get("seeds", (0,))),
        "draws": x["draws"],
        "n": n,
        "responses": responses,
        "outcomes": x["outcomes"],
        "readings": x["readings"],
        "readings_right": x["readings_right"],
        "accuracy": x["accuracy"] if n else None,
        "low": x["low"],
        "high": x["high"],
        "sd": x.get("sd"),
        "words": x["words"],
        "tokens": x["tokens"],
        "against": against,
    }
