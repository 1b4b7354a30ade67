from __future__ import annotations

from pathlib import Path

import pytest
import torch

from potstill.models.torch_base import Base, load_base
from random_model import write_random_model
from support.tiny_cell import TEXTS


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("models") / "tiny", TEXTS)


@pytest.fixture
def base(model_folder: Path) -> Base:
    return load_base(model_folder, device="cpu")
