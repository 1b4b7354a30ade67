"""The figures of a report, each from its numbers alone: as SVG for page and file, and as PNG."""

from __future__ import annotations

from typing import Any

from potstill.report.figures.accuracy import (
    groups_figures,
    levels_figure,
    overall_figure,
    seeds_figure,
)
from potstill.report.figures.causes import causes_figure
from potstill.report.figures.drawing import Figure, colour_class
from potstill.report.figures.lengths import ladder_figure, lengths_figure
from potstill.report.figures.training import losses_figure

__all__ = ["Figure", "colour_class", "draw_figures"]


def draw_figures(numbers: dict[str, Any]) -> list[Figure]:
    """Return the figures that the numbers allow, in the order of the page; fewer where data
    lacks.
    """
    figures = [
        overall_figure(numbers),
        levels_figure(numbers),
        seeds_figure(numbers),
        *groups_figures(numbers),
        ladder_figure(numbers),
        lengths_figure(numbers),
        causes_figure(numbers),
        losses_figure(numbers),
    ]
    return [figure for figure in figures if figure is not None]
