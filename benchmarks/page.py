"""The report's page with 5,000 problems in headless Chromium: its size, first paint, a filter.

    python benchmarks/page.py [--problems 5000] [--rounds 5]

Every problem has six students' answers, six lessons and a teacher's reasoning of a length drawn
from a lognormal (median 3,000 characters, the recorded traces'). Texts are made of words, so that
they pack about as prose does. Without Playwright and Chromium (Debian's ``chromium``, or the path
in POTSTILL_CHROMIUM) the page's size and packing alone are told.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import string
import tempfile
import time
from pathlib import Path
from typing import Any

from circumstances import at_least_one, lacks, tell_sample
from potstill.report.browser import pack
from potstill.report.cases import Case, CaseLesson, Said
from potstill.report.numbers import report_numbers
from potstill.report.page import render_page

SOLVERS = ("base", "R1", "R2", "R3", "R4", "R5", "R6", "teacher")
# characters: a problem, a teacher's reasoning (median), then lessons and answers by level
PROBLEM, REASONING = 300, 3_000
LEVELS = (2_200, 1_400, 900, 500, 250, 60)


def make_cases(count: int) -> list[Case]:
    """Return the problems of prose-like texts, the same for every run."""
    draw = random.Random(0)
    vocabulary = [
        "".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 9))) for _ in range(6_000)
    ]
    weights = [1 / (i + 1) for i in range(len(vocabulary))]

    def prose(characters: float) -> str:
        words = draw.choices(vocabulary, weights, k=max(1, int(characters / 6)))
        return " ".join(words) + f" \\(x_{{{draw.randint(1, 99)}}}^2 = {draw.randint(1, 999)}\\)"

    def said(who: str, length: float) -> Said:
        outcome = draw.choice(["CORRECT", "WRONG"])
        reasoning = prose(length) if who == "teacher" else ""
        return Said(who, 0, 0, outcome, "7", "", "STOP", reasoning, prose(length / 3), 100)

    lengths = dict(zip(SOLVERS[1:-1], LEVELS, strict=True)) | {"base": 400}
    return [
        Case(
            f"p{i}", "exam", "heldout", prose(PROBLEM), str(i), "number",
            {"section": "ABC"[i % 3], "year": str(2000 + i % 25)},
            tuple(
                said(who, lengths.get(who) or REASONING * draw.lognormvariate(0, 0.8))
                for who in SOLVERS
            ),
            tuple(CaseLesson(x, 9, (), prose(lengths[x])) for x in SOLVERS[1:-1]),
        )
        for i in range(count)
    ]  # fmt: skip


def find_chromium() -> str:
    """Return Chromium's path, empty where it or Playwright is not there, which is then said."""
    then = "the page's size and packing alone are measured"
    if lacks("playwright", "pip install playwright", then):
        return ""
    chromium = os.environ.get("POTSTILL_CHROMIUM") or shutil.which("chromium") or ""
    if not chromium:
        print(f"chromium is not installed (Debian: apt-get install chromium): {then}.", flush=True)
    return chromium


def measure(chromium_path: str, address: str, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of every round: first contentful paint, ready to filter, a filter,
    opening.
    """
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {"first paint": [], "ready": [], "filter": [], "open": []}
    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(rounds):
            page = chromium.new_page(viewport={"width": 1200, "height": 900})
            started = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.locator("#cases li").first.wait_for()
            found["ready"].append(1000 * (time.perf_counter() - started))
            paints = "performance.getEntriesByName('first-contentful-paint')"
            page.wait_for_function(f"{paints}.length > 0")  # on a busy machine it may be to come
            found["first paint"].append(page.evaluate(f"{paints}[0].startTime"))
            found["filter"].append(_timed(page, "form.elements.search.value = 'p49 x_'", "form"))
            found["filter"].append(_timed(page, "form.elements.preset.value = '2'", "preset"))
            if not page.locator("#cases button").count():  # of few problems none is left
                _timed(page, "form.reset()", "form")
            started = time.perf_counter()
            page.locator("#cases button").first.click()
            page.locator("dialog[open]").wait_for()
            found["open"].append(1000 * (time.perf_counter() - started))
            page.close()
        chromium.close()
    return found


def _timed(page: Any, change: str, target: str) -> float:
    """Return the milliseconds from an input event to the next frame's layout."""
    element = "form" if target == "form" else "form.elements.preset"
    return float(
        page.evaluate(
            f"""() => {{ const form = document.getElementById('browse'); {change};
            const started = performance.now();
            {element}.dispatchEvent(new Event('input', {{ bubbles: true }}));
            document.body.offsetHeight; return performance.now() - started; }}"""
        )
    )


def main() -> None:
    """Build the page, measure it, print a table, a line of JSON, and what was sampled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=at_least_one, default=5_000)
    parser.add_argument("--rounds", type=at_least_one, default=5)
    chosen = parser.parse_args()
    chromium = find_chromium()
    cases = make_cases(chosen.problems)
    started = time.perf_counter()
    browser = pack(cases)
    packed_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as room:
        page = Path(room, "index.html")
        page.write_text(render_page(report_numbers(_empty()), [], browser), encoding="utf-8")
        megabytes = page.stat().st_size / 1e6
        shown = browser.shown if browser else 0
        cut = browser.cut if browser else 0
        told = f"cut at {cut:,}; packed in {packed_s:.1f} s"
        print(f"{shown:,} problems in {megabytes:.1f} MB, {told}", flush=True)
        times = measure(chromium, page.as_uri(), chosen.rounds) if chromium else {}
    for name, values in times.items():
        print(f"{name:<12} median {statistics.median(values):7.0f} ms, most {max(values):7.0f} ms")
    medians = {f"page_{k.replace(' ', '_')}_ms": statistics.median(v) for k, v in times.items()}
    print(json.dumps({"page_mb": megabytes, "page_packed_s": packed_s} | medians))
    opened = f"opened {chosen.rounds} times" if chromium else "opened in no browser"
    tell_sample(f"one page of {shown:,} problems, {opened}")


def _empty() -> Any:
    """Return a report of nothing but its problems."""
    from potstill.report.data import Corpus, ReportData, Reproduction

    return ReportData(
        "bench", (), (), (), (), Corpus(0, {}, {}, {}), Reproduction("", {}, {}, (0,))
    )


if __name__ == "__main__":
    main()
