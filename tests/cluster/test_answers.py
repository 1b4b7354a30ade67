"""Shards, their loss and their bisection, with a pool that needs no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.chat import Ask, Completion, Message
from potstill.cluster.answers import ClusterAnswering, ClusterSolver
from potstill.cluster.options import ClusterOptions
from potstill.cluster.shards import Pace
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker import Worker
from potstill.cluster.worker_pool import Done, Lost
from potstill.errors import InputError, StoreError
from potstill.ledger.ledger import Ledger
from potstill.models.torch_base import Base
from potstill.records import Finish, Sampling
from potstill.solvers.local import LocalSolver
from potstill.training import activation_cache as cache
from potstill.training import grid
from potstill.training.examples import Example
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, StepReport, TrainedCell
from support.pools import POISON, LossyPool, asks, poisoned

SpecIn = Callable[[Path], BaseSpec]


def answering(ledger: Ledger, workers: Any, base: Base, **options: Any) -> ClusterAnswering:
    return ClusterAnswering(
        ledger,
        workers,
        ClusterOptions(**options),
        base_hash=base.base_hash,
        precision="float32",
        batch_size=8,
        note=lambda text: None,
    )


def answers(solver: Any, asked: list[Ask]) -> dict[str, Completion]:
    return {x.tag: x for x in solver.complete(iter(asked), "answer")}


def answers_alone(base: Base, folder: Path, asked: list[Ask]) -> dict[str, Completion]:
    """What one process answers, without a cluster and into a ledger of its own."""
    with Ledger.open(folder / "alone.sqlite") as other:
        return answers(LocalSolver(base, None, other, solver_id="base"), asked)


def bought(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each reply is put into the ledger from now on."""
    counts: Counter[str] = Counter()
    honest = ledger.put_many

    def counting(entries: Any) -> None:
        counts.update(entry.key for entry in entries)
        honest(entries)

    monkeypatch.setattr(ledger, "put_many", counting)
    return counts


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_lost_the_answers_are_those_of_one_process(
    seed: int, base: Base, spec_in: SpecIn, ledger: Ledger, tmp_path: Path, monkeypatch: Any
) -> None:
    alone = answers_alone(base, tmp_path, asks(120))
    workers = LossyPool(spec_in(tmp_path), seed, loss=0.4)
    counts = bought(ledger, monkeypatch)
    made = answering(ledger, lambda: workers, base, retries=8)
    solver = ClusterSolver(made, None, "base")
    assert answers(solver, asks(120)) == alone
    assert workers.losses > 0
    assert set(counts.values()) == {1}
    assert len(counts) == 120


def test_a_poisoned_question_is_found_and_all_others_are_answered(
    base: Base, spec_in: SpecIn, ledger: Ledger, tmp_path: Path
) -> None:
    workers = LossyPool(spec_in(tmp_path), 1, loss=0.0)
    solver = ClusterSolver(answering(ledger, lambda: workers, base), None, "base")
    asked = poisoned(90)
    got = answers(solver, asked)
    assert got[POISON].finish is Finish.ERROR
    assert "3 workers failed on this question alone" in got[POISON].error
    assert [x.tag for x in got.values() if x.error] == [POISON]
    assert len(got) == 90
    before = workers.losses
    assert answers(solver, asked) == got
    assert workers.losses == before, "what was given up was tried again in the same run"


def test_a_prompt_beyond_the_context_is_told_and_not_handed_out_twice(
    base: Base, spec_in: SpecIn, ledger: Ledger, tmp_path: Path
) -> None:
    workers = LossyPool(spec_in(tmp_path), 1, loss=0.0)
    solver = ClusterSolver(answering(ledger, lambda: workers, base), None, "base")
    long = Ask("long", (Message("user", "more " * 300),), Sampling(max_tokens=5))
    again = replace(long, tag="the same")
    got = answers(solver, [*asks(3), long])
    assert "leaves no room" in got["long"].error
    handed_out = sum(workers.sizes)
    assert answers(solver, [again])["the same"].error == got["long"].error
    assert sum(workers.sizes) == handed_out


def test_a_worker_that_ends_after_its_last_reply_costs_nothing(
    base: Base, spec_in: SpecIn, ledger: Ledger, tmp_path: Path
) -> None:
    alone = answers_alone(base, tmp_path, asks(40))
    workers = LossyPool(spec_in(tmp_path), 1, loss=0.0)
    honest = workers.work

    def work(*args: Any) -> Any:
        for shard, made in honest(*args):
            yield shard, Lost("its worker was lost") if isinstance(made, Done) else made

    workers.work = work  # type: ignore[method-assign]
    solver = ClusterSolver(answering(ledger, lambda: workers, base), None, "base")
    assert answers(solver, asks(40)) == alone
    assert sum(workers.sizes) == 40


def test_no_worker_is_called_for_what_the_ledger_holds(
    base: Base, ledger: Ledger, tmp_path: Path
) -> None:
    local = answers(LocalSolver(base, None, ledger, solver_id="base"), asks(20))

    def workers() -> Any:
        raise AssertionError("workers were called for")

    solver = ClusterSolver(answering(ledger, workers, base), None, "base")
    assert answers(solver, asks(20)) == local


def test_a_killed_run_has_kept_what_reached_it_and_does_not_make_it_again(
    base: Base, spec_in: SpecIn, ledger: Ledger, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    alone = answers_alone(base, tmp_path, asks(40))
    workers = LossyPool(spec_in(tmp_path), 1, loss=0.0)
    honest = workers.work

    def work(*args: Any) -> Any:
        yield next(honest(*args))
        raise Killed

    workers.work = work  # type: ignore[method-assign]
    with pytest.raises(Killed):
        answers(ClusterSolver(answering(ledger, lambda: workers, base), None, "base"), asks(40))
    kept = {entry.key for entry in ledger.entries()}
    assert 0 < len(kept) < 40
    workers.work = honest  # type: ignore[method-assign]
    workers.sizes.clear()
    solver = ClusterSolver(answering(ledger, lambda: workers, base), None, "base")
    assert answers(solver, asks(40)) == alone
    assert sum(workers.sizes) == 40 - len(kept)


def test_shards_are_sized_by_time() -> None:
    pace = Pace(60.0, workers=4)
    assert pace.size("R1", 10_000, 0) == 64
    pace.learn("R1", 64, 8.0)
    assert pace.size("R1", 10_000, 0) == 256, "not more than four times what was timed"
    pace.learn("R1", 256, 64.0)
    assert pace.size("R1", 10_000, 0) == 240, "four a second for a minute"
    assert pace.size("R1", 300, 500) == 100, "two pieces a worker towards the end"
    assert pace.size("R1", 100, 200) == 60, "but none of less than fifteen seconds"
    assert pace.size("R1", 0, 160) == 40, "unless less is left for each"
    assert pace.size("R6", 10_000, 0) == 240, "the slowest known solver is the guess for a new one"
    pace.learn("R6", 1, 30.0)
    assert pace.size("R6", 10_000, 0) == 2
    pace.learn("R1", 3, 9.0)
    assert pace.size("R1", 10_000, 0) == 240, "leftovers say little"


def test_a_worker_refuses_another_base_and_a_directory_it_does_not_see(
    spec_in: SpecIn, tmp_path: Path
) -> None:
    spec = spec_in(tmp_path)
    worker = Worker()
    worker.join(replace(spec, base_hash="0" * 64))
    with pytest.raises(InputError, match="is another one than on the machine"):
        worker.load()
    with pytest.raises(StoreError, match="does not see the study's directory"):
        Worker().join(replace(spec, directory=tmp_path / "elsewhere"))


def test_a_worker_trains_a_cell_as_its_grid_would(
    base: Base, spec_in: SpecIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the grid shares an activation cache that one cell alone would not be worth."""
    monkeypatch.setattr(grid, "is_small", lambda base: False)
    lessons = tuple(Example(x.tag, x.messages, f"It is {len(x.tag)}.") for x in asks(16))
    recipe = Recipe(layers=1, iterations=12, validate_every=6, threads=1)
    jobs = [
        grid.Job(GridCell("R1", k), lessons[:12], lessons[12:], recipe, tmp_path / f"{k}", "data")
        for k in range(2)
    ]
    uses = (12 * recipe.batch_size + 3 * 4) / 16
    monkeypatch.setattr(cache, "_FEWEST_USES", 1.5 * uses)
    notes: list[str] = []
    together = dict(grid.train_cells(base, jobs, workers=1, on_note=notes.append))
    assert notes
    worker = Worker()
    worker.join(spec_in(tmp_path / "study"))
    worker.load()
    far = replace(jobs[1], out=tmp_path / "far")
    *steps, trained = worker.train(far, jobs)
    assert isinstance(trained, TrainedCell)
    assert trained.student.adapter_hash == together[jobs[1]].student.adapter_hash
    assert [step.point.step for step in steps if isinstance(step, StepReport)] == list(range(13))
