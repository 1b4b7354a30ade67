"""A transformers model on this machine as a solver of its own, in a study's ``solver: torch``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue

from potstill.chat import never
from potstill.ledger.prices import Price, free
from potstill.solvers.local import LocalSolver, local_model
from potstill.store.settings import Settings

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger

__all__ = ["Options", "check", "open_solver", "price"]

# Local answers stand in the ledger under this provider.
PROVIDER = "local"
BASES = ("model",)


class Options(Settings):
    """What a study file says of a local model."""

    model: str = Field(min_length=1, description="A model folder, a hub id, or a GGUF file.")
    precision: Literal["float32", "bfloat16", "nf4"] = Field(
        "float32", description="The precision of its weights; nf4 needs a CUDA GPU."
    )
    device: str = Field("auto", description="cuda, mps or cpu; auto takes the best there is.")
    template: dict[str, JsonValue] = Field(
        {}, description="Arguments of the chat template, such as {enable_thinking: false}."
    )
    batch_size: int = Field(
        0, ge=0, le=4096, description="0 takes as many as memory holds, up to 256."
    )

    def identity(self) -> dict[str, Any]:
        """Return what decides the answers: model, precision of its weights, template."""
        asked = {"template": self.template} if self.template else {}
        return {"model": self.model, "precision": self.precision, **asked}


def ledger_model(options: Options) -> str:
    """Return the name under which the model's replies stand in the ledger: a hash, no address."""
    from potstill.models.folder import hash_base

    return local_model(hash_base(options.model, options.template), None, options.precision)


def price(options: Options) -> Price:
    """Return the price of a local model: nothing."""
    return free(options.model)


def check(options: Options) -> None:
    """Raise InputError for a model that cannot be opened here; it is looked at and not opened."""
    from potstill.models.architecture import read_config
    from potstill.models.folder import find_described_folder, weight_files
    from potstill.models.torch_base import check_precision, choose_device, load_tokenizer
    from potstill.models.weights import refuse_unfit_files

    check_precision(options.precision, choose_device(options.device))
    folder = find_described_folder(options.model)
    config = read_config(folder)
    load_tokenizer(folder, options.template)
    if files := weight_files(folder):
        refuse_unfit_files(config, folder, files)


@contextmanager
def open_solver(
    options: Options, ledger: Ledger, *, stop: Callable[[], str] = never
) -> Iterator[LocalSolver]:
    """Yield the model of these options as a solver, without an adapter; its id is the model's name.

    Answers cost nothing, so ``stop`` is never asked.
    """
    from potstill.models.torch_base import load_base

    base = load_base(options.model, options.precision, options.device, options.template)
    yield LocalSolver(base, None, ledger, solver_id=base.name, batch_size=options.batch_size)
