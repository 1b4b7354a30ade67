"""How often intervals cover and studies without an effect claim one: simulated, seeded.

A problem has an ease (normal, sd 1.5 in log odds), a trained student a luck of its own (normal, sd
0, 0.3 or 0.8 in log odds: some 0, 5 and 12 points at 50 %), the base none. True accuracies are over
problems and over seeds, so an interval has both to cover.

    python benchmarks/coverage.py [--studies N] [--workers N]

Without arguments a cell is 200 studies; docs/statistics.md is of 1,000.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from circumstances import at_least_one, tell_sample
from potstill.evaluation.samples import clustered_share, pass_probability
from potstill.evaluation.seeds import across_seeds, paired_difference_seeds
from potstill.evaluation.trends import interactions, trend

EASE_SD = 1.5
PROBLEMS = (30, 100, 500)
SEEDS = (1, 2, 3, 5)
LUCK = (0.0, 0.3, 0.8)
ACCURACIES = tuple(x / 100 for x in range(5, 100, 5))
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(31)
WEIGHTS = WEIGHTS / WEIGHTS.sum()

Array = np.ndarray
Row = tuple[str, ...]


def mean_over(luck: float, ease: Array) -> Array:
    """Return the chance of a right answer to problems of this ease, over the luck of seeds."""
    return (WEIGHTS * expit(np.asarray(ease)[..., None] + luck * NODES)).sum(axis=-1)


def ease_of(accuracy: float, luck: float) -> float:
    """Return the mean ease at which problems and seeds together give this accuracy."""
    sd = float(np.hypot(EASE_SD, luck))
    return float(brentq(lambda x: float(mean_over(sd, np.array(x))) - accuracy, -15, 15))


def students(rng: np.random.Generator, ease: Array, seeds: int, luck: float) -> list[list[bool]]:
    """Return right or wrong of some seeds (rows) on problems of this ease."""
    shift = rng.normal(0, luck, (seeds, 1))
    table: list[list[bool]] = (rng.random((seeds, len(ease))) < expit(ease + shift)).tolist()
    return table


def base(rng: np.random.Generator, ease: Array, luck: float) -> list[list[bool]]:
    """Return one base that is right on each problem as often as students of this luck on
    average.
    """
    table: list[list[bool]] = [(rng.random(len(ease)) < mean_over(luck, ease)).tolist()]
    return table


def claims(n: int, seeds: int, luck: float, studies: int) -> Row:
    """Return how many studies without an effect claim one, and how often the difference is
    covered.
    """
    rng = np.random.default_rng((1, n, seeds, int(10 * luck)))
    claimed = covered = 0
    for i in range(studies):
        accuracy = ACCURACIES[i % len(ACCURACIES)]
        ease = ease_of(accuracy, luck) + rng.normal(0, EASE_SD, n)
        found = paired_difference_seeds(students(rng, ease, seeds, luck), base(rng, ease, luck))
        claimed += found.beyond_chance
        covered += found.low <= 0 <= found.high
    return (*cell(n, seeds, luck), percent(claimed, studies), percent(covered, studies))


def accuracy(n: int, seeds: int, luck: float, studies: int) -> Row:
    """Return the coverage of one level's accuracy: averaged, and at the worst true accuracy."""
    rng = np.random.default_rng((2, n, seeds, int(10 * luck)))
    each = []
    for true in ACCURACIES:
        inside, centre = 0, ease_of(true, luck)
        for _ in range(studies):
            found = across_seeds(students(rng, centre + rng.normal(0, EASE_SD, n), seeds, luck))
            inside += found.low <= true <= found.high
        each.append(inside / studies)
    return (*cell(n, seeds, luck), percent(sum(each), len(each)), f"{100 * min(each):.1f}")


def answers(
    rng: np.random.Generator, ease: Array, seeds: int, draws: int, luck: float
) -> list[list[list[bool]]]:
    """Return right or wrong of some seeds on problems of this ease, each drawn several times."""
    chance = expit(ease + rng.normal(0, luck, (seeds, 1)))[:, :, None]
    table: list[list[list[bool]]] = (rng.random((seeds, len(ease), draws)) < chance).tolist()
    return table


def draws(n: int, seeds: int, count: float, studies: int) -> Row:
    """Return the coverage of an accuracy and of no difference, and how often one is claimed, each
    problem drawn several times. Seeds have a luck of 0.3.
    """
    rng = np.random.default_rng((6, n, seeds, int(count)))
    luck = 0.3 if seeds > 1 else 0.0
    within, inside, claimed = [], 0, 0
    for true in ACCURACIES:
        centre, covered = ease_of(true, luck), 0
        for _ in range(studies):
            ease = centre + rng.normal(0, EASE_SD, n)
            student = answers(rng, ease, seeds, int(count), luck)
            found = across_seeds(student)
            covered += found.low <= true <= found.high
            one = (rng.random((n, int(count))) < mean_over(luck, ease)[:, None]).tolist()
            pair = paired_difference_seeds(student, [one])
            inside += pair.low <= 0 <= pair.high
            claimed += pair.beyond_chance
        within.append(covered / studies)
    each = studies * len(ACCURACIES)
    shares = percent(sum(within), len(within)), f"{100 * min(within):.1f}"
    return (
        str(n),
        str(seeds),
        str(int(count)),
        *shares,
        percent(inside, each),
        percent(claimed, each),
    )


def trends(n: int, seeds: int, luck: float, studies: int) -> Row:
    """Return how often six equal levels show a trend (p < 0.05), and its interval leaves zero
    out.
    """
    rng = np.random.default_rng((3, n, seeds, int(10 * luck)))
    claimed = covered = 0
    for i in range(studies):
        ease = ease_of(ACCURACIES[i % len(ACCURACIES)], luck) + rng.normal(0, EASE_SD, n)
        found = trend({f"R{k}": students(rng, ease, seeds, luck) for k in range(1, 7)})
        claimed += found.p < 0.05
        covered += found.low <= 0 <= found.high
    return (*cell(n, seeds, luck), percent(claimed, studies), percent(covered, studies))


def groups(n: int, seeds: int, luck: float, studies: int) -> Row:
    """Return how often any of three groups (60, 25, 15 %) that lose alike is said to lose more."""
    rng = np.random.default_rng((4, n, seeds, int(10 * luck)))
    names = ["a"] * round(0.6 * n) + ["b"] * round(0.25 * n)
    names += ["c"] * (n - len(names))
    claimed = covered = told = 0
    for i in range(studies):
        ease = ease_of(ACCURACIES[i % len(ACCURACIES)], luck) + rng.normal(0, EASE_SD, n)
        found = interactions(
            students(rng, ease, seeds, luck), students(rng, ease, seeds, luck), names
        )
        claimed += any(x.p_holm < 0.05 and not x.low <= 0 <= x.high for x in found)
        covered += sum(x.low <= 0 <= x.high for x in found)
        told += len(found)
    return (*cell(n, seeds, luck), percent(claimed, studies), percent(covered, told))


def passes(n: int, samples: int, k: float, studies: int) -> Row:
    """Return the coverage of pass@k of some samples, over true values set by accuracies."""
    rng = np.random.default_rng((5, n, samples, int(k)))
    each = []
    for accuracy_ in ACCURACIES:
        centre = ease_of(accuracy_, 0.0)
        many = expit(centre + rng.normal(0, EASE_SD, 200_000))
        true = float((1 - (1 - many) ** int(k)).mean())
        inside = 0
        for _ in range(studies):
            chance = expit(centre + rng.normal(0, EASE_SD, (n, 1)))
            right = (rng.random((n, samples)) < chance).sum(axis=1).tolist()
            passed = [pass_probability(samples, x, int(k)) for x in right]
            found = clustered_share([passed], samples)
            inside += found.low <= true <= found.high
        each.append(inside / studies)
    row = (str(n), str(samples), str(int(k)))
    return (*row, percent(sum(each), len(each)), f"{100 * min(each):.1f}")


def cell(n: int, seeds: int, luck: float) -> Row:
    """Return the first columns of a row."""
    return str(n), str(seeds), f"{luck:g}"


def percent(part: float, whole: float) -> str:
    """Return a share to one decimal."""
    return f"{100 * part / whole:.1f}"


Part = tuple[
    str, Callable[[int, int, float, int], Row], tuple[str, ...], list[tuple[int, int, float]]
]


def parts() -> Iterator[Part]:
    """Yield every table: its title, what makes a row, its columns, its cells."""
    every = list(itertools.product(PROBLEMS, SEEDS, LUCK))
    few = list(itertools.product(PROBLEMS, (1, 3), (0.0, 0.3)))
    head = ("problems", "seeds", "luck")
    yield (
        "Student against base, no effect",
        claims,
        (*head, "claimed %", "difference covered %"),
        every,
    )
    yield "Accuracy of a level", accuracy, (*head, "covered %", "worst accuracy %"), every
    yield "Trend over six equal levels", trends, (*head, "p < 0.05, %", "slope covered %"), few
    yield (
        "Three groups that lose alike",
        groups,
        (*head, "any claimed %", "difference covered %"),
        few,
    )
    yield (
        "Several draws of each problem",
        draws,
        (
            "problems",
            "seeds",
            "draws",
            "covered %",
            "worst accuracy %",
            "difference %",
            "claimed %",
        ),
        list(itertools.product(PROBLEMS, (1, 3), (1, 4, 16))),
    )
    yield (
        "pass@k",
        passes,
        ("problems", "samples", "k", "covered %", "worst accuracy %"),
        list(itertools.product(PROBLEMS, (8,), (1, 4, 8))),
    )


def main() -> None:
    """Print every table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=at_least_one, default=200, help="of each cell")
    parser.add_argument("--workers", type=at_least_one, default=2)
    asked = parser.parse_args()
    with ProcessPoolExecutor(asked.workers) as pool:
        for title, make, columns, cells in parts():
            size = (
                max(1, asked.studies // 5) if make in (accuracy, draws, passes) else asked.studies
            )
            jobs = [pool.submit(make, *each, size) for each in cells]
            print(f"\n### {title} ({size:,} studies a cell)\n", flush=True)
            print("| " + " | ".join(columns) + " |")
            print("|" + "---:|" * len(columns))
            for job in jobs:
                print("| " + " | ".join(job.result()) + " |", flush=True)
    give_or_take = 196 * (0.05 * 0.95 / asked.studies) ** 0.5
    tell_sample(
        f"{asked.studies:,} studies a cell, so that a share of 5 % is known to {give_or_take:.1f} "
        "points; docs/statistics.md is of 1,000 (--studies 1000)"
    )


if __name__ == "__main__":
    main()
