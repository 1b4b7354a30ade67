"""The API solver against an endpoint that fails in every way, at random."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from potstill.chat import Ask, Message
from potstill.errors import EndpointError
from potstill.ledger.ledger import Ledger
from potstill.records import Finish, Sampling
from potstill.solvers.api import ApiSolver, Options
from support.fault_server import FAULTS, FaultServer, answer_to, running


def ask(question: str, sample: int = 0) -> Ask:
    return Ask(question, (Message("user", question),), Sampling(), sample)


def options(server: FaultServer, **more: object) -> Options:
    settings = {
        "model": "m",
        "base_url": server.base_url,
        "api_key_env": "",
        "concurrency": 64,
        "retries": 9,
        "backoff_s": 0.01,
        "backoff_max_s": 0.1,
        "timeout_read_s": 5.0,
    }
    return Options(**(settings | more))


def solve_all(folder: Path, problems: int, seed: int, stream: bool) -> None:
    questions = [f"question {n}" for n in range(problems)]
    with (
        running(FaultServer(seed)) as server,
        Ledger.open(folder / "ledger.sqlite") as ledger,
    ):
        solver = ApiSolver(options(server, stream=stream), ledger)
        results = list(solver.complete((ask(q) for q in questions), "teach"))
        counted = Counter(r.tag for r in results)
        assert counted == Counter(questions), "lost or doubled"
        done = [r for r in results if r.finish is Finish.STOP]
        failed = [r for r in results if r.finish is Finish.ERROR]
        assert len(done) + len(failed) == problems
        assert all(r.error for r in failed)
        assert len(failed) < problems * 0.01
        for result in done:
            assert (result.reasoning.strip(), result.text) == (
                answer_to(result.tag)[0].strip(),
                answer_to(result.tag)[1],
            )
        assert max(server.sent.values()) == 1, "bought twice"
        assert {r.tag for r in done} == set(server.sent)
        assert ledger.verify() == []
        spent = ledger.spend(by=())[0]
        assert spent.calls == len(done)
        tries = sum(server.tries.values())
        noted = sum(f.n for f in ledger.failures() if not f.group[1].startswith("kept with"))
        assert spent.calls + noted == tries, "every failed try is counted"
        assert set(FAULTS) <= set(server.faults)

        before = sum(server.tries.values())
        again = list(solver.complete((ask(r.tag) for r in done), "teach"))
        assert sum(server.tries.values()) == before, "a committed reply was asked for again"
        assert {(r.tag, r.text) for r in again} == {(r.tag, r.text) for r in done}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_every_problem_ends_in_one_outcome(tmp_path: Path, stream: bool) -> None:
    solve_all(tmp_path, 300, seed=1, stream=stream)


@pytest.mark.soak
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_every_one_of_5000_problems(tmp_path: Path, stream: bool) -> None:
    solve_all(tmp_path, 5000, seed=2, stream=stream)


def test_an_endpoint_that_only_fails_is_named_once(tmp_path: Path) -> None:
    with (
        running(FaultServer(rate=1.0)) as server,
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
    ):
        solver = ApiSolver(options(server, retries=1), ledger)
        with pytest.raises(EndpointError, match=r"m at http.* answered none of the last 5"):
            list(solver.complete((ask(f"q{n}") for n in range(100)), "teach"))
        assert ledger.spend() == []
        assert sum(f.n for f in ledger.failures()) >= 5


def test_a_few_lost_asks_are_errors_and_asked_again_next_time(tmp_path: Path) -> None:
    with (
        running(FaultServer(rate=1.0)) as server,
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
    ):
        solver = ApiSolver(options(server, retries=1), ledger)
        results = list(solver.complete([ask("a"), ask("b")], "teach"))
        assert [r.finish for r in results] == [Finish.ERROR] * 2
        assert all("no reply after 2 tries" in r.error for r in results)
        server.rate = 0.0
        results = list(solver.complete([ask("a"), ask("b")], "teach"))
        assert [r.finish for r in results] == [Finish.STOP] * 2


def test_a_limit_is_found_and_kept(tmp_path: Path) -> None:
    class Busy(FaultServer):
        async def answer(self, asked, writer):  # type: ignore[no-untyped-def]
            if self.in_flight > 8:
                self.faults["429"] += 1
                return await self.fail("429", "", asked, writer)
            return await super().answer(asked, writer)

    with (
        running(Busy(rate=0.0, latency_s=0.01)) as server,
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
    ):
        solver = ApiSolver(options(server, retries=30), ledger)
        results = list(solver.complete((ask(f"q{n}") for n in range(600)), "teach"))
        assert all(r.asked and r.finish is Finish.STOP for r in results)
        assert server.faults["429"] < 300, "the concurrency did not adapt"
