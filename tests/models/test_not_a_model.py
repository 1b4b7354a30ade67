"""A folder that holds no model: what it holds in its place is told, and what to give."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.errors import InputError
from potstill.models.folder import find_described_folder


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("adapter_config.json", "holds a LoRA adapter .* give the base that it was trained on"),
        ("checkpoint-10/config.json", "give a folder of it that has one: checkpoint-10"),
        ("notes.txt", "give the folder that a model was saved to"),
    ],
)
def test_what_a_folder_without_a_model_holds_is_told(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=says):
        find_described_folder(tmp_path)
