"""Down the ladder: what is asked, what is checked, what is asked again, what is left out."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from potstill.chat import Ask
from potstill.errors import InputError
from potstill.lessons.condense import trace_text
from potstill.lessons.ladder import (
    INSTRUCTIONS,
    LADDER,
    SYSTEM,
    condense_messages,
    count_words,
    spec_of,
)
from potstill.lessons.quality import Gate, GateOptions, findings
from potstill.records import AnswerKind, Finish, Lesson, Level, TestsGold
from support.scripted_lessons import Reply, ScriptedCondenser, lessons_of, problem, response

NO_EQUATIONS = GateOptions(off=(Gate.FALSE_EQUATION,))
TRACE = "We add 12 and 30. " + " ".join(f"Look {i}." for i in range(50)) + " So it is 42."
LENGTHS = {"R1": 80, "R2": 50, "R3": 40, "R4": 28, "R5": 16, "R6": 8}


def good(level: str) -> str:
    filler = "".join(f" w{i}" for i in range(LENGTHS[level] - 5))
    return f"add 12 and 30{filler}. \\boxed{{42}}"


def run(
    condenser: ScriptedCondenser,
    parents: list[str] | None = None,
    levels: tuple[str, ...] = ("R1", "R2", "R3", "R4", "R5", "R6"),
    options: GateOptions = NO_EQUATIONS,
) -> list[Lesson]:
    of = [(problem(i), response(i, TRACE)) for i in parents or ["p1"]]
    return lessons_of(of, condenser, levels, options=options)


def test_whole_ladder_goes_from_r0_to_r6_each_from_the_one_above() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: good(level))
    lessons = run(condenser)
    assert [(x.level, x.parent) for x in lessons] == [
        ("R0", ""), ("R1", "R0"), ("R2", "R1"), ("R3", "R2"),
        ("R4", "R3"), ("R5", "R4"), ("R6", "R5"),
    ]  # fmt: skip
    assert all(x.flags == () for x in lessons)
    assert lessons[0].made_by == "teacher"
    assert {x.made_by for x in lessons[1:]} == {"scripted"}
    assert lessons[1].words == count_words(lessons[1].text)
    assert lessons[1].tokens == len(lessons[1].text)
    assert lessons[3].ledger_key == "lessons/p1/R3/0"


def test_all_problems_go_down_a_level_before_any_goes_down_the_next() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: good(level))
    run(condenser, ["p1", "p2", "p3"], ("R1", "R2"))
    levels = [re.findall(r"^Level: .*", x.messages[-1].content, re.M) for x in condenser.asks]
    assert levels == [["Level: R1"]] * 3 + [["Level: R2"]] * 3


def test_longer_one_is_asked_for_once_more_with_the_complaint() -> None:
    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        return good("R1") + " and more" if level == "R2" and attempt == 0 else good(level)

    condenser = ScriptedCondenser(reply)
    lessons = {x.level: x for x in run(condenser)}
    assert (lessons["R2"].attempt, lessons["R2"].flags) == (1, ())
    (again,) = [ask for ask in condenser.asks if ask.attempt == 1]
    assert "longer than the level above (82 words, the level above has 80)" in (
        again.messages[-1].content
    )


@pytest.mark.parametrize(
    ("bad", "flag"),
    [
        ("No. \\boxed{41}", "wrong answer"),
        ("We add 12 and 30.", "no answer"),
        ("", "blank"),
        (("We add 12 and", Finish.LENGTH), "cut"),
        (("", Finish.ERROR), "error"),
        ("It matches the given answer, 12 + 30. \\boxed{42}", "key leaked"),
        ("把 12 和 30 加起来. \\boxed{42}", "language switch"),
        ("So we add 12 and 30 \\( 12 + \\boxed{42}", "cut"),
        ("<think> 12 and 30 are 42. \\boxed{42}", "marks of a template"),
        ("12 and 30 are \\boxed{42}<|im_end|>\n<|im_start|>user\n12?", "marks of a template"),
        ("<problem>\n12 + 30?\n</problem>\n\n12 + 30 = \\boxed{42}", "echo of the request"),
        (f"Level: R2\n\n{spec_of('R2').instruction} \\boxed{{42}}", "echo of the request"),
        (f"12 + 30 = 42. {SYSTEM} \\boxed{{42}}", "echo of the request"),
    ],
)
def test_what_fails_twice_is_flagged_and_the_next_level_starts_from_the_last_good_one(
    bad: Reply, flag: str
) -> None:
    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        return bad if level == "R2" else good(level)

    condenser = ScriptedCondenser(reply)
    lessons = {x.level: x for x in run(condenser)}
    failed = lessons["R2"]
    assert flag in failed.flags
    assert failed.attempt == 1
    assert failed.text == (bad if isinstance(bad, str) else bad[0])  # type: ignore[index]
    assert (lessons["R3"].parent, lessons["R3"].flags) == ("R1", ())
    asked = [ask.messages[-1].content for ask in condenser.asks]
    assert sum("Level: R3" in content for content in asked) == 1
    assert good("R1") in next(content for content in asked if "Level: R3" in content)


def test_one_without_an_answer_is_asked_again_with_the_answer_of_the_reasoning() -> None:
    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        return "We add 12 and 30." if attempt == 0 else good(level)

    condenser = ScriptedCondenser(reply)
    (lesson,) = run(condenser, levels=("R1",))[1:]
    assert (lesson.attempt, lesson.flags) == (1, ())
    again = condenser.asks[-1].messages[-1].content
    assert "It gives no final answer; end with the reasoning's, \\boxed{42}." in again


def copied(ask: Ask) -> str:
    """The request as it was made but for its reasoning, which Qwen2.5-Coder-0.5B gave back."""
    return re.sub(r"<reasoning>.*</reasoning>", "", ask.messages[-1].content, flags=re.S)


def test_a_second_try_that_copies_the_request_and_its_answer_is_left_out() -> None:
    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        return "We add 12 and 30." if attempt == 0 else copied(ask)

    condenser = ScriptedCondenser(reply)
    (lesson,) = run(condenser, levels=("R1",))[1:]
    assert "\\boxed{42}" in lesson.text
    assert (lesson.attempt, lesson.flags) == (1, ("echo of the request",))


def test_a_copy_of_the_request_is_told_of_that_alone() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: copied(ask))
    (lesson,) = run(condenser, levels=("R1",))[1:]
    assert "echo of the request" in lesson.flags
    again = condenser.asks[-1].messages[-1].content
    told = "refused: It repeats this request; write the solution alone. Write it again"
    assert told in again


def test_what_a_problem_itself_says_is_no_echo() -> None:
    rules = "Keep every step and every equation; cut repetition. <problem> is a tag. 12 + 30?"
    asked = dataclasses.replace(problem(), text=rules)
    condenser = ScriptedCondenser(lambda *_: f"{rules} It is 12 + 30 = \\boxed{{42}}.")
    (lesson,) = lessons_of([(asked, response())], condenser, ["R1"])[1:]
    assert "echo of the request" not in lesson.flags


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_a_lesson_that_begins_with_three_words_of_an_instruction_is_an_echo(
    instruction: str,
) -> None:
    words = instruction.split()
    for place in range(len(words) - 2):
        begun = " ".join(words[place : place + 3])
        said = findings(problem(), f"**{begun.title()}** is 12 + 30 = \\boxed{{42}}")
        assert [f.excludes for f in said if f.gate is Gate.ECHO] == [True], begun


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        ("12 + 30 = 42. Drop all else is \\boxed{42}", False),  # three words, but not the first
        ("12 + 30 = 42. And drop all else is \\boxed{42}", True),
        ("Solution:\nStop at the answer: 12 + 30 = \\boxed{42}", True),
        ("So we drop all else and add 12 and 30: \\boxed{42}", False),  # within a sentence
        ("The final answer is 12 + 30 = \\boxed{42}", False),
        ("One equation: 12 + 30 = \\boxed{42}", False),
        ("Write 12 as 10 + 2, then 30 + 10 + 2 = \\boxed{42}", False),
    ],
)
def test_a_later_sentence_needs_four_words_of_an_instruction(text: str, echo: bool) -> None:
    assert (Gate.ECHO in {f.gate for f in findings(problem(), text)}) is echo


def test_words_of_an_instruction_that_the_problem_says_are_its_own() -> None:
    asked = problem(text="Stop at the answer of 12 + 30: what is it?")
    text = "Stop at the answer: 12 + 30 = \\boxed{42}"
    assert Gate.ECHO not in {f.gate for f in findings(asked, text)}


@pytest.mark.parametrize(
    ("kind", "ending", "asked"),
    [
        (AnswerKind.SET, "So x = 3 or x = -3.", "\\boxed{answer}."),
        (AnswerKind.SET, "So it is \\boxed{3, -3}.", "the reasoning's, \\boxed{3, -3}."),
        (AnswerKind.INTEGER, "So there are 9 apples.", "the reasoning's, \\boxed{9}."),
    ],
)
def test_complaint_never_tells_a_part_of_the_reasonings_answer(
    kind: AnswerKind, ending: str, asked: str
) -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: "We look for it.")
    of = dataclasses.replace(problem(), kind=kind)
    lessons_of([(of, response(reasoning=f"{TRACE} {ending}", text=""))], condenser, ["R1"])
    again = condenser.asks[-1].messages[-1].content
    assert f"It gives no final answer; end with {asked} Write it again" in again


def test_a_program_is_not_told_to_end_in_a_number() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: "We look for it.")
    of = dataclasses.replace(problem(), gold=TestsGold("assert f(12) == 42"))
    lessons_of([(of, response(reasoning=TRACE, text=""))], condenser, ["R1"])
    assert "\\boxed{42}" not in condenser.asks[-1].messages[-1].content


def test_key_is_in_no_message_not_even_in_a_complaint() -> None:
    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        return "It is \\boxed{7}"

    condenser = ScriptedCondenser(reply)
    secret = problem(text="What is the number?", key="9876")
    trace = response(reasoning="We look for it. " * 5, text="It is found.")
    lessons_of([(secret, trace)], condenser, ["R1"], options=NO_EQUATIONS)
    assert len(condenser.asks) == 2
    assert not any("9876" in m.content for ask in condenser.asks for m in ask.messages)


def test_unanswered_ask_is_flagged_and_not_repeated() -> None:
    condenser = ScriptedCondenser(
        lambda level, tag, attempt, ask: None if level == "R1" else good(level)
    )
    lessons = {x.level: x for x in run(condenser, levels=("R1", "R2"))}
    assert lessons["R1"].flags == ("not asked",)
    assert lessons["R2"].parent == "R0"
    assert all(ask.attempt == 0 for ask in condenser.asks)


def test_trace_that_cites_the_key_starts_no_chain() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: good(level))
    parents = [
        (problem("p1"), response("p1", "The given answer is 42, so 12 + 30 it is.")),
        (problem("p2"), response("p2", TRACE)),
    ]
    lessons = lessons_of(parents, condenser, ["R1"], options=NO_EQUATIONS)
    assert [(x.problem_id, x.level, x.flags) for x in lessons] == [
        ("p1", "R0", ("key leaked",)),
        ("p2", "R0", ()),
        ("p2", "R1", ()),
    ]


def test_merely_long_first_try_is_kept_where_the_second_is_wrong() -> None:
    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        if level != "R6":
            return good(level)
        return good("R4") if attempt == 0 else "\\boxed{41}"

    lessons = {x.level: x for x in run(ScriptedCondenser(reply), levels=("R1", "R4", "R6"))}
    assert (lessons["R6"].attempt, lessons["R6"].flags) == (0, ())


def test_level_that_is_not_on_the_ladder_is_refused() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: good(level))
    with pytest.raises(InputError, match="no level 'R9' on the ladder; there are R1, R2"):
        run(condenser, levels=("R1", "R9"))


def test_no_parents_ask_nothing() -> None:
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: good(level))
    assert lessons_of([], condenser, ["R1"]) == []
    assert condenser.asks == []


def test_ladder_is_ordered_and_its_shares_are_the_stated_ones() -> None:
    assert [spec.level for spec in LADDER] == [Level(f"R{i}") for i in range(1, 7)]
    assert [spec.share for spec in LADDER] == [1.0, 0.6, 0.5, 0.35, 0.2, 0.1]
    assert all(spec.limit >= spec.share for spec in LADDER)
    assert spec_of("R6").target_words(200) == 20
    assert spec_of("R6").limit_words(40) == 20
    with pytest.raises(KeyError):
        spec_of("R0")


def test_prompt_says_last_what_is_wanted_and_has_the_marks_a_reader_looks_for() -> None:
    first = condense_messages(problem(), spec_of("R3"), "one two three " * 20, of_words=100)
    second = condense_messages(
        problem("p2", "Another one."), spec_of("R3"), "four five", of_words=9
    )
    assert first[0] == second[0]
    assert first[0].content == SYSTEM
    wanted = first[1].content.split("</reasoning>\n\n")[1]
    assert wanted.startswith(f"Level: R3\n{spec_of('R3').instruction}\n")
    assert first[1].content.startswith("<problem>\nWhat is 12 + 30?\n</problem>")
    assert "<reasoning>\nfour five\n</reasoning>" in second[1].content
    assert "about 50 words and never more than 60" in first[1].content
    assert "\\boxed{answer}" in first[1].content


def test_trace_text_adds_the_answer_where_the_reasoning_lacks_it() -> None:
    assert trace_text(response(reasoning="a", text="b")) == "a\n\nb"
    assert trace_text(response(reasoning="a \\boxed{1}", text="b")) == "a \\boxed{1}"
    assert trace_text(response(reasoning="", text="b")) == "b"
    assert trace_text(response(reasoning="a", text=" ")) == "a"
    assert trace_text(response(reasoning="", text="")) == ""


def test_each_trace_of_a_problem_goes_down_a_ladder_of_its_own() -> None:
    traces = [dataclasses.replace(response("p1", f"{TRACE} Way {i}."), sample=i) for i in (0, 2)]

    def reply(level: str, tag: str, attempt: int, ask: Ask) -> Reply:
        way = re.findall(r"(?:Way|way) (\d)", ask.messages[-1].content)[-1]
        wrong = (level, way) == ("R1", "2")
        return good(level).replace("add", f"way {way} add").replace("42", "41" if wrong else "42")

    condenser = ScriptedCondenser(reply)
    lessons = lessons_of(
        [(problem("p1"), x) for x in traces], condenser, ("R1", "R2"), options=NO_EQUATIONS
    )
    found = {(x.level, x.sample): x for x in lessons}
    assert sorted(found) == [(level, i) for level in ("R0", "R1", "R2") for i in (0, 2)]
    assert found["R1", 0].flags == ()
    assert Gate.WRONG.value in found["R1", 2].flags
    assert (found["R2", 0].parent, found["R2", 2].parent) == ("R1", "R0")
    assert "way 2" in found["R2", 2].text
    assert "way 0" in found["R2", 0].text


def test_traces_that_came_to_the_same_text_are_condensed_once() -> None:
    traces = [dataclasses.replace(response("p1", f"{TRACE} Way {i}."), sample=i) for i in (0, 1)]
    condenser = ScriptedCondenser(lambda level, tag, attempt, ask: good(level))
    lessons = lessons_of(
        [(problem("p1"), x) for x in traces], condenser, ("R1", "R2"), options=NO_EQUATIONS
    )
    levels = [re.findall(r"^Level: .*", x.messages[-1].content, re.M)[0] for x in condenser.asks]
    assert levels == ["Level: R1", "Level: R1", "Level: R2"]
    assert sorted((x.level, x.sample) for x in lessons if x.level == "R2") == [("R2", 0), ("R2", 1)]


@pytest.mark.parametrize("reply", ["I cannot do that.", "", ("12 + 30 = 42", Finish.LENGTH)])
def test_a_condenser_that_never_gives_a_lesson_is_asked_no_more_after_twenty(reply: Reply) -> None:
    parents = [(problem(f"p{i}"), response(f"p{i}", "12 + 30 = 42")) for i in range(60)]
    condenser = ScriptedCondenser(lambda *_: reply)
    with pytest.raises(InputError, match=r"none of the first 20 lessons at R1 passes"):
        lessons_of(parents, condenser, ["R1", "R2"])
    assert len({ask.tag for ask in condenser.asks}) == 20
    assert len(condenser.asks) == 40  # each a second time, with what was wrong


def test_a_level_that_never_passes_stops_there_and_one_that_did_before_goes_on() -> None:
    parents = [(problem(f"p{i}"), response(f"p{i}", "12 + 30 = 42")) for i in range(30)]

    def reply(level: str, *_: Any) -> str:
        return "12 + 30 = \\boxed{42}" if level == "R1" else "no"

    condenser = ScriptedCondenser(reply)
    with pytest.raises(InputError, match="at R6 passes"):
        lessons_of(parents, condenser, ["R1", "R6"])
    assert len(condenser.asks) == 30 + 40
    made = lessons_of(parents, ScriptedCondenser(reply), ["R1", "R6"], proven={"R6"})
    assert len(made) == 90


def test_calls_that_failed_do_not_speak_against_a_condenser() -> None:
    parents = [(problem(f"p{i}"), response(f"p{i}", "12 + 30 = 42")) for i in range(25)]
    made = lessons_of(parents, ScriptedCondenser(lambda *_: None), ["R1"])
    assert [lesson.flags for lesson in made if lesson.level == "R1"] == [("not asked",)] * 25


def test_what_is_taught_whole_goes_no_further_down_than_its_first_failure() -> None:
    def reply(level: str, tag: str, *_: Any) -> str:
        return "no" if (level, tag) == ("R1", "p0") else "12 + 30 = \\boxed{42}"

    parents = [(problem(f"p{i}"), response(f"p{i}", "12 + 30 = 42")) for i in range(3)]
    condenser = ScriptedCondenser(reply)
    made = lessons_of(parents, condenser, ["R1", "R2", "R3"], whole=True)
    assert [x.level for x in made if x.problem_id == "p0"] == ["R0", "R1"]
    assert [x.level for x in made if x.problem_id == "p1"] == ["R0", "R1", "R2", "R3"]
    assert sum(ask.tag == "p0" for ask in condenser.asks) == 2
