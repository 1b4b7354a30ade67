"""Settings that came later: at their default a study says, and hashes to, what it did before."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from potstill.lessons.difficulty import DifficultyOptions
from potstill.lessons.traces import LessonOptions
from potstill.store.settings import Settings
from potstill.study.schema import Study
from potstill.study.sections import StudentBase
from potstill.training.recipe import Recipe

AGENT = {"solver": "pocket", "model": "pocket-teacher"}
STUDY = {"name": "small", "problems": [{"source": "pocket"}], "teacher": AGENT, "condenser": AGENT}
ADDED = {  # a value beside the default of each
    (Recipe, "replay"): {"path": "chats.jsonl", "share": 0.5},
    (StudentBase, "template"): {"enable_thinking": False},
    (StudentBase, "thinking"): "plain",
    (Study, "lessons"): {"take": "all"},
    (Study, "auto_levels"): True,
    (Study, "keys"): {"majority": 0.6},
    (Study, "teachers"): [AGENT | {"name": "a"}, AGENT | {"name": "b", "seed": 1}],
}


def made(model: type[Settings], **given: object) -> Settings:
    needed: dict[str, object] = {}
    if model is Study:
        needed = STUDY | {
            "difficulty": {"by": "student"},
            "teacher": AGENT | {"samples": 3, "temperature": 0.6},
        }
        if given.get("teachers"):
            del needed["teacher"]
    return model.model_validate(needed | given, strict=False)


@pytest.mark.parametrize(("model", "name"), ADDED, ids=lambda x: getattr(x, "__name__", x))
def test_a_setting_that_was_added_is_said_where_it_is_set(model: type[Settings], name: str) -> None:
    assert name not in made(model).model_dump(mode="json")
    default = getattr(made(model), name)
    assert name not in made(model, **{name: default}).model_dump(mode="json")
    assert name in made(model, **{name: ADDED[model, name]}).model_dump(mode="json")


def test_every_setting_that_was_added_is_a_setting() -> None:
    for model in (Recipe, StudentBase, Study, DifficultyOptions):
        assert set(model.ADDED) <= set(model.model_fields)
    assert {key for key in ADDED if key[0] is not Recipe} == {
        (model, name) for model in (StudentBase, Study) for name in model.ADDED
    }


def test_what_is_in_a_section_is_left_out_of_the_study_too() -> None:
    said = made(Study).model_dump(mode="json")
    assert "template" not in said["student"]
    assert "replay" not in said["training"]
    assert "name" not in made(Study).model_dump(mode="json", exclude={"name"})


def test_settings_of_draws_are_said_where_draws_are_made() -> None:
    assert list(DifficultyOptions(by="failures").model_dump()) == ["by", "train"]
    assert DifficultyOptions(by="student").model_dump()["samples"] == 4


def test_settings_are_strict_frozen_and_know_their_keys() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LessonOptions().take = "all"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        LessonOptions(taken="all")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="valid integer"):
        LessonOptions(take="all", most="2")  # type: ignore[arg-type]
