from __future__ import annotations

import itertools

from potstill.report.findings import ladder_rows, shared_sentence, trend_sentence
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
        assert any(x["accuracy"] >= row["accuracy"] and x["tokens"] <= row["tokens"] for x in best)
    for row in rows:
        right = row["outcomes"]["CORRECT"]
        assert round(row["tokens_per_right"] * right) == round(row["tokens"] * row["n"])


def test_a_trend_is_claimed_only_where_there_is_one() -> None:
    trend = {"levels": ["R1", "R6"], "n": 96, "slope": -0.1, "low": -0.2, "high": -0.02, "p": 0.01}
    text = "From R1 to R6, over 96 problems, accuracy falls: −10.0 points a level"
    assert trend_sentence({"trend": trend}).startswith(text)
    for changes in ({"p": 0.06}, {"high": 0.01}):
        assert "no trend can be told" in trend_sentence({"trend": trend | changes})


def test_shared_errors_in_words() -> None:
    base = {"who": "base", "wrong": 214, "both": 6, "same": 1}
    student = {"who": "R1", "wrong": 88, "both": 3, "same": 2}
    assert shared_sentence([base, student]) == (
        "Of 88 wrong answers of R1, 3 fell on problems that the teacher got wrong too, and 2 gave "
        "the teacher’s very value; the base gave it 1 time in 214."
    )
    assert shared_sentence([base]) == ""
