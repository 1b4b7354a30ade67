"""What a first reader meets: a sentence true of the figures, who is who, and near duplicates."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from potstill.evaluation import Answered, evaluate
from potstill.evaluation.near_duplicates import near_duplicates
from potstill.records import Outcome, Role
from potstill.report.agreement import disagreements, why_apart
from potstill.report.build import build_report
from potstill.report.data import OverlapPair
from potstill.report.findings import cause_sentence, ladder_rows, trend_sentence
from potstill.report.glossary import GLOSSARY
from potstill.report.numbers import report_numbers
from potstill.report.phrases import group_name
from potstill.report.views import Place
from support.marks import CONDITIONS, HERE, THERE, answered
from support.report_sample import report_data

ROOT = Path(__file__).resolve().parents[2]
PLACE = Place("pocket", "heldout")
# 100 problems, right answers in a box (B), wrong ones too (b)
BASE = "B" * 40 + "b" * 60
R1 = "B" * 70 + "b" * 30
R3 = "B" * 80 + "b" * 20
TEACHER = "B" * 95 + "b" * 5


def rows_of(**solvers: str) -> list[Answered]:
    """The answers of solvers, named as in the tables."""
    roles = {"base": Role.BASE, "teacher": Role.TEACHER}
    return [
        row
        for name, marks in solvers.items()
        for row in answered(roles.get(name, Role.STUDENT), "" if name in roles else name, marks)
    ]


def numbers_of(rows: list[Answered], alike: int = 0, **others: Any) -> dict[str, Any]:
    evaluation = evaluate(rows, CONDITIONS)
    ids = [f"p{i:04}" for i in range(alike)]
    pairs = tuple(OverlapPair(i, f"t{i}", "masked numbers", 1.0, "both kept") for i in ids)
    fields: dict[str, Any] = {
        "conditions": (HERE, THERE),
        "training": (),
        "causes": (),
        "grader": None,
        "overlap": pairs,
        "near_duplicates": near_duplicates(rows, ids, CONDITIONS, evaluation.comparisons),
        "base": "tiny/base-1B",
    }
    return report_numbers(report_data(evaluation, **(fields | others)))


def sentence(**solvers: str) -> str:
    text: str = numbers_of(rows_of(**solvers))["opening"]["sentence"]
    return text


def claims_about(about: str, numbers: dict[str, Any]) -> list[str]:
    return [claim["text"] for claim in numbers["claims"] if claim["about"] == about]


def test_base_and_student_are_told_in_one_measure() -> None:
    few = "B" * 3 + "b" * 97
    assert "solves 3; the same model before training 3" in sentence(base=few, R1=few)
    twice = rows_of(base=few, R1=few) + answered(Role.STUDENT, "R1", few, seed=1)
    told = numbers_of(twice)["opening"]["sentence"]
    assert "solves 3.0 %; the same model before training 3.0 %" in told


def test_the_sentence_names_the_best_student_its_base_and_the_teacher() -> None:
    assert sentence(base=BASE, R1=R1, R3=R3, teacher=TEACHER) == (
        "Of 100 problems kept out of training, the best student, R3, solves 80.0 %; the same model "
        "before training 40.0 %; the teacher 95.0 %."
    )
    assert sentence(base=BASE, R1=R1) == (
        "Of 100 problems kept out of training, the student, R1, solves 70.0 %; the same model "
        "before training 40.0 %."
    )


def test_the_sentence_says_what_is_no_gain() -> None:
    chance = "B" * 41 + "b" * 59
    assert sentence(base=BASE, R1=chance).endswith(
        "40.0 %; what lies between student and base may be chance."
    )
    assert sentence(base=R3, R1=BASE).endswith(
        "80.0 %; that is less than before training, beyond chance."
    )
    assert "solves 3;" in sentence(base="B" * 2 + "b" * 98, R1="B" * 3 + "b" * 97)
    failed = [
        row if row.level != "R1" or row.problem_id != "p0003" else _errored(row)
        for row in rows_of(base=BASE, R1=R1)
    ]
    text = numbers_of(failed)["opening"]["sentence"]
    assert text.endswith("; some calls failed, so nothing is claimed yet.")


def _errored(row: Answered) -> Answered:
    import dataclasses

    return dataclasses.replace(row, outcome=Outcome.ERRORED)


def test_without_students_and_without_anything() -> None:
    assert sentence(base=BASE, teacher=TEACHER) == (
        "Of 100 problems kept out of training, the base model solves 40.0 % and the teacher "
        "95.0 %; no student was scored."
    )
    empty = report_data(evaluate([], {}), conditions=(), causes=(), training=())
    assert report_numbers(empty)["opening"]["sentence"] == ""


def test_who_is_who() -> None:
    numbers = numbers_of(
        rows_of(base=BASE, R1=R1, R3=R3, **{"truncate-R3": BASE}, answer_only=BASE, teacher=TEACHER)
    )
    who = {x["name"]: x["told"] for x in numbers["opening"]["who"]}
    assert list(who) == ["base", "R1 and R3", "truncate-R3", "answer_only", "teacher"]
    assert who["base"] == "the small model, tiny/base-1B, before any training"
    assert "(65 and 17 words on average)" in who["R1 and R3"]  # of the sample's lessons
    assert "cut off at the length of R3’s" in who["truncate-R3"]
    assert who["teacher"] == "teacher-0, whose solutions were taught"


def test_a_mixed_student_is_said_to_learn_the_levels_that_it_learns() -> None:
    rows = rows_of(base=BASE, R1=R1, R3=R3, **{"mix-R1": R1, "mix-R3": R3})
    who = {x["name"]: x["told"] for x in numbers_of(rows)["opening"]["who"]}
    together = "a student trained on the solutions of R1 and R3 together"
    assert who["mix-R1"] == f"{together}, asked for R1"
    assert who["mix-R3"] == f"{together}, asked for R3"


def test_the_declared_comparison_and_the_best_stand_apart() -> None:
    numbers = numbers_of(rows_of(base=BASE, R1=R1, R3=R3))
    (declared,) = claims_about("student", numbers)
    assert declared.startswith("Set beforehand: R1 answers 70.0 % of 100 held-out problems")
    (best,) = claims_about("best", numbers)
    assert best.startswith("The best of 2, R3, answers 80.0 % of 100 (95 % ")
    assert best.endswith("It was picked after the figures were known, which flatters it.")
    assert claims_about("best", numbers_of(rows_of(base=BASE, R1=R3, R3=R1))) == []


def test_near_duplicates_are_told_with_the_accuracy_without_them() -> None:
    # of the last 25 problems R1 has 0 right, R3 5, the base 0: all it knows repeats training
    numbers = numbers_of(rows_of(base=BASE, R1=R1, R3=R3), alike=75)
    (text,) = claims_about("overlap", numbers)
    assert text == (
        "75 of these 100 problems repeat a problem of the training side, or nearly, with other "
        "numbers; R1 answers 0 of the other 25 (95 % 0.0 to 13.3), the base 0 of them, R3 20.0 %."
    )
    assert not any("unseen" in claim["text"] for claim in numbers["claims"])
    (text,) = claims_about("overlap", numbers_of(rows_of(base=BASE, R1=R1), alike=100))
    assert text.startswith("100 of these 100 problems repeat a problem")
    assert "problems of other kinds is not measured here" in text
    assert claims_about("overlap", numbers_of(rows_of(base=BASE, R1=R1))) == []


def test_an_interval_and_a_p_that_disagree_are_explained() -> None:
    def pair(low: float, high: float, p: float, p_holm: float | None = None) -> dict[str, Any]:
        return {"low": low, "high": high, "p": p, "p_holm": p_holm, "blocked": 0}

    assert why_apart(pair(0.01, 0.2, 0.02, 0.04)) == ""
    assert why_apart(pair(-0.01, 0.2, 0.2)) == ""
    assert "corrected for the number of comparisons" in why_apart(pair(0.01, 0.2, 0.02, 0.08))
    assert "calculated apart" in why_apart(pair(0.01, 0.2, 0.06))
    assert "its interval holds zero" in why_apart(pair(-0.01, 0.2, 0.04))
    assert why_apart({"low": 0.1, "high": 0.2, "p": None}) == ""
    assert disagreements(
        [("R5 to base", pair(-0.15, -0.012, 0.02, 0.06)), ("R1 to base", pair(0.1, 0.2, 0.001))]
    ) == [
        "Of R5 to base nothing is claimed, for only its interval leaves zero out: p is corrected "
        "for the number of comparisons, the interval is not (95 % −15.0 to −1.2, p = 0.060)."
    ]


def test_a_trend_that_turns_on_its_way_says_where() -> None:
    trend = {"levels": ["R1", "R2", "R3", "R6"], "n": 96, "slope": -0.1, "low": -0.2}
    ladder = {"set": "pocket", "trend": trend | {"high": -0.02, "p": 0.01}}

    def told(*accuracies: float) -> str:
        names = ["R1", "R2", "R3", "R6"]
        pairs = zip(names, accuracies, strict=True)
        levels = [{"role": "student", "level": x, "accuracy": y} for x, y in pairs]
        return trend_sentence(ladder, (), levels)

    assert told(0.7, 0.6, 0.6, 0.1).endswith("as a straight line.")
    assert told(0.7, 0.6, 0.8, 0.1).endswith(
        "as a straight line. It does not fall at every level: R3 (80.0 %) stands above R2 (60.0 %)."
    )


def test_the_base_is_in_the_front() -> None:
    # R1 has as few tokens as the base and less right
    rows = ladder_rows(numbers_of(rows_of(base=R1, R1=BASE, R3=R3, teacher=TEACHER)), PLACE)
    best = {row["label"]: row["best"] for row in rows}
    assert best == {"base": False, "R1": False, "R3": True, "teacher": False}
    rows = ladder_rows(numbers_of(rows_of(base=R3, R1=BASE)), PLACE)
    assert {row["label"]: row["best"] for row in rows} == {"base": True, "R1": False}


def test_it_is_said_of_how_many_no_cause_was_found() -> None:
    numbers = numbers_of(rows_of(base=BASE, R1=R1))
    numbers["causes"] = [
        {"set": "pocket", "split": "heldout", "who": who, "group": "all", "n": 100, "counts": c}
        for who, c in (
            ("base", {"sign": 5, "no working shown": 25, "other": 30}),
            ("R1", {"arithmetic slip": 13, "other": 17}),
        )
    ]
    assert cause_sentence(numbers, PLACE) == (
        "Of 90 answers not right, a cause was found for 18; for the other 72 (80.0 %) none was "
        "found: no working was shown, or none that can be checked."
    )


@pytest.mark.parametrize(
    ("group", "name"),
    [("family=means", "means (family)"), ("all", "all problems"), ("a=b=c", "b=c (a)")],
)
def test_groups_have_human_names(group: str, name: str) -> None:
    assert group_name(group) == name


def test_the_glossary_says_what_the_docs_say() -> None:
    docs = (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
    for word, meaning in GLOSSARY:
        assert f"| {word} | {meaning} |" in docs
    assert [word for word, _ in GLOSSARY] == sorted(word for word, _ in GLOSSARY)


def test_page_and_markdown_say_the_same_first_things_in_the_same_order(tmp_path: Path) -> None:
    rows = rows_of(base=BASE, R1=R1, R3=R3, teacher=TEACHER)
    evaluation = evaluate(rows, CONDITIONS)
    ids = [f"p{i:04}" for i in range(75)]
    data = report_data(
        evaluation,
        conditions=(HERE, THERE),
        overlap=tuple(OverlapPair(i, f"t{i}", "masked numbers", 1.0, "both kept") for i in ids),
        near_duplicates=near_duplicates(rows, ids, CONDITIONS, evaluation.comparisons),
    )
    place = build_report(data, tmp_path).parent
    page = (place / "index.html").read_text("utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<main>")[2]))
    markdown = (place / "report.md").read_text("utf-8")
    first = [
        "the best student, R3, solves 80.0 %",
        "the line on each bar is its 95 % interval",
        "whose solutions were taught",
        "Set beforehand: R1 answers",
        "75 of these 100 problems repeat a problem of the training side",
        "One seed was trained.",
        "no student trains on it, and no checkpoint is chosen by it",
    ]
    for said in (" ".join(text.replace("\N{NO-BREAK SPACE}", " ").split()), markdown):
        places = [said.find(x) for x in first]
        assert -1 not in places, first[places.index(-1)]
        assert places == sorted(places)
    for said in (page, markdown):
        assert "<details><summary>Which problems" in said
        assert said.index("<details><summary>Which problems") < said.index("tp0074")
    assert 'href="#glossary"' in page
    assert page.count("Why answers were not right</h3>") == 1
    assert "figures/causes.svg)" not in markdown
