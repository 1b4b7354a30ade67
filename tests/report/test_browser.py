"""The problem browser in a real browser: searched, filtered, opened, and no text is markup."""

from __future__ import annotations

import gzip
import json
import random
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.report.browser import BROWSER_FILE, pack, write_cases
from potstill.report.build import build_report
from potstill.report.cases import Case, CaseLesson, Said
from support.report_sample import report_data

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> ]]> </script> \u202eabc \x00\x07 "
    "$\\href{javascript:alert(3)}{x}$ \\(\\frac{1}{\\) \\[\\undefined{x}\\] \\boxed{ "
    "</div></dialog></body> \ud800 " + "W" * 3000
)
SOLVERS = ("base", "R1", "R2", "teacher")


def said(who: str, right: bool, text: str, seed: int = 0) -> Said:
    outcome = "CORRECT" if right else "WRONG"
    return Said(who, seed, 0, outcome, "7", "different values", "STOP", "", text, 12)


def make_cases(n: int = 130) -> tuple[Case, ...]:
    """Some problems; who was right follows from the number."""
    cases = []
    for i in range(n):
        answers = [
            said(who, (i + 1) % (place + 2) == 0, f"{who} says \\(x^2 = {i}\\)")
            for place, who in enumerate(SOLVERS)
        ]
        answers.insert(2, said("R1", i % 7 == 0, "another seed's", seed=1))
        lessons = (CaseLesson("R1", 40, (), f"Lesson {i}"), CaseLesson("R6", 2, ("long",), "Short"))
        side = "heldout" if i % 2 else "train"
        text = f"Problem {i}: what is \\(\\frac{{{i}}}{{2}}\\)?"
        groups = {"section": "ABC"[i % 3]}
        cases.append(
            Case(f"p{i}", "s", side, text, str(i), "number", groups, tuple(answers), lessons)
        )
    return tuple(cases)


def right(case: Case, who: str) -> bool:
    return next(x for x in case.said if x.who == who).outcome == "CORRECT"


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(b64decode(text)))


def test_what_is_packed_is_what_was_said() -> None:
    cases = make_cases()
    packed = pack(cases)
    assert packed is not None
    assert (packed.shown, packed.total) == (130, 130)
    index = unpacked(packed.index)
    assert index["solvers"] == list(SOLVERS)
    texts = [row for chunk in packed.chunks for row in unpacked(chunk)]
    assert [row["text"] for row in texts] == [case.text for case in cases]
    assert [x["text"] for x in texts[3]["said"]] == [x.text for x in cases[3].said if x.seed == 0]
    assert texts[3]["said"][1]["all"] == [x.outcome for x in cases[3].said if x.who == "R1"]
    assert pack(()) is None


def test_what_does_not_fit_is_cut_and_then_left_out() -> None:
    noise = random.Random(3)

    def long() -> str:
        return "".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))

    cases = [replace(case, text=long()) for case in make_cases()]
    bounded = pack(cases, limit=1_000_000)
    assert bounded is not None
    assert sum(map(len, bounded.chunks)) <= 1_000_000
    assert (bounded.shown, bounded.cut) == (130, 6_000)
    text = unpacked(bounded.chunks[0])[0]["text"]
    assert text.startswith(cases[0].text[:6_000])
    assert f"14,000 more characters: see {BROWSER_FILE}" in text
    tight = pack(cases, limit=70_000)
    assert tight is not None
    assert (tight.shown, tight.total) == (50, 130)


def test_the_file_beside_the_page_holds_every_text_whole(tmp_path: Path) -> None:
    cases = [replace(make_cases(1)[0], text=HOSTILE)]
    write_cases(cases, tmp_path / BROWSER_FILE)
    (line,) = (tmp_path / BROWSER_FILE).read_text("utf-8").splitlines()
    row = json.loads(line)
    assert row["text"] == HOSTILE.replace("\ud800", "\ufffd")
    assert [x["seed"] for x in row["said"] if x["who"] == "R1"] == [0, 1]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report whose problems can be counted, as a file address."""
    data = replace(report_data(), cases=make_cases())
    return build_report(data, tmp_path_factory.mktemp("browser")).as_uri()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report in which every text of a problem is hostile."""
    answers = tuple(
        Said(who, 0, 0, "WRONG", HOSTILE, HOSTILE, "STOP", HOSTILE, HOSTILE, 3) for who in SOLVERS
    )
    lessons = (CaseLesson("R1", 3, (HOSTILE,), HOSTILE),)
    case = Case(
        HOSTILE, HOSTILE, "heldout", HOSTILE, HOSTILE, "word", {HOSTILE: HOSTILE}, answers, lessons
    )
    data = replace(report_data(), cases=(case, *make_cases(3)))
    return build_report(data, tmp_path_factory.mktemp("hostile")).as_uri()


def opened(browser: Any, address: str, width: int = 1100, scheme: str = "light") -> Any:
    """The page with its problems listed, and on ``page.said`` whatever it should not do."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: page.said.append(dialog.message))
    page.on("request", lambda request: page.said.append(request.url))
    page.goto(address)
    page.locator("#cases li").first.wait_for()
    assert page.said == [address]
    return page


def listed(page: Any) -> list[str]:
    while page.locator("#more").is_visible():
        page.locator("#more").click()
    about = page.locator("#cases .about bdi:first-child").all_inner_texts()
    assert page.locator("#found").inner_text().startswith(f"{len(about)} of ")
    return about


def test_filters_show_what_they_say(browser: Any, address: str) -> None:
    cases = make_cases()
    page = opened(browser, address)
    assert listed(page) == [case.id for case in cases]
    page.select_option("[name=preset]", label="R1 right, R2 wrong")
    chosen = [case for case in cases if right(case, "R1") and not right(case, "R2")]
    assert listed(page) == [case.id for case in chosen]
    page.select_option("[name=split]", label="s, heldout")
    page.select_option("[name=group]", label="section: C")
    chosen = [x for x in chosen if x.split == "heldout" and x.groups["section"] == "C"]
    assert listed(page) == [case.id for case in chosen] != []
    page.click("button[type=reset]")
    page.fill("[name=search]", "problem 12")
    assert listed(page) == [case.id for case in cases if "12" in case.text]
    page.fill("[name=search]", "nothing like it")
    assert listed(page) == []
    page.close()


def test_a_problem_is_opened_and_left_by_keyboard(browser: Any, address: str) -> None:
    page = opened(browser, address)
    page.focus("#cases li:nth-child(2) button")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    dialog.wait_for()
    assert page.inner_text("#case-id") == "p1"
    assert dialog.locator("math").count() >= 4
    assert "right 0 of 2 times" in page.inner_text("#case-columns")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.getElementById('case-id').textContent === 'p2'")
    page.get_by_text("R6 2 words, kept out: long").click()
    page.get_by_text("Short", exact=True).wait_for()
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert page.evaluate("document.activeElement.dataset.row") == "2"
    page.close()


@pytest.mark.parametrize("width", [360, 1100])
def test_no_text_is_markup_and_nothing_is_too_wide(browser: Any, hostile: str, width: int) -> None:
    page = opened(browser, hostile, width)
    page.locator("#cases button").first.click()
    page.locator("dialog[open]").wait_for()
    page.evaluate("document.querySelectorAll('#case-columns details').forEach(d => d.open = true)")
    page.wait_for_function("!document.querySelector('#case-columns details:not([data-full])')")
    text = page.inner_text("dialog")
    assert text.count("<script>alert(1)</script>") >= 10
    assert page.locator("dialog :is(script, img, a, iframe)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("dialog").evaluate("d => [d.scrollWidth, d.clientWidth]")
    assert box[0] <= box[1]
    assert page.said == [hostile]
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, address: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(browser, address, 390, scheme)
    found = axe.Axe().run(page).response["violations"]
    page.locator("#cases button").first.click()
    page.locator("dialog[open]").wait_for()
    found += axe.Axe().run(page).response["violations"]
    assert [(x["id"], [n["html"][:80] for n in x["nodes"][:3]]) for x in found] == []
    page.close()


def test_without_scripts_the_page_says_where_the_problems_are(browser: Any, address: str) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(address)
    assert "JavaScript" in page.inner_text("#browse-wait")
    assert page.locator("main").inner_text().count(BROWSER_FILE) == 1
    page.close()
