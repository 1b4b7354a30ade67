"""Length: accuracy against the words of the responses, and responses beside the lessons taught."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from potstill.evaluation.scores import level_order
from potstill.records import Level
from potstill.report.figures.drawing import (
    GROUND,
    INK,
    RULE,
    STEPS,
    WIDE,
    Figure,
    Mark,
    colour_class,
    drawings,
    label,
    log_scale,
    new_canvas,
    put_mark,
)
from potstill.report.phrases import percent, words
from potstill.report.views import primary_place, solver_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["ladder_figure", "lengths_figure"]

Row = dict[str, Any]

_LEVELS = tuple(level.value for level in Level)
_SIDES = ((-1, 1), (1, -1), (1, 1), (-1, -1))  # where a point's name stands, the best first
_AWAY, _LETTER, _LINE = 6, 7, 11  # of a name: how far off, a letter's width, its height; points
_LEAST_WORDS = 0.5  # where a mean of nothing stands on a log scale


def ladder_figure(numbers: Row) -> Figure | None:
    """Return accuracy against response length on the primary set; None without a student there."""
    place = primary_place(numbers)
    points = _points(numbers)
    students = [x for x in points if x["role"] == "student"]
    if place is None or not students:
        return None
    levels = level_order(x["level"] for x in students)
    parts = [f"{x['label']} {percent(x['accuracy'])} % in {x['words']:.0f} words" for x in points]

    def draw(width: float) -> Canvas:
        canvas, axes = new_canvas(width, 4.0 if width == WIDE else 3.5)
        on_ladder = [x for x in students if x["level"] in _LEVELS]
        at = [(_width(x["words"]), 100 * x["accuracy"]) for x in on_ladder]
        if at:
            axes.plot(*zip(*at, strict=True), color=RULE, linewidth=1.2, zorder=1)
        log_scale(axes, [_width(x["words"]) for x in points])
        top = max(100 * x["high"] for x in points)
        axes.set_ylim(0, min(100, math.ceil((top + 2) / 10) * 10))
        for x in points:
            _ladder_point(axes, x, levels, _side(canvas, axes, x, points))
        axes.set_ylabel("accuracy, %")
        axes.set_xlabel("mean words of a response (log scale)")
        return canvas

    return Figure(
        name="ladder",
        title="Accuracy against response length",
        caption=(
            f"Accuracy on {place.set} (held out) against the mean words of the responses, with "
            "95 % intervals. Circles are students, the diamond is the base, the square the teacher."
        ),
        alt="; ".join(parts) + ".",
        **drawings(draw, "ladder"),
    )


def lengths_figure(numbers: Row) -> Figure | None:
    """Return the words of responses beside those of the lessons, by level; None without a
    student.
    """
    place = primary_place(numbers)
    rows = _points(numbers)
    students = [x for x in rows if x["role"] == "student"]
    if place is None or not students:
        return None
    levels = level_order(x["level"] for x in students)
    lessons = {x["level"]: x["mean_words"] for x in numbers["corpus"]["lessons"] if x["kept"]}
    taught = {x["level"]: lessons[x["level"]] for x in students if x["level"] in lessons}

    def draw(width: float) -> Canvas:
        canvas, axes = new_canvas(width, 0.75 + 0.27 * len(rows), grid="x")
        for at, x in enumerate(rows):
            colour = _colour(x, levels)
            said = _width(x["words"])
            if x["level"] in taught:
                lesson = _width(taught[x["level"]])
                axes.plot([lesson, said], [at, at], color=colour, linewidth=1.2)
                axes.plot([lesson], [at], "o", mfc=GROUND, mec=colour, mew=1.3, ms=6.5)
            axes.plot([said], [at], "o", color=colour, ms=6.5, zorder=3)
        axes.set_yticks(range(len(rows)), [label(x["label"]) for x in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        log_scale(axes, [_width(v) for v in (*taught.values(), *(x["words"] for x in rows))])
        axes.set_xlabel("mean words (log scale)")
        return canvas

    told = [
        f"{x['label']} answers in {words(x['words'])}"
        + (f", taught with {words(taught[x['level']])}" if x["level"] in taught else "")
        for x in rows
    ]
    return Figure(
        name="lengths",
        title="Words of responses and of lessons",
        caption=(
            f"Mean words of the responses on {place.set} (filled) and of the lessons that passed "
            "at that level (hollow). They are two quantities: a student need not write as long as "
            "it was taught."
        ),
        alt="; ".join(told) + ".",
        **drawings(draw, "lengths"),
    )


def _points(numbers: Row) -> list[Row]:
    place = primary_place(numbers)
    rows = solver_rows(numbers, place) if place else []
    return [x for x in rows if not x["indent"] and x["n"]]


def _side(canvas: Canvas, axes: Axes, x: Row, points: list[Row]) -> tuple[int, int]:
    """Return on which side of a point its name meets no other's interval: (-1, 1) is left above."""
    across, up = (72 * inches for inches in canvas.get_size_inches())
    low, high = axes.get_xlim()
    right = 0.82 * across / math.log10(high / low)  # points a decade, axes and margins aside
    above = 0.8 * up / axes.get_ylim()[1]  # points a percent
    others = [
        (
            right * math.log10(_width(y["words"]) / _width(x["words"])),
            above * 100 * (y["low"] - x["accuracy"]),
            above * 100 * (y["high"] - x["accuracy"]),
        )
        for y in points
        if y is not x
    ]
    wide = _LETTER * len(label(x["label"])) + _AWAY
    for side in _SIDES:
        ends = sorted((0, side[1] * (_AWAY + _LINE)))
        if not any(
            0 < side[0] * dx + _AWAY < wide + _AWAY and bottom < ends[1] and top > ends[0]
            for dx, bottom, top in others
        ):
            return side
    return _SIDES[0]


def _ladder_point(axes: Axes, x: Row, levels: list[str], side: tuple[int, int]) -> None:
    colour, at = _colour(x, levels), _width(x["words"])
    put_mark(axes, Mark(x["role"], colour, x["accuracy"], x["low"], x["high"]), at)
    axes.annotate(
        label(x["label"]),
        (at, 100 * x["accuracy"]),
        xytext=(_AWAY * side[0], (_AWAY - 1) * side[1]),
        textcoords="offset points",
        horizontalalignment="right" if side[0] < 0 else "left",
        verticalalignment="bottom" if side[1] > 0 else "top",
        color=colour,
        fontsize=9.5,
        fontweight="bold" if x["role"] == "student" else "normal",
        zorder=4,
    )


def _colour(x: Row, levels: list[str]) -> str:
    return STEPS[colour_class(x["level"], levels) - 1] if x["role"] == "student" else INK


def _width(mean_words: float) -> float:
    return max(mean_words, _LEAST_WORDS)
