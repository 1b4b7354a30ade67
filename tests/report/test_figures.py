"""The figures draw the report's own numbers, each once, in SVG and PNG alike."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from PIL import Image

from potstill.evaluation import evaluate
from potstill.records import Split
from potstill.report.figures import accuracy, causes, draw_figures, drawing, lengths
from potstill.report.numbers import report_numbers
from support.report_sample import CONDITIONS, answers, report_data

GROUND = (0xFD, 0xFD, 0xFB)


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return report_numbers(report_data(seeds=3))


@pytest.fixture(scope="module")
def figures(numbers: dict[str, Any]) -> dict[str, drawing.Figure]:
    return {figure.name: figure for figure in draw_figures(numbers)}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The canvases by name, instead of their files."""
    found: dict[str, Any] = {}

    def keep(draw: Any, name: str) -> dict[str, Any]:
        found[name] = draw(drawing.WIDE)
        return {"wide": "", "narrow": "", "file": "", "png": b""}

    for module in (accuracy, causes, lengths):
        monkeypatch.setattr(module, "drawings", keep)
    return found


def marks(axes: Any) -> dict[float, float]:
    """Where a forest's marks stand: x by y."""
    return {
        line.get_ydata()[0]: line.get_xdata()[0]
        for line in axes.get_lines()
        if line.get_marker() in ("o", "D", "s")
    }


def whole(numbers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {x["level"] or x["role"]: x for x in numbers["levels"] if x["group"] == "all"}


def test_every_figure_is_a_picture_in_both_forms(figures: dict[str, drawing.Figure]) -> None:
    for figure in figures.values():
        picture = Image.open(io.BytesIO(figure.png))
        assert picture.width == 1520
        pixels = np.asarray(picture.convert("RGB"))
        assert tuple(pixels[0, 0]) == GROUND
        inked = (pixels != GROUND).any(axis=2)
        assert 0.002 < inked.mean() < 0.5, figure.name
        edge = np.concatenate([inked[:8].ravel(), inked[-8:].ravel(), inked[:, :8].ravel()])
        assert not edge.any(), f"{figure.name} is cut at its edge"
        for svg in (figure.file, figure.wide, figure.narrow):
            ElementTree.fromstring(svg)
            assert "#0a0a" not in svg
        assert figure.alt.endswith(".")
        assert figure.caption.endswith(".")


def test_levels_stand_at_their_accuracy(numbers: dict[str, Any], drawn: dict[str, Any]) -> None:
    accuracy.levels_figure(numbers)
    (axes,) = drawn["levels"].axes
    labels = [x.get_text() for x in axes.get_yticklabels()]
    assert labels == ["base", "R1", "R2", "R3", "R4", "R5", "R6", "teacher"]
    rows = whole(numbers)
    assert [bar.get_width() for bar in axes.patches] == [
        100 * rows[name]["accuracy"] for name in labels
    ]
    intervals = {tuple(x.get_xdata()) for x in axes.get_lines()}
    assert intervals == {(100 * x["low"], 100 * x["high"]) for x in rows.values()}
    assert [x.get_text() for x in axes.texts] == [
        f"{100 * rows[name]['accuracy']:.1f}" for name in labels
    ]


def test_seeds_are_ticks_below_their_mean(numbers: dict[str, Any], drawn: dict[str, Any]) -> None:
    accuracy.seeds_figure(numbers)
    (axes,) = drawn["seeds"].axes
    ticks = [list(x.get_xdata()) for x in axes.get_lines() if x.get_marker() == "|"]
    rows = whole(numbers)
    assert ticks == [[100 * v for v in rows[f"R{i}"]["accuracy_by_seed"]] for i in range(1, 7)]
    one_seed = report_numbers(report_data(seeds=1))
    assert accuracy.seeds_figure(one_seed) is None


def test_groups_show_base_primary_and_teacher(
    numbers: dict[str, Any], drawn: dict[str, Any]
) -> None:
    accuracy.groups_figures(numbers)
    (axes,) = drawn["by-steps"].axes
    assert [x.get_text() for x in axes.get_yticklabels()] == ["one (110)", "several (220)"]
    expected = {
        round(row + offset, 2): 100 * x["accuracy"]
        for row, group in enumerate(("steps=one", "steps=several"))
        for offset, who in ((-0.22, "base"), (0, "R1"), (0.22, "teacher"))
        for x in numbers["levels"]
        if x["group"] == group and (x["level"] or x["role"]) == who
    }
    assert {round(y, 2): x for y, x in marks(axes).items()} == expected


def test_years_stand_in_their_order_and_sets_apart(drawn: dict[str, Any]) -> None:
    rows = [
        x.__class__(
            **{n: getattr(x, n) for n in x.__slots__} | {"groups": {"year": year}, "set": s}
        )
        for s in ("one", "two")
        for i, x in enumerate(answers(n=60))
        for year in [str(9 + i % 3)]
    ]
    numbers = report_numbers(report_data(evaluate(rows, CONDITIONS)))
    names = [figure.name for figure in accuracy.groups_figures(numbers)]
    assert names == ["by-year-one", "by-year-two"]
    labels = [x.get_text() for x in drawn["by-year-one"].axes[0].get_yticklabels()]
    assert [x.split()[0] for x in labels] == ["9", "10", "11"]
    accuracy.overall_figure(numbers)
    assert [x.get_title(loc="left") for x in drawn["overall"].axes] == ["one", "two"]


def test_seen_problems_are_in_no_figure(numbers: dict[str, Any]) -> None:
    rows = answers(n=60) + answers(n=60, split=Split.TRAIN, set="seen set")
    both = report_numbers(report_data(evaluate(rows, CONDITIONS)))
    for figure in draw_figures(both):
        assert "seen set" not in figure.alt + figure.caption + figure.file


def test_lengths_set_lessons_beside_responses(
    numbers: dict[str, Any], drawn: dict[str, Any]
) -> None:
    lengths.lengths_figure(numbers)
    (axes,) = drawn["lengths"].axes
    dots = [x for x in axes.get_lines() if x.get_marker() == "o"]
    filled = {x.get_ydata()[0]: x.get_xdata()[0] for x in dots if x.get_mfc() != drawing.GROUND}
    hollow = {x.get_ydata()[0]: x.get_xdata()[0] for x in dots if x.get_mfc() == drawing.GROUND}
    rows = whole(numbers)
    names = ["base", *(f"R{i}" for i in range(1, 7)), "teacher"]
    assert filled == {i: rows[name]["words"] for i, name in enumerate(names)}
    lessons = {x["level"]: x["mean_words"] for x in numbers["corpus"]["lessons"]}
    assert hollow == {i: lessons[f"R{i}"] for i in range(1, 7)}


def test_causes_are_shares_by_area(numbers: dict[str, Any], drawn: dict[str, Any]) -> None:
    figure = causes.causes_figure(numbers)
    (axes,) = drawn["causes"].axes
    assert [x.get_text() for x in axes.get_xticklabels()][0::7] == ["base", "teacher"]
    rows = {x["who"]: x for x in numbers["causes"] if x["group"] == "all"}
    names = [x.get_text() for x in axes.get_yticklabels()]
    assert set(names) == {"nothing that can be checked", "sign", "truncated"}
    circles = {
        (x.get_xdata()[0], x.get_ydata()[0]): x.get_markersize() ** 2 for x in axes.get_lines()
    }
    base, r6 = (rows[who]["counts"]["other"] / rows[who]["n"] for who in ("base", "R6"))
    other = names.index("nothing that can be checked")
    assert circles[0, other] / circles[6, other] == pytest.approx(base / r6)
    assert figure is not None
    assert f"nothing that can be checked: base {100 * base:.1f} %" in figure.alt


def boxes_of_texts(canvas: Any) -> list[Any]:
    """The boxes of the names and numbers within a canvas's panel, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(canvas).draw()
    return [text.get_window_extent() for text in canvas.axes[0].texts]


@pytest.mark.parametrize("width", [drawing.WIDE, drawing._NARROW])
@pytest.mark.parametrize("name", ["causes", "ladder"])
def test_no_two_names_or_numbers_collide(
    numbers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str, width: float
) -> None:
    canvases: list[Any] = []

    def keep(draw: Any, name: str) -> dict[str, Any]:
        canvases.append(draw(width))
        return {"wide": "", "narrow": "", "file": "", "png": b""}

    module, figure = {
        "causes": (causes, causes.causes_figure),
        "ladder": (lengths, lengths.ladder_figure),
    }[name]
    monkeypatch.setattr(module, "drawings", keep)
    figure(numbers)
    boxes = boxes_of_texts(canvases[0])
    assert len(boxes) > 7
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert pairs == []
