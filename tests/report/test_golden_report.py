"""A fixed study's report, compared whole with the one that is kept in golden/.

Where a change of the report is meant, ``POTSTILL_UPDATE_GOLDEN=1`` writes the kept files anew.
"""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from potstill.evaluation import Answered, evaluate
from potstill.evaluation.near_duplicates import near_duplicates
from potstill.evaluation.published import Published
from potstill.records import Outcome
from potstill.report.build import build_report
from potstill.report.data import OverlapPair, Reproduction
from support.report_sample import CONDITIONS, LADDER, answers, curve, report_data, unread

GOLDEN = Path(__file__).parent / "golden"
FILES = ("report.json", "report.md")
LEVELS = ("R1", "R3")
SEEDS = (0, 1)
MOST_LINES = 80

# Everything that a report says of when, where and with what it was made: fixed here, so that a
# report changes only with the code.
FIXED = Reproduction(
    command="potstill reproduce fixed",
    versions={"potstill": "0.0.0", "torch": "0.0.0"},
    hashes={"data": "9f86d081884c7d65", "base": "60303ae22b998861"},
    seeds=SEEDS,
    created="2026-01-02",
)


def read(row: Answered) -> Answered:
    """The answer as the grader would have read it: most in a box, some in prose, one not at all."""
    if row.outcome is Outcome.TRUNCATED:
        return row
    number = int(row.problem_id[1:])
    if number == 5 and not row.level:
        return replace(row, outcome=Outcome.UNPARSED)
    return replace(row, read=str(number), rule="stated" if number % 7 == 3 else "boxed")


def write_report(out: Path) -> None:
    """Write the report of the fixed study."""
    ladder = {level: LADDER[level] for level in LEVELS}
    rows = [read(row) for row in answers(n=24, seeds=len(SEEDS), ladder=ladder)]
    evaluation = evaluate(rows, CONDITIONS)
    alike = [f"p{i:04}" for i in range(9)]
    data = report_data(
        evaluation,
        seeds=len(SEEDS),
        base="pocket",
        overlap=tuple(
            OverlapPair(i, f"t{i}", "masked numbers", 1.0, "other numbers: counted, both kept")
            for i in alike
        ),
        near_duplicates=near_duplicates(rows, alike, CONDITIONS, evaluation.comparisons),
        reproduction=FIXED,
        training=tuple(
            replace(drawn, history=drawn.history[::5])
            for drawn in (curve(level, seed) for level in LEVELS for seed in SEEDS)
        ),
        unread=tuple(replace(x, responses=24, unread=1, examples=x.examples[:1]) for x in unread()),
        published=(("R1", Published("Table 1", "R1", 18, 24)),),
    )
    build_report(data, out)


def rounded(value: Any) -> Any:
    """The same numbers to ten digits: the last ones differ between processors and libraries."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: rounded(x) for key, x in value.items()}
    return [rounded(x) for x in value] if isinstance(value, list) else value


def normalised(path: Path) -> str:
    """A file's text; the numbers of report.json rounded, each on a line of its own."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        return text
    return json.dumps(rounded(json.loads(text)), indent=1, ensure_ascii=False) + "\n"


def diff(kept: str, made: str, name: str) -> str:
    """What differs, as a unified diff of at most some lines; "" where nothing does."""
    lines = list(
        difflib.unified_diff(
            kept.splitlines(), made.splitlines(), f"golden/{name}", f"made/{name}", lineterm="", n=4
        )
    )
    more = len(lines) - MOST_LINES
    return "\n".join(lines[:MOST_LINES] + ([f"... and {more} lines more"] if more > 0 else []))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fixed study's report, as the code writes it now."""
    out = tmp_path_factory.mktemp("golden")
    write_report(out)
    return out / "report"


@pytest.mark.parametrize("name", FILES)
def test_the_report_is_the_one_that_is_kept(made: Path, name: str) -> None:
    now, kept = normalised(made / name), GOLDEN / name
    if os.environ.get("POTSTILL_UPDATE_GOLDEN") == "1":
        kept.write_text(now, encoding="utf-8", newline="\n")
    found = diff(kept.read_text(encoding="utf-8"), now, name)
    if found:
        pytest.fail(
            f"{name} is not the one that is kept. If that is meant, read the difference and run "
            f"POTSTILL_UPDATE_GOLDEN=1 pytest tests/report/{Path(__file__).name}\n{found}",
            pytrace=False,
        )


def test_a_report_of_today_and_elsewhere_is_the_same(made: Path) -> None:
    text = "".join((made / name).read_text(encoding="utf-8") for name in FILES)
    assert str(made.parent) not in text
    assert str(Path.home()) not in text
    assert str(date.today()) not in text
    assert FIXED.created in text


def test_the_kept_files_are_small() -> None:
    assert sum((GOLDEN / name).stat().st_size for name in FILES) < 150_000


def test_a_difference_is_told_in_few_lines() -> None:
    kept = "".join(f'"accuracy": {i}\n' for i in range(300))
    assert diff(kept, kept, "report.json") == ""
    told = diff(kept, kept.replace(": 7\n", ": 8.5\n"), "report.json").splitlines()
    assert '-"accuracy": 7' in told
    assert '+"accuracy": 8.5' in told
    assert len(told) < 15
    all_of_it = diff(kept, kept.upper(), "report.json").splitlines()
    assert len(all_of_it) == MOST_LINES + 1
    assert all_of_it[-1].endswith("lines more")
