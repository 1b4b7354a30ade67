"""Whole responses beside a key: what a sentence states, denies, bounds, gives to another thing."""

from __future__ import annotations

import pytest

from potstill.grading import grade, infer_kind
from potstill.records import Outcome, Problem, TextGold
from support.pairs_table import Pair, read_said


@pytest.mark.parametrize("said", read_said(), ids=lambda said: said.place)
def test_what_is_said_is_read_as_a_reader_would(said: Pair) -> None:
    kind = said.kind or infer_kind(said.key, said.problem)
    problem = Problem("p", said.problem, TextGold(said.key), kind, "test")
    verdict = grade(problem, said.answer)
    assert (verdict.outcome is Outcome.CORRECT) == said.equal, (said, verdict)
    if said.open:
        assert verdict.outcome in (Outcome.UNPARSED, Outcome.UNDECIDED), (said, verdict)
