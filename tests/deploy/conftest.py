"""One small study for all of these tests: two levels and their mix, few training steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from potstill.analysis.students import FoundStudent, find_student
from potstill.pipeline.run import run_study
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def study_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 40, "valid": 8, "heldout": 60}]
    raw["levels"] = ["R1", "R4"]
    raw["mix"] = ["R1", "R4"]
    raw["training"] = {"preset": "pocket", "iterations": 12, "validate_every": 6}
    raw["evaluation"] = {
        "prompt": "{problem}\n\nThink first.",
        "system": "You solve problems.",
        "max_tokens": 64,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    run_study(load_study(path), folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def found(study_directory: Path) -> FoundStudent:
    return find_student(study_directory, "R4")
