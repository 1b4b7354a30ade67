from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from potstill import records
from potstill.errors import StoreError
from potstill.models.torch_base import load_tokenizer
from potstill.pocket import STUDENT_PATH
from potstill.store.atomic import disk_errors, write_atomically
from potstill.store.cells import FORMAT_VERSION, Cell, Store
from support.small_disk import small_disk

PROBLEM = records.Problem(
    "a/1", "What is 1+1?", records.TextGold("2"), "integer", "table", {"year": "2011"}
)
NUMERIC = records.Problem("a/2", "g?", records.NumberGold(9.81, 0.01), "decimal", "table", {})
LESSON = records.Lesson("a/1", "R1", "R0", "1+1=2 \\boxed{2}", 2, 9, "x", 0, ("cut", "blank"))
VERDICT = records.Verdict(
    "r", "a/1", records.Outcome.CORRECT, "2", "boxed", records.DecidedBy.SYMBOLIC
)
SCORE = records.Score(
    "base", records.Role.BASE, "", 0, "c", "table", records.Split.HELDOUT, "all", 1,
    {"CORRECT": 1}, 1.0, 0.2, 1.0, 3.0, 4.0,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "study")


@pytest.mark.parametrize("record", [PROBLEM, NUMERIC, LESSON, VERDICT, SCORE])
def test_what_is_read_is_what_was_written(store: Store, record: object) -> None:
    cell = Cell.of("test", x=1)
    store.write(cell, {"rows": (type(record), [record, record])})
    read = store.read(cell, "rows", type(record))
    assert read == [record, record]
    assert records.content_hash(read[0]) == records.content_hash(record)


def test_a_cell_is_named_by_its_inputs_alone() -> None:
    assert Cell.of("s", a=1, b=PROBLEM) == Cell.of("s", b=PROBLEM, a=1)
    others = [Cell.of("s", a=2, b=PROBLEM), Cell.of("t", a=1, b=PROBLEM), Cell.of("s", a=1)]
    assert Cell.of("s", a=1, b=PROBLEM) not in others


def test_a_cell_without_its_manifest_does_not_exist(store: Store) -> None:
    cell = Cell.of("test", x=1)
    store.write(cell, {"rows": (records.Problem, [PROBLEM])})
    assert store.exists(cell)
    store.discard(cell)
    assert not store.exists(cell)


def test_a_flipped_byte_is_never_used(store: Store, tmp_path: Path) -> None:
    cell = Cell.of("test", x=1)
    store.write(cell, {"rows": (records.Problem, [PROBLEM])})
    path = store.folder(cell) / "rows.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"rows\.parquet does not match its manifest"):
        store.read(cell, "rows", records.Problem)


def test_a_newer_directory_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    marker = tmp_path / "potstill.json"
    marker.write_text(json.dumps({"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(StoreError, match="written by a newer Potstill"):
        Store(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["potstill.json"]


def test_a_refused_write_is_one_sentence_and_leaves_nothing_half_written(
    store: Store,
) -> None:
    cell = Cell.of("test", x=1)
    with (
        small_disk(512),
        pytest.raises(StoreError, match=r"Cannot write to .*; free some space"),
    ):
        store.write(cell, {"rows": (records.Problem, [PROBLEM])})
    assert not store.exists(cell)
    assert list(store.folder(cell).iterdir()) == []


def test_text_that_is_not_unicode_survives(store: Store) -> None:
    cell = Cell.of("test", x=1)
    store.write(cell, {"rows": (records.NotAsked, [records.NotAsked("s", "p\ud800", "c", "\0")])})
    (row,) = store.read(cell, "rows", records.NotAsked)
    assert (row.problem_id, row.why) == ("p?", "\0")


def test_atomic_write_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_works_on_any_fsspec_url() -> None:
    store = Store("memory://potstill-test/study")
    cell = Cell.of("test", x=1)
    store.write(cell, {"rows": (records.Problem, [PROBLEM])})
    assert store.read(cell, "rows", records.Problem) == [PROBLEM]
    assert [m.stage for m in store.cells()] == ["test"]
    with pytest.raises(StoreError, match="is not a local folder"):
        store.folder(cell)


def test_a_damaged_mark_never_advises_to_delete_the_study(tmp_path: Path) -> None:
    Store(tmp_path)
    marker = tmp_path / "potstill.json"
    for damaged in ("{", "[]", '{"format_version": "1"}'):
        marker.write_text(damaged)
        with pytest.raises(StoreError, match=r"delete the file .*potstill\.json and run again"):
            Store(tmp_path)
    marker.unlink()
    Store(tmp_path)
    assert json.loads(marker.read_text()) == {"format_version": 1}


def test_what_rusts_libraries_say_of_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(STUDENT_PATH)
    weights = {"a": np.zeros(1000)}
    with small_disk(512):
        for write in (
            lambda: save_file(weights, tmp_path / "a.safetensors"),
            lambda: tokenizer.save_pretrained(str(tmp_path)),
        ):
            with pytest.raises(OSError, match="File too large"), disk_errors():
                write()
    with pytest.raises(ValueError, match="another"), disk_errors():
        raise ValueError("another matter")
