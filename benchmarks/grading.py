"""Answers graded per second on all cores, beside plain math-verify on the same real responses.

    python benchmarks/grading.py [--data FOLDER] [--workers N] [--rounds N] [--lighteval PYTHON]
                                 [--responses N] [--seconds N]

Two sets of responses, each timed alone and both together. *Recorded* are the 864 recorded answers
and, as full prose, the 500 solutions of MATH-500 and the recorded reasonings with their answer in a
box behind them. *Open* are 2,406 whole responses of base, reasoning and mixed models, as they came.
Without the real data (``--data``, POTSTILL_DATA) there is one set of made-up responses. Each stands
under a problem text of its own, so that grading identical answers once wins nothing here.
math-verify runs as its users run it: one process, ``parse`` and ``verify`` with their defaults, the
key in dollars. The two take turns, and the median round counts; no round begins after three times
``--seconds``. The pool's start-up is stated apart and is also given with it included.

Then wrong refusals and acceptances on the open answers beside other graders (each asked for
``--seconds`` at most), and one long response of every shape.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import logging
import os
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from circumstances import at_least_one, real_data, tell_sample
from graders import hostile_lengths, made_up, open_answers
from potstill.grading import GradingPool, infer_kind
from potstill.records import Finish, Problem, Response, TextGold, Verdict

MADE_UP = 2_000
Pairs = list[tuple[Problem, Response]]


@dataclass(frozen=True, slots=True)
class Times:
    """Median seconds on one set (the pool's start, ours, math-verify's), and the verdicts."""

    count: int
    start_s: float
    ours_s: float
    theirs_s: float
    verdicts: list[Verdict]
    accepted: list[bool]


def read_recorded(data: Path) -> Pairs:
    """Return every recorded answer, and every solution and reasoning as a full response."""
    csv.field_size_limit(10**9)
    pairs: Pairs = []

    def add(key: str, question: str, text: str) -> None:
        name = str(len(pairs))
        kind = infer_kind(key, question)
        problem = Problem(name, question, TextGold(key), kind, "benchmark")
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
    """Return the seconds to start the pool, seconds to grade, and the verdicts."""
    began = time.perf_counter()
    with GradingPool(workers) as pool:
        pool.start()
        ready = time.perf_counter()
        verdicts = list(pool.grade(pairs))
        done = time.perf_counter()
    return ready - began, done - ready, verdicts


def run_math_verify(pairs: list[tuple[Problem, Response]]) -> tuple[float, list[bool]]:
    """Return the seconds that plain math-verify takes, and which answers it accepts."""
    from math_verify import parse, verify

    began = time.perf_counter()
    accepted = []
    for problem, response in pairs:
        key = parse(f"${problem.gold_text}$")
        accepted.append(bool(verify(key, parse(response.text))))
    return time.perf_counter() - began, accepted


def of_its_own(pairs: Pairs) -> Pairs:
    """Give every problem a text that no other has, by letters: a number might be an answer."""
    named = []
    for problem, response in pairs:
        letters = "".join(chr(ord("k") + int(digit)) for digit in problem.id if digit.isdigit())
        text = f"{problem.text}\n\n(Response {letters}.)"
        named.append((dataclasses.replace(problem, text=text), response))
    return named


def measure(pairs: Pairs, workers: int, rounds: int, until: float) -> Times:
    """Time both graders in turns; the medians, and the verdicts of the last round."""
    starts, ours, theirs = [], [], []
    for _ in range(rounds):
        start_s, ours_s, verdicts = run_ours(pairs, workers)
        theirs_s, accepted = run_math_verify(pairs)
        starts.append(start_s)
        ours.append(ours_s)
        theirs.append(theirs_s)
        if time.perf_counter() > until:
            break
    if len(ours) < rounds:
        print(f"out of time: {len(ours)} of {rounds} rounds", flush=True)
    middle = statistics.median
    return Times(len(pairs), middle(starts), middle(ours), middle(theirs), verdicts, accepted)


def show(name: str, times: Times) -> None:
    """Print the speed of both on one set."""
    count, ours_s, start_s = times.count, times.ours_s, times.start_s
    print(f"{name}: {count} responses")
    print(f"  potstill     {count / ours_s:10,.0f} answers/s  ({ours_s:.2f} s)")
    with_start = count / (ours_s + start_s)
    print(f"    start-up   {start_s:10.2f} s   with it {with_start:,.0f} answers/s")
    print(f"  math-verify  {count / times.theirs_s:10,.0f} answers/s  ({times.theirs_s:.2f} s)")
    counts = Counter(str(v.outcome) for v in times.verdicts)
    print("  outcomes", dict(sorted(counts.items())))
    print(f"  math-verify accepts {sum(times.accepted)}", flush=True)


def find_data(given: Path | None) -> Path | None:
    """Return the folder of real data, the named one or POTSTILL_DATA's; None without one."""
    if given is not None:
        os.environ["POTSTILL_DATA"] = str(given)
    return real_data("recorded", "answers")


def sets_of(data: Path | None, rows: list[open_answers.Row], most: int | None) -> dict[str, Pairs]:
    """Return the sets to time by name, each in a seeded order, so that a first part is a fair
    sample.
    """
    if data is None:
        return {"made_up": of_its_own(made_up.answers(most or MADE_UP))}
    recorded = of_its_own(read_recorded(data))
    opened = of_its_own(open_answers.pairs_of(rows, len(recorded)))
    if most:
        random.Random(0).shuffle(recorded)
    return {"recorded": recorded[:most], "open": opened[:most]}


def main() -> int:
    options = arguments()
    logging.disable(logging.WARNING)
    data = find_data(options.data)
    rows = open_answers.read_rows(data) if data else []
    sets = sets_of(data, rows, options.responses)
    if data is None:
        print("no real data (POTSTILL_DATA, --data): made-up responses are graded instead")
    # Both sides import their libraries before any clock runs.
    run_math_verify(next(iter(sets.values()))[:20])
    print(f"cores {options.workers}  rounds {options.rounds}  repeats none", flush=True)
    until = time.perf_counter() + 3 * options.seconds
    found = {}
    for name, pairs in sets.items():
        found[name] = measure(pairs, options.workers, options.rounds, until)
        show(name, found[name])
    ours_s, theirs_s = (sum(getattr(x, s) for x in found.values()) for s in ("ours_s", "theirs_s"))
    start_s = statistics.median(x.start_s for x in found.values())
    for name, times in found.items():
        print(f"figure grading_vs_math_verify_{name} {times.theirs_s / times.ours_s:.2f}")
    print(f"figure grading_vs_math_verify_with_start {theirs_s / (ours_s + start_s):.2f}")
    print(f"figure grading_vs_math_verify {theirs_s / ours_s:.2f}", flush=True)
    if rows:
        asked = rows[: options.responses]
        open_answers.report(asked, options.workers, options.lighteval, options.seconds)
    else:
        print("\nerrors beside other graders are left out: they need the real answers")
    print()
    hostile_lengths.report(options.length)
    counts = ", ".join(f"{len(pairs):,} {name}" for name, pairs in sets.items())
    others = f"; other graders {options.seconds} s each (--seconds)" if rows else ""
    tell_sample(
        f"{counts} responses, {options.rounds} rounds or {3 * options.seconds} s of them{others}; "
        f"long responses of up to {options.length:,} characters"
    )
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="else POTSTILL_DATA, else made-up responses")
    parser.add_argument("--workers", type=at_least_one, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--lighteval", default="", help="a python that has lighteval")
    parser.add_argument("--responses", type=at_least_one, help="of each set, at most; else all")
    parser.add_argument("--seconds", type=at_least_one, default=45, help="of each other grader")
    parser.add_argument(
        "--length", type=at_least_one, default=400_000, help="of the longest response, characters"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
