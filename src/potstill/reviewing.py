"""A person's turn: what the two agents of the panel disagreed on, from a study's own artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from potstill.records import Opinion, Outcome, Problem, Response, Verdict
from potstill.store import Cell, Store

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["disagreements", "review_study"]


def disagreements(store: Store) -> list[tuple[Problem, str, Verdict]]:
    """Problem, response text and verdict of every answer that needs a person, each once.

    That is where the symbolic check and the judge said opposite things, or neither could say.
    """
    cells = [Cell(m.stage, m.key) for m in store.cells()]
    problems = {
        p.id: p for c in cells if c.stage == "problems" for p in store.read(c, "problems", Problem)
    }
    responses = {
        r.response_id: r
        for c in cells
        if c.stage == "answers"
        for r in store.read(c, "responses", Response)
    }
    found: dict[str, tuple[Problem, str, Verdict]] = {}
    for cell in cells:
        if cell.stage != "verdicts":
            continue
        for verdict in store.read(cell, "verdicts", Verdict):
            open_ = verdict.outcome is Outcome.UNDECIDED and verdict.judge is not Opinion.NOT_ASKED
            known = verdict.response_id in responses and verdict.problem_id in problems
            if known and (verdict.disagreed or open_):
                text = responses[verdict.response_id].text
                found[verdict.response_id] = (problems[verdict.problem_id], text, verdict)
    return list(found.values())


def review_study(directory: Path, console: Console) -> int:
    """How many rulings a person made; ``rulings.jsonl`` holds them, and the next run obeys them."""
    from potstill.grading import Rulings, review

    rows = disagreements(Store(directory, create=False))
    return review(rows, Rulings.load(directory / "rulings.jsonl"), console=console)
