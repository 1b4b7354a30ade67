"""Training one cell of the grid: one variant of the lessons, one seed, one base.

The loop knows no backend: a trainee takes a step, tells its validation loss, and gives a snapshot
of its weights (:class:`Trainee`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from potstill.errors import InputError, PotstillError
from potstill.records import Student, content_hash
from potstill.training.batches import Batch, endless_batches, validation_batches
from potstill.training.examples import EncodedSet, Example, encode_examples
from potstill.training.recipe import Recipe

if TYPE_CHECKING:
    from potstill.training.models import LanguageModel

__all__ = ["Cell", "HistoryPoint", "StepReport", "TrainedCell", "Trainee", "train_cell"]

# Padded tokens of one validation batch: nothing is kept for a backward pass, so it may be large.
_VALIDATION_BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the grid: a variant of the lessons (R1..R6, mix, ...) and a seed."""

    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.variant} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One step of a run; losses are nats per completion token.

    ``validation_loss`` is None where the step was not validated. Step 0 is the untrained adapter,
    which answers as the base does: it has a validation loss and nothing else.
    """

    step: int
    train_loss: float | None
    validation_loss: float | None
    learning_rate: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a progress bar is told after every step (and after the validation at step 0)."""

    cell: Cell
    iterations: int
    point: HistoryPoint
    best_step: int
    best_loss: float


@dataclass(frozen=True, slots=True)
class TrainedCell:
    """A student, how its losses went, and what was set aside.

    ``tokens`` are those trained on, without padding; ``padding`` is the padded share of all that
    was computed.
    """

    student: Student
    history: tuple[HistoryPoint, ...]
    too_long: tuple[str, ...]
    stopped_step: int
    tokens: int
    padding: float
    train_s: float
    validation_s: float


class Trainee(Protocol):
    """An adapter in training on some backend."""

    @property
    def trained_parameters(self) -> int: ...

    def step(self, batches: Sequence[Batch], learning_rate: float) -> float:
        """The mean loss of one optimizer step; NaN, and nothing moved, where it is not finite."""
        ...

    def validate(self, batches: Sequence[Batch]) -> float:
        """The mean loss over all batches at the present weights; draws no random number."""
        ...

    def snapshot(self) -> Any:
        """A copy of the present weights."""
        ...

    def save(self, snapshot: Any, folder: Path) -> None:
        """Write a snapshot in PEFT's layout."""
        ...


@dataclass(slots=True)
class _Run:
    """What a run has come to so far."""

    history: list[HistoryPoint]
    best_step: int = 0
    best_loss: float = math.inf
    best_weights: Any = None
    validations_since_best: int = 0
    stopped: str = ""
    tokens: int = 0
    padded_tokens: int = 0
    train_s: float = 0.0
    validation_s: float = 0.0


def train_cell(
    base: LanguageModel,
    cell: Cell,
    train: Sequence[Example],
    valid: Sequence[Example],
    recipe: Recipe,
    out: Path,
    *,
    data_hash: str,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainedCell:
    """The student of one cell, its adapter written to the folder ``out``.

    The checkpoint kept is the one with the lowest loss on the whole validation set among the
    trained steps; step 0 is measured for the curve and is no candidate, for it is the base itself.
    Two runs at the same thread count on a CPU give the same bits. The folder appears whole or not
    at all. Raises InputError for sets without a usable example, PotstillError for a run that
    diverges before its first validation or lacks memory.
    """
    from potstill.training.student_folder import write_student

    train_set = _encode(base, cell, train, recipe, "training")
    valid_set = _encode(base, cell, valid, recipe, "validation")
    with base.open_trainee(recipe, cell.seed) as trainee:
        run = _run(trainee, cell, train_set, valid_set, recipe, on_step)
        student = Student(
            id=_student_id(base, cell, recipe, data_hash),
            base=base.name,
            base_hash=base.base_hash,
            variant=cell.variant,
            seed=cell.seed,
            recipe_hash=recipe.recipe_hash,
            data_hash=data_hash,
            adapter=out.name,
            adapter_hash="",
            chosen_step=run.best_step,
            chosen_why=_why(run, recipe, len(valid_set.examples)),
            validation_loss=run.best_loss,
            trained_examples=len(train_set.examples),
            trained_parameters=trainee.trained_parameters,
        )
        result = TrainedCell(
            student=student,
            history=tuple(run.history),
            too_long=train_set.too_long + valid_set.too_long,
            stopped_step=run.history[-1].step,
            tokens=run.tokens,
            padding=1 - run.tokens / max(1, run.padded_tokens),
            train_s=run.train_s,
            validation_s=run.validation_s,
        )
        return write_student(
            result, recipe, base, out, lambda folder: trainee.save(run.best_weights, folder)
        )


def _run(
    trainee: Trainee,
    cell: Cell,
    train: EncodedSet,
    valid: EncodedSet,
    recipe: Recipe,
    on_step: Callable[[StepReport], None] | None,
) -> _Run:
    """The loop itself."""
    batches = endless_batches(
        train.examples, recipe.batch_size, np.random.default_rng([cell.seed, 1])
    )
    held = validation_batches(valid.examples, _VALIDATION_BATCH_TOKENS)
    run = _Run(history=[])
    for step in range(recipe.iterations + 1):
        train_loss, validation_loss, rate, tokens_per_s = None, None, 0.0, 0.0
        if step > 0:
            micro_batches = [next(batches) for _ in range(recipe.accumulation)]
            rate = recipe.learning_rate_at(step)
            started = time.perf_counter()
            train_loss = trainee.step(micro_batches, rate)
            elapsed_s = time.perf_counter() - started
            if math.isnan(train_loss):
                run.stopped = f"the training loss was not finite at step {step}"
                break
            real_tokens = sum(batch.real_tokens for batch in micro_batches)
            run.tokens += real_tokens
            run.padded_tokens += sum(batch.padded_tokens for batch in micro_batches)
            run.train_s += elapsed_s
            tokens_per_s = real_tokens / elapsed_s
        if step % recipe.validate_every == 0 or step == recipe.iterations:
            started = time.perf_counter()
            validation_loss = trainee.validate(held)
            run.validation_s += time.perf_counter() - started
            _judge(run, step, validation_loss, trainee, recipe)
        point = HistoryPoint(step, train_loss, validation_loss, rate, tokens_per_s)
        run.history.append(point)
        if on_step is not None:
            on_step(StepReport(cell, recipe.iterations, point, run.best_step, run.best_loss))
        if run.stopped:
            break
    if run.best_weights is None:
        raise PotstillError(
            f"Cell {cell} has no checkpoint to keep: {run.stopped} and no validation before it was "
            f"finite; lower learning_rate ({recipe.learning_rate:g}) or validate_every "
            f"({recipe.validate_every})."
        )
    return run


def _judge(run: _Run, step: int, loss: float, trainee: Trainee, recipe: Recipe) -> None:
    """Keep the present weights if they are the best yet; say so if the run should end."""
    if not math.isfinite(loss):
        run.stopped = f"the validation loss was not finite at step {step}"
    elif step == 0:
        return
    elif loss < run.best_loss:
        run.best_step, run.best_loss, run.best_weights = step, loss, trainee.snapshot()
        run.validations_since_best = 0
    else:
        run.validations_since_best += 1
        if recipe.patience and run.validations_since_best >= recipe.patience:
            run.stopped = (
                f"{recipe.patience} validations in a row found no lower loss, at step {step}"
            )


def _encode(
    base: LanguageModel, cell: Cell, examples: Sequence[Example], recipe: Recipe, what: str
) -> EncodedSet:
    limit = min(recipe.max_sequence_tokens, base.context_tokens)
    encoded = encode_examples(base.tokenizer, examples, limit)
    if not encoded.examples:
        raise InputError(
            f"Cell {cell} has no {what} example to use: {len(examples)} were given and "
            f"{len(encoded.too_long)} are longer than {limit} tokens; raise max_sequence_tokens or "
            "give more problems."
        )
    return encoded


def _student_id(base: LanguageModel, cell: Cell, recipe: Recipe, data_hash: str) -> str:
    made_of = [base.base_hash, cell.variant, cell.seed, recipe.recipe_hash, data_hash]
    return f"{cell.variant}-s{cell.seed}-{content_hash(made_of)[:8]}"


def _why(run: _Run, recipe: Recipe, validation_examples: int) -> str:
    why = (
        f"lowest validation loss ({run.best_loss:.4f} on all {validation_examples} examples) at "
        f"step {run.best_step} of {recipe.iterations}"
    )
    return f"{why}; stopped because {run.stopped}" if run.stopped else why
