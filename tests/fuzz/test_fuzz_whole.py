"""A finished study directory of which one file was changed, its manifest made to fit: looked at."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st
from rich.console import Console

from potstill.analysis.compare import read_finished
from potstill.analysis.filters import ProblemFilter
from potstill.analysis.students import find_student
from potstill.analysis.verify import verify_study
from potstill.cli import inspect as inspecting
from potstill.cli.ledger import print_spend
from potstill.cli.review import disagreements
from potstill.cli.status import print_status
from potstill.deploy.export.corpus import export_corpus
from potstill.deploy.serve.asking import how_sure
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.run import run_study
from potstill.store.cells import Store
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.fuzzing import Target
from support.mutations import HOSTILE_TEXTS, HOSTILE_VALUES, json_bytes, mangled, spoiled_bytes

CASES = [8, pytest.param(300, marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 16, "valid": 4, "heldout": 6}]
    raw["levels"] = ["R1", "R6"]
    raw["training"] = {"preset": "pocket", "iterations": 2, "validate_every": 1}
    raw["evaluation"]["max_tokens"] = 16
    (folder / "study.yaml").write_text(yaml.safe_dump(raw))
    run_study(load_study(folder / "study.yaml"), folder / "out")
    return folder / "out"


def _names(folder: Path) -> list[str]:
    kept = (".json", ".parquet", ".safetensors", ".sqlite", ".jinja", ".jsonl")
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix in kept]
    return [p.relative_to(folder).as_posix() for p in files if "/figures/" not in str(p)]


def _changes(folder: Path) -> st.SearchStrategy[tuple[str, bytes]]:
    """A file of the directory and what it is to hold instead."""

    def of(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        data = (folder / name).read_bytes()
        made = [spoiled_bytes([data], edits=3)]
        if name.endswith(".json"):
            made.append(mangled([json.loads(data)]).map(json_bytes))
        if name.endswith(".parquet"):
            made = [*made, _other_cells(data), _other_cells(data)]
        return st.tuples(st.just(name), st.one_of(made))

    return st.sampled_from(_names(folder)).flatmap(of)


@st.composite
def _other_cells(draw: st.DrawFn, data: bytes) -> bytes:
    """A table of the same schema in which some cells hold what no run of ours writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    rows = table.to_pylist(maps_as_pydicts="lossy")
    for _ in range(draw(st.integers(1, 3))):
        if not rows:
            break
        row = rows[draw(st.integers(0, len(rows) - 1))]
        name = draw(st.sampled_from(list(row)))
        old = row[name]
        values: Any = HOSTILE_TEXTS if isinstance(old, str) else HOSTILE_VALUES
        if pa.types.is_map(table.schema.field(name).type):  # Arrow itself aborts at a None in it
            values = [value for value in values if value != [None]]
        row[name] = draw(st.sampled_from(values))
        try:
            pa.Table.from_pylist(rows, schema=table.schema)
        except (pa.ArrowException, OverflowError, TypeError, ValueError, AttributeError):
            row[name] = old
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
    return sink.getvalue()


def _changed(finished: Path, folder: Path, name: str, data: bytes) -> Path:
    """A copy of the directory with one file changed, and named so by its manifest."""
    copy = shutil.copytree(finished, folder / "out")
    changed = copy / name
    changed.write_bytes(data)
    manifest = changed.parent / "manifest.json"
    if manifest.exists() and manifest != changed:
        body = json.loads(manifest.read_text())
        if changed.name in body["files"]:
            body["files"][changed.name] = hashlib.sha256(data).hexdigest()
            manifest.write_text(json.dumps(body))
    return copy


def _console() -> Console:
    return Console(file=io.StringIO(), width=100)


def _inspected(directory: Path, folder: Path) -> None:
    found = StudyDirectory.open(directory)
    inspecting.print_problems(found, ProblemFilter(), _console())
    inspecting.print_gates(found, ProblemFilter(), _console())
    for problem in found.problems[:3]:
        inspecting.print_problem(found, problem.id, "", _console())


def _found(directory: Path, folder: Path) -> None:
    found = find_student(directory, "R1")
    how_sure(found)
    found.answers()


LOOKS: dict[str, Callable[[Path, Path], object]] = {
    "status": lambda directory, _: print_status(directory, _console()),
    "inspect": _inspected,
    "ledger": lambda directory, _: print_spend(directory, _console()),
    "corpus": lambda directory, folder: export_corpus(directory, folder / "corpus", "messages"),
    "find a student": _found,
    "review": lambda directory, _: disagreements(Store(directory, create=False)),
    "compare": lambda directory, _: read_finished(directory),
    "verify": lambda directory, _: verify_study(directory),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("cases", CASES)
def test_looking_at_a_changed_directory(look: str, cases: int, finished: Path) -> None:
    changes = _changes(finished)
    base = _names(finished)
    assert any(name.endswith("manifest.json") for name in base)

    def take(case: tuple[str, bytes], folder: Path) -> None:
        LOOKS[look](_changed(finished, folder, *case), folder)

    Target(f"whole directory: {look}", changes, take).hold(cases)
