"""The sentences a report opens with are true of the numbers they were made from."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from potstill.errors import StudyError
from potstill.evaluation import Answered, evaluate
from potstill.records import Outcome, Role, Split
from potstill.report.numbers import report_numbers
from potstill.report.phrases import about, clip, p_value, percent, points, shown
from support.report_sample import CONDITIONS, LADDER, answers, report_data


def told(rows: list[Answered], **others: object) -> list[str]:
    """The claims made of these answers."""
    numbers = report_numbers(report_data(evaluate(rows, CONDITIONS), **others))
    return [claim["text"] for claim in numbers["claims"]]


def test_the_first_claim_is_the_primary_comparison() -> None:
    evaluation = evaluate(answers(), CONDITIONS)
    c = evaluation.comparisons[0]
    first = told(answers())[0]
    r1 = next(x for x in evaluation.levels if x.level == "R1" and x.group == "all")
    assert first == (
        f"Set beforehand: R1 answers {percent(r1.accuracy)} % of 330 held-out problems (95 % "
        f"{points(r1.low)} to {points(r1.high)}); the base {percent(c.accuracy_b)} %; the "
        f"difference of {points(c.difference)} points ({points(c.low)} to {points(c.high)}, "
        f"{p_value(c.p)}) is beyond chance."
    )


def test_a_comparison_made_primary_afterwards_is_not_said_to_be_set_beforehand() -> None:
    first = told(answers(), declared=False)[0]
    assert first.startswith("Made the primary comparison when held-out answers were known")
    assert not any("Set beforehand" in text for text in told(answers(), declared=False))


def test_the_ladder_and_the_teacher_follow() -> None:
    texts = told(answers())
    assert texts[1].startswith("The best of 6, R2, answers ")
    assert texts[1].endswith("It was picked after the figures were known, which flatters it.")
    assert texts[2].startswith("R6 answers ")
    assert "words where R1 uses 6" in texts[2]
    assert texts[3] == (
        "R3, R4, R5 and R6 stand below R1 beyond chance; R2 cannot be told from R1 (corrected for "
        "5 comparisons)."
    )
    assert texts[4].startswith("The teacher, pocket-teacher, answers ")
    assert "under its own condition, so this describes and does not test" in texts[4]


def test_several_seeds_say_their_mean_and_spread() -> None:
    assert "(mean of 3 seeds, sd " in told(answers(seeds=3))[0]


def test_too_few_problems_say_how_many_would_do() -> None:
    first = told(answers(n=96, ladder={"R1": (0.54, 60)}, base=0.58))[0]
    assert "cannot be told from zero with 96 problems; about " in first
    assert first.endswith("would be needed.")
    assert "beyond chance" not in first


def test_a_loss_is_called_one() -> None:
    first = told(answers(ladder={"R1": (0.3, 60)}))[0]
    assert "it stands " in first
    assert "points below the base" in first


def test_no_difference_is_called_none() -> None:
    first = told(answers(n=50, ladder={"R1": (0.0, 60)}, base=0.0))[0]
    assert "over 50 problems no difference is seen (−" in first


def test_a_student_that_solves_nothing_is_said_to() -> None:
    texts = told(answers(n=86, ladder={"R1": (0.1, 60), "R6": (0.05, 4)}, base=0.12))
    assert texts[0].startswith("Set beforehand: R1 answers ")
    assert " of 86 held-out problems (95 % " in texts[0]
    assert "; it does not solve these problems; the base " in texts[0]
    assert texts[1].startswith("No level solves them: the best, R")


def test_errors_block_the_claim() -> None:
    rows = [
        dataclasses.replace(x, outcome=Outcome.ERRORED)
        if x.level == "R1" and x.problem_id in ("p0001", "p0002")
        else x
        for x in answers()
    ]
    first = told(rows)[0]
    assert "No difference between R1 and the base is claimed, for 2 responses ended in" in first
    assert "Run the study again: they are asked again." in first
    assert "beyond chance" not in first


def test_seen_and_unseen_are_never_one_number() -> None:
    seen = answers(n=200, split=Split.TRAIN, ladder={"R1": (0.97, 60)})
    texts = told(answers() + seen)
    assert "330 held-out problems" in texts[0]
    assert texts[-1].startswith("Of the 200 problems of pocket it was trained on, R1 answers ")
    assert not any("530" in text for text in texts)


def test_every_set_has_its_own_claims_the_primary_first() -> None:
    rows = answers(n=86, set="competition", ladder={"R1": (0.1, 60)}) + answers()
    numbers = report_numbers(report_data(evaluate(rows, CONDITIONS, primary_set="pocket")))
    firsts = [c for c in numbers["claims"] if c["about"] == "student"]
    assert [c["set"] for c in firsts] == ["pocket", "competition"]
    assert "330 held-out problems of pocket" in firsts[0]["text"]


def test_truncation_is_told_where_it_is_common() -> None:
    rows = [
        dataclasses.replace(x, outcome=Outcome.TRUNCATED)
        if x.level == "R1" and x.problem_id < "p0040"
        else x
        for x in answers(ladder={"R1": (0.99, 60)})
    ]
    assert told(rows)[-1].startswith("Cut at the token limit, and so not right: 4")


def test_a_base_that_is_cut_is_told_beside_its_students() -> None:
    rows = [
        dataclasses.replace(x, outcome=Outcome.TRUNCATED)
        if x.role is Role.BASE or (x.level == "R1" and x.problem_id < "p0040")
        else x
        for x in answers(ladder={"R1": (0.99, 60)})
    ]
    assert told(rows)[-1] == (
        "Cut at the token limit, and so not right: 330 of 330 responses of the base and 40 of 330 "
        "responses of R1."
    )


def test_a_base_alone_and_nothing_at_all() -> None:
    base = [x for x in answers() if x.role is Role.BASE]
    rows = base + [x for x in answers() if x.role is Role.TEACHER]
    assert told(rows)[0].startswith("The base answers ")
    data = report_data()
    empty = dataclasses.replace(data, scores=(), levels=(), comparisons=())
    assert report_numbers(empty)["claims"] == []


def test_numbers_that_contradict_each_other_are_refused() -> None:
    data = report_data()
    bad = dataclasses.replace(data.scores[0], n=331)
    with pytest.raises(StudyError, match="sum to 330, not to its 331"):
        report_numbers(dataclasses.replace(data, scores=(bad,)))
    with pytest.raises(StudyError, match="is not in the report"):
        report_numbers(dataclasses.replace(data, conditions=()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00001, "p < 0.0001"),
        (0.0312, "p = 0.031"),
        (0.0499, "p = 0.0499"),
        (0.04975, "p = 0.0498"),
        (0.049999, "p = 0.049999"),
        (0.05, "p = 0.050"),
        (0.0502, "p = 0.050"),
        (0.00052, "p = 0.0005"),
        (0.314, "p = 0.31"),
        (1.0, "p = 1"),
        (None, ""),
    ],
)
def test_p_values(value: float | None, text: str) -> None:
    assert p_value(value) == text


def test_numbers_in_words() -> None:
    found: list[Any] = [points(-0.0404, sign=True), points(0.236, sign=True), points(0.0001)]
    assert found == ["−4.0", "+23.6", "0.0"]
    assert (about(1_146), about(96), about(12_311)) == ("1,150", "96", "12,400")
    assert shown("a\x00b\x1b[31m\x7f") == "a␀b␛[31m␡"
    assert clip("x" * 3_000).endswith("… (the first 2,000 of 3,000 characters)")
    assert len(LADDER) == 6
