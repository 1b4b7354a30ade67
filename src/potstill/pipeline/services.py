"""What a run opens, each when it is first needed: agents, graders, local models, cluster workers.

A stage takes those it uses; all of them end with the stack they were opened on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.chat import Solver
from potstill.plugins import SOLVERS, load_plugin
from potstill.records import Level
from potstill.study.agents import check_others, options_of
from potstill.study.opening import open_agent

if TYPE_CHECKING:
    from potstill.cluster.answers import ClusterAnswering
    from potstill.cluster.worker_pool import WorkerPool
    from potstill.grading import GradingPool
    from potstill.models.model import LanguageModel
    from potstill.pipeline.context import Context
    from potstill.problems.overlap.neighbours import Sketchers

__all__ = ["Agents", "ClusterWorkers", "Graders", "LocalModels"]


class Agents:
    """The solvers that play a study's roles."""

    def __init__(self, context: Context, stack: ExitStack) -> None:
        self._context = context
        self._stack = stack
        self._opened: dict[str, Solver] = {}
        self._first: Callable[[], None] | None = None

    def check_first(self, check: Callable[[], None]) -> None:
        """Have a check run before the first agent is opened; it raises where none may be."""
        self._first = check

    def check_now(self) -> None:
        """Run that check, where it has not run yet: for what is as dear as an agent."""
        if self._first is not None:
            self._first()
            self._first = None

    def open(self, role: str) -> Solver:
        """Return the solver that plays a role: teacher, verifier, condenser or rater."""
        if role not in self._opened:
            context = self._context
            agent = context.study.agents()[role]
            if context.only_ledger:
                from potstill.solvers.ledger_solver import KeptReplies

                module = load_plugin(SOLVERS, agent.solver)
                self._opened[role] = KeptReplies.of(module, options_of(agent), context.ledger)
                return self._opened[role]
            self.check_now()
            for told in check_others(context.study, role, context.ledger):
                context.progress.note(told)
            stop = context.budget().stop_for(agent)
            solver = self._stack.enter_context(open_agent(agent, context.ledger, stop))
            self._opened[role] = solver
        return self._opened[role]


class ClusterWorkers:
    """The workers of the cluster that a run is on, and what they do for it."""

    def __init__(self, context: Context, stack: ExitStack) -> None:
        self._context = context
        self._stack = stack
        self._workers: WorkerPool | None = None
        self._answering: ClusterAnswering | None = None

    def open(self) -> WorkerPool:
        """Return the workers, called for at the first need."""
        if self._workers is None:
            from potstill.cluster.spec import BaseSpec
            from potstill.cluster.worker_pool import open_worker_pool

            context = self._context
            student, options = context.study.student, context.study.cluster
            storage = context.storage
            spec = BaseSpec(
                context.base_path,
                student.precision,
                student.device,
                student.backend,
                context.base_hash,
                Path() if storage else context.directory.resolve(),
                options.cpus,
                storage.spec if storage else None,
                context.study.kinds,
                student.template,
            )
            workers = open_worker_pool(context.on, spec, options, context.progress.note)
            self._workers = self._stack.enter_context(workers)
        return self._workers

    def answering(self) -> ClusterAnswering:
        """Return what answers for base and students on the cluster."""
        if self._answering is None:
            from potstill.cluster.answers import ClusterAnswering

            context = self._context
            self._answering = ClusterAnswering(
                context.ledger,
                self.open,
                context.study.cluster,
                base_hash=context.base_hash,
                precision=context.study.student.precision,
                batch_size=context.study.evaluation.batch_size,
                note=context.progress.note,
                storage=context.storage,
            )
        return self._answering

    def sketchers(self, problems: int) -> Sketchers:
        """Return who audits the overlap of so many problems: the workers, where they gain by it."""
        from potstill.cluster.overlap import FEWEST, ClusterSketchers
        from potstill.problems.overlap.neighbours import Sketchers

        if not self._context.on or problems < FEWEST:
            return Sketchers()
        return ClusterSketchers(self.open, self._context.study.cluster.retries)


class Graders:
    """The processes, or the cluster's workers, that compare answers."""

    def __init__(self, context: Context, stack: ExitStack, workers: ClusterWorkers) -> None:
        self._context = context
        self._stack = stack
        self._workers = workers
        self._pool: GradingPool | None = None

    def open(self) -> GradingPool:
        """Return the grading pool, started at the first need."""
        if self._pool is None:
            from potstill.cluster.grading import ClusterPool
            from potstill.grading import GradingPool
            from potstill.grading.plugins import kind_settings

            study = self._context.study
            kinds = kind_settings(study.kinds)
            pool = (
                ClusterPool(self._workers.open, study.cluster.retries, kinds)
                if self._context.on
                else GradingPool(kinds=kinds)
            )
            self._pool = self._stack.enter_context(pool)
        return self._pool

    def close(self) -> None:
        """End the grading processes; the next need starts others."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


class LocalModels:
    """The student's base model, its tokenizer, and solvers over base and students."""

    def __init__(self, context: Context, workers: ClusterWorkers) -> None:
        self._context = context
        self._workers = workers
        self._base: LanguageModel | None = None
        self._tokenizer: Any = None

    def base(self) -> LanguageModel:
        """Return the base model, loaded at the first need."""
        if self._base is None:
            from potstill.models.loading import load_language_model

            student = self._context.study.student
            self._base = load_language_model(
                self._context.base_path,
                student.precision,
                student.device,
                student.backend,
                student.template,
            )
        return self._base

    def tokenizer(self) -> Any:
        """Return the base's tokenizer; the base need not be loaded for it."""
        if self._tokenizer is None:
            from potstill.models.torch_base import find_model_folder, load_tokenizer

            context = self._context
            self._tokenizer = load_tokenizer(
                find_model_folder(context.base_path), context.study.student.template
            )
        return self._tokenizer

    def context_tokens(self) -> int:
        """Return the tokens of the base's context; the base need not be loaded for it."""
        from potstill.models.architecture import context_tokens, read_config
        from potstill.models.folder import find_model_folder

        return context_tokens(read_config(find_model_folder(self._context.base_path)))

    def count_tokens(self, text: str) -> int:
        """Return the student tokens of a text."""
        ids: list[int] = self.tokenizer()(text, add_special_tokens=False)["input_ids"]
        return len(ids)

    def teaches_tags(self) -> bool:
        """Return whether the study teaches R0, and with its reasoning in think tags."""
        from potstill.models.chat_template import thinks

        study = self._context.study
        form = study.student.thinking if Level.R0 in study.levels else "plain"
        return form == "tags" or (form == "auto" and thinks(self.tokenizer()))

    def solver(self, adapter: Path | None, name: str) -> Solver:
        """Return the base model, with a student's adapter if one is given, as a solver."""
        if self._context.on:
            from potstill.cluster.answers import ClusterSolver

            return ClusterSolver(self._workers.answering(), adapter, name)
        from potstill.solvers.local import LocalSolver

        return LocalSolver(
            self.base(),
            adapter,
            self._context.ledger,
            solver_id=name,
            batch_size=self._context.study.evaluation.batch_size,
        )
