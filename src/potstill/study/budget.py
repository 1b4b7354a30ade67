"""A study's money: what may be spent in all, and the hard stop when it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from potstill.chat import never
from potstill.errors import BudgetSpent, StudyError
from potstill.study.agents import agent_price, costs_nothing

if TYPE_CHECKING:
    from potstill.study.schema import Agent, Study

__all__ = ["Budget", "unpriced_models"]


class Budget:
    """The dollars a study may spend over all its runs; ``usd`` None sets no bound.

    :meth:`stop` is asked before every purchase, so spending ends with what is then in flight. The
    count of refusals belongs to one stage at a time (:meth:`settle`).
    """

    def __init__(self, usd: float | None, spent_usd: Callable[[], float]) -> None:
        self._usd = usd
        self._spent_usd = spent_usd
        self._refused = 0

    def stop_for(self, agent: Agent) -> Callable[[], str]:
        """Return what is asked before each call of an agent: of one that costs nothing, nothing."""
        return never if self._usd is None or costs_nothing(agent) else self.stop

    def stop(self) -> str:
        """Return why nothing more may be bought, "" while something may."""
        if self._usd is None or self._spent_usd() < self._usd:
            return ""
        self._refused += 1
        return f"the budget of ${self._usd:,.2f} is spent"

    @property
    def is_short(self) -> bool:
        """Whether calls of the stage under way were left undone."""
        return self._refused > 0

    def settle(self, name: str) -> None:
        """Raise BudgetSpent where calls of the stage just made were left undone."""
        refused, self._refused = self._refused, 0
        if not refused:
            return
        calls = "1 call" if refused == 1 else f"{refused:,} calls"
        raise BudgetSpent(
            f"The budget is spent (${self._spent_usd():,.4f} of ${self._usd:,.4f}): {name} is left "
            f"unfinished with {calls} not made; every reply bought is kept. Raise budget_usd and "
            "run again to go on from here."
        )


def unpriced_models(study: Study) -> list[str]:
    """Return the models a study would pay for whose price nobody knows, each once.

    Raises StudyError where the study sets a budget: it could not be kept to.
    """
    unknown = []
    for role, agent in study.agents().items():
        model = str(agent.options.get("model", ""))
        if agent_price(agent) is None:
            unknown.append(model)
            if study.budget_usd is not None:
                raise StudyError(
                    f"budget_usd is set and no price is known for {model}, the {role}; add its "
                    "dollars per million tokens beneath it (price: {input: ..., output: ...}; "
                    "zeros for a server of your own)."
                )
    return list(dict.fromkeys(unknown))
