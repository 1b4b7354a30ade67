"""What a run opens: store, ledger, grader and models, each when it is first needed.

:meth:`Run.cell` is the one place where it is decided whether something is fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from potstill.chat import never
from potstill.cluster.overlap import FEWEST, ClusterSketchers
from potstill.errors import InputError, PotstillError
from potstill.grading.plugins import kind_settings
from potstill.pipeline.agents import options_of
from potstill.pipeline.budget import Budget, unpriced_models
from potstill.plugins import SOLVERS, load_plugin
from potstill.pocket import STUDENT_PATH
from potstill.problems.overlap.neighbours import Sketchers
from potstill.progress import Bar, Progress
from potstill.solvers.local import LocalSolver
from potstill.store.cells import Cell, Filling, Manifest, Store
from potstill.study.schema import Agent, Study

if TYPE_CHECKING:
    from potstill.chat import Solver
    from potstill.cluster.answers import ClusterAnswering
    from potstill.cluster.storage import Storage
    from potstill.cluster.worker_pool import WorkerPool
    from potstill.grading import GradingPool
    from potstill.ledger.ledger import Ledger
    from potstill.models.model import LanguageModel
    from potstill.pipeline.outputs import Answers
    from potstill.training.recipe import Recipe

__all__ = ["VERSION", "Run", "Unfinished", "agent_identity", "base_path_of", "fingerprint"]

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
_MOST_FILES = 20_000


class Unfinished(PotstillError):
    """A cell that would have to be made, met in a pass that only reads.

    ``answers`` are those that are there where some are missing.
    """

    def __init__(self, message: object = "", answers: Sequence[Answers] = ()) -> None:
        super().__init__(message)
        self.answers = answers


@dataclass(slots=True)
class Run:
    """One pass over a study: to do what is not fresh, or (``read_only``) only to look.

    ``only_ledger`` buys nothing: what the ledger lacks is an error. ``base_at`` is where the base
    model is, if not where the study has it. ``used`` are the cells that were made or found fresh.
    ``storage`` is where the workers of the cluster that the run is ``on`` put what they make, if
    not into the directory.
    """

    study: Study
    directory: Path
    store: Store
    ledger: Ledger
    progress: Progress
    stack: ExitStack
    read_only: bool = False
    only_ledger: bool = False
    base_at: str = ""
    on: str = ""
    storage: Storage | None = None
    used: list[Cell] = field(default_factory=list)
    _pool: list[GradingPool] = field(default_factory=list)
    _base: list[LanguageModel] = field(default_factory=list)
    _base_hash: list[str] = field(default_factory=list)
    _tokenizer: list[Any] = field(default_factory=list)
    _solvers: dict[str, Solver] = field(default_factory=dict)
    _budget: list[Budget] = field(default_factory=list)
    _workers: list[WorkerPool] = field(default_factory=list)
    _answering: list[ClusterAnswering] = field(default_factory=list)

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

    def counted(self, name: str, total: int | None, unit: str, items: Iterable[R]) -> Iterator[R]:
        """Yield the items, each counted on the stage's bar as it comes, with the spend so far."""
        with self.progress.stage(name, total, unit) as bar:
            before = self.ledger.spent_usd
            for item in items:
                _tick(bar, self.ledger.spent_usd - before)
                yield item

    def pool(self) -> GradingPool:
        """Return the grading workers, started at the first need."""
        if not self._pool:
            from potstill.cluster.grading import ClusterPool
            from potstill.grading import GradingPool

            retries, kinds = self.study.cluster.retries, kind_settings(self.study.kinds)
            pool = (
                ClusterPool(self.workers, retries, kinds) if self.on else GradingPool(kinds=kinds)
            )
            self._pool.append(self.stack.enter_context(pool))
        return self._pool[0]

    def sketchers(self, problems: int) -> Sketchers:
        """Return who audits the overlap of so many problems: the workers, where they gain by it."""
        if not self.on or problems < FEWEST:
            return Sketchers()
        return ClusterSketchers(self.workers, self.study.cluster.retries)

    def end_grading(self) -> None:
        """End the grading workers; the next need starts others."""
        while self._pool:
            self._pool.pop().close()

    def base(self) -> LanguageModel:
        """Return the student's base model, loaded at the first need."""
        if not self._base:
            from potstill.models.opening import load_language_model

            student = self.study.student
            loaded = load_language_model(
                self.base_path,
                student.precision,
                student.device,
                student.backend,
                student.template,
            )
            self._base.append(loaded)
        return self._base[0]

    @property
    def recipe(self) -> Recipe:
        """The study's recipe, ``iterations: auto`` made a number by its diagnosis."""
        from potstill.training.diagnosis import resolve_iterations

        return resolve_iterations(self.study.training, self.directory)

    def count_tokens(self, text: str) -> int:
        """Return the student tokens of a text; the base need not be loaded for it."""
        if not self._tokenizer:
            from potstill.models.torch_base import find_model_folder, load_tokenizer

            self._tokenizer.append(load_tokenizer(find_model_folder(self.base_path)))
        ids: list[int] = self._tokenizer[0](text, add_special_tokens=False)["input_ids"]
        return len(ids)

    @property
    def base_hash(self) -> str:
        """The hash of the base model, which need not be loaded for it."""
        if not self._base_hash:
            from potstill.models.torch_base import hash_base

            self._base_hash.append(hash_base(self.base_path, self.study.student.template))
        return self._base_hash[0]

    def local_solver(self, adapter: Path | None, name: str) -> Solver:
        """Return the base model, with a student's adapter if one is given, as a solver."""
        if self.on:
            from potstill.cluster.answers import ClusterSolver

            return ClusterSolver(self.answering(), adapter, name)

        return LocalSolver(
            self.base(),
            adapter,
            self.ledger,
            solver_id=name,
            batch_size=self.study.evaluation.batch_size,
        )

    def workers(self) -> WorkerPool:
        """Return the workers on the cluster that the run is on, called for at the first need."""
        if not self._workers:
            from potstill.cluster.spec import BaseSpec
            from potstill.cluster.worker_pool import open_worker_pool

            student, options = self.study.student, self.study.cluster
            spec = BaseSpec(
                self.base_path,
                student.precision,
                student.device,
                student.backend,
                self.base_hash,
                Path() if self.storage else self.directory.resolve(),
                options.cpus,
                self.storage.spec if self.storage else None,
                self.study.kinds,
                student.template,
            )
            workers = open_worker_pool(self.on, spec, options, self.progress.note)
            self._workers.append(self.stack.enter_context(workers))
        return self._workers[0]

    def answering(self) -> ClusterAnswering:
        """Return what answers for base and students on the cluster that the run is on."""
        if not self._answering:
            from potstill.cluster.answers import ClusterAnswering

            answering = ClusterAnswering(
                self.ledger,
                self.directory,
                self.workers,
                self.study.cluster,
                base_hash=self.base_hash,
                precision=self.study.student.precision,
                batch_size=self.study.evaluation.batch_size,
                note=self.progress.note,
                storage=self.storage,
            )
            self._answering.append(answering)
        return self._answering[0]

    def budget(self) -> Budget:
        """Return what the study may spend. Raises StudyError where it could not be kept to."""
        if not self._budget:
            unpriced_models(self.study)
            self._budget.append(Budget(self.study.budget_usd, lambda: self.ledger.spent_usd))
        return self._budget[0]

    @property
    def base_path(self) -> str:
        """Where the base model is now."""
        return self.base_at or base_path_of(self.study)

    def agent(self, role: str) -> Solver:
        """Return the solver that plays a role (teacher, verifier, condenser), opened at the first
        need.
        """
        if role not in self._solvers:
            agent = self.study.agents()[role]
            options = options_of(agent)
            module = load_plugin(SOLVERS, agent.solver)
            if self.only_ledger:
                from potstill.solvers.ledger_solver import KeptReplies

                self._solvers[role] = KeptReplies.of(module, options, self.ledger)
                return self._solvers[role]
            stop = never if self.study.budget_usd is None else self.budget().stop
            opened = module.open_solver(options, self.ledger, stop=stop)
            self._solvers[role] = self.stack.enter_context(opened)
        return self._solvers[role]


def base_path_of(study: Study) -> str:
    """Return where a study's base model is: the shipped pocket student, a folder, or a hub id."""
    if study.student.base != "pocket":
        return study.student.base

    return str(STUDENT_PATH)


def agent_identity(agent: Agent) -> Mapping[str, Any]:
    """Return what decides an agent's answers: who it is and how it is asked, never where it
    lives.
    """
    options = options_of(agent)
    return {
        "solver": agent.solver,
        "who": fingerprint(options.identity()),
        "system": agent.system,
        "prompt": agent.prompt,
        "sampling": agent.sampling,
    }


def fingerprint(value: Any) -> Any:
    """Return a plain value with every existing file or folder in it replaced by a hash of its
    content.
    """
    if isinstance(value, Mapping):
        return {str(k): fingerprint(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [fingerprint(v) for v in value]
    if isinstance(value, str | Path) and str(value):
        return _hash_path(Path(value)) or str(value)
    return value


def _hash_path(path: Path) -> str:
    try:
        if not path.is_absolute() or not path.exists():
            return ""
    except OSError:  # a text too long to be a path
        return ""
    found = [path] if path.is_file() else list(islice(path.rglob("*"), _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise InputError(
            f"{path}, which the study names, holds more than {_MOST_FILES:,} files; name the file "
            "or folder of the data itself."
        )
    files: Sequence[Path] = sorted(p for p in found if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path.parent).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def _tick(bar: Bar, usd: float) -> None:
    bar.advance()
    if usd:
        bar.spend(usd)


def _counts(manifest: Manifest) -> str:
    shown = [f"{count:,} {name}" for name, count in manifest.rows.items()]
    return ", ".join(shown) or ", ".join(f"{k} {v}" for k, v in manifest.summary.items())
