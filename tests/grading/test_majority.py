"""What most of a teacher's draws answer: groups by the grader's own equality, and votes counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from potstill.errors import StudyError
from potstill.grading.majority import Majority, MajorityRule, majorities, refuse_one_vote
from potstill.grading.panel import verify
from potstill.grading.plugins import can_be_voted
from potstill.grading.pool import GradingPool
from potstill.records import (
    DecidedBy,
    Finish,
    MajorityGold,
    NoGold,
    Outcome,
    Problem,
    Response,
    is_keyed,
)


@pytest.fixture(scope="module")
def pool() -> Iterator[GradingPool]:
    with GradingPool(workers=1) as opened:
        yield opened


def draw(text: str, sample: int, *, id: str = "p", finish: Finish = Finish.STOP) -> Response:
    return replace(Response.of_text("teacher", id, text, sample=sample), finish=finish)


def boxed(answer: str) -> str:
    return f"We add them up. The answer is \\boxed{{{answer}}}."


def elect(
    pool: GradingPool,
    *texts: str | Response,
    draws: int = 5,
    share: float = 0.6,
    kind: str = "",
    text: str = "What is it?",
) -> Majority:
    problem = Problem("p", text, NoGold(), kind, "test")
    responses = [
        x if isinstance(x, Response) else draw(x, number) for number, x in enumerate(texts)
    ]
    (found,) = majorities([problem], responses, MajorityRule(draws, share), pool)
    return found


@pytest.mark.parametrize(
    ("answers", "text", "kind", "votes"),
    [
        (["1/2", "0.5", "\\frac{1}{2}", "3", "4"], "1/2", "fraction", 3),
        (["12", "12", "12", "12", "12"], "12", "integer", 5),
        (["7", "x+1", "1+x", "x + 1", "7"], "x+1", "expression", 3),
        (["(1, 2)", "(2, 1)", "(1,2)", "(1;2)", "9"], "(1, 2)", "tuple", 3),
    ],
)
def test_answers_that_the_grader_takes_for_each_other_are_one_group(
    pool: GradingPool, answers: list[str], text: str, kind: str, votes: int
) -> None:
    found = elect(pool, *map(boxed, answers))
    assert found == Majority("p", text, kind, votes, 5)


def test_a_majority_that_does_not_exist_says_how_large_the_largest_group_is(
    pool: GradingPool,
) -> None:
    found = elect(pool, *map(boxed, ["1", "2", "2", "3", "4"]))
    assert (found.text, found.votes, found.why) == ("", 2, "largest group 2 of 5")
    tied = elect(pool, *map(boxed, ["1", "1", "2", "2"]), draws=4)
    assert (tied.text, tied.why) == ("", "largest group 2 of 4")


def test_draws_without_an_answer_count_and_are_no_votes(pool: GradingPool) -> None:
    lost = [
        draw("", 2),
        draw(boxed("8")[:-30], 3, finish=Finish.LENGTH),
        replace(draw("", 4, finish=Finish.ERROR), error="refused"),
    ]
    found = elect(pool, boxed("8"), boxed("8"), *lost)
    assert (found.text, found.votes, found.draws) == ("", 2, 5)
    assert elect(pool, boxed("8"), boxed("8"), boxed("8"), *lost[:2]).text == "8"
    never_made = elect(pool, boxed("8"), boxed("8"))
    assert never_made.why == "largest group 2 of 5"
    assert elect(pool, draw("", 0)).why == "no answer in 5 draws"


def test_a_share_is_reached_by_exactly_as_many(pool: GradingPool) -> None:
    answers = [boxed(x) for x in ("4", "4", "4", "5", "6")]
    assert elect(pool, *answers, share=0.6).votes == 3
    assert elect(pool, *answers, share=0.61).text == ""


def test_an_answer_that_lists_what_is_right_takes_no_votes_of_others(pool: GradingPool) -> None:
    either = '["3", "5"]'
    found = elect(pool, *map(boxed, [either, "3", "5", "3", "5"]))
    assert (found.text, found.votes) == ("", 2)


def test_prose_and_kinds_of_their_own_are_read_as_the_grader_reads_them(pool: GradingPool) -> None:
    asked = "Anna has 3 pens and buys 4 more. How many pens does Anna have?"
    said = [f"She adds {x}. So Anna has {7 if x else 8} pens in all." for x in range(4)]
    found = elect(pool, *said, draws=4, text=asked)
    assert (found.text != "", found.votes) == (True, 3)
    chosen = elect(pool, "The answer is B.", "(B)", "I choose C.", draws=3, kind="choice")
    assert (chosen.text, chosen.kind, chosen.votes) == ("B", "choice", 2)


def test_many_problems_keep_their_order_and_their_own_draws(pool: GradingPool) -> None:
    problems = [Problem(f"p{n}", "How much?", NoGold(), "", "test") for n in range(600)]
    responses = [
        draw(boxed(str(n if s < 2 else n + 1)), s, id=f"p{n}")
        for n in range(600)
        if n % 7
        for s in range(3)
    ]
    found = list(majorities(problems, responses, MajorityRule(3, 0.6), pool))
    assert [x.problem_id for x in found] == [p.id for p in problems]
    assert [x.text for x in found] == [str(n) if n % 7 else "" for n in range(600)]


def test_a_verdict_against_a_majority_says_so(pool: GradingPool) -> None:
    problem = Problem("p", "How much?", MajorityGold("12", 3, 5), "integer", "test")
    pairs = [(problem, draw(boxed(x), n)) for n, x in enumerate(("12", "13"))]
    verdicts = list(verify(pairs, pool=pool, mode="symbolic", stage="verify"))
    assert [v.outcome for v in verdicts] == [Outcome.CORRECT, Outcome.WRONG]
    assert {v.decided_by for v in verdicts} == {DecidedBy.MAJORITY}
    assert not is_keyed(problem)
    assert problem.key_shown == "12 (no key: a majority of the teacher's answers, 3 of 5)"


def test_draws_that_are_word_for_word_the_same_are_one_vote() -> None:
    copies = [draw(boxed("3"), n, id=f"p{p}") for p in range(4) for n in range(3)]
    with pytest.raises(StudyError, match="word for word the same for each of 4 problems"):
        refuse_one_vote(copies)
    refuse_one_vote([*copies, draw(boxed("3"), 0, id="q"), draw(boxed("4"), 1, id="q")])
    refuse_one_vote([draw(boxed("3"), 0), draw(boxed("3"), 0, id="q")])


def test_kinds_whose_key_is_no_answer_have_no_majority() -> None:
    assert not any(map(can_be_voted, ("code", "tests", "judge", "rubric", "form")))
    assert all(map(can_be_voted, ("", "integer", "choice", "numeric", "exact")))
