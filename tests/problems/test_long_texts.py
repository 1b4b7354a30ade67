"""A text of millions of characters: excluded with a sentence, or read in one pass.

What takes the square of its length here would take hours, and ends by the suite's time limit.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from potstill.grading.key_reading import KeyReader
from potstill.grading.maths.kinds import infer_kind
from potstill.problems import SourceConfig
from potstill.problems.intake import load_problems
from potstill.problems.mending import mend
from potstill.records import ExclusionReason
from potstill.text import print_columns

N = 190_000  # shorter than what is excluded
HOSTILE = {
    "tags, one closed": ("<b>" * (N // 3) + "</b>", ""),
    "tags of another name": ("<b>" * (N // 3) + "</i>", "<b>" * (N // 3)),
    "raised spaces": ("<sup>" + " " * N + "</b>", "<sup>"),
    "returns": ("<b>return x</i>" * (N // 14) + "y", "<b>return x" * (N // 14) + "y"),
    "sup": ("x<sup> 10 </sup> <sub>i</sub>", "x^{10} _i"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_tags_are_mended_in_one_pass(case: str) -> None:
    text, mended = HOSTILE[case]
    assert mend(text).text == mended


def test_a_tag_that_is_closed_before_it_stays() -> None:
    assert mend("</b> is a <b> c, <i>d</i>").text == "is a <b> c, d"


@pytest.mark.parametrize(
    ("key", "final"),
    [
        ("####" + " " * N + "x\ny", ""),
        ("3 + 4 = 7\n####   7  \n", "7"),
        ("##### 7", "7"),
        ("#### 5 # x", ""),
        ("#### 5\nand more", ""),
        ("#### " + "1" * 301, ""),
        ("####", ""),
    ],
)
def test_a_marked_answer_is_taken_from_the_end(key: str, final: str) -> None:
    assert KeyReader().final_answer(key, "What is 3 + 4?") == final


def problems_of(folder: Path, *rows: str) -> Path:
    path = folder / "own.csv"
    path.write_text("\n".join(["problem,answer", *rows]) + "\n")
    return path


@pytest.mark.parametrize("sign", ["a", "(", "“", "missing."])
def test_a_text_that_no_model_is_taught_is_excluded_with_what_may_have_made_it(
    sign: str, tmp_path: Path
) -> None:
    long = sign * (3_000_000 // len(sign))
    path = problems_of(tmp_path, "What is 2+2?,4", f'"{long}",8')
    config = SourceConfig("table", {"path": str(path)})
    found = load_problems([config], infer=infer_kind, keys=KeyReader())
    assert [p.id for p in found.problems] == ["own/2"]
    (away,) = found.excluded
    assert (away.id, away.reason) == ("own/3", ExclusionReason.TOO_LONG)
    assert away.text == long[:1000]
    assert away.detail == (
        f"{len(long):,} characters, and 200,000 is the most; a quotation mark that "
        "is not closed takes in all the rows after it"
    )


def test_a_long_text_that_says_missing_is_no_missing_text(tmp_path: Path) -> None:
    path = problems_of(tmp_path, f'"missing{"." * N}x",8')
    config = SourceConfig("table", {"path": str(path)})
    found = load_problems([config], infer=infer_kind, keys=KeyReader())
    assert [p.gold_text for p in found.problems] == ["8"]


def test_a_terminal_is_shown_the_beginning_of_a_long_cell() -> None:
    out = StringIO()
    console = Console(file=out, width=80)
    rows = [("a", "word " * 600_000), ("b", "short")]
    print_columns(console, ("id", "problem"), rows, whole={0})
    lines = out.getvalue().splitlines()
    assert len(lines) < 40
    assert lines[-1].split() == ["b", "short"]
    assert max(map(len, lines)) <= 80
