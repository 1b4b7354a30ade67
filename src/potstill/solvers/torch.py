"""A transformers model on this machine as a solver of its own, in a study's ``solver: torch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from potstill.solvers import never
from potstill.solvers.local import LocalSolver

if TYPE_CHECKING:
    from potstill.ledger import Ledger

__all__ = ["Options", "open_solver"]


class Options(BaseModel):
    """What a study file says of a local model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(min_length=1, description="A model folder or a hub id.")
    precision: Literal["float32", "bfloat16", "nf4"] = "float32"
    device: str = "auto"
    batch_size: int = Field(0, ge=0, description="0 takes as many as memory holds, up to 256.")


@contextmanager
def open_solver(
    options: Options, ledger: Ledger, *, stop: Callable[[], str] = never
) -> Iterator[LocalSolver]:
    """The model of these options as a solver, without an adapter; its id is the model's name.

    Answers cost nothing, so ``stop`` is never asked.
    """
    from potstill.training.base import load_base

    base = load_base(options.path, options.precision, options.device)
    yield LocalSolver(base, None, ledger, solver_id=base.name, batch_size=options.batch_size)
