"""Killable workers that grade answers under a hard limit of time and memory each."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from pydantic import BaseModel

from potstill.cores import core_count
from potstill.errors import PotstillError
from potstill.grading.extraction import Extraction
from potstill.grading.maths.comparison import Comparison, KeyUnreadable, equal_with
from potstill.grading.maths.keys import is_simple
from potstill.grading.plugins import is_for_plugin, kind_of
from potstill.grading.verdicts import (
    CutRule,
    Settled,
    counted,
    grade_with_plugin,
    read,
    told_apart,
    verdict_of,
    verdict_of_state,
)
from potstill.records import Finish, Opinion, Outcome, Problem, Response, TextGold, Verdict

__all__ = ["GradingPool", "grade_responses"]

START_LIMIT_S = 60.0
WATCH_EVERY_S = 0.02
# The clock starts when a job is written to a worker; below this age nobody looks at its memory.
WATCH_MEMORY_AFTER_S = 0.05
BATCH_JOBS = 16
BATCH_CHARACTERS = 200_000
REMEMBERED = 100_000
# Short texts and those with a box are read here; prose, and very many boxes, in a worker.
EXTRACT_HERE_CHARACTERS = 20_000
EXTRACT_HERE_BOXES = 40
EXTRACT_HERE_SHORT = 60
# A worker that dies at one answer so often, unasked, dies of it.
_DEATHS = 3


@dataclass(eq=False, slots=True)
class _Job:
    """One question to a worker and the future of its JSON reply."""

    line: str
    future: Future[dict[str, Any]] = field(default_factory=Future)
    deaths: int = 0


@dataclass(eq=False, slots=True)
class _Slot:
    """A place in the order of the input, with its verdict or what is still awaited for it."""

    problem: Problem
    response_id: str
    response: Response | None = None
    found: Extraction | None = None
    settled: Settled | None = None
    verdict: Verdict | None = None
    future: Future[Any] | None = None


class GradingPool:
    """Worker processes that grade answers; a context manager, usable from any thread.

    ``workers`` (all cores where None), ``limit_s`` of wall time and ``memory_mb`` of resident
    memory per answer are enforced from outside, by killing: such an answer is UNPARSED with the
    reason, its neighbours are graded by a new worker. Workers start when there is work for them.
    ``kinds`` are the settings of answer kinds beyond mathematics, by name.
    """

    def __init__(
        self,
        workers: int | None = None,
        limit_s: float = 5.0,
        memory_mb: int = 512,
        kinds: Mapping[str, BaseModel] | None = None,
    ) -> None:
        self.workers = workers or core_count()
        self._kinds = kinds or {}
        self.limit_s = limit_s
        self.memory_mb = memory_mb
        self.killed = 0
        self._pending: deque[_Job] = deque()
        self._waiting = threading.Condition()
        self._closed = False
        self._members: list[_Member] = []
        self._watcher: threading.Thread | None = None
        self._remembered: OrderedDict[bytes, Future[Any]] = OrderedDict()
        self._memory_lock = threading.Lock()

    def __enter__(self) -> GradingPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; jobs still waiting are given up."""
        with self._waiting:
            self._closed = True
            abandoned = list(self._pending)
            self._pending.clear()
            self._waiting.notify_all()
        for job in abandoned:
            job.future.set_result({"failed": "the pool was closed"})
        for member in self._members:
            member.end()
        for member in self._members:
            member.thread.join(timeout=5)

    def start(self) -> None:
        """Start every worker now, not with the first answers, and wait until all are ready."""
        with self._waiting:
            while len(self._members) < self.workers:
                self._start_another()
        for member in self._members:
            member.started.wait(START_LIMIT_S)

    def grade(
        self, pairs: Iterable[tuple[Problem, Response]], *, cut: CutRule = "truncated"
    ) -> Iterator[Verdict]:
        """Yield one symbolic verdict per pair, in the order of the input.

        ``pairs`` is drawn as results leave: at most some hundreds are held at a time. Identical
        answers to the same key are compared once. ``cut`` says how an answer counts that is stated
        before the token limit, but not in a box.
        """
        for verdict in self._graded(pairs):
            yield counted(verdict, cut)

    def read(
        self, pairs: Iterable[tuple[Problem, Response]]
    ) -> Iterator[Extraction | Settled | None]:
        """Yield what each response states as its answer, or what its state says of it, in the order
        of the input; None where a limit stopped the reading. No key is looked at.
        """
        window = max(64, 48 * self.workers)
        slots: deque[Extraction | Settled | Future[Any]] = deque()
        for problem, response in pairs:
            slots.append(self._read(problem, response))
            while slots and (len(slots) > window or not isinstance(slots[0], Future)):
                yield _as_read(slots.popleft())
        while slots:
            yield _as_read(slots.popleft())

    def _read(self, problem: Problem, response: Response) -> Extraction | Settled | Future[Any]:
        text, finish = _whole(response), response.finish
        if not text.strip() or finish in (Finish.ERROR, Finish.FILTERED) or _is_quick(text):
            return read(text, finish, problem.kind, problem.text, response.error)
        said = {"text": text, "finish": str(finish), "read": "alone"}
        return self._ask("", problem.kind, problem.text, **said)

    def _graded(self, pairs: Iterable[tuple[Problem, Response]]) -> Iterator[Verdict]:
        window = max(64, 48 * self.workers)
        slots: deque[_Slot] = deque()
        for problem, response in pairs:
            slots.append(self._begin(problem, response))
            while slots and (len(slots) > window or self._ready(slots[0])):
                yield self._finish(slots.popleft())
        while slots:
            yield self._finish(slots.popleft())

    def equal(self, key: str, answer: str, kind: str = "", problem_text: str = "") -> Comparison:
        """Return whether an answer equals a key, compared under the pool's limits.

        Raises KeyUnreadable where the key cannot be read.
        """
        if not kind:
            from potstill.grading.maths.kinds import infer_kind

            kind = infer_kind(key, problem_text)
        reply = self._ask(key, kind, problem_text, answer=answer).result()
        if "bad" in reply:
            raise KeyUnreadable(str(reply["bad"]))
        return _comparison(reply)

    def _begin(self, problem: Problem, response: Response) -> _Slot:
        slot = _Slot(problem, response.response_id, response)
        if is_for_plugin(problem) or not isinstance(problem.gold, TextGold):
            slot.future = self._submit_plugin(problem, response)
            return slot
        key, text = problem.gold.text, _whole(response)
        if not text.strip() or response.finish in (Finish.ERROR, Finish.FILTERED):
            found: Extraction | Settled = read(text, response.finish, "", "", response.error)
        elif _is_quick(text):
            found = read(text, response.finish, problem.kind, problem.text, response.error)
        else:
            found = Extraction("", "", ("unread",))
        if isinstance(found, Extraction) and found.several:
            slot.future = self._ask(
                key, problem.kind, problem.text, text=text, finish=str(response.finish)
            )
            return slot
        if isinstance(found, Settled):
            found = told_apart(found, response.reasoning)
            slot.settled = found
            if is_simple(key):
                slot.verdict = verdict_of_state(problem, slot.response_id, found)
            else:
                slot.future = self._ask(key, problem.kind, problem.text, answer="0")
            return slot
        slot.found = found
        if is_simple(key) and found.text == key:
            slot.verdict = self._verdict(slot, equal_with("the same text"))
            return slot
        slot.future = self._ask(key, problem.kind, problem.text, answer=found.text)
        return slot

    def _ready(self, slot: _Slot) -> bool:
        return slot.verdict is not None or (slot.future is not None and slot.future.done())

    def _finish(self, slot: _Slot) -> Verdict:
        if slot.verdict is not None:
            return slot.verdict
        assert slot.future is not None
        reply = slot.future.result()
        if isinstance(reply, Verdict):
            return reply
        if "bad" in reply:
            return verdict_of_state(
                slot.problem, slot.response_id, Settled(Outcome.BAD_KEY, str(reply["bad"]))
            )
        if slot.settled is not None:
            return verdict_of_state(slot.problem, slot.response_id, slot.settled)
        if "outcome" in reply:
            return verdict_of_state(slot.problem, slot.response_id, _settled(reply))
        if slot.found is None:
            slot.found = _extraction(reply)
        return self._verdict(slot, _comparison(reply))

    def _verdict(self, slot: _Slot, result: Comparison) -> Verdict:
        assert slot.found is not None
        assert slot.response is not None
        return verdict_of(slot.problem, slot.response_id, slot.found, result, slot.response.finish)

    def _ask(self, key: str, kind: str, problem_text: str, **rest: str) -> Future[Any]:
        """Return the future reply to a question; one that was asked before is not asked again."""
        line = json.dumps({"key": key, "kind": kind, "problem": problem_text} | rest) + "\n"
        identity = hashlib.sha256(line.encode()).digest()  # a hundred thousand texts are many
        with self._memory_lock:
            known = self._remembered.get(identity)
            if known is not None:
                self._remembered.move_to_end(identity)
                return known
        job = _Job(line)
        with self._memory_lock:
            self._remembered[identity] = job.future
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        self._submit(job)
        return job.future

    def _submit(self, job: _Job) -> None:
        with self._waiting:
            if self._closed:
                raise PotstillError("This grading pool is closed; open another to grade more.")
            self._pending.append(job)
            idle = sum(member.idle for member in self._members)
            if idle == 0 and len(self._members) < self.workers:
                self._start_another()
            self._waiting.notify()

    def _submit_plugin(self, problem: Problem, response: Response) -> Future[Any]:
        """Grade another kind of gold in a thread: its plugin knows its own limits."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                future.set_result(
                    grade_with_plugin(
                        problem,
                        response.text,
                        finish=response.finish,
                        response_id=response.response_id,
                        error=response.error,
                        reasoning=response.reasoning,
                        options=self._kinds.get(kind_of(problem)),
                    )
                )
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def _start_another(self) -> None:
        member = _Member(self)
        self._members.append(member)
        member.thread.start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()

    def _take(self, member: _Member) -> list[_Job] | None:
        """Return the next jobs for a worker, or None where the pool is closed."""
        with self._waiting:
            member.idle = True
            while not self._pending and not self._closed:
                self._waiting.wait()
            member.idle = False
            if not self._pending:
                return None
            share = max(1, min(BATCH_JOBS, len(self._pending) // self.workers))
            batch = [self._pending.popleft()]
            size = len(batch[0].line)
            while self._pending and len(batch) < share and size < BATCH_CHARACTERS:
                size += len(self._pending[0].line)
                batch.append(self._pending.popleft())
            return batch

    def _give_back(self, jobs: list[_Job]) -> None:
        with self._waiting:
            if self._closed:
                for job in jobs:
                    job.future.set_result({"failed": "the pool was closed"})
                return
            self._pending.extendleft(reversed(jobs))
            self._waiting.notify(len(jobs))

    def _watch(self) -> None:
        while not self._closed:
            time.sleep(WATCH_EVERY_S)
            for member in list(self._members):
                member.check(time.monotonic())


class _Member:
    """One thread with one worker process, replaced when it is killed."""

    def __init__(self, pool: GradingPool) -> None:
        self.pool = pool
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
        if age > self.pool.limit_s:
            self._kill(process, f"stopped after {self.pool.limit_s:g} s")
        elif age > WATCH_MEMORY_AFTER_S:
            try:
                used = psutil.Process(process.pid).memory_info().rss
            except psutil.Error:
                return
            if used > self.pool.memory_mb * 1_048_576:
                self._kill(process, f"stopped at {self.pool.memory_mb} MB of memory")

    def _kill(self, process: subprocess.Popen[str], reason: str) -> None:
        self.reason = reason
        process.kill()

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()

    def _serve(self) -> None:
        self._start()
        while (batch := self.pool._take(self)) is not None:
            if self.process is None:
                self._start()
            if self.process is None:
                error = PotstillError(
                    "A grading worker could not be started; run "
                    f"`{sys.executable} -m potstill.grading.worker` to see why."
                )
                for job in batch:
                    job.future.set_exception(error)
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
        if self.pool._closed:  # meanwhile: nothing waits for a worker that is still loading
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

    def _work(self, batch: list[_Job]) -> None:
        """Put a batch to the worker; what it does not come to goes back."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self.reason = ""
        self.since = time.monotonic()
        done = 0
        try:
            process.stdin.write("".join(job.line for job in batch))
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

    def _died(self, batch: list[_Job], code: int) -> None:
        """Settle a batch whose first answer the worker was at when it ended.

        A worker that was stopped for its limits has failed; one that died may have been killed from
        outside, which says nothing of the answer: it is tried again, and fails with the third.
        """
        at = batch[0]
        at.deaths += 1
        self.pool.killed += 1
        if self.reason or at.deaths == _DEATHS or self.pool._closed:
            reason = self.reason or f"the worker died (exit status {code})"
            at.future.set_result({"failed": reason})
            batch = batch[1:]
        self.pool._give_back(batch)

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


def _whole(response: Response) -> str:
    """Return the text of a response; of one that was cut, with the reasoning that may state its
    answer.
    """
    if response.finish is not Finish.LENGTH or not response.reasoning:
        return response.text
    return f"<think>{response.reasoning}</think>{response.text}"


def _is_quick(text: str) -> bool:
    """Return whether finding the answer of a text takes less than sending it to a worker."""
    if len(text) > EXTRACT_HERE_CHARACTERS:
        return False
    return 0 < text.count("boxed{") <= EXTRACT_HERE_BOXES or len(text) < EXTRACT_HERE_SHORT


def _as_read(found: Extraction | Settled | Future[Any]) -> Extraction | Settled | None:
    if not isinstance(found, Future):
        return found
    reply = found.result()
    if "failed" in reply:
        return None
    return _settled(reply) if "outcome" in reply else _extraction(reply)


def _settled(reply: dict[str, Any]) -> Settled:
    return Settled(Outcome(reply["outcome"]), str(reply["why"]))


def _extraction(reply: dict[str, Any]) -> Extraction:
    return Extraction(
        str(reply.get("extracted", "")),
        str(reply.get("rule", "")),
        tuple(reply.get("several", ())),
        bool(reply.get("cut")),
    )


def _comparison(reply: dict[str, Any]) -> Comparison:
    if "failed" in reply:
        return Comparison(Opinion.UNDECIDED, str(reply["failed"]), readable=False)
    return Comparison(
        Opinion(reply["opinion"]), str(reply["why"]), str(reply["form"]), bool(reply["readable"])
    )


def grade_responses(
    pairs: Iterable[tuple[Problem, Response]],
    *,
    workers: int | None = None,
    limit_s: float = 5.0,
    memory_mb: int = 512,
) -> Iterator[Verdict]:
    """Yield the symbolic verdicts on responses, in order, from a pool opened for them."""
    with GradingPool(workers, limit_s, memory_mb) as pool:
        yield from pool.grade(pairs)
