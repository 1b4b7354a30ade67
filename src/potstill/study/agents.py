"""What a study's agents are and cost, as their solvers' own modules say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError
from potstill.ledger.prices import HERE, Price, price_of
from potstill.plugins import SOLVERS, load_plugin
from potstill.study.schema import load_options

if TYPE_CHECKING:
    from potstill.study.schema import Agent

__all__ = ["agent_price", "is_free", "is_recorded", "key_there", "model_there", "options_of"]


def options_of(agent: Agent) -> Any:
    """Return the settings of an agent's solver, checked by the solver's own ``Options``."""
    return load_options(SOLVERS, agent.solver, agent.options, ())


def agent_price(agent: Agent) -> Price | None:
    """Return what an agent charges, as its solver says, else as the table does.

    None where nobody knows: a solver that does not say is never taken to be free. Raises InputError
    naming the solver whose ``price`` fails.
    """
    module = load_plugin(SOLVERS, agent.solver)
    own = agent.options.get("price")
    if hasattr(module, "price"):
        return _asked(module.price, agent)  # type: ignore[no-any-return]
    if isinstance(own, Mapping) and {"input", "output"} <= own.keys():
        used = own.get("cached", own["input"])
        model = str(agent.options.get("model", ""))
        return Price(model, "", own["input"], used, own["output"], "the study")
    return price_of(str(agent.options.get("model", "")))


def is_free(agent: Agent) -> bool:
    """Return whether an agent answers on this machine, for nothing."""
    price = agent_price(agent)
    return price is not None and price.source == HERE


def is_recorded(agent: Agent) -> bool:
    """Return whether an agent's answers were recorded elsewhere, as its solver says."""
    return hasattr(load_plugin(SOLVERS, agent.solver), "recorded_files")


def key_there(agent: Agent) -> tuple[str, bool] | None:
    """Return where an agent's key is read from and whether it is there, or None for no key."""
    module = load_plugin(SOLVERS, agent.solver)
    return _asked(module.key_there, agent) if hasattr(module, "key_there") else None  # type: ignore[no-any-return]


def model_there(agent: Agent) -> tuple[str, bool | None] | None:
    """Return whether an agent's endpoint lists its model, in words; (..., None) where it cannot be
    told, None for an agent without an endpoint. Nothing is completed.
    """
    module = load_plugin(SOLVERS, agent.solver)
    if not hasattr(module, "models_there"):
        return None
    listing = _asked(module.models_there, agent)
    model, where = (str(agent.options.get(name, "")) for name in ("model", "base_url"))
    if listing.why:
        return f"{where} {listing.why}", None if listing.reached else False
    if listing.holds(model):
        return f"{model} is at {where}", True
    many = f"{len(listing.models):,} models" if len(listing.models) > 1 else "one model"
    if not listing.whole:
        return f"{model} is not on the first page of the {many} of {where}", None
    nearest = listing.nearest(model)
    hint = f"; the nearest name is {nearest}" if nearest else ""
    return f"{model} is not among the {many} of {where}{hint}", False


def _asked(function: Any, agent: Agent) -> Any:
    try:
        return function(options_of(agent))
    except InputError:
        raise
    except Exception as exc:
        raise InputError(
            f"the solver {agent.solver!r} fails when asked for its {function.__name__}: {exc}; "
            "mend the plugin."
        ) from exc
