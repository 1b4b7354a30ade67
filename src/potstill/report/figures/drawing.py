"""How every figure is drawn: matplotlib in stand-in colours, dressed for page and file; and as PNG.

A drawing function draws in INK, MUTED, RULE, GROUND and STEPS. They are matplotlib's "C0" to "C9",
the colours of the cycle in force: stand-ins for an SVG, the light theme for a PNG.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from potstill.report.phrases import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = [
    "GROUND",
    "INK",
    "MUTED",
    "RULE",
    "STEPS",
    "WIDE",
    "Figure",
    "Mark",
    "bars",
    "colour_class",
    "drawings",
    "forest",
    "label",
    "log_scale",
    "new_canvas",
    "new_panels",
    "put_mark",
]

INK, MUTED, RULE, GROUND = "C0", "C1", "C2", "C3"
STEPS = ("C4", "C5", "C6", "C7", "C8", "C9", "C10")

# A CSS variable and the light theme's colour, for each of C0 to C10. The steps R1 to R6 are one hue
# path from blue to ochre: ordered, and apart for the colour-blind by lightness too.
_THEME = (
    ("--ink", "#1d1f21"),
    ("--muted", "#5f6469"),
    ("--rule", "#d9d8d2"),
    ("--paper", "#fdfdfb"),
    ("--r1", "#20316b"),
    ("--r2", "#2a5796"),
    ("--r3", "#237ea3"),
    ("--r4", "#2f8f7f"),
    ("--r5", "#6f8b2f"),
    ("--r6", "#a87a12"),
    ("--r0", "#6b2f7d"),
)
_LIGHT = tuple(colour for _, colour in _THEME)
# Colours that no palette would choose: replaced by CSS variables in the page and by the light
# theme's colours in the files, so that one drawing serves light, dark and paper.
_STAND_INS = tuple(f"#0a0a{i:02x}" for i in range(1, 12))

WIDE, _NARROW = 7.6, 3.35  # inches: 547 and 241 units, drawn at 1.35 pixels a unit either way
_PNG_DOTS = 200  # an inch: 1,520 pixels across
_PNG_MARGIN = 0.12  # inches
_LONGEST_NAME = 28
_TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]
_MARKERS = {"student": "o", "base": "D", "teacher": "s"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its caption, its values in words for who cannot see it, and its drawings.

    ``wide`` and ``narrow`` are SVG for the page, ``file`` is one for any viewer, ``png`` its bytes.
    """

    name: str
    title: str
    caption: str
    alt: str
    wide: str
    narrow: str
    file: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A share in [0, 1] with its interval, of a base, a student or a teacher, in one colour."""

    role: str
    colour: str
    value: float
    low: float
    high: float


def colour_class(level: str, levels: list[str]) -> int:
    """Return which colour a level wears, 1 to 7: its own of the six in order for R1..R6, the
    seventh for R0, else one of the six by its place.
    """
    if len(level) == 2 and level[0] == "R" and level[1] in "0123456":
        return int(level[1]) or 7
    return levels.index(level) % 6 + 1 if level in levels else 1


def label(name: str) -> str:
    """Return a name as it stands in a figure: control characters visible, cut where it is long."""
    return shown(name) if len(name) <= _LONGEST_NAME else shown(name[: _LONGEST_NAME - 1]) + "…"


def drawings(draw: Callable[[float], Canvas], name: str) -> dict[str, Any]:
    """Return the drawings of a :class:`Figure`; ``draw`` is given the width in inches, WIDE or
    less.
    """
    wide, narrow = (_svg(draw, width) for width in (WIDE, _NARROW))
    return {
        "wide": _for_page(wide, f"{name}-wide"),
        "narrow": _for_page(narrow, f"{name}-narrow"),
        "file": _for_file(wide),
        "png": _png(draw),
    }


def forest(axes: Axes, rows: Sequence[tuple[str, Sequence[Mark]]]) -> None:
    """Draw shares with intervals along x, a row for each name, the first on top."""
    for at, (_, marks) in enumerate(rows):
        for i, mark in enumerate(marks):
            put_mark(axes, mark, at + 0.22 * (i - (len(marks) - 1) / 2), across=True)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.tick_params(axis="y", pad=8)  # a mark at 0 stands half outside
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy, %")


def bars(axes: Axes, rows: Sequence[tuple[str, Mark]]) -> None:
    """Draw a share of each name as a bar with its interval and its figure, the first on top."""
    for at, (_, mark) in enumerate(rows):
        student = mark.role == "student"
        axes.barh(
            at,
            100 * mark.value,
            height=0.62,
            color=mark.colour if student else RULE,
            edgecolor=mark.colour,
            linewidth=0 if student else 1,
        )
        ends = [100 * mark.low, 100 * mark.high]
        # ground below ink: seen on the bar and beside it
        for colour, width in ((GROUND, 3.4), (INK, 1.4)):
            axes.plot(ends, [at, at], color=colour, linewidth=width, solid_capstyle="butt")
        axes.annotate(
            f"{100 * mark.value:.1f}",
            (100 * max(mark.high, mark.value), at),
            xytext=(5, 0),
            textcoords="offset points",
            va="center_baseline",
            size=9,
            color=INK,
        )
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 112)  # the figure beside a bar of 100 %
    axes.spines["bottom"].set_bounds(0, 100)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("accuracy, %")


def put_mark(axes: Axes, mark: Mark, at: float, *, across: bool = False) -> None:
    """Draw a mark in percent at x = ``at``, or ``across`` the plot at y = ``at``."""
    ends, place = [100 * mark.low, 100 * mark.high], [at, at]
    value = ([at], [100 * mark.value])
    line = (ends, place) if across else (place, ends)
    axes.plot(*line, color=mark.colour, linewidth=1.4, clip_on=False)
    student = mark.role == "student"
    axes.plot(
        *(reversed(value) if across else value),
        marker=_MARKERS[mark.role],
        markersize=6.5 if student else 5.5,
        markerfacecolor=mark.colour if student else GROUND,
        markeredgecolor=mark.colour,
        markeredgewidth=1.3,
        linestyle="none",
        zorder=3,
        clip_on=False,  # none of it is lost at 0 and at 100 %
    )


def log_scale(axes: Axes, values: Sequence[float]) -> None:
    """Make x a log scale with plain numbers, wide enough for the values."""
    from matplotlib.ticker import NullFormatter, NullLocator

    low, high = min(values) / 1.6, max(values) * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [t for t in _TICKS if low <= t <= high]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])


def new_canvas(width: float, height: float, grid: str = "y") -> tuple[Canvas, Axes]:
    """Return a canvas of one panel, its size in inches, its grid across the ``y`` or the ``x``
    axis.
    """
    canvas, panels = new_panels(width, 1, 1, height, grid)
    return canvas, panels[0]


def new_panels(
    width: float, rows: int, columns: int, height: float, grid: str = "y"
) -> tuple[Canvas, list[Axes]]:
    """Return a canvas of panels that share their axes, row by row."""
    from matplotlib.figure import Figure as NewCanvas

    canvas = NewCanvas(figsize=(width, height), layout="constrained")
    axes = canvas.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = [panel for row in axes for panel in row]
    for panel in panels:
        panel.patch.set_visible(False)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(MUTED)
        panel.grid(axis=grid, color=RULE, linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(colors=MUTED, labelsize=8.5, length=3, width=0.6)
        panel.tick_params(axis="y", length=0)
        panel.xaxis.label.set(color=MUTED, fontsize=9)
        panel.yaxis.label.set(color=MUTED, fontsize=9)
    canvas.patch.set_visible(False)
    return canvas, panels


def _settings(colours: Sequence[str]) -> dict[Any, Any]:
    from cycler import cycler

    return {
        "axes.prop_cycle": cycler(color=colours),
        "svg.fonttype": "none",
        "svg.hashsalt": "potstill",
        "font.family": "DejaVu Sans",
        "text.parse_math": False,  # a level named a$b$ is a name
    }


def _png(draw: Callable[[float], Canvas]) -> bytes:
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context(_settings(_LIGHT)):
        canvas = draw(WIDE)
        canvas.patch.set_visible(True)
        canvas.set_layout_engine("constrained", w_pad=_PNG_MARGIN, h_pad=_PNG_MARGIN)
        canvas.savefig(
            buffer, format="png", dpi=_PNG_DOTS, facecolor=GROUND, metadata={"Software": None}
        )
    return buffer.getvalue()


def _svg(draw: Callable[[float], Canvas], width: float) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(_settings(_STAND_INS)):
        draw(width).savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    return re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)


def _for_page(svg: str, mark: str) -> str:
    """Return the drawing for inlining: CSS variables for colours, the page's fonts, ids of its
    own.
    """
    for stand_in, (variable, fallback) in zip(_STAND_INS, _THEME, strict=True):
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
    """Return the drawing as a file of its own: the light theme on its own ground, for any
    viewer.
    """
    ground = f'<rect width="100%" height="100%" fill="{_LIGHT[3]}"/>'
    svg = re.sub(r"(<svg[^>]*>)", lambda m: m[1] + ground, svg, count=1)
    for stand_in, fallback in zip(_STAND_INS, _LIGHT, strict=True):
        svg = svg.replace(stand_in, fallback)
    return svg.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
