"""The cells of a grid trained by the workers, each into its folder of the study's directory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cluster.crew import Crew, Lost
from potstill.errors import PotstillError

if TYPE_CHECKING:
    from potstill.training.grid import Job
    from potstill.training.loop import Cell, StepReport, TrainedCell

__all__ = ["train_on"]


def train_on(
    crew: Crew,
    jobs: Sequence[Job],
    *,
    retries: int,
    on_step: Callable[[StepReport], None],
    grid: Sequence[Job] = (),
) -> Iterator[tuple[Job, TrainedCell]]:
    """Each job with its trained cell, in the order they finish, to the bits of ``train_cells``.

    A cell whose worker was lost goes on from its checkpoint on another one. Raises PotstillError,
    after all the others are trained, for those whose workers were lost more than ``retries`` times,
    and what a worker raises of ours at once.
    """
    waiting = deque(jobs)
    losses: Counter[Path] = Counter()
    told: dict[Cell, int] = {}
    given_up: list[str] = []

    def watch(report: StepReport) -> None:
        # A cell that goes on elsewhere tells its steps from the start.
        if report.point.step > told.get(report.cell, -1):
            told[report.cell] = report.point.step
            on_step(report)

    def take() -> Job | None:
        return waiting.popleft() if waiting else None

    for job, outcome in crew.work("train", take, watch, shared=tuple(grid or jobs)):
        if not isinstance(outcome, Lost):
            yield job, outcome
            continue
        losses[job.out] += 1
        if losses[job.out] <= retries:
            waiting.append(job)
        else:
            given_up.append(f"{job.cell} ({outcome.why})")
    if given_up:
        raise PotstillError(
            f"Training was given up after {retries + 1} workers failed on it: "
            f"{'; '.join(given_up)}. The other students are kept; raise cluster.memory_gb, or look "
            "at the machines, and run again."
        )
