"""What a pass over a study stands on; what it opens at need is in services.

:meth:`Context.cell` is the one place where it is decided whether something is up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from potstill.errors import PotstillError
from potstill.pocket import STUDENT_PATH
from potstill.progress import Bar, Progress
from potstill.store.cells import Cell, Filling, Manifest, Store
from potstill.store.fingerprint import fingerprint
from potstill.study.agents import identity_of
from potstill.study.budget import Budget, unpriced_models
from potstill.study.schema import Agent, Study
from potstill.training.limits import resolved_recipe

if TYPE_CHECKING:
    from potstill.cluster.storage import Storage
    from potstill.ledger.ledger import Ledger
    from potstill.pipeline.outputs import AnswerSet
    from potstill.training.recipe import Recipe

__all__ = [
    "FEWEST_MEASURED",
    "VERSION",
    "Context",
    "Unfinished",
    "agent_identity",
    "base_path_of",
    "base_title",
    "is_path",
]

FEWEST_MEASURED = 20
"""From so many replies of a stage on, tokens and price are as measured, no longer assumed."""
# raised when a stage's code changes what it makes of the same inputs
VERSION = {
    "problems": 1,
    "split": 2,
    "answers": 1,
    "verdicts": 2,
    "ratings": 1,
    "lessons": 1,
    "student": 1,
}

R = TypeVar("R")


class Unfinished(PotstillError):
    """A cell that would have to be made, met in a pass that only reads.

    ``answers`` are those that are there where some are missing.
    """

    def __init__(self, message: object = "", answers: Sequence[AnswerSet] = ()) -> None:
        super().__init__(message)
        self.answers = answers


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage of one pass over a study stands on: its records, and where they are.

    A pass does what is not up to date, or (``read_only``) only looks. ``only_ledger`` buys nothing:
    what the ledger lacks is an error. ``base_at`` is where the base model is, if not where the
    study has it. ``on`` is the cluster that works, ``storage`` where its workers put what they
    make, if not into the directory. ``used`` are the cells that were made or found up to date.
    """

    study: Study
    directory: Path
    store: Store
    ledger: Ledger
    progress: Progress
    read_only: bool = False
    only_ledger: bool = False
    base_at: str = ""
    on: str = ""
    storage: Storage | None = None
    used: list[Cell] = field(default_factory=list)
    _base_hash: list[str] = field(default_factory=list)
    _budget: list[Budget] = field(default_factory=list)

    def cell(
        self, cell: Cell, name: str, tables: Mapping[str, type], make: Callable[[Filling], None]
    ) -> Manifest:
        """Return the manifest of a finished cell, its tables (name: record type) made if not
        there.
        """
        self.used.append(cell)
        if self.store.exists(cell):
            manifest = self.store.manifest(cell)
            self.progress.up_to_date(name, _counts(manifest))
            return manifest
        if self.read_only:
            raise Unfinished(f"{name} is not finished.")
        with self.store.filling(cell, tables) as filling:
            make(filling)
            self.budget().settle(name)
        return self.store.manifest(cell)

    def counted(
        self, name: str, total: int | None, unit: str, items: Iterable[R], free: int = 0
    ) -> Iterator[R]:
        """Yield the items, each counted on the stage's bar as it comes, with the spend so far.

        ``free`` of the ``total`` are made without a reply.
        """
        with self.progress.stage(name, total, unit) as bar:
            before, paid_before = self.ledger.spent_usd, self.ledger.paid
            for done, item in enumerate(items, 1):
                spent = self.ledger.spent_usd - before
                _tick(bar, spent)
                if done == FEWEST_MEASURED and spent and total:
                    # by the reply: what is in flight is spent, and no item of the bar yet
                    each = spent / max(1, self.ledger.paid - paid_before)
                    paid = total - free
                    self.progress.note(
                        f"{name}: ${each:,.4f} a reply so far, so ${each * paid:,.2f} for all "
                        f"{paid:,} {unit} at a reply each"
                    )
                yield item
            if self._budget and self._budget[0].is_short:
                bar.cut_short()

    def budget(self) -> Budget:
        """Return what the study may spend. Raises StudyError where it could not be kept to."""
        if not self._budget:
            unpriced_models(self.study)
            self._budget.append(Budget(self.study.budget_usd, lambda: self.ledger.spent_usd))
        return self._budget[0]

    @property
    def recipe(self) -> Recipe:
        """The study's recipe, what is ``auto`` made a number by diagnosis, base and lessons."""
        from potstill.training.diagnosis import resolve_iterations

        recipe = resolve_iterations(self.study.training, self.directory)
        return resolved_recipe(recipe, self.directory, self.base_path)

    @property
    def base_path(self) -> str:
        """Where the base model is now."""
        return self.base_at or base_path_of(self.study)

    @property
    def base_hash(self) -> str:
        """The hash of the base model, which need not be loaded for it."""
        if not self._base_hash:
            from potstill.models.folder import hash_base

            self._base_hash.append(hash_base(self.base_path, self.study.student.template))
        return self._base_hash[0]


def base_path_of(study: Study) -> str:
    """Return where a study's base model is: the shipped pocket student, or what it names itself."""
    return str(STUDENT_PATH) if study.student.is_shipped else study.student.base


def base_title(study: Study) -> str:
    """Return what a study's base is called: never where it lies on a machine."""
    base = study.student.base
    return Path(base).name if is_path(base) else base


def is_path(text: str) -> bool:
    """Return whether a text names a place on a machine."""
    return Path(text).is_absolute() or text.startswith(("~", "./", "../"))


def agent_identity(agent: Agent) -> Mapping[str, Any]:
    """Return what decides an agent's answers: who it is and how it is asked, never where it
    lives.
    """
    return {
        "solver": agent.solver,
        "who": fingerprint(identity_of(agent)),
        "system": agent.system,
        "prompt": agent.prompt,
        "sampling": agent.sampling,
    }


_TABLES = {"not_asked": "not asked", "set_aside": "excluded", "sides": "splits"}
"""Tables whose files keep an older name than the one they are told by."""


def _tick(bar: Bar, usd: float) -> None:
    bar.advance()
    if usd:
        bar.spend(usd)


def _counts(manifest: Manifest) -> str:
    rows = sorted(manifest.rows.items(), key=lambda row: row[0] == "not_asked")
    told = {_TABLES.get(name, name): n for name, n in rows if n or name != "not_asked"}
    shown = [f"1 {x.removesuffix('s')}" if n == 1 else f"{n:,} {x}" for x, n in told.items()]
    return ", ".join(shown) or ", ".join(f"{k} {v}" for k, v in manifest.summary.items())
