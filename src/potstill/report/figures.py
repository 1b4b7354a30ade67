"""The figures as SVG: drawn by matplotlib in stand-in colours, then dressed for page and file."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from potstill.evaluation.scores import level_order
from potstill.records import Level
from potstill.report.phrases import percent, shown
from potstill.report.views import Place, primary_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["Figure", "colour_class", "draw_figures"]

Row = dict[str, Any]

# Stand-ins that no palette would choose: replaced by CSS variables in the page and by the light
# theme's colours in the files, so that one drawing serves light, dark and paper.
_INK, _MUTED, _RULE, _GROUND = "#010101", "#020202", "#030303", "#040404"
_RUNGS = tuple(level.value for level in Level)
_STEPS = ["#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05", "#0a0a06"]
_THEME = {
    _INK: ("--ink", "#1d1f21"),
    _MUTED: ("--muted", "#5f6469"),
    _RULE: ("--rule", "#d9d8d2"),
    _GROUND: ("--paper", "#fdfdfb"),
    # One hue path from blue to ochre: ordered, and apart for the colour-blind by lightness too.
    _STEPS[0]: ("--r1", "#20316b"),
    _STEPS[1]: ("--r2", "#2a5796"),
    _STEPS[2]: ("--r3", "#237ea3"),
    _STEPS[3]: ("--r4", "#2f8f7f"),
    _STEPS[4]: ("--r5", "#6f8b2f"),
    _STEPS[5]: ("--r6", "#a87a12"),
}

_LONGEST_NAME = 24
_WIDE, _NARROW = 7.6, 3.35  # inches: 547 and 241 units, drawn at 1.35 pixels a unit either way
_TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its caption, its values in words for who cannot see it, and its drawings."""

    name: str
    title: str
    caption: str
    alt: str
    wide: str
    narrow: str
    file: str


def draw_figures(numbers: Row) -> list[Figure]:
    """The figures that the numbers allow: the ladder, then the losses; fewer where data lacks."""
    figures = []
    place = primary_place(numbers)
    points = _ladder_points(numbers, place) if place else []
    if any(x["role"] == "student" for x in points):
        figures.append(_ladder(points, place))
    if any(_measured(curve) for curve in numbers["training"]):
        figures.append(_losses(numbers["training"]))
    return figures


def colour_class(level: str, levels: list[str]) -> int:
    """Which of the six ordered colours a level wears: its own for R1..R6, else by its place."""
    if len(level) == 2 and level[0] == "R" and level[1] in "123456":
        return int(level[1])
    return levels.index(level) % 6 + 1 if level in levels else 1


def _ladder_points(numbers: Row, place: Place) -> list[Row]:
    return [
        x
        for x in numbers["levels"]
        if (x["set"], x["split"], x["group"]) == (place.set, place.split, "all") and x["n"]
    ]


def _ladder(points: list[Row], place: Place | None) -> Figure:
    students = [x for x in points if x["role"] == "student"]
    levels = level_order(x["level"] for x in students)
    parts = [
        f"{x['level'] or x['role']} {percent(x['accuracy'])} % in {x['words']:.0f} words"
        for x in points
    ]
    where = place.set if place else ""

    def draw(width: float) -> Canvas:
        canvas, axes = _canvas(width, 4.0 if width == _WIDE else 3.5)
        ordered = sorted(students, key=lambda x: levels.index(x["level"]))
        rungs = [x for x in ordered if x["level"] in _RUNGS]
        at = [(max(x["words"], 0.5), 100 * x["accuracy"]) for x in rungs]
        if at:
            axes.plot(*zip(*at, strict=True), color=_RULE, linewidth=1.2, zorder=1)
        for x in points:
            _ladder_point(axes, x, levels)
        _log_words(axes, [max(x["words"], 0.5) for x in points])
        top = max(100 * x["high"] for x in points)
        axes.set_ylim(0, min(100, math.ceil((top + 2) / 10) * 10))
        axes.set_ylabel("accuracy, %")
        axes.set_xlabel("mean words of a response (log scale)")
        return canvas

    return Figure(
        name="ladder",
        title="Accuracy against response length",
        caption=(
            f"Accuracy on {where} (held out) against the mean words of the responses, with 95 % "
            "intervals. Circles are students, the diamond is the base, the square the teacher."
        ),
        alt="; ".join(parts) + ".",
        **_drawings(draw, "ladder"),
    )


def _ladder_point(axes: Axes, x: Row, levels: list[str]) -> None:
    student = x["role"] == "student"
    colour = _STEPS[colour_class(x["level"], levels) - 1] if student else _INK
    width, y = max(x["words"], 0.5), 100 * x["accuracy"]
    axes.plot([width, width], [100 * x["low"], 100 * x["high"]], color=colour, linewidth=1.4)
    marker = {"student": "o", "base": "D", "teacher": "s"}[x["role"]]
    axes.plot(
        [width],
        [y],
        marker=marker,
        markersize=6.5 if student else 5.5,
        markerfacecolor=colour if student else _GROUND,
        markeredgecolor=colour,
        markeredgewidth=1.3,
        linestyle="none",
        zorder=3,
    )
    axes.annotate(
        shown(x["level"] or x["role"])[:_LONGEST_NAME],
        (width, y),
        xytext=(-6, 5),
        textcoords="offset points",
        horizontalalignment="right",
        color=colour,
        fontsize=9.5,
        fontweight="bold" if student else "normal",
        zorder=4,
    )


def _log_words(axes: Axes, values: list[float]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    low, high = min(values) / 1.6, max(values) * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [t for t in _TICKS if low <= t <= high]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])


def _measured(curve: Row) -> bool:
    return any(point["validation_loss"] is not None for point in curve["history"])


def _losses(training: list[Row]) -> Figure:
    curves = [curve for curve in training if _measured(curve)]
    variants = level_order(curve["variant"] for curve in curves)
    chosen = [f"{c['variant']} seed {c['seed']} kept step {c['chosen_step']}" for c in curves]

    def draw(width: float) -> Canvas:
        columns = min(len(variants), 3 if width == _WIDE else 2)
        rows = math.ceil(len(variants) / columns)
        canvas, panels = _panels(width, rows, columns)
        top = max(
            p["validation_loss"]
            for c in curves
            for p in c["history"]
            if p["validation_loss"] is not None
        )
        for panel, variant in zip(panels, variants, strict=False):
            colour = _STEPS[colour_class(variant, variants) - 1]
            panel.set_title(
                shown(variant)[:_LONGEST_NAME],
                color=colour,
                fontsize=9.5,
                fontweight="bold",
                loc="left",
            )
            for curve in (c for c in curves if c["variant"] == variant):
                _loss_curve(panel, curve, colour)
            panel.set_ylim(0, top * 1.12)
            panel.locator_params(axis="both", nbins=4)
        for panel in panels[len(variants) :]:
            panel.set_visible(False)
        canvas.supxlabel("training step", fontsize=9, color=_MUTED)
        canvas.supylabel("loss", fontsize=9, color=_MUTED)
        return canvas

    return Figure(
        name="losses",
        title="Loss while training",
        caption=(
            "Validation loss by step (bold), training loss (thin, grey), and the checkpoint that "
            "was kept (ring)."
        ),
        alt="; ".join(chosen) + ".",
        **_drawings(draw, "losses"),
    )


def _loss_curve(panel: Axes, curve: Row, colour: str) -> None:
    for name, line, width in (("train_loss", _MUTED, 0.7), ("validation_loss", colour, 1.7)):
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
            markerfacecolor=_GROUND,
            markeredgecolor=colour,
            markeredgewidth=1.6,
            linestyle="none",
            zorder=4,
        )


def _canvas(width: float, height: float) -> tuple[Canvas, Axes]:
    canvas, panels = _panels(width, 1, 1, height)
    return canvas, panels[0]


def _panels(
    width: float, rows: int, columns: int, height: float | None = None
) -> tuple[Canvas, list[Axes]]:
    from matplotlib.figure import Figure as NewCanvas

    tall = height or (0.5 + rows * (1.75 if width == _WIDE else 1.5))
    canvas = NewCanvas(figsize=(width, tall), layout="constrained")
    axes = canvas.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = [panel for row in axes for panel in row]
    for panel in panels:
        panel.patch.set_visible(False)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(_MUTED)
        panel.grid(axis="y", color=_RULE, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(colors=_MUTED, labelsize=8.5, length=3, width=0.6)
        panel.tick_params(axis="y", length=0)
        panel.xaxis.label.set(color=_MUTED, fontsize=9)
        panel.yaxis.label.set(color=_MUTED, fontsize=9)
    canvas.patch.set_visible(False)
    return canvas, panels


def _drawings(draw: Callable[[float], Canvas], name: str) -> dict[str, str]:
    import matplotlib as mpl

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "potstill",
        "font.family": "DejaVu Sans",
        "text.parse_math": False,  # a level named a$b$ is a name
    }
    with mpl.rc_context(settings):
        wide, narrow = _svg(draw(_WIDE)), _svg(draw(_NARROW))
    return {
        "wide": _for_page(wide, f"{name}-wide"),
        "narrow": _for_page(narrow, f"{name}-narrow"),
        "file": _for_file(wide),
    }


def _svg(canvas: Canvas) -> str:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    return re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)


def _for_page(svg: str, mark: str) -> str:
    """The drawing for inlining: CSS variables for colours, the page's fonts, ids of its own."""
    for stand_in, (variable, fallback) in _THEME.items():
        svg = svg.replace(stand_in, f"var({variable}, {fallback})")
    svg = svg.replace("'DejaVu Sans'", "var(--sans, sans-serif)")
    svg = re.sub(r'\bid="', f'id="{mark}-', svg)
    svg = re.sub(r'href="#', f'href="#{mark}-', svg)
    svg = svg.replace("url(#", f"url(#{mark}-")
    # The page scales it; fixed sizes in points would not shrink to a phone.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _for_file(svg: str) -> str:
    """The drawing as a file of its own: the light theme on its own ground, for any viewer."""
    ground = f'<rect width="100%" height="100%" fill="{_THEME[_GROUND][1]}"/>'
    svg = re.sub(r"(<svg[^>]*>)", lambda m: m[1] + ground, svg, count=1)
    for stand_in, (_, fallback) in _THEME.items():
        svg = svg.replace(stand_in, fallback)
    return svg.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
