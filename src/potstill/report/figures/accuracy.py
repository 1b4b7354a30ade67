"""Accuracy with its intervals: overall, by level, by seed, and by every group of the problems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from potstill.report.figures.drawing import (
    INK,
    STEPS,
    WIDE,
    Figure,
    Mark,
    bars,
    colour_class,
    drawings,
    forest,
    label,
    new_canvas,
    new_panels,
)
from potstill.report.phrases import percent, span
from potstill.report.views import Grid, Place, grids, places, primary_place, solver_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["groups_figures", "levels_figure", "overall_figure", "seeds_figure"]

Row = dict[str, Any]

_ROWS_SHOWN = 40
_WHO_IS_WHO = "the diamond is the base, the square the teacher"


def overall_figure(numbers: Row) -> Figure | None:
    """Return base, teacher and the student of the primary comparison, on every held-out set."""
    sets = [place for place in places(numbers) if not place.apart]
    found = [(place.set, _three(_solvers(numbers, place), numbers)) for place in sets]
    found = [(name, rows) for name, rows in found if rows]
    if not any(x["role"] == "student" for _, rows in found for x in rows):
        return None
    names = list(dict.fromkeys(x["label"] for _, rows in found for x in rows))

    def draw(width: float) -> Canvas:
        columns = len(found) if width == WIDE and len(found) < 4 else 1
        lines = -(-len(found) // columns)
        height = lines * (0.55 + 0.3 * len(names)) + 0.35
        canvas, panels = new_panels(width, lines, columns, height, grid="x")
        for panel, (name, rows) in zip(panels, found, strict=False):
            here = {x["label"]: x for x in rows}
            marks = [(label(n), [_mark(here[n], numbers)] if n in here else []) for n in names]
            forest(panel, marks)
            if len(found) > 1:
                panel.set_title(label(name), color=INK, fontsize=9.5, loc="left")
        return canvas

    return Figure(
        name="overall",
        title="Accuracy of base, student and teacher",
        caption=(
            "Accuracy on held-out problems with 95 % intervals: the base, the student of the "
            "primary comparison, and the teacher, which is asked under its own condition."
        ),
        alt="; ".join(f"{name}: {_accuracies(rows)}" for name, rows in found) + ".",
        **drawings(draw, "overall"),
    )


def levels_figure(numbers: Row) -> Figure | None:
    """Return every solver of the primary set: base, students in the ladder's order, teacher."""
    place, rows = _primary(numbers)
    if place is None or not any(x["role"] == "student" for x in rows):
        return None

    def draw(width: float) -> Canvas:
        canvas, axes = new_canvas(width, 0.7 + 0.27 * len(rows), grid="x")
        bars(axes, [(label(x["label"]), _mark(x, numbers)) for x in rows])
        return canvas

    return Figure(
        name="levels",
        title="Accuracy of base, students and teacher",
        caption=(
            f"Share of the held-out problems of {place.set} answered right, in percent; the line "
            "on each bar is its 95 % interval. Grey are base and teacher, in colour the students."
        ),
        alt=f"{_accuracies(rows)}.",
        **drawings(draw, "levels"),
    )


def seeds_figure(numbers: Row) -> Figure | None:
    """Return the seeds of every level beside their mean; None where no level has two."""
    place = primary_place(numbers)
    levels = [x for x in numbers["levels"] if _in(x, place) and len(x["seeds"]) > 1]
    if place is None or not levels:
        return None
    rows = [x for x in _solvers(numbers, place) if x["seeds"] > 1]
    by_seed = {x["level"]: x["accuracy_by_seed"] for x in levels}

    def draw(width: float) -> Canvas:
        canvas, axes = new_canvas(width, 0.75 + 0.36 * len(rows), grid="x")
        forest(axes, [(label(x["label"]), [_mark(x, numbers)]) for x in rows])
        for at, x in enumerate(rows):
            values = [100 * v for v in by_seed[x["level"]]]
            axes.plot(values, [at + 0.28] * len(values), "|", color=_colour(x, numbers), ms=7)
        low = min(100 * x["low"] for x in rows)
        high = max(100 * x["high"] for x in rows)
        axes.set_xlim(max(0, low - 4), min(100, high + 4))
        return canvas

    told = (f"{n} " + ", ".join(percent(v) for v in values) for n, values in by_seed.items())
    return Figure(
        name="seeds",
        title="Accuracy of every seed",
        caption=(
            f"Mean accuracy over seeds on {place.set} (held out) with its 95 % interval, which "
            "counts problems and seeds; below it a tick for each seed. Seeds answer the same "
            "problems, so their spread alone leaves out the chance in the problems."
        ),
        alt="; ".join(told) + ".",
        **drawings(draw, "seeds"),
    )


def groups_figures(numbers: Row) -> list[Figure]:
    """Return base, primary student and teacher by each grouping (section, year, ...) of the
    held-out sets.

    A grouping that two sets have is drawn for each, the set's name in the figure's.
    """
    found = [(p, g) for p in places(numbers) if not p.apart for g in grids(numbers, p)]
    names = [grid.name for _, grid in found]
    figures = []
    for place, grid in found:
        shared = names.count(grid.name) > 1
        name = _slug(f"by-{grid.name}-{place.set}" if shared else f"by-{grid.name}")
        figures += [x for x in (_group_figure(numbers, place, grid, name),) if x is not None]
    return figures


def _group_figure(numbers: Row, place: Place, grid: Grid, name: str) -> Figure | None:
    shown = sorted(grid.rows, key=lambda row: -row[1])[:_ROWS_SHOWN]
    rows: list[tuple[str, list[Row]]] = []
    for row in grid.rows:
        named = [x | {"label": x["level"] or x["role"]} for x in row[2] if x and x["n"]]
        if row in shown and named:
            rows.append((f"{label(row[0])} ({row[1]:,})", _three(named, numbers)))
    student = next((x["label"] for _, xs in rows for x in xs if x["role"] == "student"), "")
    if len(rows) < 2 or not student:
        return None

    def draw(width: float) -> Canvas:
        canvas, axes = new_canvas(width, 0.7 + 0.46 * len(rows), grid="x")
        forest(axes, [(value, [_mark(x, numbers) for x in xs]) for value, xs in rows])
        return canvas

    few = len(grid.rows) - len(rows)
    return Figure(
        name=name,
        title=f"Accuracy by {grid.name}"
        + ("" if name == _slug(f"by-{grid.name}") else f", {place.set}"),
        caption=(
            f"Accuracy on {place.set} (held out) by {grid.name} with 95 % intervals, the number of "
            f"problems in brackets. The circle is {student}, {_WHO_IS_WHO}."
            + (f" The {few} smallest groups are not drawn." if few else "")
        ),
        alt="; ".join(f"{value}: {_accuracies(xs)}" for value, xs in rows) + ".",
        **drawings(draw, name),
    )


def _primary(numbers: Row) -> tuple[Place | None, list[Row]]:
    place = primary_place(numbers)
    return place, _solvers(numbers, place) if place else []


def _solvers(numbers: Row, place: Place) -> list[Row]:
    return [x for x in solver_rows(numbers, place) if not x["indent"] and x["n"]]


def _three(rows: list[Row], numbers: Row) -> list[Row]:
    """Return the base, the student of the primary comparison (else the first there is), the
    teacher.
    """
    primary = {c["a"] for c in numbers["comparisons"] if c["kind"] == "primary"}
    students = [x for x in rows if x["role"] == "student"]
    chosen = [x for x in students if x["level"] in primary] or students
    base = [x for x in rows if x["role"] == "base" and not x["level"]]
    teacher = [x for x in rows if x["role"] == "teacher"]
    return [*base[:1], *chosen[:1], *teacher[:1]]


def _mark(x: Row, numbers: Row) -> Mark:
    return Mark(x["role"], _colour(x, numbers), x["accuracy"], x["low"], x["high"])


def _colour(x: Row, numbers: Row) -> str:
    if x["role"] != "student":
        return INK
    levels = [y["level"] for y in numbers["levels"] if y["role"] == "student"]
    return STEPS[colour_class(x["level"], list(dict.fromkeys(levels))) - 1]


def _in(x: Row, place: Place | None) -> bool:
    return place is not None and (x["set"], x["split"], x["group"]) == (
        place.set,
        place.split,
        "all",
    )


def _accuracies(rows: list[Row]) -> str:
    return ", ".join(
        f"{x['label']} {percent(x['accuracy'])} % ({span(x['low'], x['high'])})" for x in rows
    )


def _slug(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-").lower()[:60]
