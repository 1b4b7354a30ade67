"""The ledger's SQLite file: its lock, its format, and the one thread that writes it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import StoreError
from potstill.store.atomic import whole_file

__all__ = [
    "DAMAGE",
    "FORMAT_VERSION",
    "RESTORE",
    "Writer",
    "connect",
    "connect_readonly",
    "copy_ledger",
    "lock_writer",
    "refuse_lost",
]

FORMAT_VERSION = 1
RESTORE = (
    "restore it from a copy, or import an export in its place (move what is left of it away, then "
    "potstill ledger DIR --import FILE), or begin anew with another --out: without it what is made "
    "anew is bought again, and the budget begins at nothing."
)
"""What to do about a ledger that is lost or damaged."""

_GROUP_MAX = 1024
# never through a link: the file is emptied
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
# what Python's sqlite3 raises for a damaged file: its own, and that of text which is not UTF-8
DAMAGE = (sqlite3.Error, ValueError, OverflowError)

_SCHEMA = """
CREATE TABLE replies (
    key TEXT NOT NULL UNIQUE, stage TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    request TEXT NOT NULL, raw BLOB NOT NULL, sha256 TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL, priced INTEGER NOT NULL,
    seconds REAL NOT NULL, retries INTEGER NOT NULL, created_at TEXT NOT NULL
);
CREATE TABLE events (
    at TEXT NOT NULL, stage TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    kind TEXT NOT NULL, detail TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL
);
"""


def lock_writer(path: Path) -> int:
    """Return the descriptor that holds the writer's lock beside ``path`` until it is closed.

    Raises StoreError naming the process that holds it already.
    """
    import fcntl

    lock = path.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(lock, _LOCK_FLAGS, 0o644)
    except OSError as exc:
        raise StoreError(
            f"{lock} cannot be made ({exc.strerror}); choose a directory you can write to."
        ) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as exc:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StoreError(
            f"{path} is in use by process {holder}; wait for it to end or stop it."
        ) from exc
    except OSError as exc:
        os.close(fd)
        raise _explained(path, exc) from exc
    return fd


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to a ledger of this format, which is made where there is none."""
    with _opened(path, path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if _version(connection) == 0:
            connection.executescript(
                f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={FORMAT_VERSION};COMMIT;"
            )
    return connection


@contextlib.contextmanager
def _opened(path: Path, database: str | Path, **how: Any) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a ledger of this format, which is closed where the block raises."""
    try:
        connection = sqlite3.connect(database, timeout=30, check_same_thread=False, **how)
    except sqlite3.Error as exc:
        raise _explained(path, exc) from exc
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        _check_version(connection, path)
        yield connection
    except DAMAGE as exc:
        connection.close()
        raise _explained(path, exc) from exc
    except BaseException:
        connection.close()
        raise


def refuse_lost(path: Path) -> None:
    """Raise StoreError where a ledger is missing or holds nothing, though answers or a report were
    made of its replies.
    """
    if _holds_something(path):
        return
    made = list((path.parent / "cells" / "answers").glob("*/manifest.json"))
    empty = path.exists()
    if empty and path.stat().st_size:  # whole, but without a reply
        made = [manifest for manifest in made if _stands_on_replies(manifest)]
    if not (made or _counted(path.parent / "study.lock.json")):
        return
    raise StoreError(
        f"{path} {'is empty' if empty else 'is missing'}, though answers were made from its "
        f"replies; {RESTORE}"
    )


def _counted(lock: Path) -> bool:
    """Return whether a study's lock counts replies of its ledger."""
    try:
        return bool(json.loads(lock.read_text("utf-8"))["ledger"]["replies"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _holds_something(path: Path) -> bool:
    """Return whether a ledger has a reply, or is no ledger, which is complained of elsewhere."""
    if not path.is_file() or not path.stat().st_size:
        return False
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return True
    try:
        with contextlib.closing(sqlite3.connect(_readonly_uri(path), uri=True)) as connection:
            query = "SELECT 1 FROM replies LIMIT 1"
            return connection.execute(query).fetchone() is not None
    except sqlite3.Error:
        return True


def _stands_on_replies(manifest: Path) -> bool:
    """Return whether any of a cell's answers names the reply that it was made of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in manifest.parent.glob("*.parquet"):
        try:
            if "ledger_key" in pq.read_schema(path).names:
                keys = pq.read_table(path, columns=["ledger_key"])["ledger_key"].to_pylist()
                if any(keys):
                    return True
        except (pa.ArrowException, OSError):
            continue  # a damaged cell is told of by who reads it
    return False


def _readonly_uri(path: Path) -> str:
    # Where nobody writes there is no write-ahead log; read as immutable the ledger gets no files
    # beside it, which in a read-only folder it could not have.
    log = path.with_name(f"{path.name}-wal")
    frozen = "" if log.exists() and os.access(path.parent, os.W_OK) else "&immutable=1"
    return f"{path.resolve().as_uri()}?mode=ro{frozen}"


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Return a connection that reads a ledger, beside its writer or from a read-only folder."""
    refuse_lost(path)
    if not path.is_file():
        raise StoreError(f"There is no ledger at {path}; run the study first.")
    if not path.stat().st_size:
        raise StoreError(f"{path} is empty: it holds no reply yet; run the study first.")
    with _opened(path, _readonly_uri(path), uri=True) as connection:
        if _version(connection) == 0:
            raise StoreError(f"{path} is not a ledger; name the ledger.sqlite of a study.")
    return connection


def copy_ledger(path: Path, to: Path, *, first: int | None = None, without: str = "") -> None:
    """Make ``to`` a ledger like the one at ``path``, ``without`` the replies of a provider.

    Of the ``first`` so many replies, where given: those committed later are left out.
    Written beside its place and renamed into it. Raises StoreError.
    """
    source = connect_readonly(path)
    try:
        with whole_file(to) as part, contextlib.closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
            if first is not None:
                kept = "SELECT rowid FROM replies ORDER BY rowid LIMIT ?"
                copy.execute(f"DELETE FROM replies WHERE rowid NOT IN ({kept})", (first,))
            if without:
                copy.execute("DELETE FROM replies WHERE provider = ?", (without,))
            copy.commit()
    except (sqlite3.Error, OSError) as exc:
        raise _explained(to, exc) from exc
    finally:
        source.close()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{path} has format {version}, written by a newer potstill; this one reads up to"
            f" format {FORMAT_VERSION}: upgrade potstill (pip install -U potstill)."
        )
    kinds = [row[0] for row in connection.execute("SELECT type FROM sqlite_master")]
    if version == 0 and kinds:
        raise StoreError(f"{path} is another program's database; name a new file.")
    if "trigger" in kinds or "view" in kinds:
        raise StoreError(f"{path} holds SQL that no ledger has; restore it from a copy you trust.")


def _explained(path: Path, exc: BaseException) -> StoreError:
    text = str(exc)
    full = "disk is full" in text or "disk I/O error" in text
    if full or (isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT)):
        return StoreError(
            f"{path} cannot grow ({text}): free some disk space and run again; every reply"
            " committed so far is kept."
        )
    if "locked" in text:
        return StoreError(f"{path} is locked by another program; close it and run again.")
    if "unable to open" in text:
        return StoreError(f"{path} cannot be opened; choose a directory you can write to.")
    return StoreError(f"{path} cannot be used as a ledger ({text}); {RESTORE}")


@dataclass(slots=True)
class _Job:
    statement: str
    bind: Callable[[], tuple[object, ...]]
    done: Future[None] | None = None
    waiter: asyncio.Future[None] | None = None


Binding = Callable[[], tuple[object, ...]]  # makes the values in the writer's thread


class Writer:
    """The one thread that writes a ledger: it drains its queue into one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._failed: StoreError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, statement: str, bind: Binding) -> Future[None]:
        """Return a future that is done when the statement is on disk."""
        job = _Job(statement, bind, done=Future())
        self._enqueue(job)
        assert job.done is not None
        return job.done

    def submit_async(self, statement: str, bind: Binding, waiter: asyncio.Future[None]) -> None:
        """Set ``waiter`` in its own loop when the statement is on disk."""
        self._enqueue(_Job(statement, bind, waiter=waiter))

    def forget(self, statement: str, bind: Binding) -> None:
        """Send the statement with the next transaction; no one waits for it."""
        self._enqueue(_Job(statement, bind))

    def flush(self) -> None:
        """Wait until everything submitted before is on disk."""
        self.submit("SELECT 1", tuple).result()

    def close(self) -> None:
        """Wait until everything submitted has been written, or failed."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _enqueue(self, job: _Job) -> None:
        if self._closed:
            raise StoreError(f"{self._path} was closed; open it again to add to it.")
        if self._failed is not None:
            raise self._failed
        self._jobs.put(job)

    def _run(self) -> None:
        last = False
        while not last:
            batch: list[_Job] = []
            job = self._jobs.get()
            while True:
                if job is None:
                    last = True
                    break
                batch.append(job)
                if len(batch) >= _GROUP_MAX:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._write(batch)

    def _write(self, batch: list[_Job]) -> None:
        error = self._failed
        if error is None:
            try:
                self._transact(batch)
            except Exception as exc:  # whatever it is, those who wait must hear of it
                error = self._failed = _explained(self._path, exc)
                error.__cause__ = exc
        _answer(batch, error)

    def _transact(self, batch: list[_Job]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for job in batch:
                execute(job.statement, job.bind())
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise


def _answer(batch: list[_Job], error: StoreError | None) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    for job in batch:
        if job.waiter is not None:
            loops[job.waiter.get_loop()].append(job.waiter)
        elif job.done is not None:
            if error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(error)
    for loop, waiters in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: no one waits any more
            loop.call_soon_threadsafe(_resolve, waiters, error)


def _resolve(waiters: list[asyncio.Future[None]], error: StoreError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
