"""The table of pairs as rows: kind, problem text, key, answer, whether they are equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    line: int
    kind: str
    problem: str
    key: str
    answer: str
    equal: bool


def read_pairs() -> list[Pair]:
    """The pairs of ``pairs.txt`` in their order."""
    pairs: list[Pair] = []
    kind = problem = ""
    text = (Path(__file__).parent / "pairs.txt").read_text(encoding="utf-8")
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("@"):
            head, _, problem = line[1:].partition("::")
            kind, problem = head.strip(), problem.strip()
        elif line and not line.startswith("# "):
            sign = " == " if " == " in line else " != "
            key, _, answer = line.partition(sign)
            pairs.append(Pair(number, kind, problem, key, answer, sign == " == "))
    return pairs
