"""Two reports of one study set side by side, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "count_values", "differences"]

# what tells the rows of a report's tables apart
_NAMES = (
    *("kind", "a", "b", "about", "who", "role", "variant", "level", "seed", "set", "split"),
    *("group", "stage", "model", "gate", "solver", "problem_id", "heldout_id", "training_id"),
    "step",
)
# what is of a run and not of its result: where it ran, and with what
_OF_THE_RUN = {"versions", "reproduction.versions", "reproduction.command", "reproduction.created"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of a report that is another in a second one; None where it is in one of them only.

    ``section`` is the report's table, ``row`` tells the row of it, ``name`` is the value's.
    """

    section: str
    row: str
    name: str
    then: Any
    now: Any

    @property
    def size(self) -> float | None:
        """How far the two numbers are apart; None where they are not two numbers."""
        numbers = [x for x in (self.then, self.now) if _is_number(x)]
        return abs(numbers[1] - numbers[0]) if len(numbers) == 2 else None


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return every value that two reports (report.json) do not share, in the order of the report.

    Values are compared for equality, floats bit by bit; where and when a report was made does not
    count.
    """
    found = []
    for section in dict.fromkeys((*then, *now)):
        for path, a, b in _pairs((), then.get(section), now.get(section)):
            name = ".".join((section, *path))
            if not any(name == skip or name.startswith(f"{skip}.") for skip in _OF_THE_RUN):
                row = " ".join(part for part in path[:-1] if " " in part or part not in _FIELDS)
                found.append(Difference(section, row, path[-1] if path else section, a, b))
    return found


def count_values(report: Mapping[str, Any]) -> dict[str, int]:
    """Return how many numbers every section of a report holds."""
    return {section: _numbers(value) for section, value in report.items()}


_FIELDS: frozenset[str] = frozenset({"history", "counts"})


def _pairs(path: tuple[str, ...], a: Any, b: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys((*a, *b)):
            yield from _pairs((*path, name), a.get(name), b.get(name))
    elif isinstance(a, list) and isinstance(b, list):
        left, right = _labelled(a), _labelled(b)
        for label in dict.fromkeys((*left, *right)):
            yield from _pairs((*path, label), left.get(label), right.get(label))
    elif type(a) is not type(b) or a != b:
        yield path, a, b


def _labelled(rows: Sequence[Any]) -> dict[str, Any]:
    """Return the rows of a list by what tells them apart, by their number where that does not."""
    labels = [_label(row) for row in rows]
    if "" in labels or len(set(labels)) < len(labels):
        return {str(number): row for number, row in enumerate(rows, 1)}
    return dict(zip(labels, rows, strict=True))


def _label(row: Any) -> str:
    if not isinstance(row, Mapping):
        return ""
    if "template" in row:  # a condition is told by its own id
        return str(row.get("condition_id", ""))
    told = [f"{name} {row[name]}" if _is_number(row[name]) else str(row[name])
            for name in _NAMES if row.get(name) not in (None, "")]  # fmt: skip
    return " ".join(told)


def _numbers(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_numbers(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(_numbers(inner) for inner in value)
    return int(_is_number(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
