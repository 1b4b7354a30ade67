from __future__ import annotations

from collections.abc import Mapping

import pytest

from potstill.evaluation import Answered
from potstill.evaluation.ladder import ladders, shared_errors
from potstill.records import Outcome, Role, Split


def row(
    level: str,
    problem: int,
    right: bool,
    *,
    role: Role = Role.STUDENT,
    seed: int = 0,
    read: str = "",
    groups: Mapping[str, str] | None = None,
    split: Split = Split.HELDOUT,
) -> Answered:
    return Answered(
        solver=f"{role.value}-{level}-{seed}",
        role=role,
        level=level,
        seed=seed,
        set="s",
        split=split,
        problem_id=f"p{problem}",
        groups=groups or {},
        condition_id="c",
        outcome=Outcome.CORRECT if right else Outcome.WRONG,
        words=1,
        tokens=1,
        read=read,
    )


def test_the_trend_and_the_losses_are_those_of_the_levels() -> None:
    # 20 problems: R1 right on all, R2 on half, R3 on none of section A and all of section B
    answers = []
    for i in range(20):
        groups = {"section": "A" if i < 10 else "B"}
        for level, right in (("R1", True), ("R2", i % 2 == 0), ("R3", i >= 10)):
            answers.append(row(level, i, right, groups=groups))
    (ladder,) = ladders(answers)
    assert ladder.trend.levels == ("R1", "R2", "R3")
    # accuracies 1, 0.5, 0.5: the least-squares slope over steps -1, 0, 1 is (0.5 - 1) / 2
    assert ladder.trend.slope == pytest.approx(-0.25)
    lost = {x.group: (x.loss, x.beyond) for x in ladder.interactions}
    assert lost == {"section=A": (1.0, 1.0), "section=B": (0.0, -1.0)}


def test_levels_that_cannot_be_set_side_by_side_make_no_ladder() -> None:
    one_level = [row("R1", i, True) for i in range(6)]
    assert ladders(one_level) == ()
    other_seed = one_level + [row("R2", i, True, seed=1) for i in range(6)]
    assert ladders(other_seed) == ()
    beside = one_level + [row("answer_only", i, True) for i in range(6)]
    assert ladders(beside) == ()
    trained_on = [row(x, i, True, split=Split.TRAIN) for x in ("R1", "R2") for i in range(6)]
    assert ladders(trained_on) == ()


def test_small_groups_say_nothing() -> None:
    answers = [
        row(level, i, level == "R1", groups={"year": "1999" if i < 4 else "2000"})
        for level in ("R1", "R2")
        for i in range(20)
    ]
    assert ladders(answers)[0].interactions == ()


def test_shared_errors_are_counted_by_the_value_given() -> None:
    teacher = [
        row("", i, i > 3, role=Role.TEACHER, read=str(i) if i < 3 else "") for i in range(6)
    ]  # wrong on 0, 1, 2 with a value, on 3 without one
    base = [row("", i, False, role=Role.BASE, read="9") for i in range(6)]
    student = [
        row("R1", i, i == 0, seed=seed, read="1" if i else "0") for seed in (0, 1) for i in range(6)
    ]
    found = {
        x.who: (x.responses, x.wrong, x.both, x.same)
        for x in shared_errors([*teacher, *base, *student])
    }
    # the student is wrong on 1..5 with "1": on 1 and 2 the teacher is too, on 1 with that value
    assert found == {"base": (6, 6, 3, 0), "R1": (12, 10, 4, 2)}
    assert shared_errors([*base, *student]) == ()
