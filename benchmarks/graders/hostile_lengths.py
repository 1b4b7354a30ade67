"""How long one long response takes to grade, by shape and length: is it linear, and how fast.

Each shape is a text that a rule may stumble over. Times are CPU time in this process, the least of
three (of one from a second on): of ``grade``, and of telling why, were it read as a wrong answer.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from potstill.grading import grade
from potstill.grading.causes import with_cause
from potstill.records import Outcome, Problem, TextGold

LENGTHS = (10_000, 100_000, 400_000)
LIMIT_MS = 50  # for LENGTHS[1]
GIVE_UP_S = 2.0
QUESTION = "A shop sells 12 boxes of 7 cups for $3 each. How many dollars does it take in?"


def _repeated(unit: str) -> Callable[[int], str]:
    return lambda length: (unit * (length // len(unit) + 1))[:length]


def _thousand_lines(length: int) -> str:
    """Return a thousand "Answer:" lines, the talk between them as long as it takes."""
    talk = "so it goes on and on " * (length // 21_000 + 1)
    return "".join(f"Answer: {i} boxes\n{talk}\n" for i in range(1_000))[:length]


def _numbers(length: int) -> str:
    return " ".join(str(7 * i % 9_973) for i in range(length // 5 + 1))[:length]


SHAPES: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {
        "no_answer": _repeated("We look at the boxes again, and at the cups in them. "),
        "answer_lines": _thousand_lines,
        "numbers": _numbers,
        "no_spaces": _repeated("a1+b2=c3-"),
        "digits": _repeated("7"),
        "dollars": _repeated("it costs $5 or $6 "),
        "dollars_bare": _repeated("$"),
        "boxes": _repeated("so \\boxed{252} and "),
        "boxes_open": _repeated("\\boxed{"),
        "equations": _repeated("12 * 7 = 84\n"),
        "sentences": _repeated("So the shop takes 252 dollars. "),
        "therefore": _repeated("therefore "),
        "spaces": _repeated(" "),
        "blank_lines": _repeated("\n"),
    }
)


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of one shape at each length; None where a shorter one took too long."""

    grade_ms: tuple[float | None, ...]
    cause_ms: tuple[float | None, ...]

    @property
    def growth(self) -> float:
        """How many times longer the longest takes than the middle one; 4 is linear."""
        longest, middle = self.grade_ms[-1], self.grade_ms[-2]
        return longest / max(middle, 1.0) if longest is not None and middle else float("inf")


def measure(shape: Callable[[int], str], lengths: Sequence[int]) -> Timed:
    """Grade a shape at every length, until one takes more than GIVE_UP_S."""
    problem = Problem("p", QUESTION, TextGold("252"), "integer", "benchmark")
    grades: list[float | None] = []
    causes: list[float | None] = []
    for length in lengths:
        if grades and (grades[-1] is None or grades[-1] > 1_000 * GIVE_UP_S):
            grades.append(None)
            causes.append(None)
            continue
        text = shape(length)
        grades.append(_least_ms(lambda text=text: grade(problem, text)))
        read = {"outcome": Outcome.WRONG, "extracted": "251"}
        verdict = dataclasses.replace(grade(problem, text), **read)
        causes.append(_least_ms(lambda text=text, v=verdict: with_cause(problem, text, v)))
    return Timed(tuple(grades), tuple(causes))


def _least_ms(work: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        work()
        least = min(least, 1_000 * (time.process_time() - began))
        if least > 1_000:
            break
    return least


def report(longest: int) -> None:
    """Print every shape's times up to a length, and the worst of them as figures."""
    lengths = tuple(length for length in LENGTHS if length <= longest) or LENGTHS[:1]
    head = " ".join(f"{length:>9,}" for length in lengths)
    growth = "   400k/100k" if lengths == LENGTHS else ""
    print(f"one response, ms to grade it (and its cause), by characters\n{'':14}{head}{growth}")
    found = {}
    for name, shape in SHAPES.items():
        timed = found[name] = measure(shape, lengths)
        times = " ".join(f"{'over' if ms is None else f'{ms:.1f}':>9}" for ms in timed.grade_ms)
        causes = " ".join("over" if ms is None else f"{ms:.0f}" for ms in timed.cause_ms)
        growth = f"   {timed.growth:9.1f}" if lengths == LENGTHS else ""
        print(f"{name:14}{times}{growth}   cause {causes}", flush=True)
    figures(found, lengths)


def figures(found: Mapping[str, Timed], lengths: Sequence[int]) -> None:
    """Print the times at 100,000 characters (or at the longest, where that is less), the worst."""
    place = min(1, len(lengths) - 1)
    size = f"{lengths[place] // 1_000}k"
    for name, timed in found.items():
        ms = timed.grade_ms[place]
        print(f"figure grade_ms_{name}_{size} {-1 if ms is None else ms:.2f}")
    worst = max(found, key=lambda name: found[name].grade_ms[place] or float("inf"))
    worst_ms = found[worst].grade_ms[place] or -1.0
    print(f"worst at {lengths[place]:,} characters: {worst}; the limit is {LIMIT_MS} ms at 100,000")
    print(f"figure grade_ms_worst_{size} {worst_ms:.2f}")
    if lengths == LENGTHS:
        print(f"figure grade_growth_worst {max(timed.growth for timed in found.values()):.2f}")
    causes_ms = [ms for timed in found.values() for ms in timed.cause_ms if ms is not None]
    print(f"figure cause_ms_worst {max(causes_ms):.2f}", flush=True)
