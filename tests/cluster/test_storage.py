"""A study's storage behind a URL: a real S3 server on loopback, workers that see no study path."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from potstill.cluster.answers import ClusterAnswering, ClusterSolver
from potstill.cluster.grid import train_on
from potstill.cluster.options import ClusterOptions
from potstill.cluster.spec import BaseSpec
from potstill.cluster.storage import Storage, StorageSpec, check_storage, open_storage
from potstill.cluster.worker import Worker
from potstill.cluster.worker_pool import Done, Lost
from potstill.errors import InputError, StoreError
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import Base
from potstill.pipeline.run import run_study
from potstill.solvers.local import LocalSolver
from potstill.study.schema import load_study
from potstill.training import loop
from potstill.training.grid import Job, train_cells
from potstill.training.torch_trainer import TorchTrainer
from support.pools import asks, jobs_in
from support.small_study import write_small_study

SpecIn = Callable[[Path], BaseSpec]


class OneWorker:
    """A pool of one worker in this process that is told everything as another machine would be.

    The shards numbered in ``lost`` end their worker after half of their questions.
    """

    size = 1

    def __init__(self, spec: BaseSpec, storage: Storage, lost: tuple[int, ...] = ()) -> None:
        self.worker = Worker()
        self.worker.join(replace(spec, directory=Path(), storage=storage.spec))
        self.worker.load()
        self._lost = lost
        self.sent: list[bytes] = []

    def work(
        self, method: str, take: Callable[[], Any], shared: Any = None
    ) -> Iterator[tuple[Any, Any]]:
        beside = () if shared is None else (shared,)
        while (task := take()) is not None:
            number = len(self.sent)
            self.sent.append(pickle.dumps((task, beside)))
            lost = number in self._lost
            done = replace(task, asked=task.asked[: len(task.asked) // 2]) if lost else task
            for made in getattr(self.worker, method)(done, *beside):
                yield task, made
            yield task, Lost("its worker was lost") if lost else Done()


def answering(ledger: Ledger, workers: Any, base: Base, storage: Storage) -> ClusterAnswering:
    return ClusterAnswering(
        ledger,
        lambda: workers,
        ClusterOptions(),
        base_hash=base.base_hash,
        precision="float32",
        batch_size=8,
        note=lambda text: None,
        storage=storage,
    )


def objects(storage: Storage, folder: str) -> list[str]:
    """The paths of all that lies in a folder of a storage."""
    return list(fsspec.filesystem("s3").find(f"{storage.spec.url}/{folder}"))


def test_what_lies_in_a_storage_is_as_it_was_put_or_not_there(storage: Storage) -> None:
    fs = fsspec.filesystem("s3")
    at = storage.spec.url
    storage.put("shards/a/1", b"one")
    storage.put("shards/a/2", b"two")
    assert storage.get("shards/a/1") == b"one"
    assert storage.names("shards") == ["a"]
    assert storage.names("shards/a") == ["1", "2"]
    assert storage.names("nothing") == []
    fs.copy(f"{at}/shards/a/1", f"{at}/shards/a/3")
    assert storage.get("shards/a/3") is None, "sealed under another name"
    fs.pipe_file(f"{at}/shards/a/2", fs.cat_file(f"{at}/shards/a/2").replace(b"two", b"TWO"))
    assert storage.get("shards/a/2") is None, "changed"
    stranger = Storage(StorageSpec(at, b"another key".ljust(32)))
    stranger.put("shards/a/1", b"forged")
    assert storage.get("shards/a/1") is None, "sealed with another key"
    storage.remove("shards")
    storage.remove("shards")
    assert storage.names("shards") == []


def test_a_folder_comes_back_whole_or_not_at_all(storage: Storage, tmp_path: Path) -> None:
    fs, at = fsspec.filesystem("s3"), f"{storage.spec.url}/students/x"
    made = tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "weights").write_bytes(bytes(3_000_000))
    (made / "inner" / "more").write_text("more")
    storage.push("students/x", made)
    there = tmp_path / "there"
    there.mkdir()
    (there / "stale").touch()
    assert storage.pull("students/x", there)
    assert sorted(p.name for p in there.rglob("*")) == ["inner", "more", "weights"]
    assert (there / "weights").read_bytes() == bytes(3_000_000)
    for broken in (bytes(2_999_999) + b"1", bytes(3_000_001), bytes(2_999_999)):
        fs.pipe_file(f"{at}/weights", broken)
        assert not storage.pull("students/x", tmp_path / "elsewhere")
    fs.rm(f"{at}/weights")
    assert not storage.pull("students/x", tmp_path / "elsewhere")
    assert not storage.pull("students/y", tmp_path / "elsewhere")
    storage.put("students/x/files", json.dumps({"../out": ["0", 1]}).encode())
    assert not storage.pull("students/x", tmp_path / "elsewhere")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "storage.json", "there"]


def test_a_study_keeps_its_place_and_its_key(bucket: str, tmp_path: Path) -> None:
    options = ClusterOptions(storage=f"{bucket}/runs/")
    first, again = (open_storage(options, tmp_path) for _ in range(2))
    other = open_storage(options, tmp_path / "other")
    assert first
    assert again
    assert other
    assert first.spec == again.spec
    assert first.spec.url != other.spec.url
    assert (tmp_path / "storage.json").stat().st_mode & 0o077 == 0
    assert first.spec.key.hex() not in repr(first.spec)
    assert open_storage(ClusterOptions(), tmp_path) is None
    (tmp_path / "storage.json").write_text('{"folder": "../x", "key": ""}')
    with pytest.raises(StoreError, match=r"storage\.json is damaged"):
        open_storage(options, tmp_path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("bucket/folder", "it is no URL of a folder; give one such as s3://bucket/folder"),
        ("s3://", "is no URL of a folder"),
        ("simplecache::s3://bucket", "is no URL of a folder"),
        ("s3://name:a/key@bucket/x", "credentials are for the environment"),
    ],
)
def test_what_is_no_place_is_said_with_the_study(url: str, said: str, tmp_path: Path) -> None:
    path = write_small_study(tmp_path, cluster={"storage": url})
    with pytest.raises(InputError, match=said) as raised:
        load_study(path)
    assert "key@" not in str(raised.value)


def test_what_cannot_be_reached_is_one_sentence(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="is no place that fsspec knows"):
        check_storage(ClusterOptions(storage="nowhere://bucket/x"))
    with pytest.raises(StoreError, match=r"cannot be written \(there is no such place\)"):
        open_storage(ClusterOptions(storage="s3://missing/x"), tmp_path)
    monkeypatch.setattr(fsspec.core, "url_to_fs", _no_s3fs)
    study = load_study(write_small_study(tmp_path, cluster={"storage": f"{bucket}/x"}))
    with pytest.raises(InputError, match=r"needs s3fs.*pip install 'potstill\[s3\]'"):
        run_study(study, tmp_path / "out", on="ray")
    assert not (tmp_path / "out").exists()


def _no_s3fs(url: str) -> Any:
    raise ImportError("Install s3fs to access S3")


def test_answers_come_through_the_storage_and_none_is_lost(
    base: Base, spec_in: SpecIn, storage: Storage, ledger: Ledger, tmp_path: Path
) -> None:
    with Ledger.open(tmp_path / "alone.sqlite") as other:
        job = jobs_in(tmp_path)[0]
        [(_, trained)] = train_cells(base, [job], workers=1)
        near = LocalSolver(base, job.out, other, solver_id="R1")
        alone = {x.tag: x for x in near.complete(asks(120), "answer")}
    workers = OneWorker(spec_in(tmp_path), storage, lost=(0, 2))
    made = answering(ledger, workers, base, storage)
    solver = ClusterSolver(made, job.out, "R1")
    assert {x.tag: x for x in solver.complete(asks(120), "answer")} == alone
    assert len(workers.sent) >= 4
    assert not any(str(tmp_path).encode() in sent for sent in workers.sent)
    assert trained.student.adapter_hash.encode() in workers.sent[0]
    assert objects(storage, "adapters") == []


def test_an_adapter_that_was_changed_is_not_used(
    base: Base, spec_in: SpecIn, storage: Storage, ledger: Ledger, tmp_path: Path
) -> None:
    job = jobs_in(tmp_path)[0]
    list(train_cells(base, [job], workers=1))

    class Meddling(OneWorker):
        def work(self, method: str, take: Any, *rest: Any) -> Any:
            for path in objects(storage, "adapters"):
                if path.endswith("safetensors"):
                    fsspec.filesystem("s3").pipe_file(path, b"changed")
            yield from super().work(method, take, *rest)

    workers = Meddling(spec_in(tmp_path), storage)
    solver = ClusterSolver(answering(ledger, workers, base, storage), job.out, "R1")
    with pytest.raises(StoreError, match="is not what was put there"):
        list(solver.complete(asks(3), "answer"))


def test_a_cell_goes_on_elsewhere_from_its_checkpoint_in_the_storage(
    base: Base,
    spec_in: SpecIn,
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ended(Exception):
        pass

    monkeypatch.setitem(loop.train_cell.__kwdefaults__, "checkpoint_every_s", 0.0)
    monkeypatch.setattr("potstill.cluster.handover._LOOK_S", 0.0)
    [job] = jobs_in(tmp_path / "near")
    [(_, alone)] = train_cells(base, [job], workers=1)
    far = replace(job, out=tmp_path / "far" / job.out.name)

    class Ending(OneWorker):
        def work(self, *args: Any, **named: Any) -> Any:
            honest = self.worker._train

            def train(job: Job, grid: Any, on_step: Any) -> loop.TrainedCell:
                def ending(step: loop.StepReport) -> None:
                    if step.point.step == 25:
                        raise Ended
                    on_step(step)

                return honest(job, grid, ending)

            self.worker._train = train  # type: ignore[method-assign]
            yield from super().work(*args, **named)

    def train(workers: OneWorker) -> list[tuple[Job, loop.TrainedCell]]:
        trained = train_on(workers, [far], retries=0, on_step=lambda x: None, storage=storage)  # type: ignore[arg-type]
        return list(trained)

    with pytest.raises(Ended):
        train(Ending(spec_in(tmp_path), storage))
    assert len(storage.names(f"checkpoints/{job.out.name}")) == 2
    steps: list[int] = []
    honest = TorchTrainer.step
    monkeypatch.setattr(TorchTrainer, "step", lambda *a: steps.append(1) or honest(*a))
    workers = OneWorker(spec_in(tmp_path), storage)
    [(_, trained)] = train(workers)
    assert len(steps) == 40 - 23, "steps 1 to 23 are those of the checkpoint"
    assert trained.student.adapter_hash == alone.student.adapter_hash
    assert [p.step for p in trained.history] == list(range(41))
    assert (far.out / "student.json").is_file()
    assert len((far.out / "metrics.jsonl").read_text().splitlines()) == 41
    assert not any(str(tmp_path).encode() in sent for sent in workers.sent)
    assert objects(storage, "checkpoints") == objects(storage, "students") == []


def test_a_student_that_was_finished_when_run_or_worker_died_is_not_trained_again(
    base: Base, spec_in: SpecIn, storage: Storage, tmp_path: Path
) -> None:
    class EndsAfterwards(OneWorker):
        def work(self, *args: Any, **named: Any) -> Any:
            for task, made in super().work(*args, **named):
                yield task, Lost("its worker was lost") if isinstance(made, Done) else made

    jobs = jobs_in(tmp_path / "far", 2)
    workers = EndsAfterwards(spec_in(tmp_path), storage)
    list(workers.worker.train(replace(jobs[1], out=Path(jobs[1].out.name)), []))
    trained = train_on(workers, jobs, retries=0, on_step=lambda x: None, storage=storage)  # type: ignore[arg-type]
    done = dict(trained)
    assert set(done) == set(jobs)
    assert len(workers.sent) == 1
    assert done[jobs[1]].stopped_step == 40
    assert [p.step for p in done[jobs[1]].history] == list(range(41))
    assert objects(storage, "students") == []


def test_a_worker_that_sees_another_place_says_so(
    spec_in: SpecIn, storage: Storage, tmp_path: Path
) -> None:
    elsewhere = StorageSpec(f"{storage.spec.url}-elsewhere", storage.spec.key)
    with pytest.raises(StoreError, match="does not see the study's storage s3://"):
        Worker().join(replace(spec_in(tmp_path), storage=elsewhere))
