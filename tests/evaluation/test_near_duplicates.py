"""Scores with and without near duplicates, counted by hand."""

from __future__ import annotations

import pytest

from potstill.evaluation import evaluate
from potstill.evaluation.near_duplicates import near_duplicates
from potstill.records import Role
from support.marks import CONDITIONS, answered

# Ten problems p0000 to p0009; the first six repeat a problem of the training side.
BASE = "BBbbbb" + "BBbb"
R1 = "BBBBBb" + "BBbb"
TEACHER = "BBBBBB" + "BBBb"
ALIKE = {f"p{i:04}" for i in range(6)}


def test_each_part_is_scored_apart_and_compared_apart() -> None:
    rows = answered(Role.BASE, "", BASE) + answered(Role.STUDENT, "R1", R1)
    rows += answered(Role.TEACHER, "", TEACHER)
    found = near_duplicates(rows, ALIKE, CONDITIONS, evaluate(rows, CONDITIONS).comparisons)
    scores = {(x.level or x.role.value, x.group): (x.n, x.accuracy) for x in found.scores}
    assert scores == {
        ("base", "overlap=alike"): (6, pytest.approx(2 / 6)),
        ("base", "overlap=apart"): (4, 0.5),
        ("R1", "overlap=alike"): (6, pytest.approx(5 / 6)),
        ("R1", "overlap=apart"): (4, 0.5),
        ("teacher", "overlap=alike"): (6, 1.0),
        ("teacher", "overlap=apart"): (4, 0.75),
    }
    assert [(c.a, c.b, c.group, c.n) for c in found.comparisons] == [
        ("R1", "base", "overlap=alike", 6),
        ("R1", "base", "overlap=apart", 4),
    ]
    assert [c.difference for c in found.comparisons] == [pytest.approx(0.5), 0.0]


def test_without_near_duplicates_there_is_nothing_and_where_all_are_there_is_no_rest() -> None:
    rows = answered(Role.BASE, "", BASE) + answered(Role.STUDENT, "R1", R1)
    comparisons = evaluate(rows, CONDITIONS).comparisons
    assert near_duplicates(rows, (), CONDITIONS, comparisons).scores == ()
    every = {row.problem_id for row in rows}
    found = near_duplicates(rows, every, CONDITIONS, comparisons)
    assert {x.group for x in found.scores} == {"overlap=alike"}
    assert [(c.group, c.n) for c in found.comparisons] == [("overlap=alike", 10)]
