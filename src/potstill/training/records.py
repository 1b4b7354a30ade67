"""What a training cell is, what it reports and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from potstill.records import Student
from potstill.training.batches import Batch

if TYPE_CHECKING:
    from potstill.models.decoding import Finished, Request

__all__ = ["GridCell", "HistoryPoint", "StepReport", "TrainedCell", "Trainer"]


@dataclass(frozen=True, slots=True)
class GridCell:
    """One cell of the grid: a variant of the lessons (R1..R6, mix, ...) and a seed."""

    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.variant} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One step of a run; losses are nats per completion token.

    ``validation_loss`` is None where the step was not validated. Step 0 is the untrained adapter,
    which answers as the base does: it has a validation loss and nothing else. ``validation_right``
    counts the validation's questions answered rightly, where the checkpoint is chosen by them.
    """

    step: int
    train_loss: float | None
    validation_loss: float | None
    learning_rate: float
    tokens_per_s: float
    validation_right: int | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a progress bar is told after every step (and after the validation at step 0)."""

    cell: GridCell
    iterations: int
    point: HistoryPoint
    best_step: int
    best_loss: float


@dataclass(frozen=True, slots=True)
class TrainedCell:
    """A student, how its losses went, and what was excluded.

    ``tokens`` are those trained on, without padding.
    """

    student: Student
    history: tuple[HistoryPoint, ...]
    too_long: tuple[str, ...]
    stopped_step: int
    tokens: int
    train_s: float
    validation_s: float


class Trainer(Protocol):
    """The training half of a backend: an adapter on a base, and the optimizer that trains it."""

    @property
    def trained_parameters(self) -> int: ...

    def step(self, batches: Sequence[Batch], learning_rate: float) -> float:
        """Return the mean loss of one optimizer step; NaN, and nothing moved, where it is not
        finite.
        """
        ...

    def validate(self, batches: Sequence[Batch]) -> float:
        """Return the mean loss over all batches at the present weights; draws no random number."""
        ...

    def answer(self, requests: Sequence[Request]) -> Iterable[Finished]:
        """Return the present weights' answers; draws no random number where the sampling is
        greedy.
        """
        ...

    def snapshot(self) -> Any:
        """Return a copy of the present weights."""
        ...

    def save(self, snapshot: Any, folder: Path) -> None:
        """Write a snapshot in PEFT's layout."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return all that decides the steps to come, as numpy arrays: weights, optimizer,
        generators.
        """
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as from where :meth:`state` was taken."""
        ...

    def memory_bytes(self) -> int:
        """Return the most memory that the run has held so far."""
        ...
