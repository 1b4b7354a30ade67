"""A number is not its sentence's answer where what touches it makes another value of it."""

from __future__ import annotations

import pytest

from potstill.grading import grade
from potstill.grading.maths.kinds import infer_kind
from potstill.records import Outcome, Problem, TextGold, Verdict

NEVER_THREE = """
minus 3|negative 3|–3|- 3|−3|﹣3|－3|‒3|—3|-(3)|±3|3 ± 1|3±0.1|plus or minus 3|√3|√(3)|3√3|∛3|3²
3³|3^2|3 squared|3 cubed|3 factorial|3!!|3 to the power 2|2 to the power of 3|2 to the 3|2^3
2 cubed|3rd power|3π|3 pi|3π/2|π/3|log 3|ln 3|log2(3)|log_2 3|sqrt 3|sqrt(3)|sin(3)|abs(3)|f(3)
C(3,2)|3P2|3 choose 2|3 nCr 2|the square root of 3|the cube of 3|the reciprocal of 3
the negative of 3|twice 3|double 3|thrice 3|half of 3|one third of 3|a third of 3|½ of 3
10% of 3|3 percent of 50|3/4 of 8|3/4|3 1/2|3½|3 ½|3 and a half|3 halves|3 quarters|3.5|3,5|3,50
3.000,5|3 000,5|3'000|3 000|3,000|0.3|.3|30|3e2|3e5|3 x 10^5|3 × 10⁵|3*10^2|0x3|0b11|3 hundred
3 million|3 dozen|3 gross|3 score|3k|3%|3‰|3i|3 + 2i|3x|3y|3a|x3|x/3|3/x|3 + 4|3 times 4
3 plus 4|3 minus 1|3 divided by 2|3 mod 5|3 (mod 7)|3 in base 4|3 remainder 1|3 R 1|3 r1|3:30
3:4|3 : 4|3-5|3–5|3 to 5|3 or 4|3 and 4|either 3 or 4|between 3 and 4|3 & 4|3, 4 or 5
3, 4, and 5|three or four|3 vs. 4|{3, 4}|[3, 4]|(3, 4)|3 out of 4|3 over 4|1 over 3|3 point 5
three point five|three fifths|3 feet 4 inches|3 hours and 20 minutes|>3|≥3|< 3|≤ 3|≠3
more than 3|less than 3|at least 3|at most 3|3 or more|3 or so|anything but 3|other than 3
neither 3 nor 4|not 3|not 3 but 4|never 3|nowhere near 3|far from 3|4, not 3
3, but that is wrong|3, but it cannot be right|3, no wait, 4|3, sorry, 4|3, I mean 4
3 less than 10
"""
THREE = """
3|3.0|(3)|$3$|**3**|“3”|three|≈3|~3|approximately 3|exactly 3|+3|3 apples|3 more|3rd|2 + 1 = 3
"""


def graded(said: str, key: str, question: str = "What is the result?") -> Verdict:
    problem = Problem("p", question, TextGold(key), infer_kind(key, question), "test")
    return grade(problem, said)


@pytest.mark.parametrize("form", NEVER_THREE.replace("\n", "|").strip("|").split("|"))
def test_what_is_no_three_is_never_taken_for_it(form: str) -> None:
    for sentence in (f"The answer is {form}.", f"So we get that the result is {form}."):
        assert graded(sentence, "3").outcome is not Outcome.CORRECT, sentence


@pytest.mark.parametrize("form", [*THREE.strip().split("|"), "\\(3\\)"])
def test_three_is_read_in_all_its_forms(form: str) -> None:
    assert graded(f"The answer is {form}.", "3").outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("The answer is minus 3.", "-3"),
        ("The answer is –3.", "-3"),
        ("The temperature is minus 5 degrees.", "-5"),
        ("The temperature is –5 degrees.", "-5"),
        ("So x = - 3.", "-3"),
        ("The area is 9π square cm.", "9π"),
        ("The length of the side is √3 cm.", "√3"),
        ("The length is 5√2.", "5√2"),
        ("The answer is 3½.", "7/2"),
        ("The answer is 3 halves.", "3/2"),
        ("The answer is 3 squared.", "9"),
        ("The answer is 3'000.", "3000"),
        ("There are 12 apples, no wait, 13 apples.", "13"),
        ("There are 12 apples, sorry, 13 apples.", "13"),
        ("That is 4 times 10, or 40.", "40"),
    ],
)
def test_what_touches_a_number_is_part_of_its_value(said: str, key: str) -> None:
    assert graded(said, key).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("said", "question", "open_"),
    [
        ("There are 12 or 13 apples.", "How many apples are there?", ("12", "13")),
        ("The answer is either 3 or 4.", "What is the result?", ("3", "4")),
        ("The price is 12,50 €.", "What is the price?", ("12", "12,50")),
        ("The answer is log 3.", "What is the result?", ("3", "log 3")),
    ],
)
def test_a_value_left_open_is_undecided_and_says_between_which(
    said: str, question: str, open_: tuple[str, str]
) -> None:
    verdict = graded(said, open_[0], question)
    assert verdict.outcome is Outcome.UNDECIDED
    assert all(value in verdict.why for value in open_)


@pytest.mark.parametrize(
    ("said", "key", "question", "expected"),
    [
        ("There are 3 apples and 4 pears.", "3", "How many apples are there?", Outcome.CORRECT),
        ("He has 3 quarters.", "3", "How many quarters has he?", Outcome.CORRECT),
        ("21 of the 28 bulbs are on.", "21", "How many bulbs are on?", Outcome.CORRECT),
        ("He needs at least 5 boxes.", "5", "How many boxes does he need?", Outcome.CORRECT),
        ("There is no doubt: yes.", "no", "Is 7 prime?", Outcome.WRONG),
        ("There is no doubt: yes.", "yes", "Is 7 prime?", Outcome.CORRECT),
        ("No problem, the answer is yes.", "no", "Is it so?", Outcome.WRONG),
        ("I don't know whether it is Paris.", "Paris", "Which city?", Outcome.UNPARSED),
        ("I am not sure it is Paris.", "Paris", "Which city?", Outcome.UNPARSED),
        ("Die Hauptstadt ist Paris.", "Paris", "Was ist die Hauptstadt?", Outcome.CORRECT),
    ],
)
def test_what_the_question_counts_or_asks(
    said: str, key: str, question: str, expected: Outcome
) -> None:
    assert graded(said, key, question).outcome is expected


@pytest.mark.parametrize(
    "key", ["München", "Москва", "café", "Zwölf", "naïve", "São Paulo", "東京", "Ελλάδα", "Straße"]
)
def test_a_key_in_letters_of_another_language_is_a_word(key: str) -> None:
    question = "What is the word?"
    assert infer_kind(key) == "word"
    assert graded(f"\\boxed{{{key.lower()}}}", key, question).outcome is Outcome.CORRECT
    assert graded(f"The word is {key}.", key, question).outcome is Outcome.CORRECT
    assert graded("\\boxed{other}", key, question).outcome is Outcome.WRONG


@pytest.mark.parametrize("key", ["π", "αβ", "Δ", "2π", "ℝ", "µm", "x²"])
def test_letters_of_formulas_are_no_words(key: str) -> None:
    assert infer_kind(key) != "word"
