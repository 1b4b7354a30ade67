"""Wrong refusals and wrong acceptances on real answers that were each ruled on by reading.

A row is a problem, its key, a whole response and a ruling: CORRECT, INCORRECT, or NONE where the
text commits to no answer. Refused wrongly is a CORRECT one that is not accepted; accepted wrongly
is any other that is. Rows with a doubtful key or a borderline ruling are counted apart. Every
response counts as whole (``Finish.STOP``): what is asked is what a grader makes of the text.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graders.rivals import find_rivals, run
from potstill.grading import GradingPool, infer_kind
from potstill.records import Finish, Outcome, Problem, Response, TextGold


@dataclass(frozen=True, slots=True)
class Row:
    """One real answer and what a reader ruled."""

    problem: str
    key: str
    response: str
    ruling: str
    note: str

    @property
    def apart(self) -> bool:
        """Whether the key or the ruling is in doubt."""
        return self.note.startswith("gold?") or "borderline" in self.note


@dataclass(frozen=True, slots=True)
class Errors:
    """Wrong refusals and wrong acceptances, of how many rows of each."""

    refused: int
    right: int
    accepted: int
    wrong: int


def read_rows(data: Path) -> list[Row]:
    """Return the open answers in a seeded order, so that a first part is a fair sample."""
    rows = []
    for path in sorted((data / "answers").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").strip().split("\n"):
            row = json.loads(line)
            rows.append(Row(*(row[x] for x in ("problem", "key", "response", "ruling", "note"))))
    random.Random(0).shuffle(rows)
    return rows


def pairs_of(rows: Sequence[Row], start: int = 0) -> list[tuple[Problem, Response]]:
    """Return the rows as what a pool grades."""
    pairs = []
    for number, row in enumerate(rows, start):
        name = str(number)
        kind = infer_kind(row.key, row.problem)
        problem = Problem(name, row.problem, TextGold(row.key), kind, "benchmark")
        answer = Response("open", name, "c", 0, 0, "", row.response, Finish.STOP, 0, 0, "")
        pairs.append((problem, answer))
    return pairs


def accepted_by_us(rows: Sequence[Row], workers: int) -> list[bool]:
    """Return which answers the symbolic grader accepts."""
    with GradingPool(workers) as pool:
        verdicts = list(pool.grade(pairs_of(rows)))
    return [verdict.outcome is Outcome.CORRECT for verdict in verdicts]


def errors(rows: Sequence[Row], accepted: Sequence[bool], apart: bool) -> Errors:
    """Return the errors over the first rows, as many as were asked: the clear ones or the rest."""
    asked = [(r, a) for r, a in zip(rows, accepted, strict=False) if r.apart is apart]
    right = [a for r, a in asked if r.ruling == "CORRECT"]
    wrong = [a for r, a in asked if r.ruling != "CORRECT"]
    return Errors(right.count(False), len(right), sum(wrong), len(wrong))


def report(rows: Sequence[Row], workers: int, lighteval: str, limit_s: float) -> None:
    """Print a line for every grader: its errors on the clear rows, those on the rest, its time."""
    print(f"\nreal answers ruled on by reading: {len(rows)}, {sum(r.apart for r in rows)} apart")
    print(f"{'':30}{'refused wrongly':>18}{'accepted wrongly':>18}{'apart':>12}{'seconds':>9}")
    _line("potstill", rows, accepted_by_us(rows, workers), "")
    pairs = [(row.key, row.response) for row in rows]
    for rival in find_rivals(lighteval):
        if rival.accepts is None:
            print(f"{rival.name:30}absent: {rival.absent}")
            continue
        said = run(rival, pairs, limit_s)
        _line(rival.name, rows, said.accepted, f"{said.seconds:.1f}")


def _line(name: str, rows: Sequence[Row], accepted: Sequence[bool], seconds: str) -> None:
    clear, rest = errors(rows, accepted, False), errors(rows, accepted, True)
    refused, taken = f"{clear.refused} of {clear.right}", f"{clear.accepted} of {clear.wrong}"
    apart = f"{rest.refused} / {rest.accepted}"
    part = "" if len(accepted) == len(rows) else f"  (the first {len(accepted)}: out of time)"
    print(f"{name:30}{refused:>18}{taken:>18}{apart:>12}{seconds:>9}{part}")
    short = "".join(c if c.isalnum() else "_" for c in name.casefold()).strip("_")
    print(f"figure open_refused_{short} {clear.refused}")
    print(f"figure open_accepted_{short} {clear.accepted}", flush=True)
