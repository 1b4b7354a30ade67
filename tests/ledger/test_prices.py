"""Prices: of a maintained table, with a source, overridable, and unknown where they are."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from potstill.ledger.prices import Cost, Price, Rate, cost_usd, price_of, table_name
from potstill.solvers.api import Options, PriceOptions, RateOptions, price

DEEPSEEK = "https://api.deepseek.com"
NOON, NIGHT = datetime(2026, 11, 25, 12, tzinfo=UTC), datetime(2026, 11, 25, 2, tzinfo=UTC)


def test_a_price_says_where_it_was_read() -> None:
    found = price_of("gpt-4.1", base_url="https://api.openai.com/v1")
    assert found is not None
    assert (found.input, found.cached, found.output) == (2.0, 0.5, 8.0)
    assert found.source.startswith(f"{table_name()}: https://")


def test_the_price_of_the_day_holds() -> None:
    """OpenRouter raised R1 on 2026-10-19, from $0.45 and $2.15."""
    where = {"base_url": "https://openrouter.ai/api/v1"}
    then = price_of("deepseek/deepseek-r1", day="2026-10-18", **where)
    later = price_of("deepseek/deepseek-r1", day="2026-10-19", **where)
    assert then is not None
    assert (then.since, then.input, then.output) == ("", 0.45, 2.15)
    assert later is not None
    assert (later.since, later.input, later.output) == ("2026-10-19", 0.7, 2.5)


def test_peak_and_off_peak_are_apart_and_an_estimate_takes_the_peak() -> None:
    found = price_of("deepseek-flash", base_url=DEEPSEEK)
    assert found is not None
    assert (found.input, found.cached, found.output) == (0.3, 0.006, 1.2)
    assert found.at(NIGHT) == Rate("01:00-04:00", 0.3, 0.006, 1.2)
    assert found.at(NOON) == Rate("", 0.15, 0.003, 0.6)
    own = {"deepseek-flash": found}
    assert cost_usd("deepseek-flash", 10**6, 0, 10**6, own).usd == pytest.approx(1.5)
    assert cost_usd("deepseek-flash", 10**6, 0, 10**6, own, NIGHT).usd == pytest.approx(1.5)
    assert cost_usd("deepseek-flash", 10**6, 0, 10**6, own, NOON).usd == pytest.approx(0.75)


def test_a_study_sets_its_own_price_with_its_own_hours() -> None:
    off = RateOptions(input=0.5, output=1.0, hours=["16:30-00:30"])
    own = PriceOptions(input=1.0, output=2.0, cached=0.1, off_peak=off)
    found = price(Options(model="deepseek-flash", base_url=DEEPSEEK, price=own))
    assert found is not None
    assert (found.source, found.input, found.cached, found.output) == ("the study", 1.0, 0.1, 2.0)
    hours = {at: found.at(datetime(2026, 11, 25, *at, tzinfo=UTC)).output for at in
             [(16, 29), (16, 30), (23, 59), (0, 0), (0, 29), (0, 30)]}  # fmt: skip
    assert list(hours.values()) == [2.0, 1.0, 1.0, 1.0, 1.0, 2.0]
    assert found.at(datetime(2026, 11, 25, 20, tzinfo=UTC)).cached == 0.5


@pytest.mark.parametrize(
    ("model", "base_url", "provider"),
    [
        ("nobody's own", "https://api.openai.com/v1", ""),
        ("deepseek-nonsense", DEEPSEEK, ""),
        ("deepseek-flash", "http://127.0.0.1:8000/v1", "vllm"),  # on a machine of one's own
        ("gpt-4.1", "https://a-proxy.example/v1", "openai-compatible"),
        ("deepseek/deepseek-r1:free", "https://openrouter.ai/api/v1", ""),
        ("nobody's own", "", ""),
    ],
)
def test_an_unknown_model_is_never_free(model: str, base_url: str, provider: str) -> None:
    assert price_of(model, base_url=base_url, provider=provider) is None


def test_a_proxys_model_costs_what_the_named_provider_charges() -> None:
    found = price_of("gpt-4.1", base_url="https://a-proxy.example/v1", provider="openai")
    assert found == price_of("gpt-4.1", base_url="https://api.openai.com/v1")
    assert found == price_of("gpt-4.1")


def test_cached_tokens_cost_what_cached_tokens_cost() -> None:
    own = {"m": Price("m", "", 1.0, 0.1, 2.0, "the study")}
    cost = cost_usd("m", 1_000_000, 400_000, 500_000, own)
    assert cost.known
    assert cost.usd == pytest.approx(0.6 + 0.04 + 1.0)
    assert cost_usd("m", 10, 99, 0, own).usd == pytest.approx(10 * 0.1 / 1e6)


def test_an_unknown_model_has_no_known_cost() -> None:
    assert cost_usd("somebody's own", 10, 0, 10) == Cost(0.0, False)


def test_the_table_is_read_only_where_a_price_is_asked_for() -> None:
    code = (
        "import sys, potstill.cli.main, potstill.solvers.client, potstill.solvers.api;"
        "assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
