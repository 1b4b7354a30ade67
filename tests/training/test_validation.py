"""A checkpoint chosen by problems answered rightly, on both backends."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from potstill.chat import Ask, Message
from potstill.errors import InputError
from potstill.grading import grade
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import load_base
from potstill.pocket import STUDENT_PATH
from potstill.records import Outcome, Problem, Sampling, TextGold
from potstill.solvers.local import LocalSolver
from potstill.training.examples import Example
from potstill.training.loop import train_cell
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, TrainedCell
from potstill.training.student_folder import read_history
from potstill.training.validation import Validation, ValidationQuestion

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
PROBLEMS = [
    Problem(f"p{i}", f"What is the {name} of it?", TextGold("7"), "integer", "s")
    for i, name in enumerate(NUMBERS)
]
SAMPLING = Sampling(max_tokens=12)
RECIPE = Recipe.preset(
    "pocket", iterations=20, validate_every=1, warmup_steps=2, layers=2, threads=1
)


def asked(problem: Problem) -> tuple[Message, ...]:
    return (Message("user", problem.text),)


# The student learns to say seven; the validation texts are what the base says, so their loss grows.
TRAIN = [Example(p.id, asked(p), "\\boxed{7}") for p in PROBLEMS[:4]]
VALIDATION = Validation(tuple(ValidationQuestion(p, asked(p)) for p in PROBLEMS[4:]), SAMPLING)


@pytest.fixture(scope="module", params=["torch", "mlx"])
def base(request: pytest.FixtureRequest) -> Any:
    if request.param == "torch":
        return load_base(STUDENT_PATH, device="cpu")
    if find_spec("mlx_lm") is None:
        pytest.skip("mlx-lm is not installed on this machine")
    from potstill.models.mlx_base import load_mlx_base

    return load_mlx_base(STUDENT_PATH)


def own_answers(base: Any, ledger_file: Path) -> list[Example]:
    asks = (Ask(p.id, asked(p), Sampling(max_tokens=80)) for p in PROBLEMS[4:])
    with Ledger.open(ledger_file) as ledger:
        said = list(LocalSolver(base, None, ledger, solver_id="base").complete(asks, "answer"))
    texts = {x.tag: x.text for x in said}
    return [Example(p.id, asked(p), texts[p.id]) for p in PROBLEMS[4:]]


def train(
    base: Any, out: Path, select_by: str, validation: Validation | None = VALIDATION
) -> TrainedCell:
    recipe = RECIPE.model_copy(update={"select_by": select_by})
    valid = own_answers(base, out.with_suffix(".sqlite"))
    return train_cell(
        base, GridCell("R1", 0), TRAIN, valid, recipe, out, data_hash="", validation=validation
    )


def count_right(base: Any, adapter: Path, ledger: Ledger) -> int:
    solver = LocalSolver(base, adapter, ledger, solver_id="student")
    asks = (Ask(p.id, asked(p), SAMPLING) for p in PROBLEMS[4:])
    by_id = {p.id: p for p in PROBLEMS}
    right = 0
    for said in solver.complete(asks, "answer"):
        assert said.asked
        right += grade(by_id[said.tag], said.text, finish=said.finish).outcome is Outcome.CORRECT
    return right


def test_the_checkpoint_is_the_one_that_answers_most_rightly(base: Any, tmp_path: Path) -> None:
    by_loss = train(base, tmp_path / "by-loss", "loss", None)
    chosen = train(base, tmp_path / "by-accuracy", "accuracy")
    points = [p for p in chosen.history if p.step and p.validation_right is not None]
    assert len(points) == 20
    best = max(points, key=lambda p: (p.validation_right, -p.validation_loss))
    assert chosen.student.chosen_step == best.step > by_loss.student.chosen_step
    assert f"problems right ({best.validation_right} of 4" in chosen.student.chosen_why
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert count_right(base, tmp_path / "by-accuracy", ledger) == best.validation_right
        assert count_right(base, tmp_path / "by-loss", ledger) < best.validation_right
    assert read_history(tmp_path / "by-accuracy") == chosen.history
    # the validation moved nothing: both runs took the same steps
    assert [p.train_loss for p in chosen.history] == [p.train_loss for p in by_loss.history]


def test_without_questions_nothing_is_trained(base: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs validation problems"):
        train(base, tmp_path / "x", "accuracy", Validation((), SAMPLING))
    with pytest.raises(InputError, match="was given no validation questions"):
        train(base, tmp_path / "x", "accuracy", None)
    assert not (tmp_path / "x").exists()
