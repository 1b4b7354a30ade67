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
    open_: dict[str, Verdict] = {}
    for cell in cells:
        if cell.stage == "verdicts":
            found = store.rows(cell, "verdicts", Verdict)
            open_ |= {v.response_id: v for v in found if _needs_a_person(v)}
    texts: dict[str, str] = {}
    for cell in cells:
        if cell.stage == "answers" and open_:
            for response in store.rows(cell, "responses", Response):
                if response.response_id in open_:
                    texts[response.response_id] = response.text
    wanted = {verdict.problem_id for verdict in open_.values()}
    problems: dict[str, Problem] = {}
    for cell in cells:
        if cell.stage == "problems" and wanted:
            rows = store.rows(cell, "problems", Problem)
            problems |= {p.id: p for p in rows if p.id in wanted}
    return [
        (problems[verdict.problem_id], texts[response_id], verdict)
        for response_id, verdict in open_.items()
        if response_id in texts and verdict.problem_id in problems
    ]


def _needs_a_person(verdict: Verdict) -> bool:
    asked = verdict.judge is not Opinion.NOT_ASKED
    return verdict.disagreed or (asked and verdict.outcome is Outcome.UNDECIDED)


def review_study(directory: Path, console: Console) -> int:
    """How many rulings a person made; ``rulings.jsonl`` holds them, and the next run obeys them."""
    from potstill.grading import Rulings, review

    rows = disagreements(Store(directory, create=False))
    return review(rows, Rulings.load(directory / "rulings.jsonl"), console=console)
