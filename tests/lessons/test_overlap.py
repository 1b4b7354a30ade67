"""Near-duplicates: found where they are, and not called so where only a template is shared."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import InputError
from potstill.problems import SourceConfig, guess_source, load_problems
from potstill.problems.overlap import find as overlap
from potstill.problems.overlap.find import find_pairs
from potstill.problems.overlap.pairs import Pair, numbers_of, split_numbers
from potstill.records import Problem
from support.scripted_lessons import problem

LONG = "A trapezoid has sides with respective lengths {}. Find the length of an altitude of it."


def texts(*found: str) -> list[Problem]:
    return [problem(f"p{i}", text) for i, text in enumerate(found)]


def kinds(pairs: list[Pair]) -> list[tuple[str, str, str]]:
    return [(p.a_id, p.b_id, p.how) for p in pairs]


def test_three_kinds_are_told_apart() -> None:
    found = texts(
        LONG.format("2, 41, 20, and 41"),
        LONG.format("2, 41, 20, and 41").upper(),
        LONG.format(": 2, 41, 20, 41"),
        LONG.format("3, 15, 27, and 15"),
        "How many primes lie below one hundred?",
    )
    pairs = find_pairs(found)
    assert kinds(pairs) == [
        ("p0", "p1", "exact"),
        ("p0", "p2", "near"),
        ("p1", "p2", "near"),
        ("p0", "p3", "masked numbers"),
    ]
    assert [p.leaks for p in pairs] == [True, True, True, False]
    assert pairs[0].score == 1.0
    assert 0.9 <= pairs[1].score < 1


def test_numbers_in_words_and_with_commas_are_numbers() -> None:
    assert numbers_of("two of 1,000 and 3.5 or .5") == ("2", "1000", "3.5", ".5")
    assert split_numbers("two of 1,000")[0] == "0 of 0"
    dice = "Roll {} fair dice and add the faces that are shown. What is the likeliest sum?"
    (pair,) = find_pairs(texts(dice.format("two"), dice.format("three")))
    assert pair.how == "masked numbers"


def test_other_order_of_numbers_is_another_problem() -> None:
    text = "Anna buys {} pens for {} dollars each at the shop. How many dollars does Anna pay?"
    (pair,) = find_pairs(texts(text.format(3, 4), text.format(4, 3)))
    assert pair.how == "masked numbers"


def test_two_files_are_compared_with_each_other_alone() -> None:
    a = [problem("a1", LONG.format("1, 2")), problem("a2", LONG.format("1, 2"))]
    b = [problem("b1", LONG.format("1, 2")), problem("b2", "Nothing of the kind here.")]
    assert kinds(find_pairs(a, b)) == [("a1", "b1", "exact"), ("a2", "b1", "exact")]
    assert find_pairs(a, []) == []
    assert find_pairs([]) == []


def test_threshold_outside_its_range_is_refused() -> None:
    for threshold in (0.5, 1.01, 90):
        with pytest.raises(InputError, match="overlap threshold"):
            find_pairs([], threshold=threshold)


@settings(deadline=None)  # the first example imports numpy
@given(st.lists(st.text("abcdefgh 12", min_size=5, max_size=60), max_size=12))
def test_equal_texts_are_always_found_and_every_pair_is_over_the_threshold(
    found: list[str],
) -> None:
    pairs = find_pairs(texts(*found), threshold=0.8)
    assert all(0.8 <= p.score <= 1 and p.a_id != p.b_id for p in pairs)
    exact = {(p.a_id, p.b_id) for p in pairs if p.how == "exact"}
    for i, one in enumerate(found):
        for j in range(i + 1, len(found)):
            same = overlap.normalise(one) == overlap.normalise(found[j])
            assert ((f"p{i}", f"p{j}") in exact) == same


def _prose(rng: random.Random, words: list[str]) -> str:
    return " ".join(rng.choice(words) for _ in range(40)) + f" {rng.randint(0, 999)}"


def _planted(count: int) -> tuple[list[Problem], set[tuple[str, str]]]:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(4000)]
    problems = [problem(f"p{i:06d}", _prose(rng, words)) for i in range(count)]
    planted = set()
    for k in range(50):
        words_of = problems[k].text.split()
        words_of[rng.randrange(20)] += "s"
        problems.append(problem(f"q{k:06d}", " ".join(words_of)))
        planted.add((f"p{k:06d}", f"q{k:06d}"))
    return problems, planted


@pytest.mark.parametrize("way", ["all", "neighbours"])
def test_every_way_of_looking_finds_what_was_planted(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way != "all":
        monkeypatch.setattr(overlap, "_DENSE_PAIRS", 0)
    problems, planted = _planted(1000)
    pairs = find_pairs(problems)
    assert {(p.a_id, p.b_id) for p in pairs} == planted
    assert {p.how for p in pairs} == {"near"}
    again = find_pairs(problems[:1000], problems[1000:])
    assert {(p.a_id, p.b_id) for p in again} == planted


def test_very_many_copies_are_not_all_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = texts(*["What is the sum of 2 and 3?"] * 100)
    assert len(find_pairs(copies)) == 100 * 99 / 2
    monkeypatch.setattr(overlap, "_ALIKE_PAIRS", 1000)
    names = sorted(p.id for p in copies[1:])
    assert kinds(find_pairs(copies)) == [("p0", name, "exact") for name in names]


def test_pocket_splits_share_templates_and_no_problem() -> None:
    source = SourceConfig("pocket", {"train": 300, "valid": 60, "heldout": 330})
    problems = load_problems([source], infer=lambda key, text: "").problems
    pairs = find_pairs(problems)
    assert pairs
    split = {p.id: p.groups["split"] for p in problems}
    assert not [p for p in pairs if p.leaks and split[p.a_id] != split[p.b_id]]


def test_real_competition_has_ten_near_duplicates_and_none_with_math500(data: Path) -> None:
    sources = [guess_source(data / "competition"), guess_source(data / "math500.csv")]
    problems = load_problems(sources, infer=lambda key, text: "").problems
    leaks = [p for p in find_pairs(problems) if p.leaks]
    assert len(leaks) == 10
    ids = {id for p in leaks for id in (p.a_id, p.b_id)}
    assert not any(id.startswith("test/") for id in ids)
    pair = ("2011/junior_senior_test/question_14", "2020/junior_senior_test/question_14")
    assert pair in {(p.a_id, p.b_id) for p in leaks}
