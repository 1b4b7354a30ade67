"""Whose answers could not be read: counted over seeds, warned of above 2 %, with three of them."""

from __future__ import annotations

from potstill.pipeline.outputs import AnswerSet
from potstill.pipeline.unread import unread_solvers
from potstill.records import (
    Condition,
    DecidedBy,
    Finish,
    Outcome,
    Response,
    Role,
    Sampling,
    Split,
    Verdict,
)

CONDITION = Condition("s", "", "{problem}", Sampling(), "float32")


def cell(
    name: str, role: Role, outcomes: list[Outcome], level: str = "", seed: int = 0
) -> AnswerSet:
    responses = [
        Response(
            *(name, f"p{i}", CONDITION.condition_id, 0, 0, "", f"{'x' * 400} end {i}"),
            *(Finish.STOP, 1, 1, "k"),
        )
        for i in range(len(outcomes))
    ]
    verdicts = [
        Verdict(r.response_id, r.problem_id, o, "", "", DecidedBy.SYMBOLIC, why="no answer found")
        for r, o in zip(responses, outcomes, strict=True)
    ]
    return AnswerSet(name, role, level, seed, "pocket", CONDITION, responses, (), verdicts)


def outcomes(unread: int, n: int) -> list[Outcome]:
    kinds = [Outcome.UNPARSED, Outcome.UNDECIDED]
    return [kinds[i % 2] for i in range(unread)] + [Outcome.CORRECT] * (n - unread)


def test_more_than_two_percent_is_warned_of_and_two_percent_is_not() -> None:
    base = cell("base", Role.BASE, outcomes(3, 100))
    teacher = cell("teacher", Role.TEACHER, outcomes(2, 100))
    (found,) = unread_solvers([base, teacher])
    assert (found.who, found.role, found.set) == ("base", Role.BASE, "pocket")
    assert (found.responses, found.unread, found.split) == (100, 3, Split.HELDOUT)
    assert {x.problem_id for x in found.examples} == {"p0", "p1", "p2"}
    for x in found.examples:
        assert x.end == f"{'x' * 400} end {x.problem_id[1:]}"[-300:]
        assert x.why == "no answer found"


def test_the_seeds_of_a_level_count_together() -> None:
    cells = [
        cell("R1-s0", Role.STUDENT, outcomes(0, 100), "R1", 0),
        cell("R1-s1", Role.STUDENT, outcomes(10, 100), "R1", 1),
        cell("R2-s0", Role.STUDENT, outcomes(0, 100), "R2", 0),
    ]
    (found,) = unread_solvers(cells)
    assert (found.who, found.responses, found.unread, len(found.examples)) == ("R1", 200, 10, 3)
    assert unread_solvers(cells) == (found,)


def test_cut_and_blank_answers_are_not_unread() -> None:
    cut = [Outcome.TRUNCATED] * 50 + [Outcome.BLANK] * 50
    assert unread_solvers([cell("base", Role.BASE, cut)]) == ()
