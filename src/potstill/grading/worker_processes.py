"""Killable processes that answer a grading pool: JSON lines in and out, with hard limits.

Each process stands behind a thread of this one (:class:`WorkerProcess`); a watcher kills what has
had its time or memory. :mod:`potstill.grading.worker` is what runs in them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from potstill.errors import PotstillError

__all__ = ["WorkerProcesses"]

START_LIMIT_S = 60.0
WATCH_EVERY_S = 0.02
# The clock starts when a question is written to a worker; before this age nobody looks at memory.
WATCH_MEMORY_AFTER_S = 0.05
BATCH_QUESTIONS = 16
BATCH_CHARACTERS = 200_000
# A worker that dies at one answer so often, unasked, dies of it.
_DEATHS = 3


@dataclass(eq=False, slots=True)
class _Line:
    """A line for a worker, and the future of its JSON reply."""

    line: str
    future: Future[dict[str, Any]] = field(default_factory=Future)
    deaths: int = 0


class WorkerProcesses:
    """At most ``workers`` processes, started when there is work for them; usable from any thread.

    ``limit_s`` of wall time and ``memory_mb`` of resident memory per question are enforced from
    outside, by killing: the reply is ``{"failed": reason}``, and a new process takes the next.
    """

    def __init__(self, workers: int, limit_s: float, memory_mb: int) -> None:
        self.workers = workers
        self.limit_s = limit_s
        self.memory_mb = memory_mb
        self.killed = 0
        self.closed = False
        self.members: list[WorkerProcess] = []
        self._pending: deque[_Line] = deque()
        self._waiting = threading.Condition()
        self._watcher: threading.Thread | None = None

    def close(self) -> None:
        """End the workers; questions still waiting are given up."""
        with self._waiting:
            self.closed = True
            abandoned = list(self._pending)
            self._pending.clear()
            self._waiting.notify_all()
        _give_up(abandoned)
        for member in self.members:
            member.end()
        for member in self.members:
            member.thread.join(timeout=5)

    def start(self) -> None:
        """Start every worker now, not with the first questions, and wait until all are ready."""
        with self._waiting:
            while len(self.members) < self.workers:
                self._start_another()
        for member in self.members:
            member.started.wait(START_LIMIT_S)

    def ask(self, line: str) -> Future[dict[str, Any]]:
        """Return the future reply to a line. Raises PotstillError where they were closed."""
        question = _Line(line)
        with self._waiting:
            if self.closed:
                raise PotstillError("This grading pool is closed; open another to grade more.")
            self._pending.append(question)
            idle = sum(member.idle for member in self.members)
            if idle == 0 and len(self.members) < self.workers:
                self._start_another()
            self._waiting.notify()
        return question.future

    def _start_another(self) -> None:
        member = WorkerProcess(self)
        self.members.append(member)
        member.thread.start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()

    def take(self, member: WorkerProcess) -> list[_Line] | None:
        """Return the next questions for a worker, or None where all was closed."""
        with self._waiting:
            member.idle = True
            while not self._pending and not self.closed:
                self._waiting.wait()
            member.idle = False
            if not self._pending:
                return None
            share = max(1, min(BATCH_QUESTIONS, len(self._pending) // self.workers))
            batch = [self._pending.popleft()]
            size = len(batch[0].line)
            while self._pending and len(batch) < share and size < BATCH_CHARACTERS:
                size += len(self._pending[0].line)
                batch.append(self._pending.popleft())
            return batch

    def give_back(self, questions: list[_Line]) -> None:
        """Put what a worker did not come to before what waits."""
        with self._waiting:
            if self.closed:
                _give_up(questions)
                return
            self._pending.extendleft(reversed(questions))
            self._waiting.notify(len(questions))

    def _watch(self) -> None:
        while not self.closed:
            time.sleep(WATCH_EVERY_S)
            for member in list(self.members):
                member.check(time.monotonic())


class WorkerProcess:
    """One thread with one worker process, replaced when it is killed."""

    def __init__(self, processes: WorkerProcesses) -> None:
        self._all = processes
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.process: subprocess.Popen[str] | None = None
        self.started = threading.Event()
        self.idle = False
        self.since: float | None = None
        self.reason = ""

    def check(self, now: float) -> None:
        """Kill the worker if the answer it is at has had its time or memory."""
        since, process = self.since, self.process
        if since is None or process is None:
            return
        age = now - since
        if age > self._all.limit_s:
            self._kill(process, f"stopped after {self._all.limit_s:g} s")
        elif age > WATCH_MEMORY_AFTER_S:
            try:
                used = psutil.Process(process.pid).memory_info().rss
            except psutil.Error:
                return
            if used > self._all.memory_mb * 1_048_576:
                self._kill(process, f"stopped at {self._all.memory_mb} MB of memory")

    def _kill(self, process: subprocess.Popen[str], reason: str) -> None:
        self.reason = reason
        process.kill()

    def end(self) -> None:
        """Kill the process, whatever it is at."""
        if self.process is not None:
            self.process.kill()

    def _serve(self) -> None:
        self._start()
        while (batch := self._all.take(self)) is not None:
            if self.process is None:
                self._start()
            if self.process is None:
                error = PotstillError(
                    "A grading worker could not be started; run "
                    f"`{sys.executable} -m potstill.grading.worker` to see why."
                )
                for question in batch:
                    question.future.set_exception(error)
                continue
            self._work(batch)
        self._stop()

    def _start(self) -> None:
        """Start the worker and wait until it is ready; ``process`` stays None where it is not."""
        source = str(Path(__file__).resolve().parents[2])
        paths = [source, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "potstill.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="surrogatepass",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"},
        )
        if self._all.closed:  # meanwhile: nothing waits for a worker that is still loading
            self.process.kill()
        timer = threading.Timer(START_LIMIT_S, self.process.kill)
        timer.daemon = True
        timer.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        timer.cancel()
        self.started.set()
        if not line:
            self._stop()

    def _work(self, batch: list[_Line]) -> None:
        """Put a batch to the worker; what it does not come to goes back."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self.reason = ""
        self.since = time.monotonic()
        done = 0
        try:
            process.stdin.write("".join(question.line for question in batch))
            process.stdin.flush()
        except OSError:
            pass
        while done < len(batch):
            reply = self._reply(process)
            if reply is None:
                break
            if "loading" in reply:
                self.since = None if reply["loading"] else time.monotonic()
                continue
            self.since = time.monotonic()
            batch[done].future.set_result(reply)
            done += 1
        self.since = None
        if done < len(batch):
            self._died(batch[done:], self._stop())

    def _died(self, batch: list[_Line], code: int) -> None:
        """Settle a batch whose first answer the worker was at when it ended.

        A worker that was stopped for its limits has failed; one that died may have been killed from
        outside, which says nothing of the answer: it is tried again, and fails with the third.
        """
        at = batch[0]
        at.deaths += 1
        self._all.killed += 1
        if self.reason or at.deaths == _DEATHS or self._all.closed:
            reason = self.reason or f"the worker died (exit status {code})"
            at.future.set_result({"failed": reason})
            batch = batch[1:]
        self._all.give_back(batch)

    def _reply(self, process: subprocess.Popen[str]) -> dict[str, Any] | None:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            reply = json.loads(line) if line.endswith("\n") else None
        except (OSError, ValueError):
            return None
        return reply if isinstance(reply, dict) else None

    def _stop(self) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.kill()
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        return process.wait()


def _give_up(questions: list[_Line]) -> None:
    for question in questions:
        question.future.set_result({"failed": "the pool was closed"})
