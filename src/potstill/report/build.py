"""The report's files, written as one: built beside their place, then moved into it."""

from __future__ import annotations

import json
from pathlib import Path

from potstill.errors import StoreError
from potstill.report.browser import BROWSER_FILE, Browser, pack, write_cases
from potstill.report.data import ReportData
from potstill.report.figures import draw_figures
from potstill.report.numbers import Numbers, report_numbers
from potstill.report.page import render_markdown, render_page
from potstill.report.tables import write_gates, write_tables
from potstill.store.atomic import whole_folder
from potstill.store.report_files import is_of_report

__all__ = ["build_report", "render_report"]


def build_report(data: ReportData, out: Path) -> Path:
    """Return the path of ``out/report/index.html``, written with everything beside it.

    Writes report.json first and renders report.md, index.html, figures/ and tables/ from it. The
    old report stays until the new one is whole, whatever else is in its folder for good. Raises
    StudyError where the numbers contradict each other, StoreError where the disk refuses.
    """
    numbers = report_numbers(data)
    place = out / "report"
    try:
        with whole_folder(place, ours=is_of_report) as fresh:
            render_report(numbers, fresh, pack(data.cases, of=data.cases_of))
            write_cases(data.cases, fresh / BROWSER_FILE)
            write_gates(data.gate_rows, fresh / "tables")
    except OSError as exc:
        raise StoreError(
            f"the report cannot be written to {place} ({exc.strerror or exc}); make room or set "
            "its permissions, then run again."
        ) from exc
    return place / "index.html"


def render_report(numbers: Numbers, place: Path, browser: Browser | None = None) -> None:
    """Write every file of the report into the empty folder ``place``."""
    _write(
        place / "report.json", json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    )
    figures = draw_figures(numbers)
    (place / "figures").mkdir()
    for figure in figures:
        _write(place / "figures" / f"{figure.name}.svg", figure.file)
        (place / "figures" / f"{figure.name}.png").write_bytes(figure.png)
    write_tables(numbers, place / "tables")
    _write(place / "report.md", render_markdown(numbers, figures))
    _write(place / "index.html", render_page(numbers, figures, browser))


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
