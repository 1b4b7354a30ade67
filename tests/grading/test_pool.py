"""Workers: order, limits, neighbours, refilling, threads, event loops."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import psutil
import pytest

from potstill.errors import PotstillError
from potstill.grading import GradingPool, KeyUnreadable, grade, grade_responses
from potstill.grading.worker_processes import WorkerProcesses
from potstill.records import Finish, NumberGold, Opinion, Outcome, Problem, Response, TextGold

# Only math-verify can read this product, and it does not come back from it.
ENDLESS = "\\prod_{k=1}^{99999} (x-k)"


def problem(key: str, kind: str = "integer", id: str = "p", text: str = "") -> Problem:
    return Problem(id, text, TextGold(key), kind, "test")


def response(text: str, id: str = "p", finish: Finish = Finish.STOP) -> Response:
    return Response("t", id, "c", 0, 0, "", text, finish, 0, 0, "")


def test_verdicts_come_in_the_order_of_the_input() -> None:
    pairs = [
        (problem(f"\\frac{{{n}}}{{7}}", "fraction", str(n)), response(f"{n + n % 2}/7", str(n)))
        for n in range(1, 400)
    ]
    with GradingPool(3) as pool:
        verdicts = list(pool.grade(pairs))
    assert [v.problem_id for v in verdicts] == [p.id for p, _ in pairs]
    assert [v.outcome is Outcome.CORRECT for v in verdicts] == [n % 2 == 0 for n in range(1, 400)]


def test_pool_and_process_agree() -> None:
    pairs = [
        (problem("12"), response("")),
        (problem("12"), response("12", finish=Finish.LENGTH)),
        (problem("12"), response("So \\boxed{12}. And", finish=Finish.LENGTH)),
        (problem("12"), response("12", finish=Finish.ERROR)),
        (problem("12"), response("12", finish=Finish.FILTERED)),
        (problem("(3, 4", "tuple"), response("(3, 4")),
        (problem(""), response("12")),
        (problem("\\frac{1}{2}", "fraction"), response("")),
        (problem("\\frac{1}{2}", "fraction"), response("0.5")),
        (problem("12"), response("Please provide the problem.")),
        (problem("12"), response("x " * 30_000 + "\\boxed{12}")),
    ]
    with GradingPool(2) as pool:
        pooled = list(pool.grade(pairs))
    alone = [grade(p, r.text, finish=r.finish, response_id=r.response_id) for p, r in pairs]
    assert [v.outcome for v in pooled] == [v.outcome for v in alone]
    assert [v.outcome for v in pooled] == [
        Outcome.BLANK,
        Outcome.TRUNCATED,
        Outcome.CORRECT,
        Outcome.ERRORED,
        Outcome.FILTERED,
        Outcome.BAD_KEY,
        Outcome.BAD_KEY,
        Outcome.BLANK,
        Outcome.CORRECT,
        Outcome.UNPARSED,
        Outcome.CORRECT,
    ]
    assert pooled[2].form == "cut after the answer"


def test_an_answer_over_its_time_is_unparsed_and_its_neighbours_are_graded() -> None:
    pairs = [
        (problem("\\frac{1}{3}", "fraction", str(n)), response(f"{n}/{3 * n}", str(n)))
        for n in range(1, 30)
    ]
    pairs.insert(7, (problem("\\frac{1}{3}", "fraction", "bad"), response(ENDLESS, "bad")))
    with GradingPool(2, limit_s=1.0) as pool:
        verdicts = list(pool.grade(pairs))
        assert pool.killed == 1
        again = list(pool.grade(pairs[:3]))
    bad = verdicts.pop(7)
    assert bad.outcome is Outcome.UNPARSED
    assert "stopped after 1 s" in bad.why
    assert all(v.outcome is Outcome.CORRECT for v in verdicts + again)


def test_an_answer_over_its_memory_is_stopped() -> None:
    with GradingPool(1, limit_s=20.0, memory_mb=20) as pool:
        found = pool.equal("\\frac{1}{3}", ENDLESS, "fraction")
    assert found.opinion is Opinion.UNDECIDED
    assert "20 MB" in found.why


def workers_now() -> list[psutil.Process]:
    """The grading processes of this one; others' may be ending."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "potstill.grading.worker" in child.cmdline():
                found.append(child)
    return found


def kill_worker() -> None:
    for child in workers_now():
        os.kill(child.pid, signal.SIGKILL)


def test_a_worker_killed_from_outside_costs_no_answer() -> None:
    with GradingPool(1, limit_s=3.0) as pool:
        assert pool.equal("\\frac{1}{2}", "0.5").opinion is Opinion.EQUAL
        threading.Timer(1.0, kill_worker).start()
        hit = pool.equal("\\frac{1}{3}", ENDLESS, "fraction")
        # the kill said nothing of the answer: it was tried again, and had its time
        assert "stopped after 3 s" in hit.why
        assert pool.killed == 2
        assert pool.equal("\\frac{1}{2}", "4/8").opinion is Opinion.EQUAL


def test_an_answer_that_three_workers_die_at_is_given_up() -> None:
    with GradingPool(1, limit_s=60.0) as pool:
        given_up = threading.Event()

        def kill_each() -> None:
            while not given_up.wait(0.2):
                for child in workers_now():
                    # one that still starts, on a busy machine, has not died of the answer
                    with suppress(psutil.Error):
                        if child.cpu_times().user > 1.5:
                            child.kill()

        killer = threading.Thread(target=kill_each)
        pool.start()
        killer.start()
        try:
            hit = pool.equal("\\frac{1}{3}", ENDLESS, "fraction")
        finally:
            given_up.set()
            killer.join()
        assert "died" in hit.why
        assert pool.killed == 3
        assert pool.equal("\\frac{1}{2}", "4/8").opinion is Opinion.EQUAL


def test_no_worker_outlives_the_pool() -> None:
    with GradingPool(2) as pool:
        pool.start()
        workers = workers_now()
        assert len(workers) == 2
    psutil.wait_procs(workers, timeout=5)
    assert not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers)


def test_identical_answers_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    original = WorkerProcesses.ask

    def counted(self: WorkerProcesses, line: str) -> Future[dict[str, Any]]:
        sent.append(line)
        return original(self, line)

    monkeypatch.setattr(WorkerProcesses, "ask", counted)
    one = problem("\\frac{1}{2}", "fraction")
    with GradingPool(2) as pool:
        texts = ["0.5"] * 200 + ["Long way round.\n\n\\boxed{0.5}"] * 200
        verdicts = list(pool.grade((one, response(text)) for text in texts))
    assert len(sent) == 1
    assert {v.outcome for v in verdicts} == {Outcome.CORRECT}


def test_pairs_are_drawn_as_verdicts_leave() -> None:
    drawn = 0

    def endless() -> Iterator[tuple[Problem, Response]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield problem("\\frac{1}{2}", "fraction"), response(f"{drawn}/{2 * drawn}")

    with GradingPool(2) as pool:
        verdicts = pool.grade(endless())
        for _ in range(50):
            assert next(verdicts).outcome is Outcome.CORRECT
        assert drawn < 1_000


def test_from_any_thread_and_from_an_event_loop() -> None:
    def run() -> list[Outcome]:
        pairs = [(problem("\\frac{1}{2}", "fraction"), response("2/4"))] * 5
        return [v.outcome for v in grade_responses(pairs, workers=1)]

    async def main() -> list[list[Outcome]]:
        return list(await asyncio.gather(*(asyncio.to_thread(run) for _ in range(2))))

    assert asyncio.run(main()) == [[Outcome.CORRECT] * 5] * 2

    async def inside() -> list[Outcome]:
        return run()

    assert asyncio.run(inside()) == [Outcome.CORRECT] * 5


def test_threads_share_one_pool() -> None:
    results: list[Opinion] = []
    with GradingPool(2) as pool:

        def ask(n: int) -> None:
            results.append(pool.equal(f"\\frac{{{n}}}{{11}}", f"{2 * n}/22").opinion)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 21)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [Opinion.EQUAL] * 20


def test_equal_raises_for_a_key_that_cannot_be_read() -> None:
    with GradingPool(1) as pool, pytest.raises(KeyUnreadable):
        pool.equal("\\frac{1}{", "1", "fraction")


def test_a_closed_pool_says_so() -> None:
    pool = GradingPool(1)
    pool.close()
    for _ in range(2):  # what was refused is not remembered as asked
        with pytest.raises(PotstillError, match="closed"):
            pool.equal("\\frac{1}{2}", "1/2")


def test_other_golds_go_to_their_plugin() -> None:
    pairs = [
        (Problem("n", "", NumberGold(3.14, 0.01), "numeric", "test"), response("3.145", "n")),
        (Problem("n", "", NumberGold(3.14, 0.01), "numeric", "test"), response("3.2", "n")),
    ]
    with GradingPool(1) as pool:
        found = [v.outcome for v in pool.grade(pairs)]
    assert found == [Outcome.CORRECT, Outcome.WRONG]


def test_an_answer_that_is_missing_behind_a_reasoning_is_told_from_a_blank() -> None:
    blank, thought = response(""), dataclasses.replace(response(""), reasoning="5 + 7 is 12, so")
    kinds = [problem("12"), problem("\\frac{1}{2}", "fraction"), problem("12", "exact")]
    with GradingPool(1) as pool:
        verdicts = list(pool.grade((p, r) for p in kinds for r in (blank, thought)))
    assert {v.outcome for v in verdicts} == {Outcome.BLANK}
    assert {v.why for v in verdicts[::2]} == {"the response has no text"}
    assert {v.why for v in verdicts[1::2]} == {"no answer follows the reasoning of 6 words"}
