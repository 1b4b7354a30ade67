"""What the report says of format: a base that talks beside a student that boxes, all by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from potstill.analysis.terminal import print_table
from potstill.evaluation import Answered, evaluate
from potstill.records import Role, Split
from potstill.report.build import build_report
from potstill.report.claims import claims
from potstill.report.data import Unread, UnreadExample
from potstill.report.gaps import gap_sentences, gaps
from potstill.report.numbers import report_numbers
from potstill.report.readings import unread_sentence
from potstill.report.views import Place
from support.marks import CONDITIONS, HERE, THERE, answered
from support.report_sample import report_data

PLACE = Place("pocket", "heldout")
# 300 problems: the base has 180 right in sentences, 27 of its answers could not be read
BASE = "S" * 180 + "U" * 20 + "D" * 7 + "s" * 93
# 216 right in boxes: the base's 180, 20 of its unread ones and 16 that it has wrong
PART = "B" * 200 + "b" * 7 + "B" * 16 + "b" * 77
# the same with 27 of the unread ones and 9 that the base has wrong
STANDS = "B" * 216 + "b" * 84
EXAMPLES = tuple(
    UnreadExample(f"p{i:04}", f"It must be <b>{i}</b> rolls.", "no answer was found in the text")
    for i in (180, 181, 182)
)
TALKS = Unread("pocket", Split.HELDOUT, "base", Role.BASE, 300, 27, EXAMPLES)


def numbers_of(rows: list[Answered], **others: Any) -> dict[str, Any]:
    fields = {"conditions": (HERE, THERE), "training": (), "causes": (), "grader": None}
    return report_numbers(report_data(evaluate(rows, CONDITIONS), **(fields | others)))


def first_claim(base: str, student: str) -> str:
    rows = answered(Role.BASE, "", base) + answered(Role.STUDENT, "R1", student)
    text: str = claims(numbers_of(rows))[0]["text"]
    return text


def test_a_claim_that_does_not_survive_says_how_much_may_be_format() -> None:
    text = first_claim(BASE, PART)
    assert "the difference of 12.0 points (" in text
    assert text.endswith(
        "is beyond chance; but up to 9.0 of these 12.0 points may be format: 27 of the base's 300 "
        "answers could not be read or decided, and what is left cannot be told from zero."
    )


def test_a_claim_that_survives_says_it_too_where_many_are_unread() -> None:
    assert first_claim(BASE, STANDS).endswith(
        "is beyond chance; up to 9.0 of these 12.0 points may be format: 27 of the base's 300 "
        "answers could not be read or decided, and what is left is beyond chance too."
    )


def test_where_all_of_it_may_be_format() -> None:
    base = BASE.replace("s" * 30, "U" * 30, 1)  # 57 unread are 19 points
    assert first_claim(base, PART).endswith(
        "is beyond chance; but all of these 12.0 points may be format: 57 of the base's 300 "
        "answers could not be read or decided."
    )


def test_a_student_that_talks_is_told_of_as_such() -> None:
    text = first_claim(PART, BASE)
    assert "it stands 12.0 points below the base" in text
    assert text.endswith(
        "but up to 9.0 of these 12.0 points may be format: 27 of R1's 300 answers could not be "
        "read or decided, and what is left cannot be told from zero."
    )


def test_unread_answers_of_the_side_that_stands_higher_take_nothing_away() -> None:
    text = first_claim("s" * 120 + "S" * 180, "B" * 270 + "U" * 30)
    assert text.endswith("is beyond chance.")


def test_a_few_unread_answers_that_change_nothing_are_not_told_of() -> None:
    # 6 of 300 are 2 %, which is not more than 2 %
    assert "format" not in first_claim("S" * 180 + "U" * 6 + "s" * 114, STANDS)
    assert "format" in first_claim("S" * 180 + "U" * 7 + "s" * 113, STANDS)


def test_a_difference_that_is_not_claimed_says_what_is_open() -> None:
    # 176 right against 180, four problems against none; 30 of the student's are unread
    text = first_claim("B" * 180 + "b" * 120, "S" * 176 + "s" * 4 + "U" * 30 + "s" * 90)
    assert "cannot be told from zero with 300 problems" in text
    assert text.endswith(
        "; it lies between −1.3 and +8.7 points as the answers that could not be read or decided "
        "are right or wrong (30 of R1's 300)."
    )


def test_the_ladder_says_whose_places_may_be_format() -> None:
    rows = answered(Role.BASE, "", PART) + answered(Role.STUDENT, "R1", PART)
    rows += answered(Role.STUDENT, "R2", BASE)
    texts = [c["text"] for c in claims(numbers_of(rows)) if c["about"] == "ladder"]
    assert texts[1] == (
        "R2 stands below R1 beyond chance. Some of that may be format: up to 9.0 of the 12.0 "
        "points of R2 (27 of R2's 300 answers could not be read or decided)."
    )


def test_a_gap_to_the_teacher_may_be_format() -> None:
    rows = answered(Role.BASE, "", BASE) + answered(Role.TEACHER, "", STANDS)
    found = gaps(numbers_of(rows), PLACE)
    assert found is not None
    first = gap_sentences(found)[0]
    assert "a gap of 12.0 points (95 % " in first
    assert (
        "), of which up to 9.0 points may be format: 27 of the base's 300 answers could not be "
        "read or decided." in first
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = answered(Role.BASE, "", BASE) + answered(Role.STUDENT, "R1", PART)
    rows += answered(Role.TEACHER, "", "B" * 290 + "C" * 6 + "-" * 4)
    data = report_data(
        evaluate(rows, CONDITIONS),
        conditions=(HERE, THERE),
        training=(),
        causes=(),
        grader=None,
        unread=(TALKS,),
    )
    return build_report(data, tmp_path_factory.mktemp("talks")).parent


def test_the_page_shows_how_answers_were_read_and_what_that_makes(place: Path) -> None:
    page = (place / "index.html").read_text("utf-8")
    table = page.partition('aria-label="How answers were read on ')[2].partition("</table>")[0]
    heads = ("from a box", "stated", "not read", "cut", "no answer", "responses", "right, %",
             "right in a box, %")  # fmt: skip
    assert [x for x in heads if f">{x}</th>" not in table] == []
    cells = {
        "base": (0, 273, 27, 0, 0, 300, "60.0", "0.0"),
        "R1": (300, 0, 0, 0, 0, 300, "72.0", "72.0"),
        "teacher": (290, 0, 0, 6, 4, 300, "96.7", "96.7"),
    }
    for who, wanted in cells.items():
        row = table.partition(f'<th scope="row">{who}</th>')[2].partition("</tr>")[0]
        found = [x.partition(">")[2].partition("<")[0] for x in row.split("<td")[1:]]
        assert found == [str(x) for x in wanted], who
    pairs = page.partition('aria-label="Differences under other readings on ')[2]
    row = pairs.partition("R1 to base")[2].partition("</tr>")[0]
    found = [x.partition(">")[2].partition("<")[0] for x in row.split("<td")[1:]]
    assert found == ["+12.0", "+72.0", "+3.0", "+12.0", "0", "27", "may be format"]


def test_the_page_and_the_markdown_warn_with_three_examples(place: Path) -> None:
    page = (place / "index.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    warning = page.partition('<div class="warn"')[2].partition("</details>")[0]
    said = "27 of the base's 300 answers on pocket (9.0 %) could not be read or decided."
    assert said in warning.replace("&#39;", "'")
    assert warning.count("It must be &lt;b&gt;18") == 3
    markdown = (place / "report.md").read_text("utf-8")
    assert f"**Warning.** {said}" in markdown
    assert markdown.count("ends with: It must be &lt;b\\>18") == 3
    assert "potstill review" in page


def test_the_tables_hold_it(place: Path) -> None:
    def rows(name: str) -> list[dict[str, str]]:
        with (place / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    base = rows("levels")[0]
    counts = [int(base[f"readings_{r}"]) for r in ("box", "stated", "unread", "cut", "none")]
    assert counts == [0, 273, 27, 0, 0]
    assert base["readings_right_stated"] == "180"
    compared = next(x for x in rows("comparisons") if x["b"] == "base")
    assert float(compared["format_least"]) == pytest.approx(0.03)
    assert (compared["format_unread_b"], compared["survives_format"]) == ("27", "False")
    assert [x["problem_id"] for x in rows("unread")] == ["p0180", "p0181", "p0182"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_warns_and_fits(place: Path, width: int) -> None:
    report = json.loads((place / "report.json").read_text("utf-8"))
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_table(report, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    assert "n from a box stated not read cut no answer" in words
    assert "base 300 0 273 27 0 0" in words
    assert "Warning: 27 of the base's 300 answers on pocket (9.0 %) could not be read" in words
    assert "p0181: … It must be <b>181</b> rolls." in words


def test_the_warning_says_whose() -> None:
    row = {"who": "R3", "set": "pocket", "responses": 900, "unread": 90}
    assert unread_sentence(row).startswith("90 of R3's 900 answers on pocket (10.0 %) could not")
