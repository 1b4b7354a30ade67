from __future__ import annotations

import itertools
from typing import Any

import pytest

from potstill.report.findings import (
    corpus_sentence,
    grader_sentence,
    ladder_rows,
    shared_sentence,
    trend_sentence,
)
from potstill.report.numbers import report_numbers
from potstill.report.views import primary_place
from support.report_sample import report_data


def test_the_best_for_their_tokens_are_those_no_other_beats() -> None:
    numbers = report_numbers(report_data())
    place = primary_place(numbers)
    assert place is not None
    rows = ladder_rows(numbers, place)
    ours = [row for row in rows if row["role"] != "teacher"]
    best = sorted((row for row in ours if row["best"]), key=lambda row: row["tokens"])
    assert all(a["accuracy"] < b["accuracy"] for a, b in itertools.pairwise(best))
    for row in (row for row in ours if not row["best"]):
        against = row["against"] or {"beyond_chance": False, "difference": 0}
        assert (against["beyond_chance"] and against["difference"] < 0) or any(
            x["accuracy"] >= row["accuracy"] and x["tokens"] <= row["tokens"] for x in best
        )
    for row in rows:
        right = row["outcomes"]["CORRECT"]
        assert round(row["tokens_per_right"] * right) == round(row["tokens"] * row["n"])


def test_a_trend_is_claimed_only_where_there_is_one() -> None:
    trend = {"levels": ["R1", "R6"], "n": 96, "slope": -0.1, "low": -0.2, "high": -0.02, "p": 0.01}
    text = "From R1 to R6, over 96 problems, accuracy falls: −10.0 points a level"
    assert trend_sentence({"trend": trend}).startswith(text)
    for changes in ({"p": 0.06}, {"high": 0.01}):
        assert "no trend can be told" in trend_sentence({"trend": trend | changes})


def test_a_trend_that_all_problems_share_has_no_interval() -> None:
    trend = {"levels": ["R1", "R2"], "n": 9, "slope": -1.0, "low": -1.0, "high": -1.0, "p": 0.003}
    text = trend_sentence({"trend": trend})
    assert "accuracy falls: −100.0 points a level (p = 0.0030; no interval can be told" in text
    assert "95 %" not in text


@pytest.mark.parametrize("accuracy", [0.0, 0.03])
def test_few_tokens_alone_are_not_the_best(accuracy: float) -> None:
    numbers = report_numbers(report_data())
    place = primary_place(numbers)
    assert place is not None
    for row in numbers["levels"]:
        if row["group"] == "all" and row["role"] == "student":
            row |= {"accuracy": accuracy, "tokens": 1.0}
    rows = ladder_rows(numbers, place)
    assert [row["label"] for row in rows if row["best"]] == ["base"]
    numbers = report_numbers(report_data())
    below = {
        c["a"]
        for c in numbers["comparisons"]
        if c["b"] == "base" and c["group"] == "all" and c["beyond_chance"] and c["difference"] < 0
    }
    assert below
    assert not below & {row["label"] for row in ladder_rows(numbers, place) if row["best"]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "20 problems were brought in. 7 of the problems to train on passed at every level"),
        ({"require": "own"}, "passed at some level, and each level was trained on those that"),
        ({"set_aside": {"no key": 1}}, "brought in; 1 of them was excluded and never sent"),
    ],
)
def test_what_was_trained_on_is_told_by_its_rule(changes: dict[str, Any], says: str) -> None:
    corpus = {"problems": 20, "set_aside": {}, "trained": 7, "validated": 3, "require": "all"}
    text = corpus_sentence(corpus | changes)
    assert says in text
    assert "3 of those for validation" in text


def test_agents_that_never_met_are_not_said_to_agree() -> None:
    grader = {"judge_asked": 0, "judge_unparseable": 0, "undecided": 2, "disagreements": []}
    assert grader_sentence(grader, 40) == "No judge was asked; 2 responses stayed undecided."
    asked = grader_sentence(grader | {"judge_asked": 5}, 40)
    assert asked.endswith("It and the symbolic check never disagreed.")
    many = grader_sentence(grader | {"judge_asked": 5, "disagreements": [{}] * 3}, 2)
    assert many.endswith("disagreed 3 times; the first 2 are below, all are in report.json.")


def test_shared_errors_in_words() -> None:
    base = {"who": "base", "wrong": 214, "both": 6, "same": 1}
    student = {"who": "R1", "wrong": 88, "both": 3, "same": 2}
    assert shared_sentence([base, student]) == (
        "Of 88 wrong answers of R1 to problems that the teacher was asked too, 3 fell on ones that "
        "it got wrong, and 2 gave the teacher’s very value; the base gave it 1 time in 214."
    )
    assert shared_sentence([base]) == ""
