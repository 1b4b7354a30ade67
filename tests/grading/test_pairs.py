"""The tables of pairs: what is the same answer and what is not."""

from __future__ import annotations

from collections import Counter

import pytest

from potstill.grading import GradingPool, KeyUnreadable, equal
from potstill.records import AnswerKind, Opinion
from support.pairs_table import TABLES, Pair, read_pairs

PAIRS = read_pairs()
# `make quick` tries every seventh
SAMPLED = [
    pair if number % 7 == 0 else pytest.param(pair, marks=pytest.mark.slow)
    for number, pair in enumerate(PAIRS)
]
TRAPS = [
    ("3√5", "3√2"),
    ("{1,2}", "(1,2)"),
    ("CA", "AC"),
    ("5 inches", "5 feet"),
    ("69", "137 1/2"),
    ("0.2", "6:30"),
    ("52 base 7", "52 base 8"),
]


@pytest.mark.parametrize("pair", SAMPLED, ids=lambda p: p.place)
def test_pair(pair: Pair) -> None:
    try:
        found = equal(pair.key, pair.answer, pair.kind, pair.problem)
    except KeyUnreadable:
        assert not pair.equal, pair
        return
    assert (found.opinion is Opinion.EQUAL) == pair.equal, (pair, found)


def test_the_table_covers_what_it_must() -> None:
    assert len(PAIRS) >= 300
    assert sum(not pair.equal for pair in PAIRS) * 2 >= len(PAIRS)
    tried = Counter(pair.kind for pair in PAIRS)
    assert {kind.value for kind in AnswerKind} <= set(tried)


@pytest.mark.parametrize(("key", "answer"), TRAPS)
def test_traps_that_the_public_grader_falls_into(key: str, answer: str) -> None:
    for a, b in ((key, answer), (answer, key)):
        assert equal(a, b).opinion is not Opinion.EQUAL


def test_a_pair_in_a_worker_is_judged_as_in_this_process() -> None:
    sample = PAIRS[::9]
    with GradingPool(workers=2) as pool:
        for pair in sample:
            try:
                found = pool.equal(pair.key, pair.answer, pair.kind, pair.problem)
            except KeyUnreadable:
                assert not pair.equal
                continue
            assert (found.opinion is Opinion.EQUAL) == pair.equal, pair


def test_the_tables_are_where_they_say() -> None:
    assert all(table.is_file() for table in TABLES)
