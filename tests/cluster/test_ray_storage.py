"""Real Ray on this machine, two workers that see no path of the study: all goes through S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from potstill.cluster.answers import ClusterAnswering, ClusterSolver
from potstill.cluster.grid import train_on
from potstill.cluster.options import ClusterOptions
from potstill.cluster.spec import BaseSpec
from potstill.cluster.storage import Storage, open_storage
from potstill.cluster.worker_pool import WorkerPool, open_worker_pool
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import Base
from potstill.pipeline.run import run_study
from potstill.solvers.local import LocalSolver
from potstill.study.schema import load_study
from potstill.training.grid import train_cells
from support.pools import OPTIONS, Killer, asks, jobs_in
from support.small_study import (
    RAY_STUDY,
    keys_in,
    kill_and_resume,
    without_times,
    write_small_study,
)

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def stored(bucket: str, directory: Path) -> Storage:
    opened = open_storage(ClusterOptions(storage=f"{bucket}/ray"), directory)
    assert opened is not None
    return opened


@pytest.fixture(scope="module")
def workers(
    stored: Storage, spec_in: Callable[[Path], BaseSpec], directory: Path
) -> Iterator[WorkerPool]:
    spec = replace(spec_in(directory), directory=Path("/nowhere"), storage=stored.spec)
    with open_worker_pool("ray", spec, OPTIONS, lambda text: None) as opened:
        yield opened


def test_a_worker_killed_at_training_leaves_no_trace(
    workers: WorkerPool, stored: Storage, base: Base, directory: Path, tmp_path: Path
) -> None:
    jobs = jobs_in(directory, 3)
    steps: list[int] = []
    with Killer("train", lambda: len(steps) > 5) as killer:
        trained = train_on(
            workers,
            jobs,
            retries=2,
            on_step=lambda x: steps.append(x.point.step),
            storage=stored,
        )
        far = dict(trained)
    assert killer.killed == 1
    near = train_cells(base, [replace(j, out=tmp_path / j.out.name) for j in jobs], workers=1)
    assert {job.cell: done.student.adapter_hash for job, done in near} == {
        job.cell: done.student.adapter_hash for job, done in far.items()
    }
    assert all((job.out / "student.json").is_file() for job in jobs)


def test_a_worker_killed_at_answering_costs_no_answer(
    workers: WorkerPool,
    stored: Storage,
    base: Base,
    ledger: Ledger,
    directory: Path,
    tmp_path: Path,
) -> None:
    asked = asks(240, max_tokens=60)
    student = directory / "R1-0"
    with Ledger.open(tmp_path / "alone.sqlite") as other:
        near = LocalSolver(base, student, other, solver_id="R1")
        alone = {x.tag: x for x in near.complete(asked, "answer")}
    bought: list[str] = []
    honest = ledger.put_many
    ledger.put_many = lambda x: bought.extend(e.key for e in x) or honest(x)  # type: ignore
    made = ClusterAnswering(
        ledger,
        lambda: workers,
        OPTIONS,
        base_hash=base.base_hash,
        precision="float32",
        batch_size=32,
        note=lambda text: None,
        storage=stored,
    )
    with Killer("answer", lambda: bool(bought)) as killer:
        solver = ClusterSolver(made, student, "R1")
        got = {x.tag: x for x in solver.complete(asked, "answer")}
    assert killer.killed == 1
    assert got == alone
    assert len(bought) == len(set(bought)) == 240
    assert stored.names("adapters") == []


@pytest.mark.soak
def test_a_whole_study_killed_and_resumed_through_a_bucket_ends_with_the_same_report(
    bucket: str, tmp_path: Path
) -> None:
    cluster: dict[str, Any] = {**RAY_STUDY["cluster"], "storage": f"{bucket}/whole"}
    path = write_small_study(tmp_path, **{**RAY_STUDY, "cluster": cluster})
    alone = run_study(load_study(path), tmp_path / "alone")
    assert alone is not None
    assert not (tmp_path / "alone" / "storage.json").exists()
    hits, resumed = kill_and_resume(path, tmp_path / "out", 3, 2, "--on", "ray", between=(9, 18))
    assert hits > 0
    assert without_times(resumed) == without_times(dict(alone))
    assert keys_in(tmp_path / "out") == keys_in(tmp_path / "alone")
