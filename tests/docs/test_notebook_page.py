"""The notebook page's cells run in their order, and each shows what the page says it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import cells
from support.doc_blocks import DOCS, blocks_of

PAGE = DOCS / "how-to" / "notebook.md"
BLOCKS = blocks_of(PAGE)
CELLS = [block for block in BLOCKS if block.language == "python"]
# What stands below a cell on the page: the text block that follows it, where one does.
SHOWN = [
    (number, after.text)
    for number, cell in enumerate(CELLS)
    for after in BLOCKS[BLOCKS.index(cell) + 1 :][:1]
    if after.language == "text"
]
# Students trained elsewhere may get some problems more or fewer: a share may differ by this much.
OF_A_STUDENT = 0.3

_SHARE = re.compile(r"(?<![\w.])[01]\.\d+(?![\w.])")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which the page was run, and what each of its cells showed."""
    place = tmp_path_factory.mktemp("notebook")
    for block in BLOCKS:
        if block.title:
            (place / block.title).write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, cells.__file__],
        input=json.dumps([cell.text for cell in CELLS]),
        cwd=place,
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return place, json.loads(done.stdout.splitlines()[-1])


def same(shown: str, page: str) -> bool:
    """Whether a cell shows what the page says, but for the shares in a student's lines."""
    lines, said = shown.rstrip().splitlines(), page.rstrip().splitlines()
    return len(lines) == len(said) and all(map(same_line, lines, said))


def same_line(shown: str, page: str) -> bool:
    if not re.match(r"(student)? *R[13]\b", page):
        return shown.rstrip() == page.rstrip()
    near = all(
        abs(float(a) - float(b)) <= OF_A_STUDENT
        for a, b in zip(_SHARE.findall(shown), _SHARE.findall(page), strict=True)
    )
    return near and _SHARE.sub("", shown).rstrip() == _SHARE.sub("", page).rstrip()


@pytest.mark.parametrize(("number", "page"), SHOWN, ids=[f"line{CELLS[i].line}" for i, _ in SHOWN])
def test_a_cell_shows_what_the_page_says(
    ran: tuple[Path, list[str]], number: int, page: str
) -> None:
    shown = ran[1][number]
    assert same(shown, page), f"line {CELLS[number].line} of {PAGE.name} shows\n{shown}"


def test_the_figure_is_written(ran: tuple[Path, list[str]]) -> None:
    assert (ran[0] / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_the_study_of_the_page_is_reported(ran: tuple[Path, list[str]]) -> None:
    assert (ran[0] / "runs" / "notebook" / "report" / "index.html").is_file()


def test_most_cells_show_something() -> None:
    assert len(SHOWN) >= len(CELLS) // 2


def test_only_a_students_shares_may_differ() -> None:
    assert same("student R1  0.40  20\nbase  0.35\n", "student R1  0.35  20\nbase  0.35\n")
    assert not same("student R1  0.90  20\n", "student R1  0.35  20\n")
    assert not same("student R1  0.35  21\n", "student R1  0.35  20\n")
    assert not same("base  0.40\n", "base  0.35\n")
    assert not same("base  0.35\nmore\n", "base  0.35\n")
