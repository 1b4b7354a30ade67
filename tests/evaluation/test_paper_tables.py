"""The authors' tables from their counts, each figure to the digit, with the interval it lacks.

What they cannot support: 514 of the 671 problems had been trained on, the levels were scored on
different problems under different limits, and a spread over seeds is not a sampling error.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from potstill.evaluation import Answered, score
from potstill.evaluation.published import Published, limits_of
from potstill.records import Outcome, Role, Score, Split

Table = Callable[[str], list[dict[str, str]]]


@pytest.fixture(scope="session")
def table(data: Path) -> Table:
    """A reader of the rows of one of their files."""

    def read(name: str) -> list[dict[str, str]]:
        with (data / "paper" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read


def scored(correct: int, total: int) -> Score:
    """The score of a student with these counts."""
    answers = [
        Answered(
            solver="student",
            role=Role.STUDENT,
            level="R1",
            seed=0,
            set="competition",
            split=Split.TRAIN,
            problem_id=str(i),
            groups={},
            condition_id="theirs",
            outcome=Outcome.CORRECT if i < correct else Outcome.WRONG,
            words=0,
            tokens=0,
        )
        for i in range(total)
    ]
    return score(answers)[0]


def test_the_headline_has_an_interval_wider_than_its_gain(table: Table) -> None:
    counts = {r["deepseek_verdict"]: r for r in table("verdict_overall_no_skipped.csv")}
    correct, wrong = (int(counts[k]["Count"]) for k in ("CORRECT", "INCORRECT"))
    found = scored(correct, correct + wrong)
    assert (found.n, f"{100 * found.accuracy:.2f}") == (651, counts["CORRECT"]["Percentage (%)"])
    assert f"{100 * found.accuracy:.2f}" == "69.43"
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == (65.8, 72.8)
    # The base's 64.67 % lies a point below an interval seven points wide.
    assert found.high - found.low > 0.0694


def test_the_skipped_count_as_not_right(table: Table) -> None:
    counts = {r["deepseek_verdict"]: int(r["Count"]) for r in table("verdict_overall.csv")}
    found = scored(counts["CORRECT"], sum(counts.values()))
    printed = {r["deepseek_verdict"]: r["Percentage (%)"] for r in table("verdict_overall.csv")}
    assert 100 * found.accuracy == pytest.approx(float(printed["CORRECT"]), abs=1e-12)
    for outcome, n in counts.items():
        share = Published("overall", outcome, n, sum(counts.values()))
        assert 100 * share.accuracy == pytest.approx(float(printed[outcome]), abs=1e-12)
        assert share.interval.low < share.accuracy < share.interval.high


def test_the_wrong_answers_of_the_headline(table: Table) -> None:
    rows = {r["deepseek_verdict"]: r for r in table("verdict_overall_no_skipped.csv")}
    wrong = Published("overall", "wrong", int(rows["INCORRECT"]["Count"]), 651)
    assert f"{100 * wrong.accuracy:.2f}" == rows["INCORRECT"]["Percentage (%)"]


@pytest.mark.parametrize("name", ["accuracy_summary.csv", "accuracy_summary_filtered.csv"])
def test_every_level_section_and_year(table: Table, name: str) -> None:
    rows = table(name)
    assert len(rows) == 95
    for r in rows:
        found = scored(int(r["correct"]), int(r["total"]))
        assert round(100 * found.accuracy, 2) == pytest.approx(
            float(r["accuracy_pct"]), abs=1e-9
        ), r
        assert found.low < found.accuracy < found.high
    for level in {r["level"] for r in rows}:
        of = {
            b: [r for r in rows if (r["level"], r["breakdown"]) == (level, b)]
            for b in ("overall", "section", "year")
        }
        for part in ("section", "year"):
            for what in ("correct", "total"):
                assert sum(int(r[what]) for r in of[part]) == int(of["overall"][0][what])


def test_the_ladder_was_scored_on_different_problems(table: Table) -> None:
    totals = {r["total"] for r in table("accuracy_summary_filtered.csv") if r["group"] == "all"}
    assert totals == {"598", "601"}


@pytest.mark.parametrize("suffix", ["", "_no_skipped"])
def test_sections_and_years_add_up_to_the_whole(table: Table, suffix: str) -> None:
    whole = {r["deepseek_verdict"]: int(r["Count"]) for r in table(f"verdict_overall{suffix}.csv")}
    for part in ("section", "year"):
        rows = table(f"verdict_by_{part}{suffix}.csv")
        for outcome, n in whole.items():
            assert sum(int(r[outcome]) for r in rows) == n, (part, outcome)


@pytest.mark.parametrize("part", ["section", "year"])
@pytest.mark.parametrize("suffix", ["", "_no_skipped"])
def test_every_section_and_year_of_the_verdicts(table: Table, part: str, suffix: str) -> None:
    figures = []
    for r in table(f"verdict_by_{part}{suffix}.csv"):
        counts = {k: int(v) for k, v in r.items() if k != part}
        figure = Published(part, r[part], counts["CORRECT"], sum(counts.values()))
        found = scored(figure.correct, figure.n)
        assert (found.low, found.high) == (figure.interval.low, figure.interval.high)
        assert found.low < found.accuracy < found.high
        figures.append(figure)
    limits = limits_of(figures)
    assert limits[0].startswith("The figures are over ")
    assert limits[-1].endswith("their order is not shown.")
    if part == "year":
        assert "15 of 15 figures have an interval of" in limits[1]


def test_the_years_difficulty_is_a_mean_of_whole_ratings(table: Table, data: Path) -> None:
    for r in table("yearly_difficulty_average.csv"):
        asked = json.loads((data / "competition" / f"{r['Year']}.json").read_text("utf-8"))
        n = sum(len(section) for section in asked.values())
        mean = float(r["Average Difficulty"])
        total = round(mean * n)  # the skipped were rated too, though 20 have no text
        assert total / n == pytest.approx(mean, abs=1e-12), r
        assert round(1_000 * total / n) / 100 == float(r["Difficulty Percentage"].rstrip("%"))


def test_the_cells_were_split_alike_and_lose_more_as_they_shorten(table: Table) -> None:
    rows = table("summary.csv")
    losses = [float(r["test_loss"]) for r in rows]
    for r in rows:
        parts = [int(r[f"n_{x}"]) for x in ("train", "valid", "test")]
        total = int(r["n_total"])
        assert (sum(parts), parts[:2]) == (total, [int(0.8 * total), int(0.1 * total)])
        assert r["train_ok"] == "True"
    assert [r["level"] for r in rows] == ["1", "2", "3", "4", "5"]
    assert losses == sorted(losses)  # one run a level: a loss without a spread has no interval


def test_what_the_headline_cannot_support() -> None:
    figure = Published("headline", "R1", 440, 671, seen=514, spread=0.0017)
    assert limits_of([figure]) == [
        "R1: 514 of the 671 problems had been trained on; seen and unseen are one number, which "
        "says nothing about new problems.",
        "R1: a spread of 0.17 points over seeds is not a sampling error, which is 1.8 points with "
        "671 problems.",
    ]


def test_what_the_ladder_cannot_support(table: Table) -> None:
    rows = [r for r in table("accuracy_summary_filtered.csv") if r["group"] == "all"]
    why = "the teacher's being right"
    figures = [
        Published("ladder", r["level"], int(r["correct"]), int(r["total"]), chosen=why)
        for r in rows
    ]
    limits = limits_of(figures)
    assert sum("chosen by the teacher's being right" in x for x in limits) == 5
    assert "The figures are over 598 to 601 problems" in limits[5]
    # R2 and R3 lie within each other's interval, and so do R5 and R6; the rest are apart.
    assert limits[6].startswith("In 2 of 10 pairs")
    with pytest.raises(ValueError, match="one table"):
        limits_of([figures[0], Published("other", "R1", 1, 2)])


def test_equal_sizes_are_not_yet_pairs() -> None:
    limits = limits_of([Published("t", "a", 900, 1_000), Published("t", "b", 100, 1_000)])
    assert limits == [
        "Counts alone do not say which problems two figures share: no paired test can be made of "
        "them."
    ]


def test_the_long_run_overfits(table: Table) -> None:
    losses = {
        int(r["iteration"]): float(r["validation_loss"])
        for r in table("long_run_losses.csv")
        if r["validation_loss"]
    }
    best = min(losses, key=losses.__getitem__)
    assert (best, losses[best], losses[400], losses[1_000]) == (200, 0.374, 0.555, 0.826)
