"""Why answers were not right: the share of every cause among a solver's responses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from potstill.report.figures.drawing import (
    INK,
    MUTED,
    RULE,
    WIDE,
    Figure,
    drawings,
    label,
    new_canvas,
)
from potstill.report.findings import cause_sentence
from potstill.report.views import CAUSE_WORDS, cause_table, primary_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["causes_figure"]

Row = dict[str, Any]

_COLUMNS_SHOWN = 12
_LARGEST = 0.84  # of a cell's width, the circle of the largest share


def causes_figure(numbers: Row) -> Figure | None:
    """Return a circle for every cause (rows) and solver (columns), its area the share of
    responses.
    """
    place = primary_place(numbers)
    table = cause_table(numbers, place) if place else {"rows": []}
    if place is None or not table["rows"]:
        return None
    asked = dict(zip(table["columns"], table["responses"], strict=True))
    who = table["columns"][:_COLUMNS_SHOWN]
    shares = [
        (cause, [n / asked[w] if asked[w] else 0.0 for w, n in zip(who, counts, strict=False)])
        for cause, counts in table["rows"]
    ]
    largest = max(max(values) for _, values in shares) or 1.0

    def draw(width: float) -> Canvas:
        wide = width == WIDE
        cell = (0.5 if wide else 0.3) if len(who) < 9 else (0.4 if wide else 0.2)
        canvas, axes = new_canvas(width, 0.6 + max(cell, 0.27) * len(shares), grid="x")
        axes.grid(visible=False)
        for y, (_, values) in enumerate(shares):
            for x, share in enumerate(values):
                if share:
                    across = 72 * cell * _LARGEST * math.sqrt(share / largest)
                    _circle(axes, (x, y), share, across, 8 if wide else 7)
        axes.set_xlim(-0.5, len(who) - 0.5)
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_yticks(range(len(shares)), [label(CAUSE_WORDS[cause]) for cause, _ in shares])
        axes.set_xticks(range(len(who)), [label(w) for w in who], rotation=0 if wide else 90)
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", length=0, labelcolor=MUTED)
        axes.spines["bottom"].set_visible(False)
        return canvas

    told = [
        f"{CAUSE_WORDS[cause]}: "
        + ", ".join(f"{w} {100 * s:.1f} %" for w, s in zip(who, values, strict=True))
        for cause, values in shares
    ]
    left_out = len(table["columns"]) - len(who)
    return Figure(
        name="causes",
        title="Why answers were not right",
        caption=(
            f"The share of each solver's responses on {place.set}, in percent, that is not right "
            f"for each cause; a circle's area is the share. {cause_sentence(numbers, place)}"
            + (f" {left_out} more solvers are in tables/causes.csv." if left_out else "")
        ),
        alt="; ".join(told) + ".",
        **drawings(draw, "causes"),
    )


def _circle(axes: Axes, at: tuple[int, int], share: float, across: float, size: int) -> None:
    """Draw a circle ``across`` points wide, and in its middle its percentage.

    There the numbers of two neighbours never meet, however small their circles.
    """
    axes.plot(*([v] for v in at), "o", ms=across, mfc=RULE, mec=RULE)
    text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
    axes.annotate(text, at, ha="center", va="center_baseline", size=size, color=INK)
