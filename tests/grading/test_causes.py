"""Why a wrong answer is wrong, and which equations of a trace are false."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from potstill.grading import false_equations, grade
from potstill.grading.causes import cause_of, with_cause
from potstill.grading.programs import printed
from potstill.grading.workings import MAX_TEXT, numbers_in, plain, read_workings
from potstill.records import Cause, DecidedBy, Finish, Outcome, Problem, TextGold, Verdict

csv.field_size_limit(10**9)


@pytest.mark.parametrize(
    ("key", "kind", "text", "finish", "cause"),
    [
        (
            "84",
            "integer",
            "so the answer is \\boxed{83.9}",
            Finish.STOP,
            Cause.NEAR_MISS,
        ),
        ("72", "integer", "7 * 6 = 54 and 54 + 1 = 55. \\boxed{55}", Finish.STOP, Cause.ARITHMETIC),
        ("5", "integer", "\\boxed{-5}", Finish.STOP, Cause.SIGN),
        ("2/7", "fraction", "\\boxed{7/2}", Finish.STOP, Cause.RECIPROCAL),
        ("40", "integer", "\\boxed{80}", Finish.STOP, Cause.FACTOR),
        ("40", "integer", "I cannot determine the answer.", Finish.STOP, Cause.GAVE_UP),
        ("40", "integer", "We begin with", Finish.LENGTH, Cause.TRUNCATED),
        ("40", "integer", "and so on " * 200, Finish.LENGTH, Cause.REPEATED),
        ("40", "integer", "\\boxed{17}", Finish.STOP, Cause.NO_WORKING),
        ("40", "integer", "\\boxed{40}", Finish.STOP, Cause.NONE),
    ],
)
def test_cause(key: str, kind: str, text: str, finish: Finish, cause: Cause) -> None:
    problem = Problem("p", "What is it?", TextGold(key), kind, "test")
    verdict = with_cause(problem, text, grade(problem, text, finish=finish))
    assert verdict.cause is cause


VANS = (
    "A school hires 6 vans. Each van takes 9 pupils and 2 teachers. Each pupil pays $4. How many "
    "dollars do the pupils pay?"
)
TANK = "A tank holds 360 litres. A pump fills 45 litres a minute. How many minutes does it take?"
SHELF = "Ola has 18 boxes of 12 tiles. She breaks 25% of the tiles. How many tiles are whole?"
STEPS = "There are 3 hens that lay 3 eggs a day. How many eggs do they lay in 5 days?"


def cause(question: str, key: str, answer: str, text: str, solution: str = "") -> Cause:
    problem = Problem("p", question, TextGold(key), "integer", "test")
    verdict = Verdict("r", "p", Outcome.WRONG, answer, "sentence", DecidedBy.SYMBOLIC)
    return cause_of(problem, text, verdict, solution)


@pytest.mark.parametrize(
    ("question", "key", "answer", "text", "expected"),
    [
        # A trace whose sums all hold and take every number: what it does is not what is asked.
        (TANK, "8", "405", "360 + 45 = 405, so 405 minutes.", Cause.OPERATION),
        (SHELF, "162", "54", "18 x 12 = 216 and 25% of 216 is 54.", Cause.OPERATION),
        # The right steps, one sum of them false.
        (TANK, "8", "9", "We divide: 360 / 45 = 9. It takes 9 minutes.", Cause.ARITHMETIC),
        (
            SHELF,
            "162",
            "172",
            "18 boxes × 12 tiles = 216 tiles.\n25% of 216 is 54.\nSo 216 - 54 = 172 are whole.",
            Cause.ARITHMETIC,
        ),
        (SHELF, "162", "152", "18 multiplied by 12 equals 206. 206 - 54 = 152", Cause.ARITHMETIC),
        # A number that the question gives and no sum takes.
        (SHELF, "162", "216", "She has 18 * 12 = 216 tiles.", Cause.LEFT_OUT),
        # The right value worked out, and another one answered.
        (
            SHELF,
            "162",
            "16200",
            "18 * 12 = 216, 0.25 * 216 = 54 and 216 - 54 = 162, in cents 162 * 100 = 16200.",
            Cause.ASKED,
        ),
        (TANK, "8", "480", "360 / 45 = 8 minutes. 8 * 60 = 480. \\boxed{480}", Cause.ASKED),
        # No sum at all.
        (TANK, "8", "45", "It takes 45 minutes.", Cause.COPIED),
        (TANK, "8", "405", "\\boxed{405}", Cause.OPERATION),
        (TANK, "8", "315", "\\boxed{315}", Cause.OPERATION),
        (TANK, "8", "9", "\\boxed{9}", Cause.NEAR_MISS),
        (SHELF, "162", "172", "\\boxed{172}", Cause.NEAR_MISS),
        (SHELF, "162", "182", "\\boxed{182}", Cause.NEAR_MISS),
        (SHELF, "162", "324", "\\boxed{324}", Cause.FACTOR),
        (SHELF, "162", "71", "\\boxed{71}", Cause.NO_WORKING),
        (SHELF, "162", "many", "\\boxed{many}", Cause.FORM),
        (
            SHELF,
            "162",
            "71",
            "The boxes hold their tiles and she breaks a part of what they hold, as one sees when "
            "one looks at the tiles that lie on the floor, so I would say 71.",
            Cause.OTHER,
        ),
    ],
)
def test_a_reader_would_name_this_cause(
    question: str, key: str, answer: str, text: str, expected: Cause
) -> None:
    assert cause(question, key, answer, text) is expected


PROGRAM = """```python
boxes = 18
tiles = boxes * 12
whole = tiles - tiles * 0.25
print(whole)
```
```output
{}
```
So \\boxed{{{}}}."""


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        (PROGRAM.format("172.0", "172"), "172", Cause.ARITHMETIC),
        (PROGRAM.format("162.0", "163"), "163", Cause.ASKED),
        (PROGRAM.replace("0.25", "0.75").format("54.0", "54"), "54", Cause.OPERATION),
        ("She has 216 tiles, of these 54 break, so 270 tiles are whole.", "270", Cause.OPERATION),
        ("Let 4x = 18 and 12x = 54, so x = 13.", "13", Cause.LEFT_OUT),
        ("Let 4x = 18 and 12x = 54 with 25x = 9, so it is 13.", "13", Cause.OPERATION),
    ],
)
def test_programs_words_and_letters_are_workings_too(
    text: str, answer: str, expected: Cause
) -> None:
    assert cause(SHELF, "162", answer, text) is expected


@pytest.mark.parametrize(
    "program",
    [
        "import os\nprint(1)",
        "x = [1]\nprint(x)",
        "print(2 ** 999)",
        "x = 9\nwhile x:\n    x = x - 1\nprint(x)",
        "x = 10 / 0\nprint(x)",
        "print(",
        "x = True\nprint(x)",
        "print(" + "(" * 900 + "1" + ")" * 900 + ")",
    ],
)
def test_no_program_is_run_that_is_more_than_sums(program: str) -> None:
    assert printed(f"```python\n{program}\n```\n```output\n5\n```") == []


VANS_SOLVED = "There are 6 x 9 = 54 pupils. They pay 54 x 4 = 216 dollars."


@pytest.mark.parametrize(
    ("question", "key", "answer", "text", "solution", "expected"),
    [
        # The teachers are in no sum that is needed: only a solution tells.
        (VANS, "216", "264", "6 + 9 = 15, 15 * 4 = 60", VANS_SOLVED, Cause.OPERATION),
        (VANS, "216", "264", "6 + 9 = 15, 15 * 4 = 60", "", Cause.LEFT_OUT),
        (VANS, "216", "54", "\\boxed{54}", VANS_SOLVED, Cause.INTERMEDIATE),
        (VANS, "216", "54", "\\boxed{54}", "", Cause.FACTOR),
        (VANS, "216", "58", "\\boxed{58}", VANS_SOLVED, Cause.OPERATION),
        (VANS, "216", "54", "6 * 9 = 54", VANS_SOLVED, Cause.LEFT_OUT),
        (STEPS, "45", "15", "3 * 5 = 15", "3 * 3 = 9, 9 * 5 = 45", Cause.LEFT_OUT),
    ],
)
def test_a_right_solution_tells_more(
    question: str, key: str, answer: str, text: str, solution: str, expected: Cause
) -> None:
    assert cause(question, key, answer, text, solution) is expected


def test_a_long_passage_over_and_over_is_repetition() -> None:
    passage = "".join(f"step {i} costs {i * 7} dollars and leaves the rest, " for i in range(14))
    assert len(passage) > 500
    assert cause(TANK, "8", "9", passage * 6) is Cause.REPEATED
    assert cause(TANK, "8", "9", passage) is not Cause.REPEATED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6 boxes at $7 each, so 6 × $7 = $42.", ["6 * 7 = 42"]),
        ("7 multiplied by 8 equals 56", ["7 * 8 = 56"]),
        ("30% of 120 is 36", ["(30/100) * 120 = 36"]),
        ("subtracting 4 from 20 gives 16", ["20 - 4 = 16"]),
        ("half of 18 hours is 9 hours", ["(1/2) * 18 = 9"]),
        (r"\[ \frac{84 \text{ pages}}{7 \text{ pages/day}} = 12 \]", ["((84 )/(7 )) = 12"]),
        (r"\(1,200 \times 3 = 3{,}600\)", ["1200 * 3 = 3600"]),
        ("Total\n= 30 * 7\n= 210", ["30 * 7 = 210"]),
        ("Let x be the pens: 4x = 240, x = 60", []),
    ],
)
def test_sums_are_read_as_people_write_them(text: str, expected: list[str]) -> None:
    assert [step.text for step in read_workings(text).steps] == expected
    assert not read_workings(text).slips


def test_a_rounded_sum_is_no_slip() -> None:
    assert not read_workings("100 / 7 = 14.29 and 45 / 2 = 23").slips
    assert read_workings("100 / 7 = 15.29").slips


def test_numbers_of_a_question() -> None:
    found = numbers_in("Three of 12 pots cost $1,250.50; 3/4 of them hold a dozen seeds.")
    assert {str(number): count for number, count in found.items()} == {
        "3": 1,
        "12": 2,
        "2501/2": 1,
        "3/4": 1,
    }


@pytest.mark.parametrize("unit", ["7", "=1", "1+", "((1)", "12 + 5 = 17 ", "a1b", "\\frac{1}{"])
def test_of_a_long_text_only_the_end_is_read(unit: str) -> None:
    """Work is bounded by what is read, however long the text is."""
    text = unit * (400_000 // len(unit)) + " so it is nine."
    assert read_workings(text) == read_workings(text[-MAX_TEXT:])
    assert cause(TANK, "8", "9", text) is cause(TANK, "8", "9", text[-MAX_TEXT:])


def test_markup_of_a_line_is_taken_away() -> None:
    assert plain("**Total:** $18 + $24 = **$42**") == "Total: 18 + 24 = 42"


@pytest.mark.parametrize(
    "text",
    [
        "2 + 2 = 4 and 3 · 4 = 12",
        "1/3 + 1/6 = 1/2",
        r"\frac{1}{2} \times 6 = 3",
        "2^10 = 1024 = 32 * 32",
        "10/3 ≈ 3.33",
        "x + 2 = 5, so x = 3",
        "f(2) = 7",
        "0.5 = 1/2 = 50%",
    ],
)
def test_true_equations_raise_no_alarm(text: str) -> None:
    assert false_equations(text) == []


@pytest.mark.parametrize(
    "text",
    ["2 + 2 = 5", "3 · 4 = 13", "1/3 + 1/6 = 2/3", r"\frac{1}{2} \times 6 = 4", "28 / 2 = 15"],
)
def test_false_equations_are_found(text: str) -> None:
    assert len(false_equations(f"First, {text}. Then we go on.")) == 1


def test_verified_lessons_hold_few_false_equations(data: Path) -> None:
    import json

    found = 0
    lines = (data / "recorded" / "distilled_train.jsonl").read_text("utf-8").splitlines()
    for line in lines:
        found += bool(false_equations(json.loads(line)["messages"][-1]["content"]))
    assert found <= len(lines) * 0.02


def test_few_real_wrong_answers_are_left_without_a_cause(data: Path) -> None:
    """Of the answers that a reader ruled wrong and that were read, not one in ten is "other"."""
    import json

    if not (data / "answers").is_dir():
        pytest.skip("the open answers are not here")
    causes: list[Cause] = []
    for path in sorted((data / "answers").glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            problem = Problem("p", row["problem"], TextGold(row["key"]), "integer", "test")
            if row["ruling"] == "INCORRECT":
                causes.append(cause_of(problem, row["response"], grade(problem, row["response"])))
    told = [x for x in causes if x not in (Cause.NONE, Cause.EXTRACTION)]
    assert len(told) > 250
    assert told.count(Cause.OTHER) < 0.1 * len(told)
