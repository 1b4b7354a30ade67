"""A person is shown what nobody could read first, the base's before the others', each once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from potstill.cli.review import SAMPLE, to_review, unread_sample
from potstill.grading import Ruling, Rulings, review
from potstill.grading.rulings import ruling_key
from potstill.records import (
    DecidedBy,
    Finish,
    Opinion,
    Outcome,
    Problem,
    Response,
    TextGold,
    Verdict,
)
from potstill.store.cells import Cell, Store

PROBLEMS = [Problem(f"p{i}", f"What is {i}?", TextGold(str(i)), "integer", "s") for i in range(30)]
SOLVERS = ("teacher", "R3-s0-abcd", "base", "R1-s0-abcd")


def said(solver: str, i: int) -> Response:
    text = f"{'So it goes on. ' * 60}It is {solver}'s {i}, I think."
    return Response(solver, f"p{i}", "c", 0, 0, "", text, Finish.STOP, 1, 1, "k")


def verdict_on(response: Response, outcome: Outcome, judge: Opinion = Opinion.NOT_ASKED) -> Verdict:
    symbolic = Opinion.EQUAL if outcome is Outcome.CORRECT else Opinion.UNDECIDED
    return Verdict(
        *(response.response_id, response.problem_id, outcome, "", "", DecidedBy.SYMBOLIC),
        symbolic=symbolic,
        judge=judge,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four solvers, of each 25 answers unread; of R1's five that the judge disputes."""
    made = Store(tmp_path / "study")
    made.write(Cell.of("problems", x=0), {"problems": (Problem, PROBLEMS)})
    for solver in SOLVERS:
        responses = [said(solver, i) for i in range(30)]
        verdicts = [verdict_on(r, Outcome.UNPARSED) for r in responses[:25]]
        disputed = Opinion.DIFFERENT if solver.startswith("R1") else Opinion.NOT_ASKED
        verdicts += [verdict_on(r, Outcome.CORRECT, disputed) for r in responses[25:]]
        made.write(Cell.of("answers", x=solver), {"responses": (Response, responses)})
        made.write(Cell.of("verdicts", x=solver), {"verdicts": (Verdict, verdicts)})
    return made


def none(tmp_path: Path) -> Rulings:
    return Rulings(tmp_path / "rulings.jsonl")


def solvers_of(rows: list[tuple[Problem, str, Verdict]]) -> list[str]:
    return [text.rpartition("It is ")[2].partition("'s")[0] for _, text, _ in rows]


def test_unread_answers_come_first_and_the_bases_before_all(store: Store, tmp_path: Path) -> None:
    rows = to_review(store, none(tmp_path))
    named = solvers_of(rows)
    assert (
        named
        == [x for x in ("base", "R1-s0-abcd", "R3-s0-abcd", "teacher") for _ in range(SAMPLE)]
        + ["R1-s0-abcd"] * 5
    )
    assert len({v.response_id for _, _, v in rows}) == len(rows)
    assert all(v.outcome is Outcome.CORRECT for _, _, v in rows[-5:])


def test_the_sample_is_the_same_at_every_look_and_of_no_one_part(
    store: Store, tmp_path: Path
) -> None:
    one, two = (unread_sample(store, none(tmp_path), 5) for _ in range(2))
    assert one == two
    ids = [problem.id for problem, _, _ in one[:5]]
    assert ids != [f"p{i}" for i in range(5)]


def test_the_next_sample_begins_where_the_rulings_end(store: Store, tmp_path: Path) -> None:
    rulings = none(tmp_path)
    first = unread_sample(store, rulings)[:SAMPLE]
    for problem, text, _ in first:
        rulings.append(Ruling(ruling_key(problem.text, problem.gold_text, text), True))
    rows = unread_sample(store, rulings)
    assert solvers_of(rows).count("base") == 25 - SAMPLE
    assert not {v.response_id for _, _, v in first} & {v.response_id for _, _, v in rows}


def test_what_a_verdict_of_other_settings_has_read_is_read(store: Store, tmp_path: Path) -> None:
    judged = [verdict_on(said("base", i), Outcome.WRONG) for i in range(20)]
    judged += [verdict_on(said("base", i), Outcome.UNDECIDED, Opinion.UNDECIDED) for i in (20, 21)]
    store.write(Cell.of("verdicts", x="with a judge"), {"verdicts": (Verdict, judged)})
    rows = to_review(store, none(tmp_path))
    assert solvers_of(rows)[:4].count("base") == 3  # 22, 23 and 24 of the base's 25
    # what the judge could not say either is among the disagreements, at the end
    assert solvers_of(rows)[-7:].count("base") == 2


def test_a_person_sees_how_an_unread_answer_ends(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    console = Console(file=io.StringIO(), width=1_000)
    rows = unread_sample(store, none(tmp_path), 1)
    assert review(rows, none(tmp_path), console=console) == 0
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "It is base's" in shown
    assert "… " in shown
