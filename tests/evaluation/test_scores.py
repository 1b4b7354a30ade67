"""Scores count every outcome, and students are never scored on what they were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import StudyError
from potstill.evaluation import Answered, join, refuse_leaks, score, summarise
from potstill.evaluation.scores import check_counts, level_order
from potstill.evaluation.statistics import wilson
from potstill.records import (
    DecidedBy,
    Finish,
    Outcome,
    Problem,
    Response,
    Role,
    Split,
    TextGold,
    Verdict,
)


def row(problem: str, outcome: Outcome, **changes: object) -> Answered:
    """One student's answer."""
    made = Answered(
        solver="r1-s0",
        role=Role.STUDENT,
        level="R1",
        seed=0,
        set="competition",
        split=Split.HELDOUT,
        problem_id=problem,
        groups={},
        condition_id="c1",
        outcome=outcome,
        words=10,
        tokens=20,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def rows(outcomes: Sequence[Outcome], **changes: object) -> list[Answered]:
    """One answer per outcome, to problems p0, p1, ..."""
    return [row(f"p{i}", outcome, **changes) for i, outcome in enumerate(outcomes)]


@given(st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=60))
def test_every_outcome_is_counted_and_adds_up(outcomes: list[Outcome]) -> None:
    (found,) = score(rows(outcomes))
    assert set(found.outcomes) == {o.value for o in Outcome}
    assert sum(found.outcomes.values()) == found.n == len(outcomes)
    readable = len(outcomes) - outcomes.count(Outcome.BAD_KEY)
    correct = outcomes.count(Outcome.CORRECT)
    assert found.accuracy == (correct / readable if readable else 0.0)
    interval = wilson(correct, readable)
    assert (found.low, found.high) == (interval.low, interval.high)


def test_one_score_for_all_and_one_per_group() -> None:
    answers = [
        row("p0", Outcome.CORRECT, groups={"year": "2017", "section": "A"}),
        row("p1", Outcome.WRONG, groups={"year": "2018", "section": "A"}),
        row("p2", Outcome.CORRECT, groups={"year": "2018"}),
    ]
    found = {s.group: s for s in score(answers)}
    assert list(found) == ["all", "year=2017", "year=2018", "section=A"]
    assert [s.n for s in found.values()] == [3, 1, 2, 2]
    assert found["year=2018"].accuracy == 0.5


def test_sets_and_splits_are_scored_apart() -> None:
    answers = [
        row("p0", Outcome.CORRECT),
        row("p0", Outcome.WRONG, set="MATH-500"),
        row("p1", Outcome.CORRECT, split=Split.TRAIN),
    ]
    assert [(s.set, s.split, s.n) for s in score(answers)] == [
        ("competition", Split.HELDOUT, 1),
        ("MATH-500", Split.HELDOUT, 1),
        ("competition", Split.TRAIN, 1),
    ]


def test_a_problem_answered_twice_is_refused() -> None:
    with pytest.raises(StudyError, match=r"r1-s0 answered p0 of competition twice"):
        score([row("p0", Outcome.CORRECT), row("p0", Outcome.WRONG)])


def test_counts_that_do_not_add_up_are_refused() -> None:
    good = {o.value: 0 for o in Outcome} | {"CORRECT": 2}
    check_counts(2, good, "R1")
    with pytest.raises(StudyError, match="sum to 2, not to its 3"):
        check_counts(3, good, "R1")
    with pytest.raises(StudyError, match="miss or invent BLANK"):
        check_counts(2, {k: v for k, v in good.items() if k != "BLANK"}, "R1")


def test_a_level_takes_its_seeds_together() -> None:
    right, wrong = Outcome.CORRECT, Outcome.WRONG
    answers = rows([right, right, wrong, Outcome.BAD_KEY], solver="s0", seed=0)
    answers += rows([right, wrong, wrong, Outcome.BAD_KEY], solver="s1", seed=1)
    (found,) = summarise(answers)
    assert (found.level, found.seeds, found.n, found.responses) == ("R1", (0, 1), 3, 8)
    assert found.accuracy == pytest.approx(0.5)
    assert found.accuracy_by_seed == pytest.approx((2 / 3, 1 / 3))
    assert sum(found.outcomes.values()) == 8
    assert found.low < 0.5 < found.high


def test_seeds_that_answered_other_problems_are_refused() -> None:
    answers = [row("p0", Outcome.CORRECT), row("p9", Outcome.CORRECT, solver="r1-s1", seed=1)]
    with pytest.raises(StudyError, match=r"did not answer the same problems \(p0, p9\)"):
        summarise(answers)


def test_seen_problems_are_refused_by_id() -> None:
    refuse_leaks(["a", "b"], ["c"], [("a", "z"), ("z", "c")])
    with pytest.raises(StudyError, match=r"1 held-out problem stood in the training set \(b\)"):
        refuse_leaks(["a", "b"], ["b", "c"])
    with pytest.raises(StudyError, match=r"2 held-out problems nearly repeat.*\(a, b\)"):
        refuse_leaks(["a", "b"], ["c"], [("a", "c"), ("b", "c")])
    with pytest.raises(StudyError, match="and 7 more"):
        refuse_leaks([str(i) for i in range(12)], [str(i) for i in range(12)])


def test_levels_stand_in_the_ladders_order() -> None:
    assert level_order(["mix", "R3", "R1", "R3", "truncate"]) == ["R1", "R3", "mix", "truncate"]


def response(text: str, attempt: int = 0, problem: str = "p0") -> Response:
    """One response of a student."""
    return Response("r1-s0", problem, "c1", 0, attempt, "", text, Finish.STOP, 5, 7, "k")


def verdict(of: Response, outcome: Outcome) -> Verdict:
    """Its verdict."""
    return Verdict(of.response_id, of.problem_id, outcome, "2", "", DecidedBy.SYMBOLIC)


def test_join_takes_the_last_attempt() -> None:
    problem = Problem("p0", "1 + 1?", TextGold("2"), "integer", "here", {"year": "2017"})
    first, second = response("", 0), response("it is two", 1)
    verdicts = [verdict(second, Outcome.CORRECT), verdict(first, Outcome.ERRORED)]
    cell = {"role": Role.STUDENT, "set": "s", "split": Split.HELDOUT, "level": "R1"}
    (found,) = join([second, first], verdicts, [problem], **cell)  # type: ignore[arg-type]
    assert (found.outcome, found.words, found.tokens) == (Outcome.CORRECT, 3, 7)
    assert found.groups == {"year": "2017"}
    with pytest.raises(StudyError, match="has no verdict; grade it"):
        join([first], [], [problem], **cell)  # type: ignore[arg-type]
    other = response("x", problem="p7")
    with pytest.raises(StudyError, match="answered p7, which is not a problem of s"):
        join([other], [verdict(other, Outcome.WRONG)], [problem], **cell)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="the verdict on p0 is on no response"):
        join([second], verdicts, [problem], **cell)  # type: ignore[arg-type]
