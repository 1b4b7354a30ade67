"""Whether and where a long run overfits: the minimum of its smoothed validation curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.store.record_file import read_record, write_record
from potstill.store.typed import make
from potstill.training.recipe import Recipe

__all__ = [
    "DIAGNOSIS_FILE",
    "FEWEST_POINTS",
    "Diagnosis",
    "RateLoss",
    "best_rate",
    "diagnose",
    "read_diagnosis",
    "resolve_iterations",
]

DIAGNOSIS_FILE = "diagnosis.json"
FORMAT_VERSION = 1
FEWEST_POINTS = 5


@dataclass(frozen=True, slots=True)
class RateLoss:
    """The least validation loss that a short run trained to at one learning rate; None where it
    diverged.
    """

    rate: float
    steps: int
    loss: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a long run shows; losses are nats per completion token, smoothed.

    ``iterations`` is where the smoothed validation loss is least among the trained steps that were
    validated: step 0 is the base itself. ``rise`` is how far it has risen again by the
    ``last_step``; the run ``overfits`` where that is more than the curve's own scatter about its
    smoothing, and ``diverged`` where no loss was finite after that step.
    """

    iterations: int
    lowest_loss: float
    last_step: int
    last_loss: float
    rise: float
    scatter: float
    overfits: bool
    variant: str = ""
    seed: int = 0
    rates: tuple[RateLoss, ...] = ()
    diverged: bool = False


def best_rate(rates: Sequence[RateLoss]) -> float | None:
    """Return the learning rate whose short run had the least loss; None where all diverged."""
    losses = {x.rate: x.loss for x in rates if x.loss is not None}
    return min(losses, key=losses.__getitem__) if losses else None


def diagnose(steps: Sequence[int], losses: Sequence[float]) -> Diagnosis:
    """Return the diagnosis of a validation curve of at least five points.

    Smoothed by a spline in log(1 + step) whose penalty generalised cross-validation chooses (Craven
    and Wahba 1979, as in ``scipy.interpolate.make_smoothing_spline``). Raises InputError for fewer
    points.
    """
    import numpy as np
    from scipy.interpolate import make_smoothing_spline

    if len(steps) < FEWEST_POINTS:
        raise InputError(
            f"A diagnosis needs at least {FEWEST_POINTS} validations and there are {len(steps)}; "
            "lower validate_every."
        )
    at = np.log1p(np.asarray(steps, dtype=float))
    values = np.asarray(losses, dtype=float)
    smooth = make_smoothing_spline(at, values)(at)
    trained = int(steps[0] == 0)
    least = trained + int(np.argmin(smooth[trained:]))
    scatter = float(np.sqrt(np.mean((values - smooth) ** 2)))
    rise = float(smooth[-1] - smooth[least])
    return Diagnosis(
        iterations=int(steps[least]),
        lowest_loss=float(smooth[least]),
        last_step=int(steps[-1]),
        last_loss=float(smooth[-1]),
        rise=rise,
        scatter=scatter,
        overfits=rise > 2 * scatter and least < len(steps) - 1,
    )


def write_diagnosis(diagnosis: Diagnosis, folder: Path) -> Path:
    """Return the path of ``diagnosis.json`` in ``folder``, written whole."""
    path = folder / DIAGNOSIS_FILE
    write_record(path, FORMAT_VERSION, asdict(diagnosis))
    return path


def read_diagnosis(folder: Path) -> Diagnosis:
    """Return the diagnosis in a study's directory.

    Raises InputError where there is none to be read.
    """
    path = folder / DIAGNOSIS_FILE
    try:
        return read_record(path, FORMAT_VERSION, _made, "diagnose the study again")
    except FileNotFoundError as exc:
        raise InputError(
            f"iterations: auto needs {path}; make it with potstill train STUDY --diagnose, or give "
            "a number."
        ) from exc


def _made(content: dict[str, Any]) -> Diagnosis:
    rates = tuple(make(RateLoss, x) for x in content.pop("rates", ()))
    found = replace(make(Diagnosis, content), rates=rates)
    if found.iterations < 1:
        raise ValueError("it names no step")
    return found


def resolve_iterations(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with ``iterations: auto`` made a number, by the diagnosis in ``folder``."""
    if recipe.iterations != "auto":
        return recipe
    return recipe.model_copy(update={"iterations": read_diagnosis(folder).iterations})
