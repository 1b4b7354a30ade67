"""The tables of pairs as rows: kind, problem text, key, answer, whether they are equal."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

GRADING = Path(__file__).resolve().parents[1] / "grading"
TABLES = (GRADING / "pairs.txt", GRADING / "pairs_reported.txt")
SAID = tuple(
    GRADING / name
    for name in ("said.txt", "said_reported.txt", "said_replies.txt", "said_models.txt")
)
_SIGN = re.compile(r" (==|!=|\?=) ")


@dataclass(frozen=True, slots=True)
class Pair:
    place: str
    kind: str
    problem: str
    key: str
    answer: str
    equal: bool
    open: bool = False


def read_pairs() -> list[Pair]:
    """Read the pairs of every table in their order."""
    return [pair for table in TABLES for pair in _pairs_of(table)]


def read_said() -> list[Pair]:
    """Read the whole responses that are set beside a key, line breaks as they are."""
    return [
        replace(p, problem=p.problem.replace("\\n", "\n"), answer=p.answer.replace("\\n", "\n"))
        for table in SAID
        for p in _pairs_of(table)
    ]


def _pairs_of(table: Path) -> list[Pair]:
    pairs: list[Pair] = []
    kind = problem = ""
    text = table.read_text(encoding="utf-8")
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("@"):
            head, _, problem = line[1:].partition("::")
            kind, problem = head.strip(), problem.strip()
        elif line and not line.startswith("# "):
            key, sign, answer = _SIGN.split(line, maxsplit=1)
            place = f"{table.name}:{number}"
            pairs.append(Pair(place, kind, problem, key, answer, sign == "==", sign == "?="))
    return pairs
