"""Training one cell of the grid: one variant of the lessons, one seed, one base.

The loop knows no backend: a trainer takes a step, tells its validation loss, and gives a snapshot
of its weights (:class:`Trainer`).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.errors import Diverged, InputError
from potstill.records import Student, content_hash
from potstill.text import several
from potstill.training.batches import Batch, BatchStream, validation_batches
from potstill.training.examples import EncodedSet, Example, encode_examples
from potstill.training.loading import open_trainer
from potstill.training.metrics import Metrics
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, HistoryPoint, StepReport, TrainedCell, Trainer
from potstill.training.resume import Checkpoint, Checkpoints, checkpoint_folder
from potstill.training.student_folder import write_student
from potstill.training.validation import Validation, Validator, open_validator

if TYPE_CHECKING:
    from potstill.models.model import LanguageModel
    from potstill.training.activation_cache import ActivationCache
    from potstill.training.optimizations import Optimizations

__all__ = ["encode_sets", "train_cell"]

METRICS_FILE = "metrics.jsonl"
# Padded tokens of one validation batch: nothing is kept for a backward pass, so it may be large.
_VALIDATION_BATCH_TOKENS = 8192


@dataclass(slots=True)
class _Run:
    """What a run has come to so far."""

    history: list[HistoryPoint]
    best_step: int = 0
    best_loss: float = math.inf
    best_right: int = 0
    best_weights: Any = None
    validations_since_best: int = 0
    stopped: str = ""
    step: int = -1
    tokens: int = 0
    padded_tokens: int = 0
    train_s: float = 0.0
    validation_s: float = 0.0


def train_cell(
    base: LanguageModel,
    cell: GridCell,
    train: Sequence[Example],
    valid: Sequence[Example],
    recipe: Recipe,
    out: Path,
    *,
    data_hash: str,
    on_step: Callable[[StepReport], None] | None = None,
    checkpoint_every_s: float = 60.0,
    trackers: Sequence[str] = (),
    optimizations: Optimizations | None = None,
    validation: Validation | None = None,
    kinds: Mapping[str, Mapping[str, Any]] | None = None,
    cache: ActivationCache | None = None,
) -> TrainedCell:
    """Return the student of one cell, its adapter written to the folder ``out``.

    The checkpoint kept is the one with the lowest loss on the whole validation set among the
    trained steps, or by ``select_by: accuracy`` the one with most questions of ``validation``
    right, ties going to the lower loss; step 0 is measured for the curve and is no candidate, for
    it is the base itself. Two runs at the same thread count on a CPU give the same bits, also where
    one was killed and went on from its checkpoint (at most ``checkpoint_every_s`` seconds old,
    beside ``out``). The folder appears whole or not at all. Raises InputError for sets without a
    usable example or a checkpoint of another run, Diverged for a run that diverges before its first
    validation, PotstillError where memory is short.
    """
    train_set, valid_set = encode_sets(base, cell, train, valid, recipe)
    if recipe.select_by == "accuracy" and validation is None:
        raise InputError(
            f"Cell {cell} is to be chosen by accuracy and was given no validation questions."
        )
    with (
        open_trainer(base, recipe, cell.seed, optimizations, cache) as trainer,
        open_validator(validation, base, kinds or {}) as validator,
    ):
        identity = {
            "data": data_hash,
            "recipe": recipe.recipe_hash,
            "base": base.base_hash,
            "variant": cell.variant,
            "seed": cell.seed,
        }
        checkpoints = Checkpoints(checkpoint_folder(out), identity)
        metrics = Metrics(
            checkpoints.folder / "metrics.jsonl",
            trackers,
            str(cell),
            recipe.model_dump(mode="json"),
        )
        run = _run(
            trainer,
            cell,
            train_set,
            valid_set,
            recipe,
            optimizations is None or optimizations.buckets,
            on_step or (lambda report: None),
            _Keeping(checkpoints, metrics, checkpoint_every_s),
            validator,
        )
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
            chosen_why=_why(run, recipe, len(valid_set.examples), validator),
            validation_loss=run.best_loss,
            trained_examples=len(train_set.examples),
            trained_parameters=trainer.trained_parameters,
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

        def save(folder: Path) -> None:
            trainer.save(run.best_weights, folder)
            shutil.copyfile(metrics.path, folder / METRICS_FILE)

        result = write_student(result, recipe, base, out, save)
        checkpoints.clear()
        return result


@dataclass(frozen=True, slots=True)
class _Keeping:
    """How a run is kept: its checkpoints, its metrics, and how many seconds may be lost."""

    checkpoints: Checkpoints
    metrics: Metrics
    every_s: float


def _run(
    trainer: Trainer,
    cell: GridCell,
    train: EncodedSet,
    valid: EncodedSet,
    recipe: Recipe,
    bucketed: bool,
    on_step: Callable[[StepReport], None],
    keeping: _Keeping,
    validator: Validator | None,
) -> _Run:
    """Return the loop itself, from the newest checkpoint where there is one."""
    rng = np.random.default_rng([cell.seed, 1])
    batches = BatchStream(train.examples, recipe.batch_size, rng, bucketed)
    held = validation_batches(valid.examples, _VALIDATION_BATCH_TOKENS)
    run = _resume(keeping, trainer, batches)
    kept_at = time.monotonic()
    for done in run.history:
        on_step(StepReport(cell, recipe.steps, done, run.best_step, run.best_loss))
    while run.step < recipe.steps and not run.stopped:
        run.step += 1
        point = _advance(run, trainer, batches, held, recipe, validator)
        if point is None:
            break
        keeping.metrics.log(
            run.step,
            {
                "train_loss": point.train_loss,
                "validation_loss": point.validation_loss,
                "validation_right": point.validation_right,
                "learning_rate": point.learning_rate,
                "tokens_per_s": round(point.tokens_per_s, 1),
                "memory_bytes": trainer.memory_bytes(),
            },
        )
        on_step(StepReport(cell, recipe.steps, point, run.best_step, run.best_loss))
        if time.monotonic() - kept_at >= keeping.every_s:
            keeping.checkpoints.save(_checkpoint(run, trainer, batches))
            kept_at = time.monotonic()
    keeping.metrics.close()
    if run.best_weights is None:
        keeping.checkpoints.clear()
        raise Diverged(
            f"Cell {cell} has no checkpoint to keep: {run.stopped} and no validation before it was "
            f"finite; lower learning_rate ({recipe.highest_rate:g}) or validate_every "
            f"({recipe.validate_every})."
        )
    return run


def _advance(
    run: _Run,
    trainer: Trainer,
    batches: BatchStream,
    held: Sequence[Batch],
    recipe: Recipe,
    validator: Validator | None,
) -> HistoryPoint | None:
    """Return one step and, where it is due, a validation; None for a step that was not finite."""
    train_loss, validation_loss, right, rate, tokens_per_s = None, None, None, 0.0, 0.0
    if run.step > 0:
        micro_batches = [next(batches) for _ in range(recipe.accumulation)]
        rate = recipe.learning_rate_at(run.step)
        started = time.perf_counter()
        train_loss = trainer.step(micro_batches, rate)
        elapsed_s = time.perf_counter() - started
        if math.isnan(train_loss):
            run.stopped = f"the training loss was not finite at step {run.step}"
            return None
        real_tokens = sum(batch.real_tokens for batch in micro_batches)
        run.tokens += real_tokens
        run.padded_tokens += sum(batch.padded_tokens for batch in micro_batches)
        run.train_s += elapsed_s
        tokens_per_s = real_tokens / elapsed_s
    if run.step % recipe.validate_every == 0 or run.step == recipe.steps:
        started = time.perf_counter()
        validation_loss = trainer.validate(held)
        if validator is not None and math.isfinite(validation_loss):
            right = validator.count_right(trainer)
        run.validation_s += time.perf_counter() - started
        _keep_best_checkpoint(run, validation_loss, right or 0, trainer, recipe)
    point = HistoryPoint(run.step, train_loss, validation_loss, rate, tokens_per_s, right)
    run.history.append(point)
    return point


_PLAIN = (
    "best_step",
    "best_loss",
    "best_right",
    "validations_since_best",
    "stopped",
    "step",
    "tokens",
    "padded_tokens",
    "train_s",
    "validation_s",
)


def _checkpoint(run: _Run, trainer: Trainer, batches: BatchStream) -> Checkpoint:
    best = {f"best/{k}": np.asarray(v) for k, v in (run.best_weights or {}).items()}
    state = {f"state/{k}": v for k, v in trainer.state().items()}
    values = {name: getattr(run, name) for name in _PLAIN}
    # JSON has no infinity: a best loss that was never had is None
    values["best_loss"] = run.best_loss if math.isfinite(run.best_loss) else None
    values["history"] = [asdict(point) for point in run.history]
    return Checkpoint(run.step, values | {"batches": batches.state()}, best | state)


def _resume(keeping: _Keeping, trainer: Trainer, batches: BatchStream) -> _Run:
    """Return a run as its newest checkpoint left it, or a new one."""
    found = keeping.checkpoints.newest()
    keeping.metrics.back_to(found.step if found else -1)
    run = _Run(history=[])
    if found is None:
        return run
    values = dict(found.values)
    for name in _PLAIN:
        setattr(run, name, values[name])
    run.best_loss = math.inf if values["best_loss"] is None else values["best_loss"]
    run.history = [HistoryPoint(**point) for point in values["history"]]
    run.best_weights = _under("best/", found.arrays) or None
    trainer.restore(_under("state/", found.arrays))
    batches.restore(values["batches"])
    return run


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _keep_best_checkpoint(
    run: _Run, loss: float, right: int, trainer: Trainer, recipe: Recipe
) -> None:
    """Keep the present weights if they are the best yet; say so if the run should end.

    Without a validation ``right`` is always 0, and the loss alone decides.
    """
    if not math.isfinite(loss):
        run.stopped = f"the validation loss was not finite at step {run.step}"
    elif run.step == 0:
        return
    elif (right, -loss) > (run.best_right, -run.best_loss):
        run.best_step, run.best_loss, run.best_right = run.step, loss, right
        run.best_weights = trainer.snapshot()
        run.validations_since_best = 0
    else:
        run.validations_since_best += 1
        if recipe.patience and run.validations_since_best >= recipe.patience:
            run.stopped = (
                f"{recipe.patience} validations in a row found nothing better, at step {run.step}"
            )


def encode_sets(
    base: LanguageModel,
    cell: GridCell,
    train: Sequence[Example],
    valid: Sequence[Example],
    recipe: Recipe,
) -> tuple[EncodedSet, EncodedSet]:
    """Return both sets as token ids, what is too long excluded; InputError where nothing is
    left.
    """
    return (
        _encode(base, cell, train, recipe, "training"),
        _encode(base, cell, valid, recipe, "validation"),
    )


def _encode(
    base: LanguageModel, cell: GridCell, examples: Sequence[Example], recipe: Recipe, what: str
) -> EncodedSet:
    limit = recipe.sequence_tokens(base.context_tokens)
    encoded = encode_examples(base.tokenizer, examples, limit)
    if encoded.examples:
        return encoded
    if not encoded.too_long:
        todo = "potstill inspect DIR --gates says which checks left its lessons out"
        raise InputError(f"Cell {cell} has no {what} example to use; {todo}.")
    todo = "the base's context holds no more: choose another base, or teach shorter levels"
    if limit < base.context_tokens:
        todo = "raise max_sequence_tokens"
    raise InputError(
        f"Cell {cell} has no {what} example to use: of {several(len(examples), 'example')} "
        f"{len(encoded.too_long):,} have more than {limit:,} tokens; {todo}."
    )


def _student_id(base: LanguageModel, cell: GridCell, recipe: Recipe, data_hash: str) -> str:
    made_of = [base.base_hash, cell.variant, cell.seed, recipe.recipe_hash, data_hash]
    return f"{cell.variant}-s{cell.seed}-{content_hash(made_of)[:8]}"


def _why(run: _Run, recipe: Recipe, validation_examples: int, validator: Validator | None) -> str:
    loss = f"lowest validation loss ({run.best_loss:.4f} on all {validation_examples} examples)"
    if validator is not None:
        loss = (
            f"most validation problems right ({run.best_right} of {validator.questions}; of equals "
            f"the one with the lowest loss, {run.best_loss:.4f})"
        )
    why = f"{loss} at step {run.best_step} of {recipe.steps}"
    return f"{why}; stopped because {run.stopped}" if run.stopped else why
