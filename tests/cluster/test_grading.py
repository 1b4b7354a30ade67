"""Grading on a cluster: the verdicts of one machine, in their order, whatever is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from potstill.cluster import grading
from potstill.cluster.grading import ClusterPool
from potstill.cluster.options import ClusterOptions
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker_pool import open_worker_pool
from potstill.grading import GradingPool, verify
from potstill.pipeline.run import open_run
from potstill.progress import quiet
from potstill.records import (
    Finish,
    NumberGold,
    Opinion,
    Outcome,
    Problem,
    Response,
    TextGold,
    Verdict,
)
from potstill.study.schema import load_study
from support.pools import Killer, LosingPool
from support.small_study import write_small_study

Pair = tuple[Problem, Response]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


def pairs(count: int) -> list[Pair]:
    """Answers right, wrong, blank, cut, in other forms, to keys of three kinds of gold."""
    found = []
    for k in range(count):
        text = [
            f"So it is $\\boxed{{\\frac{{{2 * k}}}{{{2 * k + 2}}}}}$.",
            f"\\boxed{{{k}}}",
            "",
            f"It is {k}\\sqrt{{2}}.",
            f"\\boxed{{\\sqrt{{{2 * k * k}}}}}",
        ][k % 5]
        gold: Any = TextGold(f"\\frac{{{k}}}{{{k + 1}}}" if k % 2 else f"{k}\\sqrt{{2}}")
        if k % 7 == 0:
            gold = NumberGold(float(k), 0.0)
        problem = Problem(f"p{k}", f"Question {k}?", gold, "number", "test")
        finish = Finish.LENGTH if k % 11 == 0 else Finish.STOP
        response = Response("s", f"p{k}", "c", 0, 0, "", text, finish, 0, 0, "")
        found.append((problem, response))
    return found


@pytest.fixture(scope="module")
def asked() -> list[Pair]:
    return pairs(600)


@pytest.fixture(scope="module")
def alone(asked: list[Pair]) -> list[Verdict]:
    with GradingPool() as pool:
        verdicts = list(pool.grade(asked))
    assert len({v.outcome for v in verdicts}) >= 4
    return verdicts


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand out answers from the eleventh on, in small chunks."""
    monkeypatch.setattr(grading, "_FEWEST_HERE", 10)
    monkeypatch.setattr(grading, "_SECONDS_HERE", 0.0)
    monkeypatch.setattr(grading, "_CHUNK_ANSWERS", 16)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("loss", [0.0, 0.4, 1.0])
def test_whatever_is_lost_the_verdicts_are_those_of_one_machine(
    loss: float,
    asked: list[Pair],
    alone: list[Verdict],
    spec_in: Callable[[Path], BaseSpec],
    tmp_path: Path,
) -> None:
    workers: Any = LosingPool(spec_in(tmp_path), loss)
    with ClusterPool(lambda: workers, retries=2) as pool:
        assert list(pool.grade(asked)) == alone
        assert pool.equal("1/2", "0.5").opinion is Opinion.EQUAL
    assert workers.parts >= 590 / 16
    assert (workers.losses > 0) == (loss > 0)


@pytest.mark.usefixtures("far")
def test_pairs_are_drawn_as_verdicts_leave(
    asked: list[Pair], spec_in: Callable[[Path], BaseSpec], tmp_path: Path
) -> None:
    drawn = 0

    def source() -> Iterator[Pair]:
        nonlocal drawn
        for pair in asked:
            drawn += 1
            yield pair

    workers: Any = LosingPool(spec_in(tmp_path), 0.0)
    most = 0
    with ClusterPool(lambda: workers, retries=2) as pool:
        for number, _ in enumerate(pool.grade(source())):
            most = max(most, drawn - number)
    assert most <= 3 * 3 * 16 + 1


def test_few_answers_are_graded_here(asked: list[Pair], alone: list[Verdict]) -> None:
    def workers() -> Any:
        raise AssertionError("workers were called for")

    with ClusterPool(workers, retries=2) as pool:
        assert list(pool.grade(iter(asked))) == alone
        assert list(pool.grade([])) == []


def test_many_that_take_no_time_are_graded_here(
    asked: list[Pair], alone: list[Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow source of pairs is no reason to call for workers."""
    import time

    monkeypatch.setattr(grading, "_FEWEST_HERE", 10)
    monkeypatch.setattr(grading, "_SECONDS_HERE", 1.5)

    def workers() -> Any:
        raise AssertionError("workers were called for")

    def slow() -> Iterator[Pair]:
        for number, pair in enumerate(asked[:200]):
            time.sleep(0.01 if number > 20 else 0)
            yield pair

    with ClusterPool(workers, retries=2) as pool:
        pool.start()
        assert list(pool.grade(slow())) == alone[:200]


@needs_ray
def test_a_run_on_a_cluster_hands_out_its_grading_and_one_here_does_not(tmp_path: Path) -> None:
    study = load_study(write_small_study(tmp_path))
    for on, kind in (("ray", ClusterPool), ("", GradingPool)):
        with ExitStack() as stack:
            run = open_run(study, tmp_path / f"out{on}", quiet, stack, on=on)
            assert type(run.graders.open()) is kind
            assert run.graders.open() is run.graders.open()


@needs_ray
@pytest.mark.usefixtures("far")
def test_a_worker_killed_at_grading_costs_no_verdict(
    asked: list[Pair],
    alone: list[Verdict],
    baseless: BaseSpec,
) -> None:
    """Through the panel, as a study grades; no worker loads a base for it."""
    notes: list[str] = []
    options = ClusterOptions(workers=2)
    got: list[Verdict] = []
    with (
        open_worker_pool("ray", baseless, options, notes.append) as workers,
        ClusterPool(lambda: workers, options.retries) as pool,
        Killer("grade", lambda: True) as killer,
    ):
        for verdict in verify(asked, pool=pool, mode="symbolic", stage="verify"):
            got.append(verdict)
    assert killer.killed == 1
    assert any("was lost" in note for note in notes)
    assert got == alone
    assert sum(v.outcome is Outcome.CORRECT for v in got) > 100
