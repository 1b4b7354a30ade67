"""How hard a problem is: as a model says, or as often as the teacher fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from potstill.chat import Completion
from potstill.ledger.ledger import Ledger
from potstill.lessons.difficulty import (
    DifficultyOptions,
    rate_by_failures,
    rate_by_model,
    rating_messages,
)
from potstill.records import AnswerKind, DecidedBy, Finish, Outcome, Problem, TextGold, Verdict
from potstill.solvers.api import ApiSolver, Options
from potstill.solvers.server import ChatRequest, create_app, serve

REPLIES = {
    "plain": ["Difficulty: 7"],
    "bold": ["It has two steps.\n\n**Difficulty: 10**"],
    "bare": ["3"],
    "late": ["Quite hard, I would say.", "Difficulty: 4"],
    "never": ["somewhere near 5", "between 5 and 6"],
    "eleven": ["Difficulty: 11", "Difficulty: 0"],
}


def problem(name: str) -> Problem:
    return Problem(name, f"the {name} one", TextGold("424242"), AnswerKind.INTEGER, "test")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_a_model_rates_each_problem_and_is_asked_once_more_where_it_cannot_be_read(
    ledger: Ledger,
) -> None:
    asked: list[str] = []

    def reply(request: ChatRequest) -> Completion:
        text = request.messages[-1]["content"]
        asked.append(text)
        name = next(n for n in REPLIES if f"the {n} one" in text)
        return Completion(REPLIES[name]["could not be read" in text], "", Finish.STOP, 1, 1)

    with serve(create_app(reply, ["m"])) as url:
        rater = ApiSolver(Options(model="m", base_url=url, api_key_env=""), ledger)
        ratings = {
            x.problem_id: x.difficulty
            for x in rate_by_model(rater, [problem(n) for n in REPLIES], "rate")
        }
    assert ratings == {"plain": 7, "bold": 10, "bare": 3, "late": 4, "never": 0, "eleven": 0}
    assert len(asked) == len(REPLIES) + 3
    assert not any("424242" in text for text in asked), "the rater was shown a key"


def test_the_prompt_never_holds_the_key() -> None:
    assert not any("424242" in m.content for m in rating_messages(problem("plain"), 1))


def test_by_failures_it_is_the_share_not_right_from_one_to_ten() -> None:
    def verdicts(name: str, *outcomes: Outcome) -> Iterator[Verdict]:
        for i, outcome in enumerate(outcomes):
            yield Verdict(f"{name}{i}", name, outcome, "", "", DecidedBy.SYMBOLIC)

    right, wrong = Outcome.CORRECT, Outcome.WRONG
    found = rate_by_failures(
        [problem(n) for n in ("easy", "half", "hard", "lost")],
        [
            *verdicts("easy", right, right, Outcome.ERRORED),
            *verdicts("half", right, Outcome.TRUNCATED, wrong, right),
            *verdicts("hard", wrong, Outcome.BLANK),
            *verdicts("lost", Outcome.BAD_KEY),
        ],
    )
    # 1 + round(9 x 2/4) is 1 + round(4.5), and Python rounds that to even
    assert [(x.problem_id, x.difficulty) for x in found] == [
        ("easy", 1),
        ("half", 5),
        ("hard", 10),
        ("lost", 0),
    ]
    assert [x.group for x in found] == ["01", "05", "10", "unrated"]


@pytest.mark.parametrize("train", [(0, 5), (6, 5), (1, 11)])
def test_a_range_that_is_none_is_refused(train: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="no range within 1 to 10"):
        DifficultyOptions(by="failures", train=train)
