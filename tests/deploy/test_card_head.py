"""The head of a model card, read back by huggingface_hub: valid, and the report's own figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from safetensors.numpy import load_file

from potstill.analysis.students import FoundStudent, find_student
from potstill.deploy.export.card import model_card
from potstill.deploy.export.card_head import card_head
from potstill.deploy.export.exporting import Export, export_student
from potstill.deploy.export.reasking import Reasked
from potstill.pocket import STUDENT_PATH
from potstill.study.schema import Source


def read_back(found: FoundStudent) -> Any:
    """The card's data as the hub's own reader has it; it refuses a model-index that is not one."""
    return ModelCard(f"---\n{card_head(found, 'peft')}---\n\n# A student\n").data


def scored(found: FoundStudent, source: Source, **changes: Any) -> FoundStudent:
    """The student, as if its problems had come from another source."""
    study = found.study.model_copy(update={"problems": [source]})
    rows = tuple(dict(row) | {"set": source.label} | changes for row in found.scores)
    return replace(found, study=study, scores=rows)


def test_an_exported_card_states_the_reports_accuracy(found: FoundStudent, tmp_path: Path) -> None:
    export_student(found, Export("peft", tmp_path / "a", reask=0))
    card = ModelCard.load(tmp_path / "a" / "README.md")
    assert card.data.model_name == found.student.id
    (result,) = card.data.eval_results
    (row,) = found.scores
    assert result.metric_value == pytest.approx(row["accuracy"], abs=5e-5)
    assert result.metric_type == "accuracy"
    assert result.metric_name.startswith("accuracy (60 problems, 95 % ")
    assert result.metric_args == {"condition": row["condition_id"]}
    assert (result.dataset_name, result.dataset_type) == ("pocket", "pocket")
    assert card.data.library_name == "peft"
    assert "base_model" not in card.data.to_dict()  # the pocket student is on no hub
    assert found.student.base_hash in card.text
    assert (
        "distilled with Potstill onto the pocket base, a toy of 1.77 million parameters"
        in card.text
    )
    weights = load_file(STUDENT_PATH / "model.safetensors").values()
    assert round(sum(x.size for x in weights) / 1e6, 2) == 1.77
    assert "`from potstill.pocket import STUDENT_PATH as base` is the base" in card.text


def test_a_card_names_its_base_wherever_it_came_from(found: FoundStudent, tmp_path: Path) -> None:
    for base, named in (
        ("pocket", "onto the pocket base, a toy of"),
        ("Qwen/Qwen2.5-0.5B-Instruct", "onto Qwen/Qwen2.5-0.5B-Instruct from lessons R4"),
        (str(tmp_path), f"onto {found.student.base} from lessons R4"),
    ):
        student = found.study.student.model_copy(update={"base": base})
        study = found.study.model_copy(update={"student": student})
        card = model_card(replace(found, study=study), "peft", "", Reasked("peft", 0, 0, 0, 0))
        assert named in card
        assert str(tmp_path) not in card


def test_a_mixed_student_has_a_result_for_each_level_asked_for(study_directory: Path) -> None:
    mixed = find_student(study_directory, "mix")
    results = read_back(mixed).eval_results
    asked = {row["level"]: round(row["accuracy"], 4) for row in mixed.scores}
    assert {f"mix-{x}" for x in ("R1", "R4")} >= set(asked)
    assert [r.metric_value for r in results] == list(asked.values())
    for level, result in zip(asked, results, strict=True):
        assert f"(asked for {level}, 60 problems" in result.metric_name


def test_a_set_of_the_hub_is_named_as_the_hub_names_it(found: FoundStudent) -> None:
    (result,) = read_back(scored(found, Source(source="math500"))).eval_results
    assert result.dataset_type == "HuggingFaceH4/MATH-500"
    options = {"dataset": "openai/gsm8k", "config": "main", "split": "test"}
    source = Source(source="hub", name="grade school", options=options)
    (result,) = read_back(scored(found, source)).eval_results
    assert result.dataset_type == "openai/gsm8k"
    assert (result.dataset_config, result.dataset_split) == ("main", "test")
    assert result.dataset_name == "grade school"


def test_a_base_of_the_hub_is_named_and_a_folder_is_not(
    found: FoundStudent, tmp_path: Path
) -> None:
    for base, named in (("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"), (tmp_path, None)):
        student = found.study.student.model_copy(update={"base": str(base)})
        study = found.study.model_copy(update={"student": student})
        assert read_back(replace(found, study=study)).base_model == named


def test_hostile_names_and_what_cannot_be_scored(found: FoundStudent) -> None:
    name = "---\n<b>mine</b>: {x} \u202e"
    data = read_back(scored(found, Source(source="table", name=name)))
    (result,) = data.eval_results
    assert result.dataset_name == name
    assert result.dataset_type == "b-mine-b-x"
    bad = dict(found.scores[0]["outcomes"]) | {"BAD_KEY": 60}
    unread = scored(found, Source(source="table"), outcomes=bad)
    for none in (replace(found, scores=()), unread):
        head = yaml.safe_load(card_head(none, "peft"))
        assert "model-index" not in head
