"""An architecture that nobody knows is told with the nearest name, or with none where none is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from potstill.errors import InputError
from potstill.models.architecture import read_config


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("qwen3x", "does not know; did you mean 'qwen3'? a newer transformers may"),
        ("0123456789", "does not know; a newer transformers may, or choose another base."),
    ],
)
def test_an_unknown_architecture(tmp_path: Path, kind: str, says: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(InputError) as refused:
        read_config(tmp_path)
    assert says in str(refused.value)
