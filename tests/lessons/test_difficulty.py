"""How hard a problem is: as a model says, or as often as the teacher or the base fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from potstill.chat import Completion
from potstill.errors import InputError, StudyError
from potstill.ledger.ledger import Ledger
from potstill.lessons.difficulty import (
    DifficultyOptions,
    PassRate,
    pass_rate_sentence,
    rate_by_failures,
    rate_by_model,
    rate_by_passes,
    rating_messages,
)
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import create_app, serve
from potstill.records import AnswerKind, DecidedBy, Finish, Outcome, Problem, TextGold, Verdict
from potstill.solvers.api import ApiSolver, Options
from potstill.study.schema import load_study
from support.small_study import write_small_study

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


def test_a_rater_that_never_can_be_read_is_asked_no_more_after_ten(ledger: Ledger) -> None:
    asked = []

    def reply(request: ChatRequest) -> Completion:
        asked.append(request)
        return Completion("quite hard", "", Finish.STOP, 1, 1)

    with serve(create_app(reply, ["m"])) as url:
        rater = ApiSolver(Options(model="m", base_url=url, api_key_env=""), ledger)
        with pytest.raises(InputError, match="none of its first 10 replies"):
            list(rate_by_model(rater, [problem(f"p{i}") for i in range(30)], "rate"))
    assert len(asked) == 20


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


def test_by_student_always_and_never_are_bins_of_their_own_however_many_draws() -> None:
    rates = {
        "always": PassRate(64, 64),
        "nearly": PassRate(63, 64),
        "half": PassRate(2, 4),
        "seldom": PassRate(1, 64),
        "never": PassRate(0, 64),
        "lost": PassRate(0, 0),
    }
    # by failures 63 of 64 is 1 + round(0.14) and so 1; here that is right every time
    assert {x.problem_id: x.group for x in rate_by_passes(rates)} == {
        "always": "01",
        "nearly": "02",
        "half": "05",
        "seldom": "09",
        "never": "10",
        "lost": "unrated",
    }
    assert pass_rate_sentence(rates, 64) == (
        "The base before training on the 6 problems to be taught, 64 draws of each: right in every "
        "draw (difficulty 1) 1, in some (2 to 9) 3, in none (10) 1, without a draw that can be "
        "judged 1."
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "student", "samples": 4, "temperature": 0.0}, "4 draws at temperature 0 are all"),
        ({"by": "failures", "samples": 4}, "samples decides nothing with by: failures"),
        ({"by": "model", "temperature": 0.5}, "temperature decides nothing with by: model"),
        ({"by": "student", "samples": 0}, "greater than or equal to 1"),
        ({"by": "student", "temperature": float("nan")}, "temperature"),
        (
            {"by": "student", "samples": 2, "train": [6, 9]},
            r"\[6, 9\] holds no rating that 2 draws can give \(1, 5, 10\); widen it, or set more",
        ),
        (
            {"by": "student", "samples": 1, "temperature": 0.0, "train": [2, 9]},
            r"no rating that 1 draw can give \(1, 10\)",
        ),
    ],
)
def test_draws_that_make_no_sense_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        DifficultyOptions(**options)


def test_a_range_that_the_teachers_draws_never_give_is_refused(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, difficulty={"by": "failures", "train": [2, 3]})
    raw = yaml.safe_load(path.read_text())
    for samples, told in ((2, "1, 5, 10"), (3, "1, 4, 7, 10"), (5, None)):
        raw["teacher"]["samples"] = samples
        path.write_text(yaml.safe_dump(raw))
        if told is None:  # 1 + round(9 / 5) is 3
            assert load_study(path).difficulty
            continue
        with pytest.raises(StudyError, match=rf"holds no rating that .* can give \({told}\)"):
            load_study(path)


def test_settings_of_draws_are_in_no_hash_where_nothing_is_drawn() -> None:
    failures = DifficultyOptions(by="failures", train=(1, 4))
    assert failures.model_dump(mode="json") == {"by": "failures", "train": [1, 4]}
    assert DifficultyOptions(by="student", samples=1, temperature=0.0).model_dump() == {
        "by": "student",
        "train": (1, 10),
        "samples": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": "auto",
        "seed": 0,
    }
