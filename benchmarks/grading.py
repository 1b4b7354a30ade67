"""Answers graded per second on all cores, beside plain math-verify on the same real responses.

    python benchmarks/grading.py [--data FOLDER] [--workers N] [--rounds N]

The responses are the 864 recorded answers and, as full prose, the 500 solutions of MATH-500 and the
recorded reasonings with their answer in a box behind them. Each stands under a problem text of its
own, so that grading identical answers once wins nothing here. math-verify runs as its users run it:
one process, ``parse`` and ``verify`` with their defaults, the key in dollars. The two take turns,
and the median round counts. The pool's start-up is stated apart and is also given with it included.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from potstill.grading import GradingPool, infer_kind
from potstill.records import Finish, Problem, Response, TextGold, Verdict

ROOT = Path(__file__).resolve().parent.parent


def read_pairs(data: Path) -> list[tuple[Problem, Response]]:
    """Every recorded answer, and every solution and reasoning as a full response."""
    csv.field_size_limit(10**9)
    pairs: list[tuple[Problem, Response]] = []

    def add(key: str, question: str, text: str) -> None:
        name = str(len(pairs))
        text_of_its_own = f"{question}\n\n(Response {name}.)"
        kind = infer_kind(key, question)
        problem = Problem(name, text_of_its_own, TextGold(key), kind, "benchmark")
        pairs.append(
            (problem, Response("recorded", name, "c", 0, 0, "", text, Finish.STOP, 0, 0, ""))
        )

    for name, column in (("teacher_math500", "problem"), ("teacher_competition", "question")):
        with (data / "recorded" / f"{name}.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key, question, answer = row["true_answer"], row[column], row["agent1_answer"]
                add(key, question, answer)
                if answer.strip():
                    add(key, question, f"{row['agent1_reasoning']}\n\n$\\boxed{{{answer}}}$")
                if row.get("solution"):
                    add(key, question, row["solution"])
    return pairs


def run_ours(
    pairs: list[tuple[Problem, Response]], workers: int
) -> tuple[float, float, list[Verdict]]:
    """Seconds to start the pool, seconds to grade, and the verdicts."""
    began = time.perf_counter()
    with GradingPool(workers) as pool:
        pool.start()
        ready = time.perf_counter()
        verdicts = list(pool.grade(pairs))
        done = time.perf_counter()
    return ready - began, done - ready, verdicts


def run_math_verify(pairs: list[tuple[Problem, Response]]) -> tuple[float, list[bool]]:
    """Seconds that plain math-verify takes, and which answers it accepts."""
    from math_verify import parse, verify

    began = time.perf_counter()
    accepted = []
    for problem, response in pairs:
        key = parse(f"${problem.gold_text}$")
        accepted.append(bool(verify(key, parse(response.text))))
    return time.perf_counter() - began, accepted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = os.environ.get("POTSTILL_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not (options.data / "recorded").is_dir():
        print(f"The real data is not at {options.data}; name its folder with --data.")
        return 2
    logging.disable(logging.WARNING)
    pairs = read_pairs(options.data)
    # Both sides import their libraries before any clock runs.
    run_math_verify(pairs[:20])
    starts, ours, theirs = [], [], []
    verdicts: list[Verdict] = []
    accepted: list[bool] = []
    for _ in range(options.rounds):
        start_s, ours_s, verdicts = run_ours(pairs, options.workers)
        theirs_s, accepted = run_math_verify(pairs)
        starts.append(start_s)
        ours.append(ours_s)
        theirs.append(theirs_s)
    start_s, ours_s = statistics.median(starts), statistics.median(ours)
    theirs_s = statistics.median(theirs)
    count = len(pairs)
    print(f"cores {options.workers}  responses {count}  rounds {options.rounds}  repeats none")
    print(f"potstill     {count / ours_s:10,.0f} answers/s  ({ours_s:.2f} s)")
    print(f"  start-up   {start_s:10.2f} s   with it {count / (ours_s + start_s):,.0f} answers/s")
    print(f"math-verify  {count / theirs_s:10,.0f} answers/s  ({theirs_s:.2f} s, one process)")
    print("outcomes", dict(Counter(str(v.outcome) for v in verdicts)))
    print(f"math-verify accepts {sum(accepted)}")
    print(f"figure grading_vs_math_verify_with_start {theirs_s / (ours_s + start_s):.2f}")
    print(f"figure grading_vs_math_verify {theirs_s / ours_s:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
