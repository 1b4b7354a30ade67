"""A person's turn: what the two agents of the panel disagreed on, from a study's own artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from potstill.records import Opinion, Outcome, Problem, Response, Verdict
from potstill.store import Store

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["disagreements", "review_study"]


def disagreements(store: Store) -> list[tuple[Problem, str, Verdict]]:
    """Problem, response text and verdict of every answer that needs a person, each once.

    That is where the symbolic check and the judge said opposite things, or neither could say.
    """
    found = store.rows_of("verdicts", "verdicts", Verdict)
    open_ = {v.response_id: v for v in found if _needs_a_person(v)}
    if not open_:
        return []
    responses = store.rows_of("answers", "responses", Response)
    texts = {r.response_id: r.text for r in responses if r.response_id in open_}
    wanted = {verdict.problem_id for verdict in open_.values()}
    asked = store.rows_of("problems", "problems", Problem)
    problems = {p.id: p for p in asked if p.id in wanted}
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
