"""Work in parts that need no base, done by the workers and taken in the order of the parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from potstill.cluster.worker_pool import Done, Lost

if TYPE_CHECKING:
    from potstill.cluster.worker_pool import WorkerPool

__all__ = ["in_order"]

T = TypeVar("T")

_PARTS_A_WORKER = 3  # with it, or done and waiting for their turn


@dataclass(eq=False, slots=True)
class _Part(Generic[T]):
    task: T
    losses: int = 0
    done: bool = False
    result: Any = None


def in_order(
    workers: WorkerPool,
    method: str,
    tasks: Iterable[T],
    here: Callable[[T], Any],
    retries: int,
    shared: Any = None,
) -> Iterator[Any]:
    """Yield what the workers' ``method`` makes of each task, in the order of the tasks.

    Tasks are drawn as results leave, three a worker at most. One whose workers were lost more than
    ``retries`` times is done ``here``. ``shared``, if given, goes to every call beside its task.
    Raises as the workers' ``work`` does.
    """
    source = iter(tasks)
    order: deque[_Part[T]] = deque()
    again: deque[T] = deque()

    def take() -> T | None:
        if again:
            return again.popleft()
        if len(order) == _PARTS_A_WORKER * workers.size:
            return None
        for task in source:
            order.append(_Part(task))
            return task
        return None

    for task, outcome in workers.work(method, take, shared=shared, base=False):
        part = next((part for part in order if part.task is task and not part.done), None)
        if part is None or isinstance(outcome, Done):
            continue
        if isinstance(outcome, Lost) and part.losses < retries:
            part.losses += 1
            again.append(task)
            continue
        part.done, part.result = True, here(task) if isinstance(outcome, Lost) else outcome
        while order and order[0].done:
            yield order.popleft().result
