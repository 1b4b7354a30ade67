"""Prices: dated, with a source, overridable, and unknown where they are."""

from __future__ import annotations

from datetime import date

import pytest

from potstill.ledger.prices import Cost, Price, cost_usd, price_of, price_table


def test_every_price_has_a_date_a_source_and_makes_sense() -> None:
    for price in price_table():
        assert date.fromisoformat(price.since)
        assert price.source.startswith("https://")
        assert 0 <= price.cached <= price.input <= price.output


def test_the_price_of_the_day_holds() -> None:
    then, later = price_of("deepseek-reasoner", day="2025-03-01"), price_of("deepseek-reasoner")
    assert then is not None
    assert (then.input, then.cached, then.output) == (0.55, 0.14, 2.19)
    assert later is not None
    assert later.since > then.since
    assert price_of("deepseek-reasoner", day="2020-01-01") is None


def test_cached_tokens_cost_what_cached_tokens_cost() -> None:
    own = {"m": Price("m", "", 1.0, 0.1, 2.0, "the study")}
    cost = cost_usd("m", 1_000_000, 400_000, 500_000, own)
    assert cost.known
    assert cost.usd == pytest.approx(0.6 + 0.04 + 1.0)
    assert cost_usd("m", 10, 99, 0, own).usd == pytest.approx(10 * 0.1 / 1e6)


def test_an_unknown_model_has_no_known_cost() -> None:
    assert cost_usd("somebody's own", 10, 0, 10) == Cost(0.0, False)
