"""A study directory from a stranger: manifests, tables, students, reports, rulings, ledgers."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from potstill.analysis.students import find_student
from potstill.chat import Completion, Message
from potstill.deploy.serve.asking import how_sure
from potstill.grading.rulings import Rulings
from potstill.ledger.entries import entry_line
from potstill.ledger.ledger import Entry, Ledger, key_of_request, request_json
from potstill.pipeline.directory import study_of
from potstill.protocol.parse import completion_bytes
from potstill.records import (
    Finish,
    NumberGold,
    Problem,
    Response,
    Role,
    Sampling,
    Score,
    Split,
    Student,
    TextGold,
    canonical_json,
)
from potstill.solvers.replay import Recording, ReplayFile
from potstill.store.arrow import arrow_schema, to_rows
from potstill.store.cells import Cell, Store
from potstill.store.untrusted import parse_json
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from potstill.training.diagnosis import Diagnosis, read_diagnosis, write_diagnosis
from potstill.training.resume import Checkpoint, Checkpoints, digest
from potstill.training.student_folder import read_history, read_student
from support.fuzzing import Target
from support.mutations import HOSTILE_VALUES, json_bytes, mangled, mangled_json, spoiled_bytes

PROBLEMS = [
    Problem("p1", "What is 2?", TextGold("2"), "integer", "s", {"year": "2011"}),
    Problem("p2", "What is pi?", NumberGold(3.14, 0.01), "decimal", "s"),
]
RESPONSES = [Response("s", "p1", "c", 0, 0, "", "2", Finish.STOP, 1, 1, "k")]
STUDENT = Student(
    *("R1-s0-abcd", "pocket", "0" * 64, "R1", 0, "r", "d", "", "a" * 64, 2, "least loss", 0.5),
    *(24, 1000),
)
STUDENT_FILE = {
    "format_version": 1,
    "student": asdict(STUDENT),
    "recipe": {},
    "versions": {},
    "history": [
        {
            "step": 1,
            "train_loss": 1.0,
            "validation_loss": None,
            "learning_rate": 1e-4,
            "tokens_per_s": 5,
        }
    ],
}
CONDITION = {
    "condition_id": "c",
    "problem_set": "x",
    "system": "",
    "template": "{problem}",
    "sampling": {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": 64},
    "precision": "float32",
    "when_cut": "",
}
SCORE = Score(
    *("R1-s0-abcd", Role.STUDENT, "R1", 0, "c", "pocket", Split.HELDOUT, "all", 12),
    *({"CORRECT": 9}, 0.75, 0.5, 0.9, 5.0, 9.0),
)
BASE = replace(SCORE, role=Role.BASE, level="")
REPORT = {"scores": [asdict(SCORE), asdict(BASE)], "conditions": [CONDITION]}
STUDY = load_study(DEMO_STUDY).model_dump(mode="json")
CELL = Cell("problems", "a" * 20)
RULING = {"key": "k", "correct": True, "note": "", "problem_id": "p", "at": ""}
REQUEST = request_json("p", "m", [Message("user", "What is 2?")], Sampling(), 0, 0)
RAW = completion_bytes("m", Completion("2", "", Finish.STOP, 1, 1))
ENTRY = Entry(key_of_request(REQUEST), "teach", "p", "m", REQUEST, RAW, 1, 1)


def _parquet(rows: Any, schema: Any = None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue().to_pybytes()


PARQUET = _parquet(to_rows(Problem, PROBLEMS), arrow_schema(Problem))
MANIFEST = {
    "format_version": 1,
    "stage": CELL.stage,
    "key": CELL.key,
    "files": {"problems.parquet": hashlib.sha256(PARQUET).hexdigest()},
    "rows": {"problems": 2},
    "summary": {"n": 2},
    "versions": {"potstill": "0.1.0"},
}


def _store(folder: Path, parquet: bytes, manifest: bytes | None = None) -> Store:
    """A study directory of one cell, whose manifest fits the table unless one is given."""
    store = Store(folder / "study")
    place = store.folder(CELL)
    place.mkdir(parents=True)
    (place / "problems.parquet").write_bytes(parquet)
    digest = hashlib.sha256(parquet).hexdigest()
    fitting = json.dumps(MANIFEST | {"files": {"problems.parquet": digest}}).encode()
    (place / "manifest.json").write_bytes(fitting if manifest is None else manifest)
    return store


def _manifest(data: bytes, folder: Path) -> None:
    store = _store(folder, PARQUET, data)
    for manifest in store.cells():
        cell = Cell(manifest.stage, manifest.key)
        assert cell == CELL, "a manifest made another cell of itself"
        store.verify(cell)
        assert store.folder(cell).is_relative_to(folder)
    store.read(CELL, "problems", Problem)


def _as_read(problem: Problem) -> None:
    assert isinstance(problem.id, str)
    assert isinstance(problem.gold_text, str)
    assert all(isinstance(x, str) for pair in problem.groups.items() for x in pair)
    canonical_json(problem)


def _table(data: bytes, folder: Path) -> None:
    for problem in _store(folder, data).read(CELL, "problems", Problem):
        _as_read(problem)


def _foreign_table(rows: Any, folder: Path) -> None:
    import pyarrow as pa

    try:
        data = _parquet(rows)
    except (pa.ArrowException, OverflowError, TypeError, ValueError, LookupError, AttributeError):
        return  # Arrow has no words for it, so no file holds it
    _table(data, folder)


def _study(data: bytes, folder: Path) -> None:
    (folder / "study.json").write_bytes(data)
    study_of(folder)


def _student(data: bytes, folder: Path) -> None:
    (folder / "student.json").write_bytes(data)
    student = read_student(folder)
    assert Path("exports", f"{student.id}-peft").parent == Path("exports"), "an id that is a path"
    assert isinstance(student.seed, int)
    float(student.validation_loss)
    for point in read_history(folder):
        assert isinstance(point.step, int)


def _report(data: bytes, folder: Path) -> None:
    Store(folder)
    place = folder / "cells" / "student" / ("b" * 20)
    place.mkdir(parents=True)
    (place / "student.json").write_text(json.dumps(STUDENT_FILE))
    whole = MANIFEST | {"stage": "student", "key": "b" * 20, "files": {}, "rows": {}}
    (place / "manifest.json").write_text(json.dumps(whole))
    (folder / "study.json").write_text(json.dumps(STUDY))
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_bytes(data)
    found = find_student(folder)
    how_sure(found)
    found.answers()


def _rulings(data: bytes, folder: Path) -> None:
    path = folder / "rulings.jsonl"
    path.write_bytes(data)
    rulings = Rulings.load(path)
    assert isinstance(rulings.digest, str)


def _diagnosis(data: bytes, folder: Path) -> None:
    write_diagnosis(DIAGNOSIS, folder).write_bytes(data)
    assert read_diagnosis(folder).iterations >= 0


def _checkpoint(data: bytes, folder: Path) -> None:
    import numpy as np

    kept = Checkpoints(folder, {"seed": 0})
    kept.save(Checkpoint(2, {"losses": [1.0]}, {"a": np.zeros(2)}))
    (path,) = folder.glob("*.json")
    with suppress(ValueError, AttributeError):  # an honest digest of dishonest values
        manifest = parse_json(data)
        tensors = path.with_suffix(".safetensors").read_bytes()
        signed = manifest.get("sha256") == "SHA256"
        data = json_bytes(manifest | ({"sha256": digest(manifest, tensors)} if signed else {}))
    path.write_bytes(data)
    found = kept.newest()
    assert found is None or isinstance(found.step, int)


DIAGNOSIS = Diagnosis(200, 0.3, 1000, 0.8, 0.5, 0.01, True, "R1", 0)
CHECKPOINT = {
    "format_version": 2,
    "step": 2,
    "identity": {"seed": 0},
    "sha256": "SHA256",
    "values": {"losses": [1.0]},
}
COLUMNS = (
    *("key", "stage", "provider", "model", "request", "raw", "sha256", "tokens_in", "tokens_out"),
    *("tokens_cached", "reasoning_tokens", "cost_usd", "priced", "seconds", "retries"),
    "created_at",
)


def _look_at_ledger(path: Path) -> None:
    with Ledger.open(path, readonly=True) as ledger:
        assert isinstance(ledger.spent_usd, float)
        ledger.spend(("stage", "provider", "model", "day"))
        ledger.failures(("stage", "kind"))
        ledger.verify()
        ledger.get(ENTRY.key)
        for entry in ledger.entries():
            entry_line(entry)


def _new_ledger(folder: Path) -> Path:
    path = folder / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.put(ENTRY)
    return path


_SEED_LEDGER: list[bytes] = []


def _ledger_bytes(folder: Path) -> bytes:
    if not _SEED_LEDGER:
        path = _new_ledger(folder)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("PRAGMA journal_mode=DELETE")
        db.close()
        _SEED_LEDGER.append(path.read_bytes())
        path.unlink()
    return _SEED_LEDGER[0]


@st.composite
def _damage(draw: st.DrawFn) -> list[tuple[float, bytes]]:
    places = st.floats(0, 1, exclude_max=True)
    return draw(st.lists(st.tuples(places, st.binary(max_size=8)), min_size=1, max_size=6))


def _ledger_file(damage: list[tuple[float, bytes]], folder: Path) -> None:
    data = bytearray(_ledger_bytes(folder))
    for share, patch in damage:
        at = int(share * len(data))
        if patch:
            data[at : at + len(patch)] = patch
        else:
            del data[at:]
    path = folder / "spoiled.sqlite"
    path.write_bytes(data)
    _look_at_ledger(path)


SQL_VALUES = [v for v in HOSTILE_VALUES if isinstance(v, str) and "\ud800" not in v]
SQL_VALUES += [
    v for v in HOSTILE_VALUES if isinstance(v, float) or (type(v) is int and abs(v) < 2**62)
]
SQL_VALUES += [b"", b"\xff\xfe", b"x" * 300]


def _ledger_rows(values: dict[str, Any], folder: Path) -> None:
    path = folder / "ledger.sqlite"
    path.write_bytes(_ledger_bytes(folder))
    with sqlite3.connect(path) as db:
        for name, value in values.items():
            try:
                db.execute(f"UPDATE replies SET {name} = ?", (value,))
            except sqlite3.IntegrityError:  # NaN is NULL to SQLite
                continue
    db.close()
    _look_at_ledger(path)
    recording = Recording.read([ReplayFile(path=str(path))])
    assert isinstance(recording.models, list)


def _exported(data: bytes, folder: Path) -> None:
    source = folder / "replies.jsonl"
    source.write_bytes(data)
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        ledger.import_jsonl(source)
        assert ledger.verify() == []


def _marker(data: bytes, folder: Path) -> None:
    (folder / "potstill.json").write_bytes(data)
    Store(folder)


LINE = json.loads(entry_line(ENTRY))
TABLES = st.one_of(spoiled_bytes([PARQUET]), spoiled_bytes([PARQUET], edits=1))
PLAIN_ROWS = to_rows(Problem, PROBLEMS)
TARGETS = [
    Target("manifest", mangled_json([MANIFEST]), _manifest),
    Target("artifact's bytes", TABLES, _table),
    Target("artifact of another shape", mangled([PLAIN_ROWS]), _foreign_table),
    Target("study.json", mangled_json([STUDY]), _study),
    Target("student.json", mangled_json([STUDENT_FILE]), _student),
    Target("report.json", mangled_json([REPORT]), _report),
    Target("rulings", mangled_json([RULING]), _rulings),
    Target("diagnosis", mangled_json([{"format_version": 1} | asdict(DIAGNOSIS)]), _diagnosis),
    Target("checkpoint's manifest", mangled_json([CHECKPOINT]), _checkpoint),
    Target("format marker", mangled_json([{"format_version": 1}]), _marker),
    Target("ledger's bytes", _damage(), _ledger_file),
    Target(
        "ledger's rows",
        st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(SQL_VALUES), min_size=1),
        _ledger_rows,
    ),
    Target("exported ledger", mangled_json([LINE]), _exported),
]
