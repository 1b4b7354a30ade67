"""Whole studies on Ray, undisturbed and not: the report is that of a run without it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

import potstill
from potstill.cluster import grading
from potstill.cluster.worker_pool import WorkerPool
from potstill.errors import InputError
from potstill.ledger.ledger import Ledger
from potstill.pipeline.run import run_study
from potstill.store.cells import Cell, Store
from potstill.study.schema import load_study
from support.pools import Killer
from support.small_study import (
    RAY_STUDY,
    Report,
    keys_in,
    kill_and_resume,
    without_times,
    write_small_study,
)

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


def test_only_one_module_imports_ray_and_only_when_asked() -> None:
    importing = []
    for path in Path(potstill.__path__[0]).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            names = [x.name for x in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "ray" for name in names):
                importing.append((path.name, node in tree.body))
    assert importing == [("session.py", False)]


def test_a_run_without_it_never_loads_ray(tmp_path: Path) -> None:
    path = write_small_study(tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom potstill.pipeline.run import run_study\n"
        "from potstill.study.schema import load_study\n"
        "run_study(load_study(Path(sys.argv[1])), Path(sys.argv[2]), until='split')\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "out")], check=True)


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("spark", "--on spark is not a place to run on; give ray"),
        ("ray://", "--on ray:// is not a place to run on; give ray"),
    ],
)
def test_a_place_that_is_none_is_said(on: str, said: str, tmp_path: Path) -> None:
    study = load_study(write_small_study(tmp_path))
    with pytest.raises(InputError, match=said):
        run_study(study, tmp_path / "out", on=on)
    assert not (tmp_path / "out").exists()


@needs_ray
def test_an_address_where_no_cluster_is_is_said_at_once() -> None:
    from potstill.cluster.session import joined

    for address in ("127.0.0.1:1", "127.0.0.1:port"):
        with (
            pytest.raises(InputError, match=f"No connection to the Ray cluster at {address}"),
            joined(f"ray://{address}"),
        ):
            pass


@needs_ray
def test_workers_import_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.cluster.session import joined

    monkeypatch.chdir(tmp_path)
    with joined("ray") as ray:
        assert Path.cwd() == tmp_path
        places = ray.get(ray.remote(lambda: sys.path).remote())
    assert not {str(tmp_path), "", "."} & set(places)


@needs_ray
def test_ray_imported_before_it_could_be_protected_is_said(tmp_path: Path) -> None:
    script = (
        "import ray\nfrom potstill.cluster.session import joined\nwith joined('ray'):\n    pass\n"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=bare, cwd=tmp_path, capture_output=True, text=True
    )
    assert "InputError: Ray was imported before Potstill could protect" in done.stderr


def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("potstill.cluster.session.find_spec", lambda name: None)
    study = load_study(write_small_study(tmp_path))
    with pytest.raises(InputError, match=r"pip install 'potstill\[ray\]'"):
        run_study(study, tmp_path / "out", on="ray")
    assert not (tmp_path / "out").exists()


def finished_alone(folder: Path, study: dict[str, Any]) -> tuple[Path, Path, Report]:
    """A study finished without Ray: its file, its directory, its report."""
    path = write_small_study(folder, **study)
    report = run_study(load_study(path), folder / "out")
    assert report is not None
    return path, folder / "out", dict(report)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Report]:
    return finished_alone(tmp_path_factory.mktemp("alone"), RAY_STUDY)


@needs_ray
def test_verifying_and_condensing_grade_on_the_workers_and_ask_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is much, which a small study has by decree here."""
    study = load_study(write_small_study(tmp_path, **RAY_STUDY))
    run_study(study, tmp_path / "alone", until="condense")
    monkeypatch.setattr(grading, "_FEWEST_HERE", 0)
    monkeypatch.setattr(grading, "_SECONDS_HERE", 0.0)
    graded: list[str] = []
    honest = WorkerPool.work

    def work(self: WorkerPool, method: str, *rest: Any, **named: Any) -> Any:
        graded.append(method)
        return honest(self, method, *rest, **named)

    monkeypatch.setattr(WorkerPool, "work", work)
    run_study(study, tmp_path / "far", until="condense", on="ray")
    assert len(graded) >= 1 + len(study.levels)
    assert set(graded) == {"grade"}
    near, far = (Store(tmp_path / name) for name in ("alone", "far"))
    tables = [(Cell(m.stage, m.key), m.files) for m in near.cells()]
    assert [(Cell(m.stage, m.key), m.files) for m in far.cells()] == tables
    assert {cell.stage for cell, _ in tables} >= {"verdicts", "lessons"}
    assert keys_in(tmp_path / "far") == keys_in(tmp_path / "alone")


@needs_ray
@pytest.mark.soak
@pytest.mark.parametrize(("every_s", "heldout"), [(3.0, 100), (20.0, 4_000)])
def test_with_workers_killed_all_along_the_report_is_the_same(
    every_s: float, heldout: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [RAY_STUDY["problems"][0] | {"heldout": heldout}]
    path, directory, report = finished_alone(tmp_path, RAY_STUDY | {"problems": problems})
    bought: Counter[str] = Counter()
    honest = Ledger.put_many

    def counting(self: Ledger, entries: Any) -> None:
        bought.update(entry.key for entry in entries)
        honest(self, entries)

    monkeypatch.setattr(Ledger, "put_many", counting)
    with Killer("answer train", lambda: True, times=6, every_s=every_s) as killer:
        disturbed = run_study(load_study(path), tmp_path / "disturbed", on="ray")
    print(f"{killer.killed} workers killed, {bought.total()} replies bought, {len(bought)} needed")
    assert killer.killed >= 3
    assert disturbed is not None
    assert without_times(dict(disturbed)) == without_times(report)
    assert keys_in(tmp_path / "disturbed") == keys_in(directory)
    assert set(bought.values()) == {1}
    assert len(bought) == heldout * 3


@needs_ray
@pytest.mark.soak
def test_the_run_itself_killed_and_resumed_on_ray_ends_with_the_same_report(
    alone: tuple[Path, Path, Report], tmp_path: Path
) -> None:
    path, directory, report = alone
    hits, resumed = kill_and_resume(path, tmp_path / "out", 3, 3, "--on", "ray", between=(12, 40))
    print(f"the run killed {hits} times")
    assert hits == 3
    assert without_times(resumed) == without_times(report)
    assert keys_in(tmp_path / "out") == keys_in(directory)


@needs_ray
@pytest.mark.soak
def test_a_run_whose_ray_is_gone_ends_soon_and_goes_on_without_it(
    alone: tuple[Path, Path, Report], tmp_path: Path
) -> None:
    path, directory, report = alone
    command = [sys.executable, "-m", "potstill", "run", str(path), "--out", str(tmp_path / "out")]
    with subprocess.Popen([*command, "--on", "ray"], stderr=subprocess.PIPE, text=True) as process:
        run = psutil.Process(process.pid)
        while not any(x.name().startswith("ray::Worker") for x in run.children(recursive=True)):
            time.sleep(0.05)
        (raylet,) = [x for x in run.children() if x.name() == "raylet"]
        raylet.kill()
        said = process.communicate(timeout=90)[1]
    # Ray itself may end the process first, with a word of its own
    assert process.returncode == 1 or "The Ray cluster has no machine left" in said
    subprocess.run(command, check=True)
    resumed = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert without_times(resumed) == without_times(report)
    assert keys_in(tmp_path / "out") == keys_in(directory)
