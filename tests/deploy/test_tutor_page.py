"""The tutor's page in a real browser: asked by keyboard, typeset, and no text is ever markup."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from potstill.analysis.students import find_ladder
from potstill.deploy.serve.answering import Ended, Piece
from potstill.deploy.serve.level_answering import LevelAnswering
from potstill.deploy.serve.middleware import AccessMiddleware
from potstill.deploy.serve.tutor import create_tutor
from potstill.deploy.serve.tutor_texts import TutorTexts, read_texts
from potstill.grading import GradingPool
from potstill.grading.boxes import boxed_values
from potstill.protocol.server import serve
from potstill.records import Finish, Problem, Response, Split, TextGold

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> ]]> \u202eabc \x00\x07 ${7*7}$ "
    "$\\href{javascript:alert(3)}{x}$ $\\includegraphics{http://evil.example/a.png}$ "
    "$\\style{position:fixed}{x}$ $\\id{trouble}{x}$ \\(\\frac{1}{\\) \\[\\undefined{x}\\] "
    "\\boxed{ $\\def\\a{\\a\\a}\\a$ $\\rule{9000em}{9000em}$ $\\text{<b>bold</b>}$ $x^2$ "
    "</div></body> costs $5 and $7 " + "W" * 3000
)


@pytest.fixture(scope="module")
def pool() -> Iterator[GradingPool]:
    with GradingPool(workers=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def address(study_directory: Path, pool: GradingPool) -> Iterator[str]:
    """The page of a real study, its students answering."""
    from potstill.deploy.engines import load_model

    students = find_ladder(study_directory)
    texts = read_texts(study_directory, students)
    with LevelAnswering(load_model(students[0]), texts.students) as answering:
        app = AccessMiddleware(create_tutor(texts, answering, pool))
        with serve(app) as url:  # type: ignore[arg-type]
            yield url.removesuffix("v1")


class Saying:
    """Stands where the students are: says a hostile text in pieces of 7 characters."""

    async def answer(self, level: str, problem: str) -> AsyncIterator[Piece | Ended]:
        for start in range(0, len(HOSTILE), 7):
            yield Piece(HOSTILE[start : start + 7])
        yield Ended(HOSTILE, Finish.STOP, 9)


@pytest.fixture(scope="module")
def hostile(pool: GradingPool) -> Iterator[str]:
    """A page on which every text is hostile: problem, key, id, teacher, lesson, student."""
    problem = Problem(f"<i>{HOSTILE[:80]}", HOSTILE, TextGold(HOSTILE[:200]), "word", "x")
    study: Any = SimpleNamespace(name=HOSTILE, about=HOSTILE)
    lesson: Any = SimpleNamespace(text=HOSTILE)
    reply = Response(HOSTILE, problem.id, "", 0, 0, HOSTILE, HOSTILE, Finish.STOP, 1, 1, "")
    student: Any = SimpleNamespace(student=SimpleNamespace(id=HOSTILE), scores=())
    texts = TutorTexts(
        study=study,
        problems={problem.id: problem},
        splits={problem.id: Split.TRAIN},
        students={"R1": student, "R2": student},
        taught={problem.id: (reply, None)},
        lessons={problem.id: {"R1": lesson}},
    )
    saying: Any = Saying()
    with serve(AccessMiddleware(create_tutor(texts, saying, pool))) as url:  # type: ignore[arg-type]
        yield url.removesuffix("v1")


def opened(browser: Any, address: str, width: int = 1100, scheme: str = "light") -> Any:
    """The page, loaded, and on ``page.said`` whatever it did that it should not."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_default_timeout(120_000)  # a slow machine is no fault of the page
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("dialog", lambda dialog: page.said.append(dialog.message))
    page.on("request", lambda x: x.url.startswith(address) or page.said.append(x.url))
    page.goto(address)
    page.locator("#problem:not(:empty)").wait_for()
    return page


def answered(page: Any) -> None:
    page.locator("#ask", has_text="again").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (360, "dark")])
def test_by_keyboard_alone_levels_are_asked_and_graded(
    browser: Any, address: str, study_directory: Path, width: int, scheme: str
) -> None:
    said = zip(*(student.answers() for student in find_ladder(study_directory)), strict=True)
    problem = next(a[0] for a, b in said if a[1].text != b[1].text)
    best = read_texts(study_directory, find_ladder(study_directory)).overview()["best"]
    page = opened(browser, address, width, scheme)
    assert page.inner_text("#ask") == f"Ask {best}"
    assert f"{best}, the best here: right on " in page.inner_text("#sure")
    page.focus("#search")
    page.keyboard.type(problem.id)
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    page.locator("#split", has_text=problem.id).wait_for()
    page.focus("#ask")
    page.keyboard.press("Enter")
    answered(page)
    first = page.inner_text("#said")
    assert first
    assert page.inner_text("#verdict")
    other = "R1" if best == "R4" else "R4"
    page.focus("#dial")
    # asks by itself where a level was asked before
    page.keyboard.press("ArrowLeft" if best == "R4" else "ArrowRight")
    page.locator("#ask", has_text=f"Ask {other} again").wait_for()
    assert page.inner_text("#said") != first
    assert f"{other}, " in page.get_attribute("#dial", "aria-valuetext")
    page.keyboard.press("ArrowRight" if best == "R4" else "ArrowLeft")
    answered(page)
    assert page.inner_text("#said") == first  # kept, not asked again
    assert not page.is_visible("#reasoning")  # the teacher waits for a try
    page.focus("#own-answer")
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    page.locator("#compared > p").nth(1).wait_for()
    assert page.inner_text("#reasoning")
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_mathematics_is_typeset_and_what_is_broken_is_its_source(
    browser: Any, address: str
) -> None:
    page = opened(browser, address)
    page.locator("label:has(#of-own)").click()
    page.fill(
        "#own-problem",
        r"Half is $\frac{1}{2}$, \(\sqrt{2}\), \boxed{x^2}; \[\sum_{i=1}^n i\] It costs $5 or $7. "
        r"Broken: $\foo{$ and $\frac{1}$.",
    )
    assert page.locator("#problem math").count() == 4
    assert page.locator("#problem .block math msup, #problem .block math munderover").count()
    assert page.locator("#problem .source").all_inner_texts() == [r"$\foo{$", r"$\frac{1}$"]
    assert "It costs $5 or $7." in page.inner_text("#problem")
    page.click("#ask")
    answered(page)
    assert page.inner_text("#state").endswith(" has answered.")
    assert page.said == []
    page.close()


def test_the_search_narrows_and_any_one_is_held_out(browser: Any, address: str) -> None:
    page = opened(browser, address)
    everything = page.locator("#list option").count()
    page.fill("#search", "how many")
    some = page.locator("#list option").count()
    assert 0 < some < everything
    page.fill("#search", "no such words")
    assert page.locator("#list option").count() == 0
    page.click("#any")
    page.locator("#split", has_text="held out").wait_for()
    page.close()


def test_hostile_text_is_text(browser: Any, hostile: str) -> None:
    for width in (1100, 360):
        page = opened(browser, hostile, width)
        page.click("#ask")
        answered(page)
        page.click("#uncover")
        page.click("#lesson summary")
        page.click("#key summary")
        page.fill("#own-answer", HOSTILE[:500])
        page.keyboard.press("Enter")
        page.locator("#compared > p").first.wait_for()
        for part in ("#problem", "#said", "#reasoning", "#answer", "#lesson-text"):
            shown = page.inner_text(part)
            assert "<script>alert(1)</script><img src=x onerror=alert(2)> ]]>" in shown, part
            assert "$\\href{javascript:alert(3)}{x}$" in shown
            assert "␀␇" in shown
            assert "costs $5 and $7" in shown
            assert page.locator(f"{part} math").count() == 4, part  # {7*7}, rule, text, x^2
        assert page.locator("script:not([src]), img, iframe, b b, math a, math [href]").count() == 0
        assert page.locator("#trouble").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.said == []
        page.close()


def test_a_server_that_is_gone_is_told(browser: Any, address: str) -> None:
    page = opened(browser, address)
    before = page.inner_text("#ask")
    page.route("**/answer", lambda route: route.abort())
    page.click("#ask")
    page.locator("#trouble", has_text="does not answer").wait_for()
    assert page.inner_text("#ask") == before
    page.close()


def picked(page: Any, id: str) -> None:
    page.select_option("#list", id)
    page.locator("#split", has_text=id).wait_for()


def test_a_learner_tries_before_the_teacher_is_seen(
    browser: Any, address: str, study_directory: Path
) -> None:
    first, second = (x[0] for x in find_ladder(study_directory)[0].answers()[:2])
    page = opened(browser, address)
    order = [x.text_content() for x in page.locator("h2").all()]
    assert order.index("Your answer") < order.index("The teacher, recorded")
    assert page.inner_text(".what").count(".") == 1
    for problem in (first, second):
        picked(page, problem.id)
        assert page.input_value("#own-answer") == ""
        assert not page.is_visible("#reasoning")
        assert "once you have answered" in page.inner_text("#covered")
    page.fill("#own-answer", second.gold_text)
    page.keyboard.press("Enter")
    page.locator("#compared > p", has_text="Your answer: Right").wait_for()
    assert page.is_visible("#reasoning")
    picked(page, first.id)
    assert not page.is_visible("#reasoning")
    page.click("#uncover")
    assert page.is_visible("#reasoning")
    picked(page, second.id)
    assert page.is_visible("#reasoning")  # tried before
    page.close()


def test_who_asks_before_the_problem_is_here_asks_what_was_picked(
    browser: Any, address: str, study_directory: Path
) -> None:
    first, second = (x[0].id for x in find_ladder(study_directory)[0].answers()[:2])
    page = opened(browser, address)
    page.evaluate(
        """late => {
            const real = window.fetch;
            window.fetch = async (path, more) => {
                const id = new URL(path, location).searchParams.get("id");
                await new Promise((done) => setTimeout(done, late[id] ?? 0));
                return real(path, more);
            };
        }""",
        {first: 600, second: 300},
    )
    page.select_option("#list", first)
    page.select_option("#list", second)
    page.click("#ask")
    answered(page)
    assert second in page.inner_text("#split")
    assert page.input_value("#list") == second
    assert page.inner_text("#said")
    page.close()


def test_a_student_that_differs_does_not_call_the_learner_wrong(
    browser: Any, address: str, study_directory: Path
) -> None:
    best = read_texts(study_directory, find_ladder(study_directory)).overview()["best"]
    student = next(x for x in find_ladder(study_directory) if x.level == best)
    boxes = ((problem, boxed_values(response.text)) for problem, response in student.answers())
    problem, read = next((p, x[-1][0]) for p, x in boxes if x and x[-1][0].isdecimal())
    page = opened(browser, address)
    picked(page, problem.id)
    page.click("#ask")
    answered(page)
    for own, told in (
        (read, f"{best} agrees with you; read as {read}."),
        ("987654", f"{best} answered something else; read as {read}."),
    ):
        page.fill("#own-answer", own)
        page.keyboard.press("Enter")
        row = page.locator("#compared > p", has_text=told)
        row.wait_for()
        assert row.get_attribute("data-outcome") == ""  # neither green nor red
        assert "against" not in page.inner_text("#compared")
    page.close()
