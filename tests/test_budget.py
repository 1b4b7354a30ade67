"""A budget is a hard stop: what was bought is kept, what is left is said, a higher one goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from potstill.errors import BudgetSpent, EndpointError, StudyError
from potstill.pipeline.run import run_study
from potstill.pocket.teacher import TEACHER
from potstill.progress import TerminalProgress
from potstill.protocol.server import create_app, serve
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.shop import CONCURRENCY, PROBLEMS, Shop, write_study
from support.small_study import write_small_study


@pytest.fixture
def shop() -> Iterator[tuple[Shop, str]]:
    found = Shop()
    with serve(create_app(found.reply, [TEACHER])) as url:
        yield found, url


def replies_in(directory: Path) -> int:
    with sqlite3.connect(f"file:{directory}/ledger.sqlite?mode=ro", uri=True) as db:
        return int(db.execute("select count(*) from replies where stage = 'teach'").fetchone()[0])


def test_spending_stops_at_the_budget_and_a_higher_one_goes_on(
    tmp_path: Path,
    shop: tuple[Shop, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seller, url = shop
    out = tmp_path / "out"
    path = write_study(tmp_path, url, budget_usd=0.20)
    with pytest.raises(BudgetSpent, match=r"teacher · train is left unfinished with \d+ calls"):
        run_study(load_study(path), out, until="teach")
    bought = replies_in(out)
    assert 20 <= bought <= 20 + CONCURRENCY
    assert seller.sold == bought
    with pytest.raises(BudgetSpent):
        run_study(load_study(path), out, until="teach")
    assert seller.sold == bought, "something was bought after the budget was spent"
    code, told, _ = run_cli(capsys, monkeypatch, "run", path, "--out", out, "--until", "teach")
    assert code == 2
    assert "– teacher · train" in told
    assert "unfinished" in told
    assert "✓ teacher" not in told
    code, told, _ = run_cli(capsys, monkeypatch, "status", out)
    assert code == 0
    assert "The budget is spent ($0." in told
    assert "of $0.2000); raise budget_usd in the study to go on." in " ".join(told.split())
    run_study(load_study(write_study(tmp_path, url, budget_usd=5.0)), out, until="teach")
    assert seller.sold == replies_in(out) == PROBLEMS + 4


def test_what_a_stage_comes_to_is_told_by_the_reply_whatever_is_in_flight(
    tmp_path: Path, shop: tuple[Shop, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_study(tmp_path, shop[1])
    raw = yaml.safe_load(path.read_text())
    raw["teacher"]["concurrency"] = 64  # more than there are problems
    path.write_text(yaml.safe_dump(raw))
    console = Console(width=200)
    study = load_study(path)
    run_study(study, tmp_path / "out", progress=TerminalProgress(console), until="teach")
    said = capsys.readouterr().out
    asked = PROBLEMS + 4
    assert (
        f"teacher · train: $0.0100 a reply so far, so ${asked * 0.01:.2f} for all {asked} answers"
        in said
    )


def test_a_budget_without_a_price_is_refused_before_anything_is_bought(
    tmp_path: Path, shop: tuple[Shop, str]
) -> None:
    seller, url = shop
    raw = yaml.safe_load(write_study(tmp_path, url, budget_usd=1.0).read_text())
    del raw["teacher"]["price"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyError, match=r"no price is known for pocket-teacher, the teacher"):
        run_study(load_study(tmp_path / "study.yaml"), tmp_path / "out", until="teach")
    assert seller.sold == 0


def test_an_endpoint_that_counts_no_tokens_cannot_be_kept_to_a_budget(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": "\\boxed{1}"}
    sold = []

    async def sell(request: Request) -> JSONResponse:
        sold.append(await request.json())
        return JSONResponse({"choices": [{"message": message, "finish_reason": "stop"}]})

    routes = [Route("/v1/chat/completions", sell, methods=["POST"])]
    with serve(Starlette(routes=routes)) as url:
        path = write_study(tmp_path, url, budget_usd=1.0)
        with pytest.raises(EndpointError, match="does not say how many tokens"):
            run_study(load_study(path), tmp_path / "out", until="teach")
    assert 0 < len(sold) <= 2 * CONCURRENCY


def test_a_ledger_that_is_gone_is_not_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = write_small_study(tmp_path), tmp_path / "out"
    assert run_cli(capsys, monkeypatch, "run", path, "--out", out, "--until", "teach")[0] == 0
    (out / "ledger.sqlite").unlink()
    for command in (("run", path, "--out", out), ("status", out)):
        code, _, err = run_cli(capsys, monkeypatch, *command)
        assert code == 2
        assert "restore it from a copy" in one_sentence(err)
    assert not (out / "ledger.sqlite").exists()


def test_a_budget_does_not_stop_who_costs_nothing(
    tmp_path: Path,
    shop: tuple[Shop, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seller, url = shop
    path = write_study(tmp_path, url, budget_usd=0)
    raw = yaml.safe_load(path.read_text())
    raw["teacher"]["price"] = {"input": 0, "output": 0}
    path.write_text(yaml.safe_dump(raw))
    code, told, _ = run_cli(capsys, monkeypatch, "run", path, "--dry-run")
    assert code == 0
    assert "no agent of the study costs anything, so it stops nothing" in " ".join(told.split())
    run_study(load_study(path), tmp_path / "out", until="teach")
    assert seller.sold == PROBLEMS + 4


@pytest.mark.parametrize(
    ("usd", "says"),
    [
        (0, "budget_usd: 0 stops the run before its first paid call; raise it"),
        (0.001, "That is more than the budget has left ($0.00): the run stops there"),
        (0.05, "That may be more than the budget has left ($0.05): the run stops there"),
        (1000, ""),
    ],
)
def test_a_dry_run_tells_a_budget_that_will_not_do(
    usd: float,
    says: str,
    tmp_path: Path,
    shop: tuple[Shop, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seller, url = shop
    path = write_study(tmp_path, url, budget_usd=usd)
    code, out, _ = run_cli(capsys, monkeypatch, "run", path, "--dry-run")
    told = " ".join(out.split())
    assert code == 0
    assert f"The budget for all runs together: ${usd:,.2f}." in told
    assert says in told
    assert ("budget has left" in told) == says.startswith("That")
    assert seller.sold == 0
