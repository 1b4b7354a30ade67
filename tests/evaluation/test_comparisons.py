"""Comparisons are made under one condition, on the same problems, or say why not."""

from __future__ import annotations

import dataclasses
import random

import pytest

from potstill.errors import StudyError
from potstill.evaluation import Kind, compare, evaluate
from potstill.evaluation.statistics import mcnemar_exact
from potstill.records import Role
from support.paired_answers import CONDITIONS, LONGER, cell


def test_student_against_base() -> None:
    student = cell(Role.STUDENT, "R1", "1" * 40 + "0" * 10 + "1" * 50)
    base = cell(Role.BASE, "", "0" * 30 + "1" * 30 + "0" * 40)
    found = compare(student, base, CONDITIONS, kind=Kind.PRIMARY)
    assert (found.a, found.b, found.n) == ("R1", "base", 100)
    assert (found.only_a, found.only_b) == (70, 10)
    assert found.difference == pytest.approx(found.accuracy_a - found.accuracy_b)
    assert found.p == mcnemar_exact(70, 10)
    assert found.beyond_chance
    assert found.needed is not None
    assert found.needed < 100
    assert (found.blocked, found.next_step, found.differs) == (0, "", ())


def test_other_conditions_are_refused_and_named() -> None:
    student = cell(Role.STUDENT, "R1", "10")
    with pytest.raises(StudyError, match=r"differ in template, sampling\.max_tokens"):
        compare(student, cell(Role.BASE, "", "10", LONGER), CONDITIONS)
    unknown = [dataclasses.replace(x, condition_id="gone") for x in student]
    with pytest.raises(StudyError, match="condition gone of R1-0 is not on record"):
        compare(unknown, cell(Role.BASE, "", "10"), CONDITIONS)
    with pytest.raises(StudyError, match="answered under 2 conditions"):
        compare(
            student + cell(Role.STUDENT, "R1", "1", LONGER, 1),
            cell(Role.BASE, "", "10"),
            CONDITIONS,
        )


def test_other_problems_are_refused() -> None:
    with pytest.raises(StudyError, match=r"did not answer the same problems.*1 differ, p001 first"):
        compare(cell(Role.STUDENT, "R1", "11"), cell(Role.BASE, "", "1-"), CONDITIONS)
    with pytest.raises(StudyError, match="one side has no answers"):
        compare([], cell(Role.BASE, "", "1"), CONDITIONS)


def test_the_teacher_is_described_not_tested() -> None:
    teacher = cell(Role.TEACHER, "", "1" * 90 + "-" * 10, LONGER)
    found = compare(cell(Role.STUDENT, "R1", "1" * 50 + "0" * 50), teacher, CONDITIONS)
    assert found.kind is Kind.DESCRIPTIVE
    assert (found.n, found.p, found.needed) == (90, None, None)
    assert found.differs == ("template", "sampling.max_tokens")
    assert not found.beyond_chance


def test_errored_responses_block_the_claim() -> None:
    student = cell(Role.STUDENT, "R1", "1" * 97 + "EEE")
    found = compare(student, cell(Role.BASE, "", "0" * 100), CONDITIONS)
    assert found.blocked == 3
    assert "asked again" in found.next_step
    assert not found.beyond_chance


def test_a_small_difference_says_how_many_would_do() -> None:
    base = "0" * 10 + "1" * 6 + "10" * 40
    student = "1" * 10 + "0" * 6 + "10" * 40
    found = compare(cell(Role.STUDENT, "R1", student), cell(Role.BASE, "", base), CONDITIONS)
    assert not found.beyond_chance
    assert found.needed is not None
    assert found.needed > 96
    assert found.detectable is not None
    assert found.detectable > abs(found.difference)


def test_evaluate_declares_one_primary_and_corrects_the_rest() -> None:
    rng = random.Random(6)
    answers = cell(Role.BASE, "", "".join(rng.choice("01") for _ in range(120)))
    for level, ease in (("R2", 0.8), ("R1", 0.85), ("R6", 0.2)):
        for seed in range(2):
            marks = "".join("1" if rng.random() < ease else "0" for _ in range(120))
            answers += cell(Role.STUDENT, level, marks, seed=seed)
    answers += cell(Role.TEACHER, "", "1" * 110 + "0" * 10, LONGER)
    found = evaluate(answers, CONDITIONS)
    by_pair = {(c.a, c.b): c for c in found.comparisons}
    assert set(by_pair) == {
        *((level, "base") for level in ("R1", "R2", "R6")),
        *((level, "R1") for level in ("R2", "R6")),
        *((level, "teacher") for level in ("R1", "R2", "R6", "base")),
    }
    assert [k for k, c in by_pair.items() if c.kind is Kind.PRIMARY] == [("R1", "base")]
    assert by_pair["R1", "base"].p_holm is None
    assert by_pair["R6", "R1"].p_holm is not None
    assert by_pair["R6", "R1"].p_holm >= (by_pair["R6", "R1"].p or 0)
    assert len(found.scores) == 8
    assert len(found.levels) == 5
    moved = evaluate(answers, CONDITIONS, primary=("R2", "base"))
    assert [(c.a, c.b) for c in moved.comparisons if c.kind is Kind.PRIMARY] == [("R2", "base")]
    with pytest.raises(StudyError, match="names the level R9, which was not scored"):
        evaluate(answers, CONDITIONS, primary=("R9", "base"))
    specs = evaluate(answers, CONDITIONS, primary=("R1", "R6"))
    (primary,) = [c for c in specs.comparisons if c.kind is Kind.PRIMARY]
    assert (primary.a, primary.b, primary.p_holm) == ("R1", "R6", None)
    with pytest.raises(StudyError, match="names the opponent teacher"):
        evaluate(answers, CONDITIONS, primary=("R1", "teacher"))
    with pytest.raises(StudyError, match="of R1 with R1 is not among those made"):
        evaluate(answers, CONDITIONS, primary=("R1", "R1"))


def test_nothing_scored_is_nothing_found() -> None:
    assert evaluate([], {}).scores == ()


# beside "1" * 20: p = 2 / 2**10, 2 / 2**6 and 1
TEN_FEWER, SIX_FEWER, NONE_FEWER = "0" * 10 + "1" * 10, "0" * 6 + "1" * 14, "1" * 20


def test_auto_is_set_beside_every_level_and_the_declared_one_is_not_corrected() -> None:
    answers = cell(Role.BASE, "", NONE_FEWER) + cell(Role.STUDENT, "auto", NONE_FEWER)
    for level, right in (("R1", TEN_FEWER), ("R3", SIX_FEWER), ("R6", NONE_FEWER)):
        answers += cell(Role.STUDENT, level, right)
    found = {
        c.b: c
        for c in evaluate(answers, CONDITIONS, primary=("auto", "R1")).comparisons
        if c.a == "auto" and c.b != "base"
    }
    assert list(found) == ["R1", "R3", "R6"]
    assert (found["R1"].kind, found["R1"].p_holm) == (Kind.PRIMARY, None)
    assert found["R3"].p_holm == pytest.approx(2 * 2 / 2**6)
    assert found["R6"].p_holm == 1


def test_two_controls_of_one_level_keep_each_its_own_corrected_p() -> None:
    answers = cell(Role.BASE, "", NONE_FEWER) + cell(Role.STUDENT, "R0", NONE_FEWER)
    answers += cell(Role.STUDENT, "unverified", TEN_FEWER) + cell(Role.STUDENT, "wrong", SIX_FEWER)
    found = {
        c.b: c.p_holm
        for c in evaluate(answers, CONDITIONS).comparisons
        if c.a == "R0" and c.b != "base"
    }
    assert found["unverified"] == pytest.approx(2 * 2 / 2**10)
    assert found["wrong"] == pytest.approx(2 / 2**6)
