"""The page in a real browser: opens from disk, asks for nothing, fits a phone, runs no text."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image

from potstill.evaluation import evaluate
from potstill.records import Split
from potstill.report.build import build_report
from support.report_sample import CONDITIONS, HOSTILE, answers, report_data


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hostile report with seen problems in it, as a file address."""
    rows = answers(seeds=2) + answers(n=60, split=Split.TRAIN, ladder={"R1": (0.97, 60)})
    data = report_data(evaluate(rows, CONDITIONS), hostile=HOSTILE + "y" * 400)
    return build_report(data, tmp_path_factory.mktemp("page")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_it_opens_quietly_and_fits(browser: Any, address: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: said.append(request.url))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert said == [address]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
    assert "<script>alert(1)</script>" in page.inner_text("body")
    page.close()


def test_figures_are_drawn_for_the_width_and_the_theme(browser: Any, address: str) -> None:
    inks = {}
    for width, scheme in ((360, "light"), (1100, "light"), (1100, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.goto(address)
        shown = page.locator("figure > div[role=img]:visible")
        assert shown.count() == 7
        assert {x.get_attribute("class") for x in shown.all()} == {
            "narrow" if width == 360 else "wide"
        }
        # The smallest text a reader meets: measured, because drawings are scaled.
        heights = shown.locator("svg text").evaluate_all(
            "all => all.map(t => t.getBoundingClientRect().height)"
        )
        assert min(heights) >= 9
        inks[width, scheme] = page.evaluate(
            "getComputedStyle(document.querySelector('figure svg text')).fill"
        )
        page.close()
    assert inks[1100, "light"] != inks[1100, "dark"]


def test_structure_for_keyboard_and_reader(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    assert page.locator("h1").count() == 1
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.tagName[1]))"
    )
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(x => x.id)")
    assert len(ids) == len(set(ids))
    for link in page.locator("nav a").all():
        target = link.get_attribute("href")
        assert page.locator(target).count() == 1
    # What can scroll can be reached and scrolled by keyboard, and has a name.
    for box in page.locator(".scroll").all():
        assert box.get_attribute("tabindex") == "0"
        assert box.get_attribute("aria-label")
    page.close()


def test_it_prints(browser: Any, address: str) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
    page.close()


def pixels(page: Any, x: float, y: float, width: float, height: float) -> Any:
    """A piece of the page as it is seen."""
    clip = {"x": x, "y": y, "width": width, "height": height}
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_column_is_hidden_without_a_cue(browser: Any, address: str, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page.goto(address)
    found = {True: 0, False: 0}
    for box in page.locator(".scroll:visible").all():
        box.evaluate("x => x.scrollIntoView()")
        hidden = box.evaluate("x => x.scrollWidth > x.clientWidth")
        room = box.evaluate(
            "x => x.querySelector('tr').getBoundingClientRect().top - x.getBoundingClientRect().top"
        )
        place = box.bounding_box()
        strip = pixels(page, place["x"], place["y"], 200, 18).reshape(-1, 3)
        if hidden:  # words stand above the head, and nothing of the table
            assert room >= 18
            assert len(np.unique(strip, axis=0)) > 20
        else:
            assert room < 4
        found[hidden] += 1
    assert found[True] >= 3
    assert found[False] >= 5
    page.close()


def test_on_a_phone_a_row_holds_all_its_cells_under_their_names(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(address)
    tables = page.locator("table.stack:visible")
    assert tables.count() >= 5
    for table in tables.all():
        assert table.evaluate("x => x.scrollWidth <= x.parentElement.clientWidth")
        ends = table.locator("td:visible").evaluate_all(
            "all => all.map(x => x.getBoundingClientRect().right)"
        )
        assert max(ends) <= 390
        unnamed = table.locator("td:visible:not([data-l]):not(.plot)")
        assert unnamed.count() == 0
    roles = page.locator("table.stack tbody td:not([role=cell])")
    assert roles.count() == 0
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_sentence_the_picture_and_the_names_come_before_the_statistics(
    browser: Any, address: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(address)
    tops = [
        page.locator(what).first.bounding_box()["y"]
        for what in (".claim .first", ".claim figure", ".claim .who", ".claim .who ~ p", ".limits",
                     "#accuracy")
    ]  # fmt: skip
    assert tops == sorted(tops)
    assert len(set(tops)) == len(tops)
    picture = page.locator(".claim figure > div:visible")
    told = picture.get_attribute("aria-label")
    assert all(f"{name} " in told for name in ("base", "R1", "R6", "teacher"))
    page.click(".who a")
    assert page.evaluate("location.hash") == "#glossary"
    assert page.locator("dl.words dt", has_text="held out").is_visible()
    page.close()
