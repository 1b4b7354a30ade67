"""The quality gates: each on what it must catch and on good reasoning that it must leave alone."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from potstill.lessons import gates
from potstill.lessons.ladder import INSTRUCTIONS
from potstill.lessons.quality import Gate, GateOptions, findings, flags_of
from potstill.records import Finish, Level, Outcome
from support.scripted_lessons import problem, response, verdict

OFF = (Gate.FALSE_EQUATION,)
LONG = "Step 1: we do it.\n\n" + "words and words " * 80


def check(*of: Any, **more: Any) -> tuple[str, ...]:
    """The flags of a text."""
    return flags_of(findings(*of, **more))


@pytest.mark.parametrize(
    "text",
    [
        "So we have\n\\[\n\\frac{9}{6} t + \\frac{20}{6} t = 4.\n\\]\nThus\n\\[\nt = \\frac{24}{",
        "Through \\(A\\): \\(F=0\\). Through \\(B\\): \\(s^2 + Ds = 0 \\",
        "The value is $$x = 4",
        "So \\begin{align} x &= 1 \\\\ y &= 2",
        "Pair (2,7):  \n27+2=",
        "- n=29: k = 2 →",
        "Thus, the number of logs in the bottom row is:",
        "In SSA:\n-",
        "\\[ x = 2 \\]\n\n---\n\n### Step 5:",
        "\\[ x = 2 \\]\n\n### Step",
        "The problem says that the",
        "The smallest sum",
        "- P(B) = 0.35×0.3 + 0.65×0.",
        "Maybe we need the field Q(√2, √(4−\n\nAnswer: 45",
    ],
)
@pytest.mark.parametrize("answered", [True, False])
def test_text_that_was_cut_is_seen_whether_or_not_the_answer_was_there(
    text: str, answered: bool
) -> None:
    assert gates.stops_short(text, answered=answered)


@pytest.mark.parametrize(
    "text",
    [
        "Then 2, 6, 1 already counted",
        "Check 29399 mod small primes:\n29399 / 29399",
        LONG + "\n\nAlso k must be a positive divisor of 1728.",
    ],
)
def test_text_without_its_end_is_cut_unless_its_answer_was_right(text: str) -> None:
    assert gates.stops_short(text, answered=False)
    assert not gates.stops_short(text, answered=True)


@pytest.mark.parametrize(
    "text",
    [
        "(19-2)×180° = 17×180° = 3060°.",
        "(x^k * x^2)^5 = x^75\nk+2 = 15\nk = 13",
        "**Final Answer:**\nNEVER",
        "d² = 16 + 25 = 41 < 42 → INSIDE",
        "cos θ = √(576/625) = 24/25 (positive)",
        "We get\n\\[\n\\boxed{3060^\\circ}\n\\]",
        "We get\n\\[\n\\boxed{18301}\n\\]\n\nThus it is 18301.",
        "A matrix \\[ \\begin{bmatrix} 1 \\\\[2pt] 2 \\end{bmatrix} \\]",
        "He pays $3 and then $4, so $7 in all.",
        "So the sum is:\nAnswer: 5",
        "**Answer:** 7",
        "\\boxed{4}",
        "4",
    ],
)
def test_whole_text_is_not_called_cut(text: str) -> None:
    assert gates.stops_short(text, answered=True) == ""


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{20} This matches the given correct answer.",
        "Check against given answer (-16): it fails.",
        "(Note: Correct answer is 9/10, but per given reasoning, this is the result.)",
        "Wait, correct answer is 137, so re-evaluate.",
        "But expected answer is 2√61, so re-evaluate",
        "The key says 12.",
        "According to the answer key it is 5.",
        "The problem states the answer is lose $18.",
    ],
)
def test_citing_the_key_is_seen(text: str) -> None:
    assert gates.cites_key(text)
    assert not gates.asks_back(text)


@pytest.mark.parametrize(
    "text",
    [
        "If you can provide the exact problem text, I can help.",
        "Sure! Could you please provide the solution that you'd like me to condense?",
        "The original problem text was not given.",
    ],
)
def test_asking_for_the_problem_is_no_citing_of_a_key(text: str) -> None:
    assert gates.asks_back(text)
    assert not gates.cites_key(text)
    found = findings(problem(text="What is 2 + 3?"), text, level=Level.R6)
    assert Gate.OTHER_PROBLEM in {x.gate for x in found}
    assert not gates.asks_back(text, f"{text} What is 2 + 3?")


@pytest.mark.parametrize(
    "text",
    [
        "The answer should be given as a fully reduced fraction: -12/13.",
        "Maybe the expected answer is just the three fractions.",
        "So the correct answer is 12. But let's double-check.",
        "1004 times 2 is 2008; plus 7 is 2015. This matches the given result.",
        "The key idea is to factor; the key insight follows.",
        "The given information says x > 0. The given value of k is 3.",
    ],
)
def test_ordinary_talk_of_answers_is_no_leak(text: str) -> None:
    assert gates.cites_key(text) == ""


def test_words_of_the_problem_itself_are_no_leak() -> None:
    asked = "For each given answer, mark it right or wrong."
    assert gates.cites_key("We go through each given answer.", asked) == ""
    assert gates.cites_key("We go through each given answer.") == "given answer"


def test_loops_are_seen_and_tables_are_not() -> None:
    assert gates.repeats("So we try again and fail. " * 6)
    assert gates.repeats("Let me check the sum again.\n" * 9)
    assert gates.repeats("wait no wait no wait no wait no wait no wait no")
    table = "\n".join(f"Case {i}: the sum is even, so it fails." for i in range(30))
    assert gates.repeats(table) == ""
    assert gates.repeats("-- -- -- -- -- -- -- -- -- -- --") == ""
    assert gates.repeats("0.7 & 0.3 \\\\\n0.2 & 0.8\n" * 2) == ""
    assert gates.repeats("") == ""


def test_another_script_is_seen_unless_the_problem_is_written_in_it() -> None:
    text = "We set x = 2. 所以我们得到答案. Then it is 4."
    assert gates.foreign_script(text, "Find x.") == "CJK"
    assert gates.foreign_script(text, "求 x 的值.") == ""
    assert gates.foreign_script("α + β = γ, so ∠ABC = θ, naïve", "Find x.") == ""
    assert gates.foreign_script("Ответ 5", "Find x.") == "CYRILLIC"


def test_numbers_of_another_problem_are_seen() -> None:
    asked = "A train covers 340 miles in 17 hours, then 560 miles at 45 mph."
    assert (
        gates.foreign_numbers("We add 7 and 9 to get 16.", asked) == "0 of the problem's 4 numbers"
    )
    assert gates.foreign_numbers("340 / 17 = 20 and 560 / 45 = 112/9", asked) == ""
    assert gates.foreign_numbers("We add 7 and 9.", "Find 5 of them.") == ""


def test_answer_from_the_sky_is_seen_and_a_derived_one_is_not() -> None:
    sky = "Let us think.\nIt is a circle.\nThere are many points.\nAnswer: 640"
    assert gates.not_derived(sky, "640") == "640"
    assert gates.not_derived(sky.replace("many", "640"), "640") == ""
    assert gates.not_derived("a\nb\nSo 600 + 40 = 640.", "640") == ""
    assert gates.not_derived("a\n\\frac{3}{28} of it.\nc\nAnswer: 3/28", "3/28") == ""
    assert gates.not_derived("One line: 640", "640") == ""


def test_findings_follow_the_verdict_and_each_gate_fires_once() -> None:
    p = problem()
    for text, flag in (("It is \\boxed{41}", Gate.WRONG), ("It is so.", Gate.NO_ANSWER)):
        r = response(text=text)
        assert check(p, r, verdict(p, r), options=GateOptions(off=OFF)) == (flag.value,)
    cut = dataclasses.replace(response(text="It is ="), finish=Finish.LENGTH)
    assert check(p, cut, verdict(p, cut), options=GateOptions(off=OFF)) == ("cut",)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_but_correct_has_a_flag(outcome: Outcome) -> None:
    p, r = problem(), response(reasoning="12 + 30 is it.")
    judged = dataclasses.replace(verdict(p, r), outcome=outcome)
    flags = check(p, r, judged, options=GateOptions(off=OFF))
    assert bool(flags) == (outcome is not Outcome.CORRECT)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("<think>12 + 30", "<think>"),
        ("12 + 30</think> So \\boxed{42}", "</think>"),
        ("12 + 30 <seed:think>", "<seed:think>"),
        ("12 + 30 [/THINK]", "[/THINK]"),
        ("12 + 30 ◁/think▷", "◁/think▷"),
        ("<|channel|>analysis<|message|>12 + 30", "<|channel|>"),
        ("12 + 30 = 42<|im_end|>\n<|im_start|>user\nThanks", "<|im_end|>"),
        ("12 + 30<｜end▁of▁sentence｜> and on", "<｜end▁of▁sentence｜>"),
        ("12 + 30<end_of_turn> and on", "<end_of_turn>"),
        ("We need 12 + 30.assistantfinal 42", "assistantfinal"),
    ],
)
def test_marks_of_a_template_reach_no_lesson(text: str, mark: str) -> None:
    (found,) = [f for f in findings(problem(), text) if f.gate is Gate.MARKS]
    assert (found.detail, found.excludes) == (mark, True)


@pytest.mark.parametrize(
    "text",
    ["If a<b and c>d then |x|<3.", "⟨x|y⟩ = <x|y>", "[1, 2]", "Think: 12 + 30.", "a <|b|> c"],
)
def test_signs_of_mathematics_are_no_marks(text: str) -> None:
    assert Gate.MARKS not in {f.gate for f in findings(problem(), text)}


def test_marks_that_the_problem_asks_about_are_its_own() -> None:
    p = problem(text="How many letters has <think> with its brackets? Say 12 and 30, too.")
    assert Gate.MARKS not in {f.gate for f in findings(p, "<think> has 7, and 12 and 30.")}


def test_an_empty_answer_behind_a_reasoning_is_no_blank() -> None:
    p, blank = problem(), response(text="", reasoning="")
    thought = response(text="", reasoning="12 + 30 is 42.")
    judged = [dataclasses.replace(verdict(p, r), outcome=Outcome.BLANK) for r in (blank, thought)]
    assert Gate.BLANK in {f.gate for f in findings(p, blank, judged[0])}
    gates_fired = {f.gate for f in findings(p, thought, judged[1])}
    assert Gate.ONLY_REASONING in gates_fired
    assert Gate.BLANK not in gates_fired


def test_gates_can_be_turned_off_and_made_advisory() -> None:
    p = problem()
    leak = "12 + 30, which matches the given answer. \\boxed{42}"
    assert check(p, leak, options=GateOptions(off=OFF)) == ("key leaked",)
    assert check(p, leak, options=GateOptions(off=(*OFF, Gate.KEY_LEAKED))) == ()
    advisory = GateOptions(off=OFF, advisory=(Gate.KEY_LEAKED,))
    assert check(p, leak, options=advisory) == ()
    (finding,) = findings(p, leak, options=advisory)
    assert (finding.gate, finding.excludes) == (Gate.KEY_LEAKED, False)


def test_options_come_from_a_study_file_by_the_gates_names() -> None:
    options = GateOptions.model_validate(
        {"off": ["false equation"], "advisory": ["longer than the level above"]}, strict=False
    )
    assert options.off == (Gate.FALSE_EQUATION,)
    assert options.advisory == (Gate.LONGER,)


def test_lengths_are_held_against_the_level_above_and_r1() -> None:
    p = problem()
    text = " ".join(f"w{i}" for i in range(30)) + " 12 + 30. \\boxed{42}"
    options = GateOptions(off=OFF)
    assert check(p, text, level="R2", options=options, words_above=33) == (
        "longer than the level above",
    )
    assert check(p, text, level="R2", options=options, words_above=34) == ()
    gates_fired = {f.gate for f in findings(p, text, level="R6", options=options, words_r1=50)}
    assert Gate.TOO_LONG in gates_fired
    gates_fired = {f.gate for f in findings(p, text, level="R2", options=options, words_r1=900)}
    assert Gate.TOO_SHORT in gates_fired


def test_problem_without_text_and_blank_reasoning_are_flagged() -> None:
    assert check(problem(text=" "), "\\boxed{42}", options=GateOptions(off=OFF)) == (
        "problem without text",
    )
    assert check(problem(), "  ", options=GateOptions(off=OFF)) == ("blank",)


def test_real_solutions_traces_and_lessons_begin_in_words_of_their_own(data: Path) -> None:
    texts = []
    for file, asked, told in (
        ("gsm8k/test.jsonl", "question", "solution"),
        ("aime/aime.jsonl", "problem", "solution"),
        ("traces/r1_distill_qwen_32b_gsm8k.jsonl", "question", "trace"),
    ):
        rows = map(json.loads, (data / file).read_text("utf-8").splitlines())
        texts += [(row[asked], row[told]) for row in rows]
    with (data / "recorded" / "condensed_competition.csv").open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    texts += [(row["question"], row[f"reasoning_{k}"]) for row in rows for k in range(1, 6)]
    assert len(texts) == 1_319 + 975 + 500 + 5 * 671
    assert [text for asked, text in texts if gates.begins_as(text, asked, INSTRUCTIONS)] == []
