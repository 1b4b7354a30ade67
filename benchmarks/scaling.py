"""Training, answering, grading and the overlap audit on some numbers of workers of one thread each.

    pip install 'potstill[ray]'
    python benchmarks/scaling.py [--workers 1 2 4] [--rounds N] [--problems N] [--cells N]
                                 [--iterations N] [--graded N] [--audited N]

Pocket students are trained on R1 lessons, and the first of them answers held-out pocket problems,
by real Ray workers on this machine; what is graded are made-up answers in five forms, each to a key
of its own, and what is audited the ``mixed`` problems of benchmarks/overlap.py. Every round
measures all numbers of workers in turn, so that a busy machine hits all alike. Workers have loaded
the base and started their graders before the clock starts. Beside the wall clock stand the CPU
seconds of the workers, which neighbours on the machine disturb less: what the work costs on N
workers against one. A line for each work as it ends, then JSON: medians over the rounds. Without
arguments there is little work, of which the sharing out is a large part; docs/scale.md has the
command that was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from circumstances import at_least_one, lacks, tell_sample
from graders.made_up import answers
from overlap import Made
from potstill.chat import Ask, Message
from potstill.cluster import grading
from potstill.cluster.answers import ClusterAnswering, Questions
from potstill.cluster.grading import ClusterPool
from potstill.cluster.grid import train_on
from potstill.cluster.options import ClusterOptions
from potstill.cluster.overlap import ClusterSketchers
from potstill.cluster.session import joined, places
from potstill.cluster.spec import BaseSpec
from potstill.cluster.worker_pool import WorkerPool
from potstill.ledger.ledger import Ledger
from potstill.models.folder import hash_base
from potstill.pocket import STUDENT_PATH
from potstill.pocket.problems import generate
from potstill.pocket.render import render
from potstill.problems.overlap.neighbours import find_among_many
from potstill.records import Outcome, Sampling
from potstill.store.cells import Store
from potstill.training.examples import Example
from potstill.training.grid import Job
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell

Took = tuple[float, float]
WORK = ("training", "answering", "grading", "overlap")


def lessons(count: int) -> tuple[Example, ...]:
    """Return the R1 lessons of the pocket world's training problems."""
    return tuple(
        Example(p.key, (Message("user", p.text),), render(p, "R1"))
        for p in generate("train", count)
    )


def timed(work: Callable[[], None]) -> Took:
    """Return the wall seconds, and CPU seconds of this process's Ray workers."""
    started, cpu_before = time.monotonic(), worker_cpu_s()
    work()
    return time.monotonic() - started, worker_cpu_s() - cpu_before


def worker_cpu_s() -> float:
    """Return the CPU seconds that the workers alive now, and their graders, have used."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            line = process.cmdline()
            parent = process.parent()
            of_worker = parent is not None and parent.cmdline()[0].startswith("ray::Worker")
            if line[0].startswith("ray::Worker") or of_worker:
                times = process.cpu_times()
                total += times.user + times.system
        except (psutil.Error, IndexError):
            continue
    return total


def load(workers: WorkerPool) -> None:
    """Keep all workers busy with trifles until each has loaded the base."""

    def trifle() -> tuple[str, ...] | None:
        return None if all(member.started == 2 for member in workers._members) else ("",)

    for _ in workers.work("sketch", trifle):
        pass


class Bench:
    """One Ray, one base, and fresh folders for every measurement."""

    def __init__(self, ray: Any, folder: Path, args: argparse.Namespace) -> None:
        self._ray, self._folder, self._args = ray, folder, args
        self._train, self._valid = lessons(300)[:240], lessons(300)[240:]
        self._asks = [
            Ask(p.key, (Message("user", p.text),), Sampling(max_tokens=320))
            for p in generate("heldout", args.problems)
        ]
        self._to_grade = answers(args.graded)
        self._to_audit = list(Made(args.audited))
        self._base_hash = hash_base(STUDENT_PATH)
        self._count = 0
        self._student: Path | None = None

    def measure(self, count: int) -> Iterator[Took]:
        """Yield how long each kind of work took on so many workers, in the order of WORK."""
        self._count += 1
        directory = self._folder / str(self._count)
        Store(directory)
        options = ClusterOptions(workers=count, shard_s=self._args.shard_s)
        spec = BaseSpec(str(STUDENT_PATH), "float32", "cpu", "torch", self._base_hash, directory, 1)
        workers = WorkerPool(self._ray, places(self._ray, options), spec, options, print)
        try:
            load(workers)
            yield timed(lambda: self._train_cells(workers, directory))
            yield timed(lambda: self._answer(workers, directory, options))
            with ClusterPool(lambda: workers, retries=0) as pool:
                list(pool.grade(self._to_grade[:500]))  # workers start their graders
                yield timed(lambda: self._grade(pool))
            yield timed(lambda: self._audit(workers))
        finally:
            workers.close()

    def _grade(self, pool: ClusterPool) -> None:
        outcomes = Counter(verdict.outcome for verdict in pool.grade(self._to_grade))
        assert outcomes[Outcome.CORRECT] == len(self._to_grade) * 4 // 5, outcomes

    def _audit(self, workers: WorkerPool) -> None:
        sketchers = ClusterSketchers(lambda: workers, retries=0)
        found = find_among_many(self._to_audit, None, 0.9, sketchers)
        assert found or len(self._to_audit) < 1000

    def _train_cells(self, workers: WorkerPool, directory: Path) -> None:
        recipe = Recipe.preset("pocket").model_copy(
            update={"iterations": self._args.iterations, "validate_every": 50}
        )
        jobs = [
            Job(GridCell("R1", k), self._train, self._valid, recipe, directory / f"R1-{k}", "bench")
            for k in range(self._args.cells)
        ]
        for _ in train_on(workers, jobs, retries=0, on_step=lambda report: None):
            pass
        self._student = self._student or jobs[0].out

    def _answer(self, workers: WorkerPool, directory: Path, options: ClusterOptions) -> None:
        with Ledger.open(directory / "ledger.sqlite") as ledger:
            answering = ClusterAnswering(
                ledger,
                lambda: workers,
                options,
                base_hash=self._base_hash,
                precision="float32",
                batch_size=0,
                note=print,
            )
            asked = Questions("R1", self._student, self._asks, len(self._asks))
            answering.fill([asked], "answer")
            assert sum(1 for _ in ledger.entries()) == len(self._asks)


def main() -> None:
    """Print a line per measurement, one line of JSON, and what was sampled."""
    args = arguments()
    if lacks("ray", "pip install 'potstill[ray]'", "nothing was measured"):
        return
    # all on the workers, as it is where there is much
    grading._FEWEST_HERE, grading._SECONDS_HERE = 0, 0.0
    took: dict[int, list[tuple[Took, ...]]] = {n: [] for n in numbers_of_workers(args.workers)}
    with joined("ray") as ray, tempfile.TemporaryDirectory() as folder:
        bench = Bench(ray, Path(folder), args)
        for round_number in range(args.rounds):
            for n in took:
                each = []
                for what, (wall_s, cpu_s) in zip(WORK, bench.measure(n), strict=True):
                    each.append((wall_s, cpu_s))
                    told = f"{what} {wall_s:.1f} s ({cpu_s:.1f} CPU), load {os.getloadavg()[0]:.1f}"
                    print(f"round {round_number + 1}, workers {n}: {told}", flush=True)
                took[n].append(tuple(each))
    print(json.dumps(summary(took, min(took), args)))
    tell_sample(
        f"{args.rounds} rounds of {args.cells} cells of {args.iterations} steps, "
        f"{args.problems:,} answers, {args.graded:,} graded, {args.audited:,} audited; "
        "docs/scale.md names a larger run"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=at_least_one, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=at_least_one, default=1)
    parser.add_argument("--problems", type=at_least_one, default=500)
    parser.add_argument("--cells", type=at_least_one, default=2)
    parser.add_argument("--iterations", type=at_least_one, default=10)
    parser.add_argument("--graded", type=at_least_one, default=5_000)
    parser.add_argument("--audited", type=at_least_one, default=20_000)
    parser.add_argument("--shard-s", type=float, default=60.0)
    return parser.parse_args()


def numbers_of_workers(asked: Sequence[int]) -> list[int]:
    """Return those of the asked for which there are cores; the others are printed."""
    cores = os.cpu_count() or 1
    beyond = sorted({n for n in asked if n > cores})
    if beyond:
        named = ", ".join(map(str, beyond))
        print(f"{named} workers are left out: this machine has {cores} cores.", flush=True)
    return sorted({n for n in asked if n <= cores} or {cores})


def summary(
    took: dict[int, list[tuple[Took, ...]]], one: int, args: argparse.Namespace
) -> dict[str, Any]:
    """Return the medians by number of workers, and what they are to the first number's."""
    found: dict[str, Any] = {"cores": os.cpu_count()}
    items_of = (args.cells, args.problems, args.graded, args.audited)
    for place, (what, items) in enumerate(zip(WORK, items_of, strict=True)):
        wall = {n: median(row[place][0] for row in rows) for n, rows in took.items()}
        cpu = {n: median(row[place][1] for row in rows) for n, rows in took.items()}
        found[what] = {
            n: {
                "wall_s": round(wall[n], 1),
                "per_hour": round(items / wall[n] * 3600),
                "speed_up": round(wall[one] / wall[n], 2),
                "cpu_s": round(cpu[n], 1),
                "cpu_to_one": round(cpu[n] / max(cpu[one], 0.01), 2),
            }
            for n in took
        }
    return found


if __name__ == "__main__":
    main()
