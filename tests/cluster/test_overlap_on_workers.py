"""The overlap audit on a cluster: the pairs of one machine, whatever is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from potstill.cluster import overlap as many
from potstill.cluster.options import ClusterOptions
from potstill.cluster.overlap import ClusterSketchers
from potstill.cluster.session import joined
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker_pool import WorkerPool
from potstill.pipeline.run import open_run
from potstill.pipeline.services import ClusterWorkers
from potstill.pipeline.stages import split_problems
from potstill.pocket.problems import generate
from potstill.problems.overlap import find as overlap
from potstill.problems.overlap import minhash as sketches
from potstill.problems.overlap.neighbours import find_among_many
from potstill.problems.overlap.pairs import Pair
from potstill.progress import quiet
from potstill.records import Problem, TextGold
from potstill.store.tables import in_batches
from potstill.study.schema import load_study
from support.pools import LosingPool, Mortal
from support.small_study import write_small_study

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


def problems(count: int) -> list[Problem]:
    """Pocket problems, every fourth followed by a copy, or by one with a letter changed."""
    texts = []
    for k, made in enumerate(generate("train", count)):
        texts.append(made.text)
        if k % 4 == 0:
            texts.append(made.text.upper() if k % 8 else made.text.replace("e", "i", 1))
    sides = ({"split": "heldout"}, {"split": "valid"}, *({"split": "train"},) * 8)
    return [
        Problem(f"p{k}", text, TextGold("1"), "integer", "x", sides[k % 10])
        for k, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def audited() -> list[Problem]:
    return problems(1200)


@pytest.fixture(scope="module")
def alone(audited: list[Problem]) -> list[Pair]:
    pairs = find_among_many(audited, None, 0.9)
    assert min(Counter(pair.how for pair in pairs).values()) > 50
    assert {pair.how for pair in pairs} == {"exact", "near", "masked numbers"}
    return pairs


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "_BATCH", 100)


@pytest.mark.parametrize("loss", [0.0, 0.4, 1.0])
def test_whatever_is_lost_the_pairs_are_those_of_one_machine(
    loss: float,
    audited: list[Problem],
    alone: list[Pair],
    spec_in: Callable[[Path], BaseSpec],
    tmp_path: Path,
) -> None:
    workers: Any = LosingPool(spec_in(tmp_path), loss)
    sketchers = ClusterSketchers(lambda: workers, retries=2)
    assert find_among_many(audited, None, 0.9, sketchers) == alone
    assert workers.parts >= 1500 / 100 + 16
    assert (workers.losses > 0) == (loss > 0)
    one, other = audited[::2], audited[1::2]
    assert find_among_many(one, other, 0.9, sketchers) == find_among_many(one, other, 0.9)


def test_texts_are_drawn_as_workers_take_them(
    audited: list[Problem], spec_in: Callable[[Path], BaseSpec], tmp_path: Path
) -> None:
    workers: Any = LosingPool(spec_in(tmp_path), 0.0)
    drawn: list[list[str]] = []

    def batches() -> Any:
        for batch in in_batches((problem.text for problem in audited), 10):
            drawn.append(batch)
            yield batch

    most = 0
    for number, _ in enumerate(ClusterSketchers(lambda: workers, retries=2).sketch(batches())):
        most = max(most, len(drawn) - number)
    assert number == 149
    assert most <= 3 * 3


@needs_ray
def test_a_run_on_a_cluster_hands_out_the_audit_of_many_problems(
    audited: list[Problem],
    alone: list[Pair],
    spec_in: Callable[[Path], BaseSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = load_study(write_small_study(tmp_path))
    workers: Any = LosingPool(spec_in(tmp_path), 0.0)
    monkeypatch.setattr(ClusterWorkers, "open", lambda _: workers)
    monkeypatch.setattr(overlap, "_MANY", len(audited))
    monkeypatch.setattr(many, "FEWEST", len(audited))
    for on, count in (("", len(audited)), ("ray", len(audited) - 1), ("ray", len(audited))):
        with ExitStack() as stack:
            run = open_run(study, tmp_path / f"out{on}{count}", quiet, stack, on=on)
            _, pairs = split_problems(run.context, run.workers, audited[:count])
            assert (list(pairs) == alone) == (count == len(audited))
            assert (workers.parts > 0) == (on == "ray" and count == len(audited))


@needs_ray
def test_workers_that_end_at_the_audit_cost_no_pair(
    audited: list[Problem],
    alone: list[Pair],
    baseless: BaseSpec,
) -> None:
    from support import pools

    notes: list[str] = []
    options = ClusterOptions(workers=2)
    with joined("ray") as ray:
        ray.cloudpickle.register_pickle_by_value(pools)
        workers = WorkerPool(ray, 2, baseless, options, notes.append, Mortal)
        sketchers = ClusterSketchers(lambda: workers, options.retries)
        assert find_among_many(audited, None, 0.9, sketchers) == alone
    assert sum("was lost" in note for note in notes) == 2
