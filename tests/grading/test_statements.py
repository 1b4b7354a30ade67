"""The law of reading: however an answer is written, its verdict is that of the boxed one.

Problems of two kinds are made with their numbers drawn; every renderer writes the answer as models
do. The right value is right in all of them, and no other number of the same text ever is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.grading import grade
from potstill.grading.reading.sentences import stem
from potstill.records import Finish, Outcome, Problem, TextGold, Verdict


@dataclass(frozen=True, slots=True)
class Made:
    """A problem, its right value, and the other numbers that a text about it names."""

    text: str
    right: int
    others: dict[str, int]


def candles(a: int, b: int, c: int) -> Made:
    c = min(c, a * b - 1)
    text = (
        f"Nadia packs {a} boxes with {b} candles each. Her brother Omar packs {a + b + 3} candles. "
        f"Then Nadia gives {c} candles away. How many candles does Nadia keep?"
    )
    others = {"boxes": a, "each": b, "given": c, "packed": a * b, "brother": a + b + 3}
    return Made(text, a * b - c, others)


def pens(a: int, b: int, c: int) -> Made:
    text = (
        f"Lena buys {a} pens for ${b} each and a bag for ${c}. Her friend Ivo pays ${a + c + 50}. "
        "How much does Lena pay in total?"
    )
    others = {"pens": a, "each": b, "bag": c, "for the pens": a * b, "friend": a + c + 50}
    return Made(text, a * b + c, others)


CANDLES: dict[str, Callable[[int, dict[str, int]], str]] = {
    "box": lambda v, o: f"She packed {o['packed']}, so the rest is \\boxed{{{v}}}.",
    "box without braces": lambda v, o: f"The rest is $\\boxed {v}$",
    "box without backslash": lambda v, o: f"The rest is boxed{{{v}}}",
    "line": lambda v, o: f"{o['packed']} - {o['given']}\n\n**Answer:** {v}",
    "line with a sentence": lambda v, o: f"Answer: Nadia keeps {v} candles.",
    "line with two numbers": lambda v, o: f"Answer: Nadia keeps {v} of the {o['packed']} candles.",
    "hashes": lambda v, o: f"{o['boxes']} * {o['each']} = {o['packed']}\n#### {v}",
    "hashes and a sentence": lambda v, o: f"We subtract.\n####\nNadia keeps {v} candles.",
    "hashes and a retelling": lambda v, o: (
        f"#### Nadia packs {o['packed']} candles. She gives {o['given']} away, "
        f"so {o['packed']} - {o['given']} = {v} are left."
    ),
    "therefore": lambda v, o: f"Therefore, Nadia keeps {v} candles from {o['boxes']} boxes.",
    "equation": lambda v, o: f"So Nadia keeps {o['packed']} - {o['given']} = {v} candles.",
    "last sentence": lambda v, o: f"She packs {o['packed']}. Nadia keeps {v} candles.",
    "steps": lambda v, o: (
        f"Step 1: She packs {o['boxes']} * {o['each']} = {o['packed']} candles.\n"
        f"Step 2: She gives {o['given']} away: {o['packed']} - {o['given']} = {v}.\n"
        f"So Nadia keeps {v} candles."
    ),
    "then talk": lambda v, o: (
        f"Therefore, Nadia keeps {v} candles. This is so because {o['given']} of them are given "
        "away. I hope this helps!"
    ),
    "then a check": lambda v, o: (
        f"So Nadia keeps {v} candles. Is this right? Yes: with the {o['given']} given away there "
        f"were {o['packed']}."
    ),
    "then a next task": lambda v, o: (
        f"So Nadia keeps {v} candles.\n\nQuestion: A shop has {v + 7} hats. How many are left?\n"
        f"Answer: {v + 7} hats are left."
    ),
    "then the brother": lambda v, o: f"So Nadia keeps {v} candles, and Omar has {o['brother']}.",
    "tag": lambda v, o: f"The rest: <answer>{v}</answer>",
    "tag with a sentence": lambda v, o: f"<answer>Nadia keeps {v} candles.</answer>",
    "json": lambda v, o: f'```json\n{{"packed": {o["packed"]}, "answer": {v}}}\n```',
    "bold": lambda v, o: f"In the end, Nadia keeps **{v}** candles.",
    "not the other": lambda v, o: f"Nadia keeps {v} candles, not {o['packed']}.",
    "corrected": lambda v, o: (
        f"So Nadia keeps {o['packed']} candles. Wait, I forgot the ones she gave away. "
        f"So Nadia keeps {v} candles."
    ),
    "hypothesis first": lambda v, o: (
        f"If Nadia gave none away, she would keep {o['packed']} candles. "
        f"But she gives {o['given']} away, so Nadia keeps {v} candles."
    ),
    "reasoning, then": lambda v, o: (
        f"<think>Maybe {o['packed']}? No, some are given away.</think>\nNadia keeps {v} candles."
    ),
}
PENS: dict[str, Callable[[int, dict[str, int]], str]] = {
    "money pairs like TeX": lambda v, o: (
        f"Therefore, the total is ${o['for the pens']} + ${o['bag']} = ${v}."
    ),
    "money": lambda v, o: f"Lena pays ${v} for {o['pens']} pens and the bag.",
    "money, then a sentence": lambda v, o: f"Therefore Lena pays ${v}. That is right. Good.",
    "line": lambda v, o: f"Final answer: Mrs. Lena pays ${v}.",
    "dollars": lambda v, o: f"So in total, Lena pays {v} dollars.",
    "brackets": lambda v, o: (
        f"In total: {o['for the pens']} (pens) + {o['bag']} (bag) = {v} dollars."
    ),
    "parts behind": lambda v, o: (
        f"Lena pays ${v}: ${o['for the pens']} for the pens and ${o['bag']} for the bag."
    ),
    "the friend behind": lambda v, o: f"So Lena pays ${v}, while Ivo pays ${o['friend']}.",
}
NUMBERS = st.tuples(st.integers(3, 40), st.integers(2, 40), st.integers(2, 60))


def verdict(made: Made, text: str, key: int) -> Verdict:
    return grade(Problem("p", made.text, TextGold(str(key)), "integer", "test"), text)


@pytest.mark.parametrize(
    ("make", "name"), [(candles, n) for n in CANDLES] + [(pens, n) for n in PENS]
)
@settings(max_examples=25, deadline=None)
@given(numbers=NUMBERS)
def test_every_rendering_of_an_answer_is_read_as_that_answer(
    make: Callable[[int, int, int], Made], name: str, numbers: tuple[int, int, int]
) -> None:
    made = make(*numbers)
    # Where two of its numbers are the same nobody could tell which of them a text states.
    if len({made.right, *made.others.values()}) <= len(made.others):
        return
    text = (CANDLES if make is candles else PENS)[name](made.right, made.others)
    right = verdict(made, text, made.right)
    assert right.outcome is Outcome.CORRECT, (text, right.extracted, right.why)
    for other in (*made.others.values(), made.right + 1):
        wrong = verdict(made, text, other)
        assert wrong.outcome is not Outcome.CORRECT, (text, other)


TICKETS = "Five tickets cost 445 euros. What does one ticket cost?"


@pytest.mark.parametrize(
    ("text", "key", "outcome"),
    [
        ("5x = 445, so x = 89.", "$89$", Outcome.CORRECT),
        ("$5x = 445$, so $x = 89$.", "$89$", Outcome.CORRECT),
        ("Let x be the price. Then 5x = 445, thus x = 89", "89", Outcome.CORRECT),
        ("5x = 445, so x = 89.", "445", Outcome.WRONG),
        # another unknown, a second value and what goes on leave it open
        ("5x = 445, so y = 89.", "89", Outcome.UNDECIDED),
        ("5x = 445, so x = 89 or x = 88.", "89", Outcome.UNDECIDED),
    ],
)
def test_an_equation_that_is_solved_in_its_sentence_states_its_solution(
    text: str, key: str, outcome: Outcome
) -> None:
    assert grade(Problem("p", TICKETS, TextGold(key), "integer", "test"), text).outcome is outcome
    solved = Problem("p", "Solve 2y + 6 = 0 for y.", TextGold("-3"), "integer", "test")
    assert grade(solved, "2y + 6 = 0, hence y = -3.").outcome is Outcome.CORRECT


QUESTION = "A shop has 84 hats and sells 28 of them in May. How many hats are left in June?"


@pytest.mark.parametrize(
    ("text", "key", "outcome"),
    [
        # withdrawn, supposed, open
        ("So 56 hats are left. Actually no: it should be 54.", "54", Outcome.CORRECT),
        ("So 56 hats are left. Actually no: it should be 54.", "56", Outcome.WRONG),
        ("Maybe 56 hats are left, but I am not sure.", "56", Outcome.UNPARSED),
        ("There are 56 hats in May and 40 hats in June, or 44.", "44", Outcome.UNDECIDED),
        # what the answer is not
        ("Of the 84 hats, 28 were sold, so 56 are left.", "28", Outcome.WRONG),
        ("No number is given, so nobody can say how many are left.", "28", Outcome.UNPARSED),
        # words, abbreviations, spaces in numbers
        ("Altogether fifty-six hats are left.", "56", Outcome.CORRECT),
        ("Answer: Mr. Lindqvist has 56 hats left.", "56", Outcome.CORRECT),
        ("答案：５６", "56", Outcome.CORRECT),
        ("The answer is correct. 56 hats are left.", "56", Outcome.CORRECT),
        ("So, 56 hats are left.\nHence the correct answer is option (C).", "56", Outcome.CORRECT),
    ],
)
def test_what_a_text_commits_itself_to(text: str, key: str, outcome: Outcome) -> None:
    assert grade(Problem("p", QUESTION, TextGold(key), "integer", "test"), text).outcome is outcome


@pytest.mark.parametrize(
    ("question", "key", "kind", "text"),
    [
        ("Find $3y-4$ where $y=10$.", "26", "integer", "So the value of $3y - 4$ is 26."),
        ("How many values can $k$ take?", "12", "integer", "Hence there are 12 values of \\(k\\)."),
        ("Find $t$ if $2t = 18$.", "9", "integer", "Dividing by 2, therefore $t$ equals 9."),
        (
            "Mike has 28 GB free. If his files take up 26 GB, how many GB would he have left?",
            "2 (GB)",
            "quantity",
            "He has 28 GB free. If his files take up 26 GB, he would have \\(28-26 = 2\\) GB left.",
        ),
        (
            "Solve $12y = 7$.",
            "\\frac{7}{12}",
            "fraction",
            "Dividing both sides, the solution is $y=\\frac{7}{12}$.",
        ),
        (
            "Find the sum of the solutions of $x^2-9x+14=0$.",
            "9",
            "integer",
            "The solutions are $x=2$ and $x=7$, and their sum is 9.",
        ),
        (
            "Factor $x^2-16$.",
            "(x-4)(x+4)",
            "expression",
            "It is a difference of squares. Hence $x^2-16$ factors as $(x+4)(x-4)$.",
        ),
        (
            "Compute $\\binom{5}{2}$.",
            "10",
            "integer",
            "\\begin{align*}\n\\binom{5}{2} &= \\frac{5 \\cdot 4}{2} \\\\\n&= 10.\n\\end{align*}",
        ),
        ("Who is taller?\nAnna or Ben?", "Ben", "word", "We compare. Therefore, Ben is taller."),
        (
            "Which is prime?\n(A) 51 (B) 57 (C) 87 (D) 89",
            "D",
            "letter",
            "The correct option is **(D)**, since (A) is 3 times 17.",
        ),
    ],
)
def test_statements_of_mathematics_and_words(question: str, key: str, kind: str, text: str) -> None:
    found = grade(Problem("p", question, TextGold(key), kind, "test"), text)
    assert found.outcome is Outcome.CORRECT, (found.extracted, found.rule, found.why)


CUT = "<think>84 - 28 = 56. So the answer is 56 hats. Let me verify: 56 plus 28 is 84, and the"


def test_a_statement_before_a_cut_counts_as_the_study_says() -> None:
    problem = Problem("p", QUESTION, TextGold("56"), "integer", "test")
    kept = grade(problem, CUT, finish=Finish.LENGTH, cut="stated")
    assert (kept.outcome, kept.extracted) == (Outcome.CORRECT, "56")
    assert "stated, then cut" in kept.form
    cut = grade(problem, CUT, finish=Finish.LENGTH)
    assert (cut.outcome, cut.extracted) == (Outcome.TRUNCATED, "56")
    boxed = "<think>So it is \\boxed{56}.</think> First, the shop sells 2"
    assert grade(problem, boxed, finish=Finish.LENGTH).outcome is Outcome.TRUNCATED
    assert grade(problem, boxed, finish=Finish.LENGTH, cut="stated").outcome is Outcome.CORRECT


@pytest.mark.parametrize("key", ["5", "56", "84"])
def test_a_number_at_a_cut_is_no_answer(key: str) -> None:
    problem = Problem("p", QUESTION, TextGold(key), "integer", "test")
    text = "The shop has hats. We take those of May away. So the shop now has 5"
    for rule in ("truncated", "stated"):
        found = grade(problem, text, finish=Finish.LENGTH, cut=rule)
        assert found.outcome is Outcome.TRUNCATED


@pytest.mark.parametrize(
    "line",
    ["12 muffins each = 12 muffins each\n", "$3 * (1/2)x = $12\n\n"],
    ids=["itself", "unknown"],
)
@pytest.mark.parametrize("end", ["", "12 muffins each = ", "$"])
def test_a_loop_that_ends_in_the_middle_of_an_equation_states_nothing(line: str, end: str) -> None:
    problem = Problem("p", "How many muffins?", TextGold("12"), "integer", "test")
    loop = f"To solve this, we set up an equation.\n{line * 80}{end}"
    outcome = grade(problem, loop if end else loop.rstrip() + " =").outcome
    assert outcome is not Outcome.CORRECT


def test_a_text_that_says_two_values_as_often_is_read_alike_in_every_process() -> None:
    problem = (
        "On the first day Mia reads 20 pages. The next day she reads 10 more pages than the first "
        "day. By the third day the total number of pages was 90. How many pages did she read on "
        "the third day?"
    )
    total = "We know that a + b + c = 20 + 30 + 40 = 90.\n"
    steps = "We know that a = 20.\nWe know that b = 20 + 10 = 30.\nWe know that c = 30 + 10 = 40.\n"
    loop = "We know that a = 20.\nWe know that b = 30.\nWe know that c = 40.\n" + total
    text = steps + total + loop * 20 + "We know that a = 20.\nWe know that b = 30.\nWe "
    script = (
        "import sys; from potstill.grading.extraction import extract; "
        "print(extract(sys.argv[1], 'integer', sys.argv[2]).text)"
    )
    read = {
        subprocess.run(
            [sys.executable, "-c", script, text, problem],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(6)
    }
    assert len(read) == 1


@pytest.mark.parametrize(
    ("form", "word"), [("rung", "ring"), ("rang", "ring"), ("kept", "keep"), ("children", "child")]
)
def test_an_irregular_form_is_its_word(form: str, word: str) -> None:
    assert stem(form) == stem(word)
