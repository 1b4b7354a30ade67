"""What a run wrote of its steps, after the run was cut off or its file damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.training.metrics import Metrics


def written(path: Path, steps: int) -> Metrics:
    path.unlink(missing_ok=True)
    metrics = Metrics(path, (), "R1", {})
    for step in range(steps):
        metrics.log(step, {"loss": 1.5 / (1 + step), "valid_loss": None})
    return metrics


def test_steps_beyond_the_checkpoint_are_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = written(path, 9)
    metrics.back_to(5)
    metrics.log(6, {"loss": 7.0})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4, 5, 6]
    assert lines[-1] == {"step": 6, "loss": 7.0}
    metrics.back_to(-1)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "line",
    [b'{"step": 3', b"[3]\n", b"3\n", b"{}\n", b'{"step": "3"}\n', b"\xff\n", b"[" * 9**5 + b"\n"],
)
def test_a_line_that_cannot_be_read_is_taken_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = written(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + line)
    metrics.back_to(5)
    assert path.read_bytes() == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_costs_no_more_than_its_lines(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = written(path, 6)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
    metrics.back_to(5)
    kept = path.read_bytes().splitlines()
    assert len(set(whole.splitlines()) & set(kept)) >= 4  # a line end that is gone spoils two
    assert all(json.loads(line)["step"] <= 5 for line in kept)
