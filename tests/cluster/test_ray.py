"""Real Ray on this machine: two workers of one thread each, some killed at their work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from potstill.cluster.answers import ClusterAnswering, ClusterSolver
from potstill.cluster.grid import train_on
from potstill.cluster.options import ClusterOptions
from potstill.cluster.session import joined, places
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker_pool import WorkerPool
from potstill.errors import InputError
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import Base
from potstill.records import Finish
from potstill.solvers.local import LocalSolver
from potstill.training.examples import Example
from potstill.training.grid import Job, train_cells
from potstill.training.records import GridCell
from support.pools import OPTIONS, POISON, RECIPE, Fragile, Killer, asks, jobs_in, poisoned
from support.processes import TESTS

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return []


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with joined("ray") as ray:
        yield ray


@pytest.fixture(scope="module")
def workers(
    ray: Any, spec_in: Callable[[Path], BaseSpec], directory: Path, notes: list[str]
) -> Iterator[WorkerPool]:
    from support import pools

    ray.cloudpickle.register_pickle_by_value(pools)
    workers = WorkerPool(
        ray, places(ray, OPTIONS), spec_in(directory), OPTIONS, notes.append, Fragile
    )
    yield workers
    workers.close()


def answering(ledger: Ledger, workers: WorkerPool, base: Base) -> ClusterAnswering:
    return ClusterAnswering(
        ledger,
        lambda: workers,
        OPTIONS,
        base_hash=base.base_hash,
        precision="float32",
        batch_size=32,
        note=lambda text: None,
    )


def test_a_worker_killed_at_answering_costs_no_answer(
    workers: WorkerPool,
    base: Base,
    ledger: Ledger,
    tmp_path: Path,
    notes: list[str],
) -> None:
    asked = asks(240, max_tokens=60)
    with Ledger.open(tmp_path / "alone.sqlite") as other:
        alone = {
            x.tag: x for x in LocalSolver(base, None, other, solver_id="b").complete(asked, "")
        }
    bought: list[str] = []
    honest = ledger.put_many
    ledger.put_many = lambda x: bought.extend(e.key for e in x) or honest(x)  # type: ignore
    solver = ClusterSolver(answering(ledger, workers, base), None, "base")
    with Killer("answer", lambda: bool(bought)) as killer:
        got = {x.tag: x for x in solver.complete(asked, "answer")}
    assert killer.killed == 1
    assert any("was lost" in note for note in notes)
    assert got == alone
    assert len(bought) == len(set(bought)) == 240


def test_a_worker_killed_at_training_leaves_no_trace(
    workers: WorkerPool, base: Base, directory: Path, tmp_path: Path
) -> None:
    jobs = jobs_in(directory, 3)
    steps: list[tuple[int, int]] = []
    with Killer("train", lambda: len(steps) > 5) as killer:
        trained = train_on(
            workers, jobs, retries=2, on_step=lambda x: steps.append((x.cell.seed, x.point.step))
        )
        far = dict(trained)
    assert killer.killed == 1
    alone = [replace(job, out=tmp_path / job.out.name) for job in jobs]
    near = train_cells(base, alone, workers=1)
    assert {job.cell: done.student.adapter_hash for job, done in near} == {
        job.cell: done.student.adapter_hash for job, done in far.items()
    }
    assert sorted(steps) == [(seed, step) for seed in range(3) for step in range(41)]
    assert all((job.out / "student.json").is_file() for job in jobs)


@pytest.mark.soak
def test_a_question_that_ends_its_workers_is_told(
    workers: WorkerPool, base: Base, ledger: Ledger
) -> None:
    solver = ClusterSolver(answering(ledger, workers, base), None, "base")
    got = {x.tag: x for x in solver.complete(poisoned(20), "answer")}
    assert got[POISON].finish is Finish.ERROR
    assert "workers failed on this question alone" in got[POISON].error
    assert [x.tag for x in got.values() if x.error] == [POISON]
    assert len(got) == 20


def test_what_a_worker_raises_of_ours_is_raised_here(workers: WorkerPool, directory: Path) -> None:
    wrong = RECIPE.model_copy(update={"layers": 9})
    lessons = tuple(Example(x.tag, x.messages, "It is 7.") for x in asks(8))
    job = Job(GridCell("R1", 9), lessons, lessons, wrong, directory / "wrong", "data")
    with pytest.raises(InputError, match="top 9 layers"):
        list(train_on(workers, [job], retries=2, on_step=lambda report: None))


def test_no_room_is_said(ray: Any) -> None:
    with pytest.raises(InputError, match=r"room for a worker of 1 CPU, 64 GPUs, 8 GB of memory"):
        places(ray, ClusterOptions(gpus=64.0, memory_gb=8.0))
    assert places(ray, ClusterOptions(workers=1)) == 1


def test_ray_listens_to_this_machine_alone(ray: Any) -> None:
    import psutil

    outside = [
        (process.name(), socket.laddr)
        for process in psutil.Process().children(recursive=True)
        for socket in process.net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
        and socket.laddr.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    ]
    assert outside == []


@pytest.mark.soak
def test_a_machine_lost_at_answering_costs_no_answer(
    base: Base, spec_in: Callable[[Path], BaseSpec], ledger: Ledger, tmp_path: Path
) -> None:
    """Two machines of one worker each, both of them here; one goes while it answers."""
    script = _TWO_MACHINES.format(spec=spec_in(tmp_path / "study"), here=str(TESTS))
    command = [sys.executable, "-c", script, str(tmp_path / "study")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    solver = LocalSolver(base, None, ledger, solver_id="base")
    alone = {x.tag: x.text for x in solver.complete(asks(600, max_tokens=100), "answer")}
    assert told["answers"] == alone
    assert told["removed"]
    assert any("was lost" in note for note in told["notes"])


_TWO_MACHINES = """
import json, os, sys, threading, time
from pathlib import Path, PosixPath
os.environ |= {{"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}}
sys.path.insert(0, {here!r})
from support.pools import asks
from ray.cluster_utils import Cluster
from potstill.cluster.answers import ClusterAnswering, ClusterSolver
from potstill.cluster.worker_pool import open_worker_pool
from potstill.cluster.options import ClusterOptions
from potstill.cluster.spec import BaseSpec
from potstill.ledger.ledger import Ledger

spec, directory, notes, removed = {spec}, Path(sys.argv[1]), [], []
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0}})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
options = ClusterOptions(shard_s=2.0)

def remove(ledger):
    while not any(ledger.entries()):
        time.sleep(0.05)
    cluster.remove_node(nodes[0], allow_graceful=False)
    removed.append(1)

with Ledger.open(directory / "ledger.sqlite") as ledger:
    with open_worker_pool("ray://" + cluster.address, spec, options, notes.append) as workers:
        assert workers.size == 2, workers.size
        threading.Thread(target=remove, args=(ledger,), daemon=True).start()
        made = ClusterAnswering(ledger, lambda: workers, options,
            base_hash=spec.base_hash, precision="float32", batch_size=8, note=notes.append)
        solver = ClusterSolver(made, None, "base")
        found = {{x.tag: x.text for x in solver.complete(asks(600, 100), "answer")}}
cluster.shutdown()
print(json.dumps({{"answers": found, "removed": bool(removed), "notes": notes}}))
"""
