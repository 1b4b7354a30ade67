"""The solver that plays an agent, opened; of a plugin's, every result is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from potstill.chat import Ask, Completion, Solver
from potstill.errors import InputError
from potstill.plugins import SOLVERS, is_own, load_plugin, misshapen
from potstill.records import Finish
from potstill.study.agents import options_of
from potstill.text import several

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger
    from potstill.study.schema import Agent

__all__ = ["open_agent"]


@contextmanager
def open_agent(agent: Agent, ledger: Ledger, stop: Callable[[], str]) -> Iterator[Solver]:
    """Yield the solver that plays an agent; what one that is not ours yields is looked at.

    Raises InputError where its module opens no solver.
    """
    opened = load_plugin(SOLVERS, agent.solver).open_solver(options_of(agent), ledger, stop=stop)
    if not isinstance(opened, AbstractContextManager):
        raise misshapen(SOLVERS, agent.solver, "opens no context (contextmanager)")
    with opened as solver:
        if not isinstance(solver, Solver):
            what = f"opens {type(solver).__name__}, which has no id, precision or complete"
            raise misshapen(SOLVERS, agent.solver, what)
        yield solver if is_own(SOLVERS, agent.solver) else _Checked(agent.solver, solver)


class _Checked:
    """A plugin's solver of which every result is looked at: one Completion for each ask."""

    def __init__(self, name: str, solver: Solver) -> None:
        self._name, self._solver = name, solver
        self.id, self.precision = str(solver.id), str(solver.precision)

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield the solver's own results. Raises InputError for one that is none, or is missing."""
        open_asks: Counter[tuple[str, int, int]] = Counter()

        def counted() -> Iterator[Ask]:
            for ask in asks:
                open_asks[ask.tag, ask.sample, ask.attempt] += 1
                yield ask

        handed = counted()
        try:
            found = self._solver.complete(handed, stage)
            if not isinstance(found, Iterable):
                raise self._fault(f"completes with {type(found).__name__} in place of an iterator")
            for completion in found:
                self._check(completion)
                key = (completion.tag, completion.sample, completion.attempt)
                if not open_asks[key]:
                    raise self._fault(f"answers what it was not asked ({completion.tag!r:.60})")
                open_asks[key] -= 1
                yield completion
        except SystemExit as exc:
            raise self._fault(f"ends Python (sys.exit: {exc})") from exc
        next(handed, None)  # one that it did not draw is as unanswered as one that it did
        if missing := +open_asks:
            tag = next(iter(missing))[0]
            asks_left = several(missing.total(), "ask")
            raise self._fault(f"gives no completion of {asks_left} ({tag}, ...)")

    def _check(self, completion: object) -> None:
        if not isinstance(completion, Completion):
            raise self._fault(f"yields {type(completion).__name__} in place of Completion")
        for field, kind in (("text", str), ("reasoning", str), ("finish", Finish)):
            value = getattr(completion, field)
            if not isinstance(value, kind):
                what = f"yields a Completion whose {field} is {type(value).__name__}"
                raise self._fault(f"{what} in place of {kind.__name__}")

    def _fault(self, what: str) -> InputError:
        return misshapen(SOLVERS, self._name, what)
