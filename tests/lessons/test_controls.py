"""Controls are R1 cut or left out: as long as the level they stand beside, right as R1 is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from potstill.grading.extraction import extract
from potstill.lessons.controls import (
    compared_with,
    expand_controls,
    is_control,
    make_controls,
    one_trace,
    unverified_traces,
)
from potstill.lessons.ladder import count_words
from potstill.records import (
    DecidedBy,
    Finish,
    Lesson,
    Level,
    Outcome,
    Problem,
    Response,
    TextGold,
    Verdict,
    level_of_control,
)

R1 = "First, 12 + 30 = 42.\nThen nothing is left to add.\nSo the answer is $\\boxed{42}$."


def problem(key: str = "42", kind: str = "integer") -> Problem:
    return Problem("p1", "What is 12 + 30?", TextGold(key), kind, "test", {})


def lesson(level: str, text: str, id: str = "p1") -> Lesson:
    return Lesson(id, level, "R0", text, count_words(text), len(text), "condenser")


def made(r1: str, below: str, control: str, **of: str) -> Lesson:
    chosen = {"R1": (lesson("R1", r1),), "R4": (lesson("R4", below),)}
    return make_controls(chosen, [control], [problem(**of)], len)[control][0]


@pytest.mark.parametrize("words", range(1, 17))
def test_it_is_cut_to_the_words_of_its_level_with_the_answer_among_them(words: int) -> None:
    found = made(R1, " ".join(["w"] * words), "truncate-R4")
    assert count_words(found.text) == found.words == min(words, count_words(R1))
    assert extract(found.text, "integer").text == "42"
    body = found.text.removesuffix("\\boxed{42}").rstrip()
    assert R1.startswith(body)
    assert (found.level, found.parent, found.flags) == ("truncate-R4", "R1", ())
    assert found.tokens == len(found.text)


def test_line_breaks_stay_and_no_open_dollar_is_left() -> None:
    assert made(R1, "w " * 9, "truncate-R4").text == (
        "First, 12 + 30 = 42.\nThen nothing \\boxed{42}"
    )
    assert made(R1, "w " * 99, "truncate-R4").text == (
        "First, 12 + 30 = 42.\nThen nothing is left to add.\nSo the answer is \\boxed{42}"
    )


def test_answer_only_is_the_boxed_answer_that_r1_ends_in() -> None:
    assert made(R1, "w", "answer_only").text == "\\boxed{42}"
    assert made("It is \\boxed{\\frac{1}{2}}.", "w", "answer_only").text == "\\boxed{\\frac{1}{2}}"
    unboxed = "12 + 30 = 42.\nAnswer: 42"
    assert made(unboxed, "w", "answer_only").text == "\\boxed{42}"


def test_where_r1_ends_in_no_answer_the_keys_text_stands_in() -> None:
    silent = "We add the two and that is what there was to be done here, whatever anyone says of it"
    assert extract(silent, "integer").text == ""
    assert made(silent, "w w w", "truncate-R4", key="42").text == "We add \\boxed{42}"


def test_a_problem_without_one_of_the_two_levels_has_no_cut_lesson() -> None:
    chosen = {
        "R1": (lesson("R1", R1, "p1"), lesson("R1", R1, "p2")),
        "R4": (lesson("R4", "w w", "p2"), lesson("R4", "w w", "p3")),
    }
    problems = [Problem(i, "?", TextGold("42"), "integer", "t", {}) for i in ("p1", "p2", "p3")]
    found = make_controls(chosen, ["truncate-R4", "answer_only"], problems, len)
    assert [x.problem_id for x in found["truncate-R4"]] == ["p2"]
    assert [x.problem_id for x in found["answer_only"]] == ["p1", "p2"]


def test_truncate_stands_for_every_level_below_r1() -> None:
    levels = [Level.R1, Level.R3, Level.R6]
    assert expand_controls(["answer_only", "truncate"], levels) == (
        "truncate-R3",
        "truncate-R6",
        "answer_only",
    )
    assert expand_controls(["truncate-R6"], levels) == ("truncate-R6",)
    assert expand_controls([], [Level.R4]) == ()


@pytest.mark.parametrize(
    ("names", "levels", "said"),
    [
        (["trunkate"], ["R1", "R4"], "did you mean 'truncate'"),
        (["answer-only"], ["R1", "R4"], "did you mean 'answer_only'"),
        (["truncate-R1"], ["R1", "R4"], "there is no 'truncate-R1'"),
        (["truncate-R5"], ["R1", "R4"], "truncate-R5 needs R5 among levels"),
        (["truncate"], ["R1"], "needs a level below R1"),
        (["answer_only"], ["R4"], "add R1 to levels"),
    ],
)
def test_anything_else_is_refused(names: list[str], levels: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        expand_controls(names, [Level(level) for level in levels])


def test_each_control_knows_the_level_it_is_there_for() -> None:
    assert compared_with("truncate-R4") == "R4"
    assert compared_with("answer_only") == "R1"
    assert [is_control(x) for x in ("R1", "mix", "truncate-R2", "answer_only", "base")] == [
        False,
        False,
        True,
        True,
        False,
    ]


def said(
    id: str, outcome: Outcome, text: str = "So \\boxed{7}.", finish: Finish = Finish.STOP, **of: int
) -> tuple[Response, Verdict]:
    sample, attempt = of.get("sample", 0), of.get("attempt", 0)
    response = Response(
        "teacher", id, "c", sample, attempt, "I add.", text, finish, 1, 1, f"key-{id}-{attempt}"
    )
    verdict = Verdict(response.response_id, id, outcome, "7", "boxed", DecidedBy.SYMBOLIC)
    return response, verdict


def test_unverified_is_the_first_trace_of_every_problem_whatever_its_verdict() -> None:
    taught = [
        said("right", Outcome.CORRECT),
        said("wrong", Outcome.WRONG, "So \\boxed{8}."),
        said("wrong", Outcome.CORRECT, sample=1),
        said("unread", Outcome.UNPARSED, "It is nice."),
        said("cut", Outcome.TRUNCATED, "So", Finish.LENGTH),
        said("cut, then whole", Outcome.TRUNCATED, "So", Finish.LENGTH),
        said("cut, then whole", Outcome.WRONG, attempt=1),
        said("blank", Outcome.BLANK, " "),
        said("failed", Outcome.ERRORED, "", Finish.ERROR),
    ]
    found = unverified_traces(["truncate-R4", "unverified", "wrong"], taught, len, tags=False)
    assert set(found) == {"unverified", "wrong"}
    every = {x.problem_id: x for x in found["unverified"]}
    assert list(every) == ["right", "wrong", "unread", "cut, then whole"]
    assert every["wrong"].text == "I add.\n\nSo \\boxed{8}."
    assert every["cut, then whole"].ledger_key == "key-cut, then whole-1"
    assert [x.problem_id for x in found["wrong"]] == ["wrong", "cut, then whole"]
    assert {x.level for x in found["wrong"]} == {"wrong"}
    assert every["right"].words == count_words(every["right"].text) == 4


def test_traces_stand_in_the_form_of_r0() -> None:
    found = unverified_traces(["unverified"], [said("p", Outcome.WRONG)], len, tags=True)
    assert found["unverified"][0].text == "<think>\nI add.\n</think>\n\nSo \\boxed{7}."


def test_controls_of_traces_stand_beside_r0_and_need_it() -> None:
    assert compared_with("unverified") is compared_with("wrong") is Level.R0
    assert is_control("unverified")
    assert expand_controls(["wrong", "unverified"], [Level.R0]) == ("unverified", "wrong")
    with pytest.raises(ValueError, match=r"unverified is set beside R0.*add R0 to levels"):
        expand_controls(["unverified"], [Level.R1])
    with pytest.raises(ValueError, match="made from R1"):
        expand_controls(["unverified", "answer_only"], [Level.R0])
    with pytest.raises(ValueError, match="did you mean 'unverified'"):
        expand_controls(["unverifyed"], [Level.R0])
    for near in ("answer_only", "truncate", "one_trace"):
        with pytest.raises(ValueError, match=f"did you mean '{near}'"):
            expand_controls([f"{near[:-1]}x"], [Level.R1, Level.R2])


def test_one_trace_has_the_problems_of_its_level_once_each() -> None:
    def of(id: str, sample: int) -> Lesson:
        return replace(lesson("R1", f"{id} {sample}", id), sample=sample)

    chosen = {"R1": (of("p1", 0), of("p1", 2), of("p2", 1), of("p2", 2), of("p3", 0))}
    # of p1 the first is another than those chosen, of p2 it failed a gate, p4 was not chosen
    alone = {"R1": (of("p1", 1), of("p3", 0), of("p4", 0))}
    names = ["truncate-R4", "one_trace-R1", "one_trace_epochs-R1"]
    made = one_trace(names, chosen, lambda: alone)
    assert set(made) == set(names[1:])
    for name, lessons in made.items():
        assert [x.text for x in lessons] == ["p1 1", "p2 1", "p3 0"]
        assert {x.level for x in lessons} == {name}


def test_nothing_is_selected_where_no_control_of_one_trace_is_asked_for() -> None:
    def selected() -> dict[str, tuple[Lesson, ...]]:
        pytest.fail("the first traces were selected")

    assert one_trace(["truncate-R4", "answer_only", "wrong"], {}, selected) == {}


@pytest.mark.parametrize(
    ("variant", "level"),
    [
        *[("truncate-R4", "R4"), ("one_trace-R1", "R1"), ("one_trace_epochs-R0", "R0")],
        *[("unverified", "R0"), ("wrong", "R0"), ("answer_only", ""), ("one_trace", "")],
        *[("mix-R4", ""), ("auto", ""), ("R4", "")],
    ],
)
def test_the_level_that_a_control_is_set_beside_is_in_its_name(variant: str, level: str) -> None:
    assert level_of_control(variant) == level


def test_one_trace_stands_beside_the_fullest_level() -> None:
    levels = [Level.R3, Level.R0, Level.R1]
    wanted = ("one_trace-R0", "one_trace_epochs-R0")
    assert expand_controls(["one_trace_epochs", "one_trace"], levels) == wanted
    assert expand_controls(["one_trace-R4"], [Level.R4]) == ("one_trace-R4",)
    assert [compared_with(name) for name in wanted] == ["R0", "R0"]
    assert all(is_control(name) for name in wanted)
    with pytest.raises(ValueError, match="one_trace is set beside R0 alone"):
        expand_controls(["one_trace-R1"], levels)


def test_a_cut_lesson_is_of_its_own_trace() -> None:
    chosen = {
        "R1": tuple(replace(lesson("R1", f"way {i}. {R1}"), sample=i) for i in (0, 1)),
        "R4": (replace(lesson("R4", "w w w"), sample=1),),
    }
    (cut,) = make_controls(chosen, ["truncate-R4"], [problem()], len)["truncate-R4"]
    assert (cut.sample, cut.text) == (1, "way 1. \\boxed{42}")
