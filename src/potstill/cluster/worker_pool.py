"""The workers of a run: started, given work, replaced when they are lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from potstill.cluster.options import ClusterOptions
from potstill.cluster.session import joined, places
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker import Worker
from potstill.errors import PotstillError

__all__ = ["Done", "Lost", "WorkerPool", "open_worker_pool"]

T = TypeVar("T")

# How long the driver waits at a time; between, it looks whether anyone is at work.
_POLL_S = 0.5
# A worker that is not there after so long, with nothing else under way, will not come.
_START_LIMIT_S = 900.0
# When nobody is at work for this long, it is looked whether the cluster is still there.
_NOBODY_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """A task's worker has yielded all that it makes of it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What came of work whose worker ended, or failed in a way that is not its own to tell."""

    why: str


@dataclass(eq=False, slots=True)
class _Member:
    """A worker, and what is under way: a call of its start, or what it yields of a task."""

    actor: Any
    call: Any
    task: Any = None
    started: int = 0  # 1 once it has joined, 2 once it has loaded the base


class WorkerPool:
    """Workers on a cluster, each of which loads the base once, when it is first needed.

    Open it with :func:`open_worker_pool`.
    """

    def __init__(
        self,
        ray: Any,
        size: int,
        spec: BaseSpec,
        options: ClusterOptions,
        note: Callable[[str], None],
        actor: type[Worker] = Worker,
    ) -> None:
        self.size = size
        self._ray = ray
        self._spec = ray.put(spec)
        self._note = note
        self._retries = options.retries
        self._lost_starting = 0
        self._actor = ray.remote(actor).options(
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            memory=int(options.memory_gb * 2**30) or None,
        )
        self._members = [self._start_another() for _ in range(size)]

    def work(
        self, method: str, take: Callable[[], T | None], shared: Any = None, base: bool = True
    ) -> Iterator[tuple[T, Any]]:
        """Yield each task with what the worker's ``method`` yields of it, as it comes; at its end
        with :class:`Done` or :class:`Lost`.

        ``take`` gives the next task, or None where there is none just now; it is asked again after
        every yield, so that a lost task can be handed out anew. ``shared``, if given, goes to every
        call beside its task. Workers load the base first, unless the method does without (``base``
        False). Raises what a worker raises of ours, and PotstillError where no worker comes to
        life.
        """
        beside = () if shared is None else (self._ray.put(shared),)
        try:
            yield from self._work(method, take, beside, base)
        finally:  # what is under way is of no use to anyone if the caller stops here
            for member in [member for member in self._members if member.task is not None]:
                self._renew(member)

    def _work(
        self, method: str, take: Callable[[], T | None], beside: tuple[Any, ...], base: bool
    ) -> Iterator[tuple[T, Any]]:
        quiet_since = time.monotonic()
        while self._hand_out(method, take, beside, base):
            calls = [member.call for member in self._members if member.call is not None]
            self._ray.wait(calls, num_returns=1, timeout=_POLL_S)
            # one that yields all the time must not keep the others waiting
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
            busy = any(member.task is not None for member in self._members)
            quiet_since = time.monotonic() if busy or ready else quiet_since
            self._check_patience(time.monotonic() - quiet_since)
            for member in [member for member in self._members if member.call in ready]:
                task, outcome = member.task, self._outcome(member)
                if task is not None:
                    yield task, outcome

    def close(self) -> None:
        """End the workers."""
        for member in self._members:
            self._ray.kill(member.actor)

    def _hand_out(
        self, method: str, take: Callable[[], Any], beside: tuple[Any, ...], base: bool
    ) -> bool:
        """Return whether anything is left to wait for, after every idle worker was given a task."""
        for member in self._members:
            if member.call is None and base and member.started < 2:
                member.call = member.actor.load.remote()
            elif member.call is None:
                task = take()
                if task is None:
                    return any(member.task is not None for member in self._members)
                call = getattr(member.actor, method).remote(task, *beside)
                member.task, member.call = task, call
        return True

    def _outcome(self, member: _Member) -> Any:
        """Return what the call under way came to next; after its end the member is idle, or a new
        one is in its place.
        """
        errors = self._ray.exceptions
        task, call = member.task, member.call
        try:
            result = self._ray.get(call if task is None else next(call))
        except StopIteration:
            member.task = member.call = None
            return Done()
        except errors.RayTaskError as exc:
            member.task = member.call = None
            if isinstance(exc.cause, PotstillError):
                raise exc.cause from exc
            if task is None:
                raise PotstillError(f"A worker could not start: {_described(exc.cause)}.") from exc
            return Lost(_described(exc.cause))
        except errors.RayError as exc:
            self._replace(member)
            return Lost(f"its worker was lost ({type(exc).__name__})")
        if task is None:
            member.call, member.started = None, member.started + 1
        if task is not None or member.started == 2:
            self._lost_starting = 0
        return result

    def _replace(self, member: _Member) -> None:
        self._lost_starting += member.task is None
        if self._lost_starting > self._retries * self.size:
            raise PotstillError(
                f"{self._lost_starting} workers in a row ended while they loaded the base, most "
                "likely for want of memory; raise cluster.memory_gb or lower cluster.workers."
            )
        self._note("A worker was lost; another one takes its place.")
        self._renew(member)  # one that is only out of reach must not go on

    def _renew(self, member: _Member) -> None:
        self._ray.kill(member.actor)
        self._members[self._members.index(member)] = self._start_another()

    def _start_another(self) -> _Member:
        actor = self._actor.remote()
        return _Member(actor, actor.join.remote(self._spec))

    def _check_patience(self, waited_s: float) -> None:
        if waited_s >= _NOBODY_S and not any(node["Alive"] for node in self._ray.nodes()):
            raise PotstillError(
                "The Ray cluster has no machine left; start it anew if it is yours, and run again: "
                "all that was finished is kept."
            )
        if waited_s >= _START_LIMIT_S:
            raise PotstillError(
                f"No worker came to life in {_START_LIMIT_S:.0f} seconds; look at the cluster with "
                "ray status, and run again."
            )


@contextmanager
def open_worker_pool(
    on: str,
    spec: BaseSpec,
    options: ClusterOptions,
    note: Callable[[str], None],
) -> Iterator[WorkerPool]:
    """Yield the workers that fit on the cluster ``on`` names, ended with the ``with``.

    Raises InputError where there is no such cluster or no room on it.
    """
    with joined(on) as ray:
        workers = WorkerPool(ray, places(ray, options), spec, options, note)
        note(f"Ray: {workers.size} workers of {options.described}.")
        try:
            yield workers
        finally:
            workers.close()


def _described(exc: BaseException) -> str:
    lines = str(exc).strip().splitlines() or [""]
    return f"{type(exc).__name__}: {lines[0]}"[:300]
