"""Kind ``form``: each check holds of what has the form and of nothing else."""

from __future__ import annotations

import pytest

from potstill.grading.domains.form import Options, compare
from potstill.grading.grader import grade
from potstill.grading.key_reading import KeyReader
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.problems.instructions import Options as Source
from potstill.problems.instructions import read
from potstill.records import Opinion, Outcome, Problem, TextGold


def problem(must: str) -> Problem:
    return Problem("p", "Do as you are told.", TextGold(must), "form", "test", {})


HOLDS = [
    ("words 1; contains dog", "Dog."),
    ("words 1", "<think>\nA dog barks.\n</think>\n\nDog"),
    ("words <= 3", "Peru, of course"),
    ("words >= 4", "one two three four five"),
    ("sentences 2", "Cats sleep. They also purr!"),
    ("sentences 1", "No stop at its end"),
    ("sentences 1", "It costs 3.50 in all."),
    ("lines 3", "one\n\ntwo\nthree\n"),
    ("items 3", "Here they are:\n- fig\n- plum\n- pear"),
    ("items 2", "1. Saturday\n2) Sunday"),
    ("upper case", "THE TRAIN IS LATE!"),
    ("lower case", "hello there, friend."),
    ("number; contains 8", "8"),
    ("number", "1,250.5."),
    ("begins certainly", "Certainly, Mars."),
    ("ends That is all.", "It tells the time. That is all."),
    ("without red", "It is round and sweet."),
    ("json", "[1, 2]"),
    ("json with name, age", '```json\n{"name": "Ada", "age": 36, "more": 1}\n```'),
    ("language fr", "Le ciel est bleu parce que la lumière du soleil est diffusée dans l'air."),
    ("language de", "Eine Lehrerin unterrichtet die Kinder und hilft ihnen auch."),
    ("language es", "Una montaña es muy alta y está en la sierra."),
    ("language it", "Il pane è fatto con la farina e non con il latte."),
    ("language en", "Birds fly to the south because it is warm there."),
]
FAILS = [
    ("words 1", "A dog."),
    ("words 1", ""),
    ("words 1; contains dog", "Cat"),
    ("words <= 3", "I would name Peru"),
    ("sentences 2", "Cats sleep."),
    ("sentences 1", "Cats sleep. They purr."),
    ("lines 3", "one\ntwo"),
    ("items 3", "fig, plum, pear"),
    ("items 3", "- fig\n- plum\n- pear\n- apple"),
    ("upper case", "THE TRAIN is LATE"),
    ("upper case", "1234"),
    ("lower case", "Hello"),
    ("number", "It has 8 legs."),
    ("number", "eight"),
    ("begins certainly", "Mars, certainly."),
    ("ends That is all.", "That is all. Bye"),
    ("without red", "It is red."),
    ("json", "Here you are: [1, 2]"),
    ("json", '"text"'),
    ("json with name, age", '{"name": "Ada"}'),
    ("json with name", '["name"]'),
    ("language fr", "The sky is blue because of the light of the sun."),
    ("language de", "Bread and water"),
]


@pytest.mark.parametrize(("must", "said"), HOLDS)
def test_what_was_asked_is_found(must: str, said: str) -> None:
    assert compare(problem(must), said, Options()).opinion is Opinion.EQUAL


@pytest.mark.parametrize(("must", "said"), FAILS)
def test_what_was_not_asked_is_not(must: str, said: str) -> None:
    found = compare(problem(must), said, Options())
    assert found.opinion is Opinion.DIFFERENT
    assert found.why == "nothing was said" or found.why.startswith("not so: ")


@pytest.mark.parametrize(
    "must", ["words", "words many", "rhymes", "language xx", "begins ", "json a"]
)
def test_a_check_that_there_is_not_is_a_key_that_cannot_be_read(must: str) -> None:
    with pytest.raises(KeyUnreadable, match="is no check of form"):
        compare(problem(must), "anything", Options())
    assert "is no check of form" in KeyReader({}).fault(problem(must))


def test_the_grader_judges_the_whole_response() -> None:
    right = grade(problem("words 1; contains dog"), "Dog")
    assert (right.outcome, right.extracted) == (Outcome.CORRECT, "Dog")
    boxed = grade(problem("words 1"), "I think that \\boxed{dog} is right.")
    assert boxed.outcome is Outcome.WRONG


def test_forty_instructions_each_with_a_form_that_can_be_checked() -> None:
    rows = list(read(Source()))
    assert len({row.id for row in rows}) == len({row.text for row in rows}) == 40
    reader = KeyReader({})
    for row in rows:
        assert row.kind == "form"
        assert reader.fault(Problem(row.id, row.text, TextGold(row.key), "form", "", {})) == ""
    asks = [row.groups["asks"] for row in rows]
    assert min(asks.count(x) for x in set(asks)) >= 3
