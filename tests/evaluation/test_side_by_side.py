"""Two studies on one set: paired only where problems, conditions and grading are the same."""

from __future__ import annotations

import dataclasses

import pytest
from scipy.stats import binom

from potstill.evaluation import Answered
from potstill.evaluation.side_by_side import Beside, side_by_side
from potstill.evaluation.statistics import holm, newcombe_paired, square_and_add, wilson
from potstill.records import Role
from support.paired_answers import CONDITIONS, LONGER, cell

ONE = "1" * 60 + "0" * 40
TWO = "1" * 40 + "0" * 20 + "1" * 5 + "0" * 35  # 20 lost, 5 won


def moved(rows: list[Answered], by: int) -> list[Answered]:
    """The same answers to other problems, as many numbers on."""
    return [dataclasses.replace(x, problem_id=f"p{int(x.problem_id[1:]) + by:03}") for x in rows]


def rows_of(a: list[Answered], b: list[Answered], *graded: str) -> dict[str, Beside]:
    return {row.who: row for row in side_by_side(a, b, CONDITIONS, graded)}


def test_the_same_problems_are_paired_and_tested_exactly() -> None:
    found = rows_of(cell(Role.STUDENT, "R1", ONE), cell(Role.STUDENT, "R1", TWO))["R1"]
    assert found.paired
    assert not found.why
    assert (found.n, found.only_a, found.only_b) == (100, 20, 5)
    assert found.difference == pytest.approx(-0.15)
    assert found.p == pytest.approx(2 * binom.cdf(5, 25, 0.5))
    interval = newcombe_paired(40, 5, 20, 35)
    assert (found.low, found.high) == (interval.low, interval.high)
    assert found.bootstrap is not None
    assert found.bootstrap.low == pytest.approx(found.low, abs=0.02)
    assert found.bootstrap.high == pytest.approx(found.high, abs=0.02)
    assert found.beyond_chance
    assert found.a is not None
    assert (found.a.low, found.a.high) == (wilson(60, 100).low, wilson(60, 100).high)


def test_only_shared_problems_are_paired_and_each_keeps_its_own_accuracy() -> None:
    here, there = cell(Role.BASE, "", ONE), moved(cell(Role.BASE, "", ONE), 40)
    found = rows_of(here, there)["base"]
    assert found.paired
    assert found.n == 60
    assert (found.only_a, found.only_b) == (0, 40)  # 40..59 both, 60..99 B alone
    assert found.a is not None
    assert found.b is not None
    assert found.a.accuracy == found.b.accuracy == 0.6


@pytest.mark.parametrize("why", ["problems", "condition", "grading", "two"])
def test_anything_else_is_unpaired_and_says_why(why: str) -> None:
    here, there = cell(Role.STUDENT, "R1", ONE), cell(Role.STUDENT, "R1", TWO)
    graded = ()
    if why in ("problems", "two"):
        there = moved(there, 100)
    if why in ("condition", "two"):
        there = [dataclasses.replace(x, condition_id=LONGER.condition_id) for x in there]
    if why == "grading":
        graded = ("verify",)
    found = rows_of(here, there, *graded)["R1"]
    assert not found.paired
    assert (found.n, found.p, found.p_holm, found.bootstrap) == (0, None, None, None)
    assert not found.beyond_chance
    one, two = wilson(60, 100), wilson(45, 100)
    interval = square_and_add(0.45, two, 0.6, one, 0.0)
    assert found.difference == pytest.approx(-0.15)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    says = {
        "problems": ["they answered different problems"],
        "condition": ["they differ in template, sampling.max_tokens"],
        "grading": ["they differ in verify"],
        "two": ["different problems and they differ in template"],
    }[why]
    assert all(part in found.why for part in says)


def test_a_problem_set_that_only_grew_is_no_other_condition() -> None:
    grown = dataclasses.replace(next(iter(CONDITIONS.values())), problem_set="more")
    there = [
        dataclasses.replace(x, condition_id=grown.condition_id)
        for x in cell(Role.STUDENT, "R1", TWO)
    ]
    conditions = {**CONDITIONS, grown.condition_id: grown}
    (found,) = side_by_side(cell(Role.STUDENT, "R1", ONE), there, conditions)
    assert found.paired


def test_rows_stand_in_order_are_corrected_together_and_the_lonely_are_named() -> None:
    here = cell(Role.TEACHER, "", ONE) + cell(Role.STUDENT, "R2", ONE) + cell(Role.BASE, "", ONE)
    there = cell(Role.STUDENT, "R2", TWO) + cell(Role.BASE, "", ONE) + cell(Role.STUDENT, "R1", TWO)
    found = side_by_side(here, there, CONDITIONS)
    assert [row.who for row in found] == ["base", "R1", "R2", "teacher"]
    by_who = {row.who: row for row in found}
    assert by_who["R1"].why == "study B alone has it"
    assert by_who["teacher"].why == "study A alone has it"
    assert by_who["R1"].difference is None
    tested = [row for row in found if row.p is not None]
    assert [row.p_holm for row in tested] == holm([row.p for row in tested if row.p is not None])
    assert by_who["R2"].p_holm == pytest.approx(2 * (by_who["R2"].p or 0))


def test_several_seeds_count_the_seeds_and_promise_nothing_of_more_problems() -> None:
    here = [x for s in range(2) for x in cell(Role.STUDENT, "R1", ONE, seed=s)]
    there = [x for s in range(3) for x in cell(Role.STUDENT, "R1", TWO, seed=s)]
    found = rows_of(here, there)["R1"]
    assert found.difference == pytest.approx(-0.15)
    assert (found.only_a, found.only_b) == (120, 30)  # every pair of seeds
    assert (found.needed, found.detectable) == (None, None)


def test_an_error_blocks_the_claim() -> None:
    found = rows_of(cell(Role.STUDENT, "R1", "1" * 97 + "EEE"), cell(Role.STUDENT, "R1", "0" * 100))
    assert found["R1"].blocked == 3
    assert not found["R1"].beyond_chance
