"""Text in columns: what fits stands as it is, and what does not gives way where it is widest."""

from __future__ import annotations

import pytest
from rich.console import Console

from potstill.text import in_columns, print_columns

ROWS = [("id", "words", "problem"), ("a/1", "7", "What is 2 + 2?"), ("b/12", "120", "木木木木")]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["id    words  problem", "a/1       7  What is 2 + 2?", "b/12    120  木木木木"]),
        (25, ["id   words problem", "a/1      7 What is 2 + 2?", "b/12   120 木木木木"]),
        (18, ["id   words problem", "a/1      7 What i…", "b/12   120 木木木…"]),
        (12, ["id   wo… pr…", "a/1    7 Wh…", "b/12 120 木…"]),
    ],
)
def test_columns_stand_closer_before_the_widest_gives_way(width: int, lines: list[str]) -> None:
    assert in_columns(ROWS, width, right={1}) == lines


def test_a_row_is_one_line_whatever_stands_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("[red]x[/red]", "two\nlines"), ("\x1b[2Jy", "\ud800")]
    print_columns(Console(width=40), ("id", "text"), rows, styles=["", "yellow"])
    told = "id            text\n[red]x[/red]  two lines\n␛[2Jy         \N{REPLACEMENT CHARACTER}\n"
    assert capsys.readouterr().out == told
