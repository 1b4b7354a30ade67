"""A person's turn: answers nobody could read, then what the two agents disagreed on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.grading import Rulings, review
from potstill.records import Opinion, Outcome, Problem, Reading, Response, Verdict
from potstill.report.cases import solver_order
from potstill.store.cells import Store
from potstill.text import several

if TYPE_CHECKING:
    from rich.console import Console


__all__ = ["disagreements", "review_study", "to_review", "unread_sample"]

SAMPLE = 20
"""So many unread answers of each solver are shown at a time."""

Row = tuple[Problem, str, Verdict]


def to_review(store: Store, rulings: Rulings) -> list[Row]:
    """Return what a person is shown, in order: a sample of unread answers, then the
    disagreements.
    """
    return [*unread_sample(store, rulings), *disagreements(store)]


def unread_sample(store: Store, rulings: Rulings, size: int = SAMPLE) -> list[Row]:
    """Return problem, response text and verdict of up to ``size`` unread answers of each solver.

    Those that no judge was asked about and no one ruled on: the base's first, then the students',
    the teacher's last. The sample of a solver goes by response id, which is a hash, so that it is
    of no one part of a set; the next one begins where the rulings on it end.
    """
    open_ = dict(_unread(store.rows_of("verdicts", "verdicts", Verdict)))
    if not open_:
        return []
    found = _answered(store, open_)
    waiting = [
        (response, problem)
        for response, problem in found
        if rulings.find(problem, response.text) is None
    ]
    waiting.sort(key=lambda pair: (*solver_order(pair[0].solver), pair[0].response_id))
    rows: list[Row] = []
    for _, own in groupby(waiting, key=lambda pair: pair[0].solver):
        taken = list(own)[:size]
        rows += [(problem, r.text, open_[r.response_id]) for r, problem in taken]
    return rows


def disagreements(store: Store) -> list[Row]:
    """Return problem, response text and verdict of every answer that needs a person, each once.

    That is where the symbolic check and the judge said opposite things, or neither could say.
    """
    found = store.rows_of("verdicts", "verdicts", Verdict)
    open_ = {v.response_id: v for v in found if _needs_a_person(v)}
    if not open_:
        return []
    known = {r.response_id: (problem, r.text) for r, problem in _answered(store, open_)}
    return [(*known[i], verdict) for i, verdict in open_.items() if i in known]


def review_study(directory: Path, console: Console) -> int:
    """Return how many rulings a person made; ``rulings.jsonl`` holds them, and the next run obeys
    them.
    """
    rulings = Rulings.load(directory / "rulings.jsonl")
    rows = to_review(Store(directory, create=False), rulings)
    unread = Counter(verdict.reading for _, _, verdict in rows)[Reading.UNREAD]
    if unread:
        console.print(
            f"First {several(unread, 'answer')} not read or not decided, the base's before the "
            "others': what they are decides how much of a difference is format.",
            highlight=False,
        )
    return review(rows, rulings, console=console)


def _unread(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, Verdict]]:
    """Yield the verdicts on answers that no verdict kept of them has read, by response.

    A study holds the verdicts of earlier settings too: what one of them has read is read.
    """
    last: dict[str, Verdict] = {}
    read = set()
    for verdict in verdicts:
        if verdict.reading is Reading.UNREAD and verdict.judge is Opinion.NOT_ASKED:
            last[verdict.response_id] = verdict
        else:
            read.add(verdict.response_id)
    return ((i, verdict) for i, verdict in last.items() if i not in read)


def _needs_a_person(verdict: Verdict) -> bool:
    asked = verdict.judge is not Opinion.NOT_ASKED
    return verdict.disagreed or (asked and verdict.outcome is Outcome.UNDECIDED)


def _answered(store: Store, wanted: dict[str, Verdict]) -> list[tuple[Response, Problem]]:
    """Return the responses that these verdicts are on, each once, with their problems."""
    responses = {
        r.response_id: r
        for r in store.rows_of("answers", "responses", Response)
        if r.response_id in wanted
    }
    ids = {verdict.problem_id for verdict in wanted.values()}
    problems = {p.id: p for p in store.rows_of("problems", "problems", Problem) if p.id in ids}
    return [(r, problems[r.problem_id]) for r in responses.values() if r.problem_id in problems]
