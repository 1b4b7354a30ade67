"""Where a worker puts what it makes: the study's directory, or the study's storage.

Through a storage a worker sees no path of the study: what it is given are names, and it works in a
folder of its own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from potstill.cluster.storage import ADAPTERS, CHECKPOINTS, STUDENTS, Storage
from potstill.errors import StoreError
from potstill.training.resume import checkpoint_folder

if TYPE_CHECKING:
    from potstill.cluster.spec import BaseSpec
    from potstill.training.grid import Job

__all__ = ["StoredCheckpoints", "WorkerPlace", "open_place"]

_KEPT = 2
# How often it is looked whether there is a checkpoint to put into the storage.
_LOOK_S = 1.0


class WorkerPlace:
    """The study's directory, at the same path on every machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Raise StoreError where this machine does not see the place."""
        if not (self._directory / "potstill.json").is_file():
            raise StoreError(
                f"The machine {socket.gethostname()} does not see the study's directory "
                f"{self._directory}; share it with every machine at the same path (NFS, say) or "
                "set cluster.storage, and run again."
            )

    def adapter(self, path: Path) -> Path:
        """Return the folder on this machine of a student's adapter."""
        return path

    @contextmanager
    def training(self, job: Job) -> Iterator[tuple[Job, Callable[[], None]]]:
        """Yield the job as it is done on this machine, and what is to be called after every
        step.
        """
        yield job, lambda: None


def open_place(spec: BaseSpec) -> WorkerPlace:
    """Return where a worker of this study puts what it makes. Raises as Storage does."""
    return _Stored(Storage(spec.storage)) if spec.storage else WorkerPlace(spec.directory)


class _Stored(WorkerPlace):
    """The study's storage, and a folder on this machine that goes when no one needs it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._own = _own_folder()

    def check(self) -> None:
        if not self._storage.has_mark():
            raise StoreError(
                f"The machine {socket.gethostname()} does not see the study's storage "
                f"{self._storage.spec.url}; check that it is the same place from there, and run "
                "again."
            )

    def adapter(self, path: Path) -> Path:
        from potstill.models.adapters import hash_adapter

        folder = self._own / ADAPTERS / path.name
        if not folder.is_dir():
            shutil.rmtree(folder.parent, ignore_errors=True)  # one at a time
            found = self._storage.pull(f"{ADAPTERS}/{path.name}", folder)
            if not found or hash_adapter(folder) != path.name:
                shutil.rmtree(folder, ignore_errors=True)
                raise StoreError(
                    f"The adapter {path.name[:16]} in the study's storage {self._storage.spec.url} "
                    "is not what was put there; run again, and see who else writes there."
                )
        return folder

    @contextmanager
    def training(self, job: Job) -> Iterator[tuple[Job, Callable[[], None]]]:
        name = job.out.name
        with tempfile.TemporaryDirectory(dir=self._own) as folder:
            here = replace(job, out=Path(folder) / name)
            kept = StoredCheckpoints(self._storage, name, checkpoint_folder(here.out))
            kept.fetch()
            yield here, kept.keep
            self._storage.push(f"{STUDENTS}/{name}", here.out)
            kept.clear()


class StoredCheckpoints:
    """The newest checkpoints of a cell in training, copied into the storage as they come."""

    def __init__(self, storage: Storage, name: str, folder: Path) -> None:
        self._storage = storage
        self._place = f"{CHECKPOINTS}/{name}"
        self._folder = folder
        self._newest = ""
        self._looked_at = 0.0

    def fetch(self) -> None:
        """Fetch the newest sound checkpoint of the storage, if there is one."""
        for step in reversed(self._storage.names(self._place)):
            if self._storage.pull(f"{self._place}/{step}", self._folder):
                self._newest = step
                return

    def keep(self) -> None:
        """Store a checkpoint that is newer than the last one kept."""
        if time.monotonic() - self._looked_at < _LOOK_S:
            return
        self._looked_at = time.monotonic()
        newest = max((path.stem for path in self._folder.glob("*.json")), default="")
        if newest > self._newest:
            files = (f"{newest}.json", f"{newest}.safetensors", "metrics.jsonl")
            self._storage.push(f"{self._place}/{newest}", self._folder, files)
            self._newest = newest
            for stale in self._storage.names(self._place)[:-_KEPT]:
                self._storage.remove(f"{self._place}/{stale}")

    def clear(self) -> None:
        """Delete the cell's checkpoints from the storage."""
        self._storage.remove(self._place)


def _own_folder() -> Path:
    """Return a new folder for this process; those of processes of this machine that ended are
    gone.
    """
    kind = f"potstill-{socket.gethostname()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{kind}*"):
        pid = left.name.removeprefix(kind).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
