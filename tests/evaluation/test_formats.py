"""What format may make of a difference: counts that add up, and bounds worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import StudyError
from potstill.evaluation import compare, evaluate, join, score, summarise
from potstill.evaluation.scores import check_readings
from potstill.evaluation.side_by_side import side_by_side
from potstill.records import (
    DecidedBy,
    Finish,
    Outcome,
    Problem,
    Reading,
    Response,
    Role,
    Split,
    TextGold,
    Verdict,
)
from support.marks import CONDITIONS, LETTERS, answered

# ten problems: the base talks, the student boxes; the last has no readable key
BASE, STUDENT = "SSSUUDbbCK", "BBBBBBBbCK"


@given(st.text(st.sampled_from(sorted(LETTERS)), min_size=1, max_size=40))
def test_readings_add_up_beside_the_outcomes(marks: str) -> None:
    (found,) = score(answered(Role.BASE, "", marks))
    assert set(found.readings) == set(found.readings_right) == {r.value for r in Reading}
    assert sum(found.readings.values()) == sum(found.outcomes.values()) == len(marks)
    assert sum(found.readings_right.values()) == found.outcomes["CORRECT"]
    assert found.readings["unread"] == found.outcomes["UNPARSED"] + found.outcomes["UNDECIDED"]
    assert found.readings["cut"] == found.outcomes["TRUNCATED"]


def test_readings_of_a_base_that_talks_and_a_student_that_boxes() -> None:
    rows = answered(Role.BASE, "", BASE) + answered(Role.STUDENT, "R1", STUDENT)
    base, student = summarise(rows)
    assert base.readings == {"box": 2, "stated": 3, "unread": 3, "cut": 1, "none": 1}
    assert base.readings_right == {"box": 0, "stated": 3, "unread": 0, "cut": 0, "none": 0}
    assert student.readings == {"box": 8, "stated": 0, "unread": 0, "cut": 1, "none": 1}
    assert student.readings_right == {"box": 7, "stated": 0, "unread": 0, "cut": 0, "none": 0}


def test_bounds_by_hand() -> None:
    # 9 problems with a key: student 7 right, base 3; three of the base's answers are unread
    found = compare(
        answered(Role.STUDENT, "R1", STUDENT), answered(Role.BASE, "", BASE), CONDITIONS
    )
    bounds = found.format
    assert (found.n, found.difference) == (9, pytest.approx(4 / 9))
    assert (bounds.boxed_a, bounds.boxed_b) == (pytest.approx(7 / 9), 0.0)
    assert bounds.boxed == pytest.approx(7 / 9)
    assert (bounds.unread_a, bounds.unread_b) == (0, 3)
    assert bounds.least == pytest.approx(1 / 9)
    assert bounds.most == pytest.approx(4 / 9)


def test_bounds_by_hand_over_seeds() -> None:
    # seed 0 has 7 of 9 right, seed 1 has 5 and two unread: 12/18; the base as above
    student = answered(Role.STUDENT, "R1", STUDENT)
    student += answered(Role.STUDENT, "R1", "BBBUUBBbCK", seed=1)
    found = compare(student, answered(Role.BASE, "", BASE), CONDITIONS)
    assert found.difference == pytest.approx(12 / 18 - 3 / 9)
    assert (found.format.unread_a, found.format.unread_b) == (2, 3)
    assert found.format.least == pytest.approx(12 / 18 - 6 / 9)
    assert found.format.most == pytest.approx(14 / 18 - 3 / 9)
    assert found.format.boxed == pytest.approx(12 / 18)


def test_turned_round_everything_changes_its_sign() -> None:
    student, base = answered(Role.STUDENT, "R1", STUDENT), answered(Role.BASE, "", BASE)
    one, other = (
        compare(student, base, CONDITIONS).format,
        compare(base, student, CONDITIONS).format,
    )
    assert (one.least, one.most) == (pytest.approx(-other.most), pytest.approx(-other.least))
    assert (one.unread_a, one.unread_b) == (other.unread_b, other.unread_a)
    assert one.boxed == pytest.approx(-other.boxed)


def study(unread_right: int) -> tuple[str, str]:
    """300 problems: the base 180 right and 27 unread, the student 216 right.

    The student has right what the base has, ``unread_right`` of the base's unread ones, and as many
    more as make 36: a difference of 12 points, of which 9 may be format.
    """
    base = "S" * 180 + "U" * 27 + "s" * 93
    more = 36 - unread_right
    student = "B" * 180 + "B" * unread_right + "b" * (27 - unread_right) + "B" * more
    return base, student + "b" * (93 - more)


def test_a_claim_that_does_not_survive() -> None:
    base, student = study(unread_right=20)
    found = compare(
        answered(Role.STUDENT, "R1", student), answered(Role.BASE, "", base), CONDITIONS
    )
    assert found.difference == pytest.approx(0.12)
    assert found.beyond_chance
    assert found.format.least == pytest.approx(0.03)
    # the unread ones right: 16 problems for the student alone and 7 for the base alone;
    # exact McNemar is twice the sum of C(23, 0..7) over 2^23
    terms = (1, 23, 253, 1_771, 8_855, 33_649, 100_947, 245_157)
    assert found.format.p == pytest.approx(2 * sum(terms) / 2**23)
    assert found.format.low < 0 < found.format.high
    assert not found.survives_format


def test_a_claim_that_survives() -> None:
    base, student = study(unread_right=27)
    found = compare(
        answered(Role.STUDENT, "R1", student), answered(Role.BASE, "", base), CONDITIONS
    )
    # 9 problems for the student alone, none for the base alone
    assert found.format.p == pytest.approx(2 / 2**9)
    assert found.survives_format


def test_unread_answers_of_the_higher_side_count_for_it_and_not_against() -> None:
    base, student = "s" * 60 + "S" * 40, "B" * 50 + "U" * 10 + "B" * 40
    found = compare(
        answered(Role.STUDENT, "R1", student), answered(Role.BASE, "", base), CONDITIONS
    )
    assert (found.format.least, found.format.most) == (pytest.approx(0.5), pytest.approx(0.6))
    assert (found.format.p, found.format.low) == (found.p, found.low)
    assert found.survives_format


def test_a_student_that_stands_below_may_only_talk() -> None:
    base, student = study(unread_right=20)
    found = compare(
        answered(Role.STUDENT, "R1", base), answered(Role.BASE, "", student), CONDITIONS
    )
    assert found.difference == pytest.approx(-0.12)
    assert found.format.most == pytest.approx(-0.03)
    assert found.beyond_chance
    assert not found.survives_format


def test_the_bounds_are_corrected_with_the_comparisons() -> None:
    base, one = study(unread_right=27)
    _, two = study(unread_right=26)
    rows = answered(Role.BASE, "", base)
    for level, marks in (("R1", one), ("R2", two), ("R3", two)):
        rows += answered(Role.STUDENT, level, marks)
    found = {c.a: c for c in evaluate(rows, CONDITIONS).comparisons if c.b == "base"}
    assert (found["R1"].p_holm, found["R1"].format.p_holm) == (None, None)  # the primary one
    # of R2 and R3 alike: 10 against 1 at their bound, each p doubled by Holm
    p = 2 * (1 + 11) / 2**11
    assert found["R2"].format.p == pytest.approx(p)
    assert found["R2"].format.p_holm == pytest.approx(2 * p)
    assert found["R2"].survives_format


def test_what_is_not_tested_claims_nothing() -> None:
    teacher = answered(Role.TEACHER, "", "B" * 200 + "U" * 100)
    found = compare(answered(Role.BASE, "", "b" * 300), teacher, CONDITIONS)
    assert (found.format.p, found.survives_format) == (None, False)
    assert found.format.unread_b == 100


def test_two_studies_side_by_side_say_it_of_b_less_a() -> None:
    base, student = study(unread_right=20)
    (row,) = side_by_side(
        answered(Role.STUDENT, "R1", base), answered(Role.STUDENT, "R1", student), CONDITIONS
    )
    assert row.format is not None
    assert row.difference == pytest.approx(0.12)
    assert (row.format.unread_a, row.format.unread_b) == (27, 0)
    assert row.format.least == pytest.approx(0.03)
    assert (row.beyond_chance, row.survives_format) == (True, False)


def test_readings_that_contradict_the_outcomes_are_refused() -> None:
    (found,) = score(answered(Role.BASE, "", BASE))
    check_readings(found.outcomes, {}, {}, "an older report")
    lost = dict(found.readings) | {"unread": 0}
    with pytest.raises(StudyError, match="told of 7 and not of 10"):
        check_readings(found.outcomes, lost, found.readings_right, "base")
    right = dict(found.readings_right) | {"box": 1}
    with pytest.raises(StudyError, match="told of 4 and not of 3"):
        check_readings(found.outcomes, found.readings, right, "base")
    assert dataclasses.replace(found, readings={}, readings_right={}).n == 10


def test_the_rule_of_a_verdict_says_how_its_answer_was_read() -> None:
    problems = [Problem(f"p{i}", "?", TextGold("5"), "integer", "s") for i in range(3)]
    responses = [
        Response("base", p.id, "c", 0, 0, "", "It is 5.", Finish.STOP, 1, 1, "k") for p in problems
    ]
    rules = (("boxed", Outcome.CORRECT), ("sentence", Outcome.CORRECT), ("", Outcome.UNPARSED))
    verdicts = [
        Verdict(r.response_id, r.problem_id, outcome, "5", rule, DecidedBy.SYMBOLIC)
        for r, (rule, outcome) in zip(responses, rules, strict=True)
    ]
    rows = join(responses, verdicts, problems, role=Role.BASE, set="s", split=Split.HELDOUT)
    assert [x.reading for x in rows] == [Reading.BOX, Reading.STATED, Reading.UNREAD]
    assert [x.right_in_a_box for x in rows] == [True, False, False]
    assert [x.unread for x in rows] == [False, False, True]
