"""Overfitting: how the losses ran in every cell of the grid, and which checkpoint was kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from potstill.evaluation.scores import level_order
from potstill.report.figures.drawing import (
    GROUND,
    MUTED,
    STEPS,
    WIDE,
    Figure,
    colour_class,
    drawings,
    label,
    new_panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["losses_figure"]

Row = dict[str, Any]


def losses_figure(numbers: Row) -> Figure | None:
    """Return losses by step, a panel for each variant, the kept checkpoints ringed; None if
    unmeasured.
    """
    curves = [curve for curve in numbers["training"] if _measured(curve)]
    if not curves:
        return None
    variants = level_order(curve["variant"] for curve in curves)
    chosen = [f"{c['variant']} seed {c['seed']} kept step {c['chosen_step']}" for c in curves]

    def draw(width: float) -> Canvas:
        columns = min(len(variants), 3 if width == WIDE else 2)
        tall = 1.75 if width == WIDE else 1.5
        rows = math.ceil(len(variants) / columns)
        canvas, panels = new_panels(width, rows, columns, 0.5 + rows * tall)
        top = max(
            p["validation_loss"]
            for c in curves
            for p in c["history"]
            if p["validation_loss"] is not None
        )
        for panel, variant in zip(panels, variants, strict=False):
            colour = STEPS[colour_class(variant, variants) - 1]
            panel.set_title(
                label(variant), color=colour, fontsize=9.5, fontweight="bold", loc="left"
            )
            for curve in (c for c in curves if c["variant"] == variant):
                _loss_curve(panel, curve, colour)
            panel.set_ylim(0, top * 1.12)
            panel.locator_params(axis="both", nbins=4)
        for panel in panels[len(variants) :]:
            panel.set_visible(False)
        canvas.supxlabel("training step", fontsize=9, color=MUTED)
        canvas.supylabel("loss", fontsize=9, color=MUTED)
        return canvas

    return Figure(
        name="losses",
        title="Loss while training",
        caption=(
            "Validation loss by step (bold), training loss (thin, grey), and the checkpoint that "
            "was kept (ring)."
        ),
        alt="; ".join(chosen) + ".",
        **drawings(draw, "losses"),
    )


def _measured(curve: Row) -> bool:
    return any(point["validation_loss"] is not None for point in curve["history"])


def _loss_curve(panel: Axes, curve: Row, colour: str) -> None:
    for name, line, width in (("train_loss", MUTED, 0.7), ("validation_loss", colour, 1.7)):
        at = [(p["step"], p[name]) for p in curve["history"] if p[name] is not None]
        if at:
            panel.plot(*zip(*at, strict=True), color=line, linewidth=width)
    kept = [p for p in curve["history"] if p["step"] == curve["chosen_step"]]
    if kept and kept[0]["validation_loss"] is not None:
        panel.plot(
            [kept[0]["step"]],
            [kept[0]["validation_loss"]],
            marker="o",
            markersize=6,
            markerfacecolor=GROUND,
            markeredgecolor=colour,
            markeredgewidth=1.6,
            linestyle="none",
            zorder=4,
        )
