"""Why a study's last run stopped, in ``last_run.json``; a run that came to its end leaves none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from potstill.errors import PotstillError, StoreError, one_line
from potstill.store.record_file import read_record, write_record
from potstill.store.typed import make

__all__ = ["LAST_RUN_FILE", "noting_its_end", "why_it_stopped"]

LAST_RUN_FILE = "last_run.json"
FORMAT_VERSION = 1
_LONGEST = 600  # characters of an error


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run that did not come to its end: who ran it since when (UTC), and why it stopped.

    ``why`` is empty while it runs, and where it was killed. ``process_began_s`` tells its process
    from a later one with the same number.
    """

    began: str
    host: str
    process: int
    process_began_s: float
    why: str = ""


@contextmanager
def noting_its_end(directory: Path, until: str = "") -> Iterator[None]:
    """Keep in a study's directory why the run within the ``with`` stopped, as long as it has not
    come to its end; ``until`` is the stage after which it is to stop.

    The caller is the directory's only writer.
    """
    own = psutil.Process()
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    begun = LastRun(now, socket.gethostname(), own.pid, own.create_time())
    _write(directory, begun)
    try:
        yield
    except BaseException as exc:
        with suppress(StoreError):  # a full disk is told by what it raised first
            _write(directory, replace(begun, why=_told(exc)))
        raise
    if until:
        _write(directory, replace(begun, why=f"it was to go no further than {until} (--until)"))
    else:
        (directory / LAST_RUN_FILE).unlink(missing_ok=True)


def why_it_stopped(directory: Path) -> str:
    """Return in a sentence why a study's last run stopped, or that it still runs; "" where it came
    to its end.

    Raises InputError for a file that cannot be read.
    """
    todo = "delete it; nothing that was bought is lost"
    path = directory / LAST_RUN_FILE
    try:
        run = read_record(path, FORMAT_VERSION, lambda fields: make(LastRun, fields), todo)
    except FileNotFoundError:
        return ""
    if run.why:
        return f"The last run (begun {run.began}) stopped: {run.why.rstrip('.')}."
    if run.host != socket.gethostname():
        return f"A run was begun on {run.host} ({run.began}), which alone knows what became of it."
    if _runs(run):
        return f"A run is at work (process {run.process}, since {run.began})."
    return (
        f"The last run (begun {run.began}) ended without a word: it was killed, memory ran out, "
        "the machine went off, or its disk was full."
    )


def _write(directory: Path, run: LastRun) -> None:
    write_record(directory / LAST_RUN_FILE, FORMAT_VERSION, asdict(run))


def _told(exc: BaseException) -> str:
    if isinstance(exc, KeyboardInterrupt):
        return "it was interrupted (Ctrl-C)"
    said = str(exc) if isinstance(exc, PotstillError) else f"{type(exc).__name__}: {exc}"
    return one_line(said, _LONGEST)


def _runs(run: LastRun) -> bool:
    try:
        began_s = psutil.Process(run.process).create_time()
    except psutil.Error:
        return False
    return abs(began_s - run.process_began_s) < 1.0
