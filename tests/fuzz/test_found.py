"""What the fuzz targets found, one case for each way in which it crashed before it was mended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from support import adapter_targets as adapters
from support import directory_targets as directory
from support import file_targets as files
from support import reply_targets as replies
from support.fuzzing import Target
from support.mutations import json_bytes

TARGETS = {
    target.name: target
    for module in (files, replies, directory, adapters)
    for target in module.TARGETS
}
TABLE = files.parquet_bytes(files.ROWS)
ROW = directory.PLAIN_ROWS[0]
SCORE = asdict(directory.SCORE)
STUDENT = asdict(directory.STUDENT)
NUMBER_AS_TEXT = {"message": {"content": [{"text": 5}]}, "finish_reason": "stop"}
LORA: Any = adapters.MLX["lora_parameters"]


def _with(document: Any, **changes: Any) -> bytes:
    return json_bytes(document | changes)


def _student(**changes: Any) -> bytes:
    return _with(directory.STUDENT_FILE, student=STUDENT | changes)


def _scores(*rows: Any) -> bytes:
    return _with(directory.REPORT, scores=list(rows))


FOUND: list[tuple[str, Any]] = [
    ("study file", b"training: {preset: [a]}"),
    ("study file", b"a: 2001-99-99"),
    ("study file", b"!!timestamp 1"),
    ("study file", b"a: !!bool 1"),
    ("study file", b"a: !!int ''"),
    ("problems jsonl", b"[" * 100_000),
    ("problems jsonl", b'{"problem": ' + b"9" * 5_000 + b"}"),
    ("problems json", b"[" + b"9" * 5_000 + b"]"),
    ("competition year", b'{"a": {"b": ' + b"9" * 5_000 + b"}}"),
    ("problems parquet", TABLE[:200] + TABLE[210:]),
    ("answers parquet", TABLE[:200] + TABLE[210:]),
    ("answers jsonl", b'{"answer": "\\ud800", "problem": 1, "id": 1}'),
    ("answers jsonl", b'{"answer": 1}\n{"answer": "a", "problem": {}}'),
    ("answers jsonl", b'{"answer": {}}'),
    ("API reply", _with(replies.PARTS, choices=[NUMBER_AS_TEXT])),
    ("API reply", _with(replies.REPLY, usage={"completion_tokens": 10**30})),
    ("request to the local server", _with(replies.CHAT, max_tokens=float("nan"))),
    ("request to the local server", _with(replies.CHAT, seed=float("inf"))),
    ("manifest", _with(directory.MANIFEST, key="../../../etc")),
    ("manifest", _with(directory.MANIFEST, files=5)),
    ("manifest", _with(directory.MANIFEST, files={"a\x00b": "0"})),
    ("manifest", _with(directory.MANIFEST, files={"a" * 300: "0"})),
    ("manifest", _with(directory.MANIFEST, files={"\ud800": "0"})),
    ("artifact of another shape", [ROW | {"gold": None}]),
    ("artifact of another shape", [ROW | {"gold": "no JSON"}]),
    ("artifact of another shape", [ROW | {"gold": '{"": "TextGold", "text": 5}'}]),
    ("artifact of another shape", [ROW | {"groups": {"year": None}}]),
    ("artifact of another shape", [ROW | {"another": 1}]),
    ("artifact of another shape", [{"id": "p"}]),
    ("student.json", _student(id="../../x")),
    ("student.json", _student(seed=[])),
    ("student.json", _student(validation_loss=" ")),
    ("report.json", b"null"),
    ("report.json", _with(directory.REPORT, scores=None)),
    ("report.json", _scores({"solver": "x"})),
    ("report.json", _scores(SCORE | {"low": "x"})),
    ("report.json", _scores(SCORE | {"low": None})),
    (
        "report.json",
        _with(directory.REPORT, conditions=[directory.CONDITION | {"sampling": {"a": 1}}]),
    ),
    ("report.json", _with(directory.REPORT, conditions=[{"condition_id": []}])),
    ("rulings", b"\xff"),
    ("checkpoint's manifest", _with(directory.CHECKPOINT, identity=5)),
    ("format marker", b"null"),
    ("ledger's rows", {"request": "no JSON"}),
    ("ledger's rows", {"request": b""}),
    ("exported ledger", b"\xff"),
    ("exported ledger", _with(directory.LINE, request=[])),
    ("exported ledger", _with(directory.LINE, key=5)),
    ("mlx-lm adapter's configuration", _with(adapters.MLX, lora_parameters=LORA | {"rank": "x"})),
    ("mlx-lm adapter's configuration", _with(adapters.MLX, lora_parameters=LORA | {"scale": 0})),
    ("mlx-lm adapter's configuration", _with(adapters.MLX, lora_parameters=LORA | {"dropout": 1})),
]


@pytest.mark.parametrize(
    ("name", "case"), FOUND, ids=[f"{n}-{i}" for i, (n, _) in enumerate(FOUND)]
)
def test_what_once_crashed_is_taken_or_refused(name: str, case: Any, tmp_path: Path) -> None:
    target: Target = TARGETS[name]
    assert target.verdict(case, tmp_path) in ("taken", "refused")


def test_the_valid_seeds_are_taken(tmp_path: Path) -> None:
    """A target that refuses whatever it is given would find nothing."""
    seeds: dict[str, Any] = {
        "study file": files.STUDIES[0],
        "problems jsonl": files.json_lines(files.ROWS),
        "problems parquet": files.parquet_bytes(files.ROWS),
        "competition year": json_bytes(files.YEAR),
        "recorded levels": files.json_lines([files.CHAT]),
        "recorded replies jsonl": files.json_lines(files.REPLIES),
        "API reply": json_bytes(replies.REPLY),
        "API stream": (replies.event_stream(replies.CHUNKS), 7),
        "request to the local server": json_bytes(replies.CHAT),
        "manifest": json_bytes(directory.MANIFEST),
        "artifact's bytes": directory.PARQUET,
        "study.json": json_bytes(directory.STUDY),
        "student.json": json_bytes(directory.STUDENT_FILE),
        "report.json": json_bytes(directory.REPORT),
        "rulings": json_bytes(directory.RULING),
        "ledger's rows": {},
        "exported ledger": json_bytes(directory.LINE),
        "adapter's configuration": json_bytes(adapters.CONFIG),
        "adapter's safetensors": adapters.weights_bytes(),
        "mlx-lm adapter's configuration": json_bytes(adapters.MLX),
    }
    for number, (name, seed) in enumerate(seeds.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert TARGETS[name].verdict(seed, folder) == "taken", name
