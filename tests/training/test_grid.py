from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from potstill.errors import InputError, PotstillError
from potstill.models.torch_base import Base
from potstill.training.grid import train_cells, usual_workers
from potstill.training.records import StepReport
from support.grid_jobs import RECIPE, job
from support.processes import start


@pytest.mark.parametrize(("layers", "cached"), [("all", 0), (1, 1)])
def test_workers_train_the_very_students_that_one_process_trains(
    base: Base,
    tmp_path: Path,
    layers: int | str,
    cached: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    recipe = RECIPE.model_copy(update={"layers": layers})
    reports: list[StepReport] = []
    notes: list[str] = []
    apart = dict(
        train_cells(
            base,
            [job(k, tmp_path / "a", recipe) for k in range(3)],
            workers=2,
            on_step=reports.append,
            on_note=notes.append,
        )
    )
    # what the workers share is made once, and gone with them
    assert [note.startswith("Caching the lowest") for note in notes] == [True] * cached
    assert not list((tmp_path / "scratch").glob("potstill-activations-*"))
    alone = dict(train_cells(base, [job(k, tmp_path / "b", recipe) for k in range(3)], workers=1))
    hashes = [
        {done.student.seed: done.student.adapter_hash for done in trained.values()}
        for trained in (apart, alone)
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0].values())) == 3
    assert {(report.cell.seed, report.point.step) for report in reports} == {
        (seed, step) for seed in range(3) for step in range(9)
    }
    assert all((tmp_path / "a" / f"R1-{k}" / "student.json").is_file() for k in range(3))


def test_free_memory_bounds_how_many_train_at_once(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.training.grid.core_count", lambda: 64)
    few, many = (job(0, tmp_path, RECIPE.model_copy(update={"batch_size": k})) for k in (4, 4096))
    assert usual_workers(base, [few]) > usual_workers(base, [few, many]) >= 1
    assert usual_workers(base, [few]) <= 64


def test_a_job_that_fails_ends_the_others(base: Base, tmp_path: Path) -> None:
    long = RECIPE.model_copy(update={"iterations": 100_000})
    wrong = RECIPE.model_copy(update={"layers": 9})
    with pytest.raises(InputError, match="top 9 layers"):
        list(train_cells(base, [job(0, tmp_path, long), job(1, tmp_path, wrong)], workers=2))
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize(("which", "when"), [(0, "starting"), (1, "starting"), (1, "training")])
def test_a_worker_that_is_killed_ends_the_others_and_is_told(
    base: Base, tmp_path: Path, which: int, when: str
) -> None:
    long = RECIPE.model_copy(update={"iterations": 100_000})
    training = threading.Event()
    told: list[StepReport] = []

    def on_step(report: StepReport) -> None:
        told.append(report)
        training.set()

    def kill() -> None:
        if when == "training":
            training.wait()
        while len(started := _spawned()) <= which:
            time.sleep(0.001)
        started[which].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    jobs = [job(k, tmp_path, long) for k in range(2)]
    with pytest.raises(PotstillError, match="process of 2 ended early"):
        list(train_cells(base, jobs, workers=2, on_step=on_step))
    killer.join()
    assert not _spawned()
    assert when == "starting" or told


def test_ctrl_c_waits_for_no_worker_that_still_loads(base: Base, tmp_path: Path) -> None:
    def interrupt() -> None:
        while len(started := _spawned()) < 2:
            time.sleep(0.001)
        for process in started:
            process.suspend()  # loads for ever
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    jobs = [job(k, tmp_path) for k in range(2)]
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(train_cells(base, jobs, workers=2))
    assert not _spawned()
    assert len(list(train_cells(base, jobs, workers=1))) == 2


def _spawned() -> list[psutil.Process]:
    """The processes that this one has spawned and that live, in their order."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any("spawn_main" in word for word in child.cmdline()):
                found.append((child.create_time(), child.pid, child))
    return [child for *_, child in sorted(found)]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for orphans in /proc")
def test_workers_end_when_their_parent_is_killed(model_folder: Path, tmp_path: Path) -> None:
    parent = start("grid_jobs", model_folder, tmp_path / "out")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "0\n"
    workers = [int(pid) for pid in _children(parent.pid)]
    assert workers
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in workers)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
