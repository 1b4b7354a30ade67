"""The grader on what DeepSeek-R1 really answered, each refusal read by hand."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from potstill.grading import GradingPool, infer_kind
from potstill.records import Finish, Outcome, Problem, Response, TextGold, Verdict

csv.field_size_limit(10**9)

# Key and answer of every refusal; each answer is another value than its key's.
REFUSED = {
    "teacher_math500.csv": {("116", "154"), (r"3 \pm 2 \sqrt{2}", "-3-2√2, -3+2√2, 3-2√2, 3+2√2")},
    "teacher_competition.csv": {
        ("NEVER", "SOMETIMES"),
        ("26", "2√194"),
        ("648.36", "648.18"),
        ("9/10", "11/10"),
        ("-16", "8"),
        ("10", "-10"),
        ("6", "30/7"),
        ("{2,3,7,8}", "∅"),
        ("13,680", "13700"),
        ("37.5", "Please provide the problem."),
        ("100.5", "12"),
    },
}


def graded(path: Path, text: str) -> list[tuple[dict[str, str], Verdict]]:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pairs = []
    for number, row in enumerate(rows):
        key = row["true_answer"]
        problem = Problem(
            str(number), row[text], TextGold(key), infer_kind(key, row[text]), path.name
        )
        said = row["agent1_answer"]
        finish = Finish.STOP if said.strip() else Finish.LENGTH
        pairs.append((problem, Response("r1", problem.id, "c", 0, 0, "", said, finish, 0, 0, "")))
    with GradingPool(workers=2) as pool:
        return list(zip(rows, pool.grade(pairs), strict=True))


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("teacher_math500.csv", "problem", {"CORRECT": 461, "TRUNCATED": 37, "WRONG": 2}),
        (
            "teacher_competition.csv",
            "question",
            {"CORRECT": 328, "TRUNCATED": 25, "WRONG": 10, "UNPARSED": 1},
        ),
    ],
)
def test_outcomes_and_every_refusal(
    data: Path, name: str, text: str, counts: dict[str, int]
) -> None:
    rows = graded(data / "recorded" / name, text)
    assert Counter(v.outcome.value for _, v in rows) == counts
    refused = {
        (row["true_answer"], row["agent1_answer"])
        for row, v in rows
        if v.outcome not in (Outcome.CORRECT, Outcome.TRUNCATED)
    }
    assert refused == REFUSED[name]
