"""Which lessons train, and in which split each problem stands."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from potstill.errors import StudyError
from potstill.lessons.select import select
from potstill.problems.overlap.pairs import Pair
from potstill.problems.split import SplitOptions, draws_validation, split
from potstill.records import Lesson, Problem, Split
from support.scripted_lessons import problem


def lesson(id: str, level: str, *flags: str) -> Lesson:
    return Lesson(id, level, "", "text", 1, 1, "m", 0, flags)


def many(count: int, **groups: str) -> list[Problem]:
    return [dataclasses.replace(problem(f"p{i}"), groups=groups) for i in range(count)]


def test_problem_trains_only_if_all_levels_passed() -> None:
    lessons = [
        lesson("a", "R1"), lesson("a", "R2"),
        lesson("b", "R1"), lesson("b", "R2", "wrong answer"),
        lesson("c", "R1"),
    ]  # fmt: skip
    chosen = select(lessons, ["R1", "R2"])
    assert {k: [x.problem_id for x in v] for k, v in chosen.items()} == {
        "R1": ["a"],
        "R2": ["a"],
    }


def test_under_own_each_level_stands_alone() -> None:
    lessons = [lesson("b", "R1"), lesson("b", "R2", "cut"), lesson("a", "R1")]
    chosen = select(lessons, ["R1", "R2"], "own")
    assert [x.problem_id for x in chosen["R1"]] == ["a", "b"]
    assert chosen["R2"] == []


def test_levels_that_are_not_compared_do_not_count() -> None:
    chosen = select([lesson("a", "R0", "cut"), lesson("a", "R1")], ["R1"])
    assert [x.problem_id for x in chosen["R1"]] == ["a"]


def test_each_trace_stands_for_itself_and_trains_only_if_all_its_levels_passed() -> None:
    def of(sample: int, level: str, *flags: str) -> Lesson:
        return dataclasses.replace(lesson("a", level, *flags), sample=sample)

    lessons = [
        lesson("b", "R1"), lesson("b", "R2"),
        of(0, "R1"), of(0, "R2", "cut"), of(1, "R1"), of(1, "R2"), of(3, "R1"), of(3, "R2"),
    ]  # fmt: skip
    chosen = select(lessons, ["R1", "R2"])
    keys = {k: [(x.problem_id, x.sample) for x in v] for k, v in chosen.items()}
    assert keys == {level: [("a", 1), ("a", 3), ("b", 0)] for level in ("R1", "R2")}
    own = select(lessons, ["R1", "R2"], "own", {("a", 0), ("a", 3)})
    assert {k: [x.sample for x in v] for k, v in own.items()} == {"R1": [0, 3], "R2": [3]}


def test_share_is_near_what_was_asked_and_adding_a_problem_moves_no_other() -> None:
    options = SplitOptions(heldout_share=0.25, valid_share=0.2)
    before = split(many(2000), options)
    counts = {side: list(before.values()).count(side) for side in Split}
    assert 440 < counts[Split.HELDOUT] < 560
    assert 240 < counts[Split.VALID] < 360
    after = split([*many(2000), problem("new")], options)
    assert {k: v for k, v in after.items() if k != "new"} == before
    assert split(many(2000), options.model_copy(update={"seed": 1})) != before


def test_groups_are_held_out_whole_and_numbers_in_the_file_are_text() -> None:
    problems = [
        dataclasses.replace(problem(f"{year}/{i}"), groups={"year": str(year)})
        for year in (2016, 2017, 2018)
        for i in range(20)
    ]
    options = SplitOptions.model_validate(
        {"by": "group", "group": "year", "heldout": [2017, 2018]}, strict=False
    )
    sides = split(problems, options)
    for p in problems:
        assert (sides[p.id] is Split.HELDOUT) == (p.groups["year"] != "2016")
    assert Split.VALID in sides.values()


def test_unknown_group_and_value_name_what_there_is() -> None:
    problems = many(20, year="2016")
    with pytest.raises(StudyError, match="no problem has the group 'yaer'; did you mean 'year'"):
        split(problems, SplitOptions(by="group", group="yaer", heldout=("2016",)))
    with pytest.raises(StudyError, match=r"no problem has year '2019'.*2016"):
        split(problems, SplitOptions(by="group", group="year", heldout=("2019",)))
    with pytest.raises(StudyError, match="p0 has '2016' in the group 'year'"):
        split(problems, SplitOptions(by="given", group="year"))


def test_empty_sides_are_refused() -> None:
    with pytest.raises(StudyError, match="leaves none of 20 problems to train on"):
        split(many(20, year="2016"), SplitOptions(by="group", group="year", heldout=("2016",)))
    with pytest.raises(StudyError, match="holds out none of 20 problems"):
        split(many(20, split="train"), SplitOptions(by="given"))
    with pytest.raises(StudyError, match="no problems to divide"):
        split([], SplitOptions())


def test_given_sides_are_taken_and_other_names_for_them_understood() -> None:
    names = {"a": "train", "b": "Validation", "c": "test", "d": "heldout"}
    problems = [dataclasses.replace(problem(i), groups={"split": s}) for i, s in names.items()]
    assert split(problems, SplitOptions(by="given")) == {
        "a": Split.TRAIN,
        "b": Split.VALID,
        "c": Split.HELDOUT,
        "d": Split.HELDOUT,
    }


def test_source_marked_heldout_is_held_out_whole_whatever_the_rule() -> None:
    other = [dataclasses.replace(problem(f"m{i}"), source="math500") for i in range(5)]
    problems = [*many(40, year="2016"), *many(0), *other]
    extra = dataclasses.replace(problem("x"), groups={"year": "2017"})
    options = SplitOptions(by="group", group="year", heldout=("2017",))
    sides = split([*problems, extra], options, use={"math500": "heldout"})
    assert all(sides[p.id] is Split.HELDOUT for p in other)


def test_near_duplicates_end_on_the_held_out_side_and_masked_ones_may_part() -> None:
    problems = many(200)
    options = SplitOptions()
    plain = split(problems, options)
    train = next(i for i, side in plain.items() if side is Split.TRAIN)
    valid = next(i for i, side in plain.items() if side is Split.VALID)
    held = next(i for i, side in plain.items() if side is Split.HELDOUT)
    chain = [Pair(train, valid, 0.95, "near"), Pair(valid, held, 1.0, "exact")]
    sides = split(problems, options, chain)
    assert sides[train] is sides[valid] is sides[held] is Split.HELDOUT
    assert split(problems, options, [Pair(train, held, 0.99, "masked numbers")]) == plain
    assert split(problems, options, [Pair(train, "elsewhere", 1.0, "exact")]) == plain


@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=40),
    st.integers(0, 5),
)
def test_no_pair_ever_parts_and_every_problem_has_a_side(
    links: list[tuple[int, int]], seed: int
) -> None:
    problems = many(60)
    pairs = [Pair(f"p{a}", f"p{b}", 1.0, "exact") for a, b in links]
    try:
        sides = split(problems, SplitOptions(seed=seed, heldout_share=0.3), pairs)
    except StudyError:
        return  # everything hung together
    assert set(sides) == {p.id for p in problems}
    assert all(sides[p.a_id] is sides[p.b_id] for p in pairs)


def test_tiny_set_still_gets_a_validation_problem() -> None:
    sides = split(many(8), SplitOptions(valid_share=0.01, heldout_share=0.3))
    assert list(sides.values()).count(Split.VALID) == 1


def test_options_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValidationError, match="by: group needs group"):
        SplitOptions(by="group")
    with pytest.raises(ValidationError, match="Extra inputs"):
        SplitOptions.model_validate({"heldout_sahre": 0.1})
    assert SplitOptions(by="given").group == "split"


def test_validation_is_drawn_where_a_given_split_marks_none() -> None:
    marked = [
        dataclasses.replace(p, groups={"split": "heldout" if i < 10 else "train"})
        for i, p in enumerate(many(60))
    ]
    given = SplitOptions(by="given", group="split")
    sides = split(marked, given)
    assert draws_validation(marked, given)
    assert [p.id for p in marked if sides[p.id] is Split.HELDOUT] == [p.id for p in marked[:10]]
    assert 0 < sum(side is Split.VALID for side in sides.values()) < 25
    none = split(marked, SplitOptions(by="given", group="split", valid_share=0))
    assert Split.VALID not in none.values()
    marked[-1] = dataclasses.replace(marked[-1], groups={"split": "dev"})
    sides = split(marked, given)
    assert [i for i, side in sides.items() if side is Split.VALID] == [marked[-1].id]
    assert not draws_validation(marked, given)


def test_what_is_kept_is_all_of_its_source_and_says_nothing_that_others_say() -> None:
    own = many(40)
    kept = [dataclasses.replace(problem(f"k{i}"), source="plain") for i in range(3)]
    options, use = SplitOptions(), {"plain": "kept"}
    plain = split(own, options)
    found = split([*own, *kept], options, [Pair("k0", "k1", 1.0, "near")], use)
    assert {found[p.id] for p in kept} == {Split.KEPT}
    assert {p.id: found[p.id] for p in own} == plain
    apart = [Pair("p1", "k0", 0.99, "masked numbers")]
    assert split([*own, *kept], options, apart, use)["k0"] is Split.KEPT
    with pytest.raises(StudyError, match=r"evaluation\.keep: k2 says the same as p7 of the study"):
        split([*own, *kept], options, [Pair("p7", "k2", 0.95, "near")], use)
