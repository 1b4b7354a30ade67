"""Answers graded under a hard limit of time and memory each, by processes that can be killed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pydantic import BaseModel

from potstill.cores import core_count
from potstill.grading.extraction import Extraction
from potstill.grading.maths.comparison import Comparison, KeyUnreadable, equal_with
from potstill.grading.maths.directions import directions_of
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
from potstill.grading.worker_processes import WorkerProcesses
from potstill.records import Finish, Opinion, Outcome, Problem, Response, TextGold, Verdict

__all__ = ["GradingPool", "grade_responses"]

_S = TypeVar("_S")

REMEMBERED = 100_000
# Short texts and those with a box are read here; prose, and very many boxes, in a worker.
EXTRACT_HERE_CHARACTERS = 20_000
EXTRACT_HERE_BOXES = 40
EXTRACT_HERE_SHORT = 60


@dataclass(eq=False, slots=True)
class _Slot:
    """A place in the order of the input, with its verdict or what is still awaited for it."""

    problem: Problem
    response: Response
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
        self.processes = WorkerProcesses(self.workers, limit_s, memory_mb)
        self._kinds = kinds or {}
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
        """End the workers; what still waits is given up."""
        self.processes.close()

    def start(self) -> None:
        """Start every worker now, not with the first answers, and wait until all are ready."""
        self.processes.start()

    @property
    def killed(self) -> int:
        """How many workers were killed, or died."""
        return self.processes.killed

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
        """Return what each response states as its answer, or what its state says of it, in order
        of the input; None where a limit stopped the reading. No key is looked at.
        """
        begun = (self._read(problem, response) for problem, response in pairs)
        return map(_as_read, self._in_order(begun, _is_read))

    def _read(self, problem: Problem, response: Response) -> Extraction | Settled | Future[Any]:
        text, finish = _whole(response), response.finish
        if not text.strip() or finish in (Finish.ERROR, Finish.FILTERED) or _is_quick(text):
            return read(text, finish, problem.kind, problem.text, response.error)
        said = {"text": text, "finish": str(finish), "read": "alone"}
        return self._ask("", problem.kind, problem.text, **said)

    def _graded(self, pairs: Iterable[tuple[Problem, Response]]) -> Iterator[Verdict]:
        begun = (self._begin(problem, response) for problem, response in pairs)
        return map(self._finish, self._in_order(begun, self._ready))

    def _in_order(self, begun: Iterable[_S], is_ready: Callable[[_S], bool]) -> Iterator[_S]:
        """Yield what was begun, in its order: once it is ready, or too much is under way."""
        window = max(64, 48 * self.workers)
        slots: deque[_S] = deque()
        for slot in begun:
            slots.append(slot)
            while slots and (len(slots) > window or is_ready(slots[0])):
                yield slots.popleft()
        yield from slots

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
        slot = _Slot(problem, response)
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
        # a worker reads it once more where what stands beside the value matters
        asks_text = isinstance(found, Extraction) and (
            found.several or (found.turned and directions_of(key))
        )
        if asks_text:
            slot.future = self._ask(
                key, problem.kind, problem.text, text=text, finish=str(response.finish)
            )
            return slot
        if isinstance(found, Settled):
            found = told_apart(found, response.reasoning)
            slot.settled = found
            if is_simple(key):
                slot.verdict = verdict_of_state(problem, slot.response.response_id, found)
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
                slot.problem, slot.response.response_id, Settled(Outcome.BAD_KEY, str(reply["bad"]))
            )
        if slot.settled is not None:
            return verdict_of_state(slot.problem, slot.response.response_id, slot.settled)
        if "outcome" in reply:
            return verdict_of_state(slot.problem, slot.response.response_id, _settled(reply))
        if slot.found is None:
            slot.found = _extraction(reply)
        return self._verdict(slot, _comparison(reply))

    def _verdict(self, slot: _Slot, result: Comparison) -> Verdict:
        assert slot.found is not None
        return verdict_of(
            slot.problem, slot.response.response_id, slot.found, result, slot.response.finish
        )

    def _ask(self, key: str, kind: str, problem_text: str, **rest: str) -> Future[Any]:
        """Return the future reply to a question; one that was asked before is not asked again."""
        line = json.dumps({"key": key, "kind": kind, "problem": problem_text} | rest) + "\n"
        identity = hashlib.sha256(line.encode()).digest()  # a hundred thousand texts are many
        with self._memory_lock:
            known = self._remembered.get(identity)
            if known is not None:
                self._remembered.move_to_end(identity)
                return known
        future = self.processes.ask(line)
        with self._memory_lock:
            self._remembered[identity] = future
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return future

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


def _is_read(found: Extraction | Settled | Future[Any]) -> bool:
    return not isinstance(found, Future)


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
        tuple(reply.get("turned", ())),
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
