"""A piece of answering: what is asked, the file its replies go to, and how large it is to be."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from potstill.errors import InputError
from potstill.ledger.entries import Entry, entry_line, read_line
from potstill.store.atomic import Writing

if TYPE_CHECKING:
    from potstill.chat import Ask, Completion
    from potstill.cluster.storage import Storage
    from potstill.ledger.ledger import Ledger

__all__ = [
    "FOLDER",
    "Pace",
    "ReplyFile",
    "Shard",
    "ShardDone",
    "ShardRequest",
    "StoredReplies",
    "commit_replies",
    "commit_stored",
    "recover_replies",
]

FOLDER = "shards"
# A worker's replies are put into the storage this often: what its loss may cost.
_PART_S = 5.0
# The first piece, before anyone knows how long answers take. Many, for a batch of few sequences
# takes about as long as one of many.
_FIRST_ASKS = 64
# The least that the rest is cut to, and the least that tells how long answers take.
_LEAST_ASKS = 32
# A piece is at most so many times the last one that was timed.
_GROWTH = 4
# Towards the end every worker gets about so many pieces, so that none is waited for long, but none
# of less than this share of ``shard_s``: the last sequences of a piece run in a batch half empty.
_LAST_PIECES = 2
_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """An ask, and the ledger key that its reply will have."""

    ask: Ask
    key: str


@dataclass(frozen=True, slots=True)
class Shard:
    """Asks to one solver (the base, or an adapter on it), and the file for their replies.

    With a storage, ``adapter`` is the hash under which it lies there, and ``replies`` a bare name.
    """

    asked: tuple[ShardRequest, ...]
    adapter: Path | None
    solver_id: str
    stage: str
    batch_size: int
    replies: Path
    losses: int = 0


@dataclass(frozen=True, slots=True)
class ShardDone:
    """How a shard went: the seconds it took, and the asks that could not be put to the model.

    The replies are in the shard's file.
    """

    seconds: float
    refused: tuple[Completion, ...]


class ReplyFile:
    """Where a worker's solver commits to: a file of ledger entries, one a line, only appended to.

    It stands in for the ledger, whose only writer is the process that runs the study.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with Writing(str(self._path)):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        return self

    def __exit__(self, *exc: object) -> None:
        with Writing(str(self._path)), self._file as file:
            os.fsync(file.fileno())

    def get(self, key: str) -> bytes | None:
        """Return None: what the ledger holds was not handed out."""
        return None

    def put(self, entry: Entry) -> None:
        """Write the entry's line to the file, so that it stays should this process end now."""
        line = _line_of(entry)
        with self._lock, Writing(str(self._path)):
            self._file.write(line)
            self._file.flush()


class StoredReplies:
    """Where a worker's solver commits to in a study's storage: parts of some seconds each."""

    def __init__(self, storage: Storage, name: str, every_s: float = _PART_S) -> None:
        self._storage = storage
        self._folder = f"{FOLDER}/{name}"
        self._every_s = every_s
        self._parts = 0
        self._lines: list[bytes] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._sent_at = time.monotonic()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._send()

    def get(self, key: str) -> bytes | None:
        """Return None: what the ledger holds was not handed out."""
        return None

    def put(self, entry: Entry) -> None:
        """Put the entry into the storage, at the latest with the first after ``every_s``."""
        with self._lock:
            self._lines.append(_line_of(entry))
            if time.monotonic() - self._sent_at >= self._every_s:
                self._send()

    def _send(self) -> None:
        if self._lines:
            self._parts += 1
            self._storage.put(f"{self._folder}/{self._parts:06}", b"".join(self._lines))
        self._lines, self._sent_at = [], time.monotonic()


def commit_replies(path: Path, ledger: Ledger) -> set[str]:
    """Return the keys of the replies in a worker's file, which are in the ledger now; the file is
    gone.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return set()
    keys = _commit(data, str(path), ledger)
    path.unlink(missing_ok=True)
    return keys


def commit_stored(storage: Storage, name: str, ledger: Ledger) -> set[str]:
    """Return the keys of a shard's replies in the storage, which are in the ledger and gone from
    there.
    """
    folder = f"{FOLDER}/{name}"
    parts = [storage.get(f"{folder}/{part}") for part in storage.names(folder)]
    keys = _commit(b"".join(part or b"" for part in parts), name, ledger)
    storage.remove(folder)
    return keys


def recover_replies(directory: Path, ledger: Ledger, storage: Storage | None = None) -> None:
    """Bring into the ledger what workers had written when a study's last run was killed."""
    for path in sorted((directory / FOLDER).glob("*.jsonl")):
        commit_replies(path, ledger)
    if storage:
        for name in storage.names(FOLDER):
            commit_stored(storage, name, ledger)


def _line_of(entry: Entry) -> bytes:
    return entry_line(entry).encode("utf-8", "replace")


def _commit(data: bytes, where: str, ledger: Ledger) -> set[str]:
    """Return the keys of the sound entries in a worker's lines, torn perhaps where it ended."""
    entries = []
    for line in data.splitlines():
        with suppress(InputError, UnicodeDecodeError):  # such an answer is made again
            entries.append(read_line(line.decode("utf-8"), where))
    ledger.put_many([x for x in entries if ledger.get(x.key) is None])
    return {entry.key for entry in entries}


@dataclass(slots=True)
class Pace:
    """How many asks make a piece of ``shard_s`` seconds, learnt from the pieces before."""

    shard_s: float
    workers: int = 1
    _asks_per_s: dict[str, float] = field(default_factory=dict)
    _timed_asks: dict[str, int] = field(default_factory=dict)

    def learn(self, solver_id: str, asks: int, seconds: float) -> None:
        """Note that a piece of so many asks took one worker so long."""
        # leftovers say little of a full piece
        if asks >= _LEAST_ASKS or solver_id not in self._timed_asks:
            self._timed_asks[solver_id] = asks
            self._asks_per_s[solver_id] = asks / max(seconds, 1e-3)

    def size(self, solver_id: str, left: int, under_way: int) -> int:
        """Return how many asks the next piece takes, of ``left`` that no worker has yet."""
        full = self._full(solver_id)
        each = math.ceil((left + under_way) / self.workers)
        least = max(_LEAST_ASKS, round(full * _LEAST_SHARE))
        return max(1, min(full, max(each // _LAST_PIECES, min(each, least))))

    def _full(self, solver_id: str) -> int:
        rates = self._asks_per_s
        if not rates:
            return _FIRST_ASKS
        # the slowest solver so far is a careful guess for a new one
        rate = rates.get(solver_id, min(rates.values()))
        timed = self._timed_asks.get(solver_id, _FIRST_ASKS)
        return max(1, min(round(rate * self.shard_s), timed * _GROWTH))
