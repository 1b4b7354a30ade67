"""What a study's agents are and cost, as their solvers' own modules say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, cast

from potstill.errors import StudyError
from potstill.ledger.prices import HERE, Price, price_of
from potstill.plugins import SOLVERS, ask_plugin, load_plugin, misshapen
from potstill.study.schema import load_options

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger
    from potstill.records import Problem
    from potstill.solvers.listing import Listing
    from potstill.study.schema import Agent, Study

__all__ = [
    "agent_price",
    "check_agent",
    "check_others",
    "costs_nothing",
    "identity_of",
    "is_free",
    "key_there",
    "model_there",
    "options_of",
]


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
        found = _asked(agent, "price", module.price, options_of(agent), gives=Price | None)
        return cast("Price | None", found)
    if isinstance(own, Mapping) and {"input", "output"} <= own.keys():
        used = own.get("cached", own["input"])
        model = str(agent.options.get("model", ""))
        return Price(model, "", own["input"], used, own["output"], "the study")
    return price_of(str(agent.options.get("model", "")))


def is_free(agent: Agent) -> bool:
    """Return whether an agent answers on this machine, for nothing."""
    price = agent_price(agent)
    return price is not None and price.source == HERE


def costs_nothing(agent: Agent) -> bool:
    """Return whether an agent's calls are known to cost nothing, wherever it answers."""
    price = agent_price(agent)
    return price is not None and price.is_nothing


def key_there(agent: Agent) -> tuple[str, bool] | None:
    """Return where an agent's key is read from and whether it is there, or None for no key."""
    module = load_plugin(SOLVERS, agent.solver)
    if not hasattr(module, "key_there"):
        return None
    found = _asked(agent, "key_there", module.key_there, options_of(agent), gives=tuple | None)
    if found is not None and list(map(type, found)) != [str, bool]:
        raise misshapen(SOLVERS, agent.solver, "gives in key_there no pair of text and bool")
    return cast("tuple[str, bool] | None", found)


def _listing(agent: Agent) -> Listing | None:
    from potstill.solvers.listing import Listing

    module = load_plugin(SOLVERS, agent.solver)
    if not hasattr(module, "models_there"):
        return None
    listing: Listing = _asked(
        agent, "models_there", module.models_there, options_of(agent), gives=Listing
    )
    return listing


def model_there(agent: Agent) -> tuple[str, bool | None] | None:
    """Return whether an agent's endpoint lists its model, in words; (..., None) where it cannot be
    told, None for an agent without an endpoint. Nothing is completed.
    """
    listing = _listing(agent)
    return None if listing is None else _told(agent, listing)


def _told(agent: Agent, listing: Listing) -> tuple[str, bool | None]:
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


def identity_of(agent: Agent) -> Mapping[str, Any]:
    """Return what decides an agent's answers, as its solver says it: plain values by name."""
    options = options_of(agent)
    found = _asked(agent, "identity", options.identity, gives=Mapping)
    try:
        json.dumps(found, default=_plain)
    except (TypeError, ValueError) as exc:
        what = f"gives in identity what is no plain value ({exc})"
        raise misshapen(SOLVERS, agent.solver, what) from exc
    return dict(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


def check_agent(agent: Agent, problems: Sequence[Problem]) -> str:
    """Return why an agent cannot answer these problems, "" where it can, as its solver says.

    Raises PotstillError for what keeps it from being opened.
    """
    module, options = load_plugin(SOLVERS, agent.solver), options_of(agent)
    if hasattr(module, "check"):
        _asked(agent, "check", module.check, options, gives=object)
    if not hasattr(module, "unsuited"):
        return ""
    return str(_asked(agent, "unsuited", module.unsuited, options, problems, gives=str))


def _asked(
    agent: Agent, function: str, called: Any, *arguments: Any, gives: type | UnionType
) -> Any:
    return ask_plugin(SOLVERS, agent.solver, function, called, *arguments, gives=gives)


def check_others(study: Study, role: str, ledger: Ledger) -> list[str]:
    """Return which models other agents' endpoints do not list, while an agent is about to be paid.

    ``role`` is who is about to be asked. An agent that lacks its own key says so itself when it is
    asked; one whose replies the ledger holds may need none. Raises StudyError where another agent's
    key is missing or refused.
    """
    agents = study.agents()
    own = key_there(agents[role])
    if own is not None and not own[1]:
        return []
    notes = []
    for other, agent in agents.items():
        found = key_there(agent)
        if other == role or found is None or _was_asked(agent, ledger):
            continue
        listing = _listing(agent) if found[1] else None
        where = agent.options.get("base_url", "its endpoint")
        if not found[1] or (listing and listing.refused):
            why = (
                f"{where} refuses its API key; give another" if found[1] else f"{found[0]}; give it"
            )
            raise StudyError(
                f"{other}: {why} before the {role} is asked, so that nothing is bought in vain."
            )
        if listing is None or not listing.models:
            continue
        told, there = _told(agent, listing)
        if there is not False:
            continue
        beside = [x for x in agents.values() if x.options.get("base_url") == where]
        if any(listing.holds(str(x.options.get("model", ""))) for x in beside):
            # a list that holds another agent's model is one to go by
            raise StudyError(f"{other}: {told}; name one that is there before the {role} is paid.")
        notes.append(f"{other}: {told}; see that it is right before the {role} is paid.")
    return notes


def _was_asked(agent: Agent, ledger: Ledger) -> bool:
    model = str(agent.options.get("model", ""))
    return any(row.group == (model,) for row in ledger.spend(("model",)))
