"""What a model's tokens cost: a dated table with its sources, and what a study says instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

__all__ = ["HERE", "Cost", "Price", "cost_usd", "free", "price_of", "price_table"]

# The source of a price of nothing: a scripted, recorded or local model.
HERE = "this machine"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens of one model from a day on, and where that was read."""

    model: str
    since: str
    input: float
    cached: float
    output: float
    source: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars; ``known`` is False where no price is known, and then ``usd`` is 0."""

    usd: float
    known: bool


def free(model: str) -> Price:
    """Return the price of a model that answers on this machine: nothing."""
    return Price(model, "", 0.0, 0.0, 0.0, HERE)


@cache
def price_table() -> tuple[Price, ...]:
    """Return every price that ships, oldest first."""
    text = files("potstill.ledger").joinpath("prices.json").read_text(encoding="utf-8")
    rows = [Price(**row) for row in json.loads(text)["prices"]]
    return tuple(sorted(rows, key=lambda row: row.since))


@cache
def _shipped(model: str, day: str) -> Price | None:
    held = [row for row in price_table() if row.model == model and row.since <= day]
    return held[-1] if held else None


def price_of(
    model: str, overrides: Mapping[str, Price] | None = None, day: str = ""
) -> Price | None:
    """Return the price of a model on a day (today): the study's own first, then the table's, or
    None.
    """
    if overrides and model in overrides:
        return overrides[model]
    return _shipped(model, day or date.today().isoformat())


def cost_usd(
    model: str,
    tokens_in: int,
    tokens_cached: int,
    tokens_out: int,
    overrides: Mapping[str, Price] | None = None,
) -> Cost:
    """Return what one call costs; ``tokens_cached`` is the part of ``tokens_in`` read from the
    cache.
    """
    price = price_of(model, overrides)
    if price is None:
        return Cost(0.0, False)
    cached = min(tokens_cached, tokens_in)
    fresh = tokens_in - cached
    usd = fresh * price.input + cached * price.cached + tokens_out * price.output
    return Cost(usd / 1e6, True)
