"""What a model's tokens cost: a maintained table (genai-prices), and what a study says instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

__all__ = ["HERE", "Cost", "Price", "Rate", "cost_usd", "free", "price_of", "table_name"]

# The source of a price of nothing: a scripted, recorded or local model.
HERE = "this machine"


@dataclass(frozen=True, slots=True)
class Rate:
    """Dollars per million tokens within some hours (UTC, like ``01:00-04:00``); "" is the rest."""

    hours: str
    input: float
    cached: float
    output: float


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens of one model from a day on, and where that was read.

    Where a provider has peak hours, what stands here is the peak's price, so that an estimate errs
    on the safe side, and ``rates`` has every hour's own (:meth:`at`).
    """

    model: str
    since: str
    input: float
    cached: float
    output: float
    source: str
    rates: tuple[Rate, ...] = ()

    @property
    def peak(self) -> Rate:
        """What holds at the dearest hours, which is all there is where ``rates`` has none."""
        return Rate("", self.input, self.cached, self.output)

    @property
    def is_nothing(self) -> bool:
        """Whether a call costs nothing, however many tokens it takes."""
        rates = (self.peak, *self.rates)
        return not any(rate.input or rate.cached or rate.output for rate in rates)

    def at(self, moment: datetime) -> Rate:
        """Return what holds at a moment."""
        now = moment.astimezone(UTC).time()
        held = [rate for rate in self.rates if not rate.hours or _within(rate.hours, now)]
        return held[-1] if held else self.peak


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars; ``known`` is False where no price is known, and then ``usd`` is 0."""

    usd: float
    known: bool


def free(model: str) -> Price:
    """Return the price of a model that answers on this machine: nothing."""
    return Price(model, "", 0.0, 0.0, 0.0, HERE)


def table_name() -> str:
    """Return which table of prices this is, with its version: it is as old as that."""
    return f"genai-prices {version('genai-prices')}"


def price_of(
    model: str,
    overrides: Mapping[str, Price] | None = None,
    day: str = "",
    *,
    base_url: str = "",
    provider: str = "",
) -> Price | None:
    """Return the price of a model on a day (today): the study's own first, then the table's, or
    None.

    The table is asked for the provider at ``base_url``, else for the one of that id, else (where
    neither is given) for the model's own maker. A price of nothing is taken for an unknown one.
    """
    if overrides and model in overrides:
        return overrides[model]
    return _listed(model, day or date.today().isoformat(), base_url, provider)


def cost_usd(
    model: str,
    tokens_in: int,
    tokens_cached: int,
    tokens_out: int,
    overrides: Mapping[str, Price] | None = None,
    at: datetime | None = None,
) -> Cost:
    """Return what one call costs, at its moment's rate (``at``), else at the price of the peak.

    ``tokens_cached`` is the part of ``tokens_in`` read from the cache.
    """
    price = price_of(model, overrides)
    if price is None:
        return Cost(0.0, False)
    rate = price.peak if at is None else price.at(at)
    cached = min(tokens_cached, tokens_in)
    fresh = tokens_in - cached
    usd = fresh * rate.input + cached * rate.cached + tokens_out * rate.output
    return Cost(usd / 1e6, True)


@cache
def _listed(model: str, day: str, base_url: str, provider: str) -> Price | None:
    """Return a price of the table. Nothing is fetched: the table is the installed package's."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    who: Provider | None = None
    try:
        if base_url:
            who = snapshot.find_provider(None, None, base_url)
    except LookupError:
        who = next((listed for listed in snapshot.providers if listed.id == provider), None)
        if who is None:
            return None
    try:
        who, found = snapshot.find_provider_model(model, who, None, None)
    except LookupError:
        return None
    return _price(model, who, found, datetime.combine(date.fromisoformat(day), time(), UTC))


def _price(model: str, who: Provider, found: ModelInfo, day: datetime) -> Price | None:
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    listed = found.prices if isinstance(found.prices, list) else []
    rates: list[Rate] = []
    since = ""
    usual = None if listed else found.prices
    for one in listed:
        rule = one.constraint
        if isinstance(rule, TimeOfDateConstraint):
            rates += _rates(f"{rule.start_time:%H:%M}-{rule.end_time:%H:%M}", one.prices)
        elif rule is None or rule.active(day):
            usual = one.prices
            since = rule.start_date.isoformat() if isinstance(rule, StartDateConstraint) else ""
    rates = [*(_rates("", usual) if usual is not None else ()), *rates]  # type: ignore[arg-type]
    if not any(rate.input or rate.output for rate in rates):
        return None
    top = max(rates, key=lambda rate: (rate.output, rate.input))
    pages = ", ".join(who.pricing_urls or [])
    source = f"{table_name()}: {pages or who.name}"
    price = Price(model, since, top.input, top.cached, top.output, source)
    return replace(price, rates=tuple(rates)) if len(rates) > 1 else price


def _rates(hours: str, listed: ModelPrice) -> list[Rate]:
    """Return the rate of some hours; of prices by the prompt's length, that of the shortest."""
    asked, cached, said = (
        getattr(listed, name) for name in ("input_mtok", "cache_read_mtok", "output_mtok")
    )
    asked, cached, said = (getattr(value, "base", value) for value in (asked, cached, said))
    if asked is None and said is None:
        return []
    full = float(asked or 0)
    return [Rate(hours, full, full if cached is None else float(cached), float(said or 0))]


def _within(hours: str, now: time) -> bool:
    start, end = (time.fromisoformat(moment.strip()) for moment in hours.split("-"))
    return start <= now < end if start < end else now >= start or now < end
