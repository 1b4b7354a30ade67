"""The closing table fits its terminal and its counts add up."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from potstill.analysis.terminal import print_table
from potstill.evaluation import evaluate
from potstill.records import Outcome
from potstill.report.numbers import Numbers, report_numbers
from support.report_sample import CONDITIONS, answers, report_data


def printed(numbers: Numbers, width: int) -> list[str]:
    """The lines that reach a terminal of this width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_table(numbers, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_row_on_one_line_and_adding_up(width: int, seeds: int) -> None:
    lines = printed(report_numbers(report_data(seeds=seeds)), width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert " ".join(lines).count("not read") == 1
    for name in ("base", "R1", "R6", "teacher"):
        read = [x for x in lines if re.match(rf" {name} +\d", x)][-1]
        n, *readings = [int(x.replace(",", "")) for x in read.split()[1:]]
        assert (n, len(readings)) == (sum(readings), 4)
        lines.remove(read)
        (row,) = [x for x in lines if re.match(rf" {name} +\d", x)]
        n, *outcomes = [int(x.replace(",", "")) for x in row.split()[-4:]]
        assert n == sum(outcomes) == (330 * seeds if name.startswith("R") else 330)
    assert sum(x.startswith("   seed") for x in lines) == (18 if seeds == 3 else 0)
    assert any(x.startswith("Set beforehand: R1 answers") for x in lines)


def test_many_outcomes_go_below_where_they_do_not_fit() -> None:
    rows = answers(n=90)
    kinds = list(Outcome)
    rows = [
        type(x)(
            **{f: getattr(x, f) for f in x.__slots__}
            | {"outcome": kinds[int(x.problem_id[1:]) % 9]}
        )
        for x in rows
    ]
    numbers = report_numbers(report_data(evaluate(rows, CONDITIONS)))
    narrow = printed(numbers, 80)
    assert max(map(len, narrow)) <= 80
    assert sum(bool(re.match(r" base +\d", x)) for x in narrow) == 3
    heading = next(x for x in narrow if "unp." in x)
    assert heading.split() == [
        "n",
        "right",
        "wrong",
        "cut",
        "blank",
        "unp.",
        "undec.",
        "filt.",
        "error",
        "key",
    ]
    assert "no claim" in "\n".join(narrow)


def test_brackets_and_escapes_are_text() -> None:
    rows = answers(n=30, ladder={"[red]mix": (0.9, 9)}, set="[bold]s\x1b[31m")
    lines = printed(report_numbers(report_data(evaluate(rows, CONDITIONS))), 100)
    text = "\n".join(lines)
    assert "[red]mix" in text
    assert "[bold]s␛[31m" in text
    assert "\x1b" not in text


def test_a_report_from_before_there_was_an_opening_is_printed() -> None:
    numbers = report_numbers(report_data())
    new = printed(numbers, 80)
    assert any(
        x.startswith("Of 330 problems kept out of training, the best student, R2") for x in new
    )
    for key in ("opening", "near_duplicates", "base"):
        del numbers[key]
    old = printed(numbers, 80)
    assert [x for x in new if x and x in old] == [x for x in old if x]
