"""The mixed student's examples where its levels have shares."""

from __future__ import annotations

from collections import Counter

import pytest

from potstill.lessons.mixture import examples_by_level, mixture_sentence, places_of, repeats


@pytest.mark.parametrize(
    ("shares", "lessons", "counts", "most"),
    [
        # a list: every lesson once
        ({"R0": 1, "R4": 1}, {"R0": 10, "R4": 10}, {"R0": 10, "R4": 10}, 1),
        ({"R0": 1, "R4": 4}, {"R0": 10, "R4": 10}, {"R0": 10, "R4": 40}, 4),
        # no float divides 0.6 by 0.2 to 3
        ({"R0": 0.2, "R4": 0.6}, {"R0": 10, "R4": 10}, {"R0": 10, "R4": 30}, 3),
        ({"R0": 2, "R4": 3}, {"R0": 10, "R4": 10}, {"R0": 10, "R4": 15}, 2),
        # R4 lacks lessons: 4 of each is all it gives, so that R0 gives 10 and not 30
        ({"R0": 1, "R4": 4}, {"R0": 30, "R4": 10}, {"R0": 10, "R4": 40}, 4),
        # R0 lacks lessons: it repeats them, at most 4 times, and R4 leaves out 20 of 100
        ({"R0": 1, "R4": 4}, {"R0": 5, "R4": 100}, {"R0": 20, "R4": 80}, 4),
        ({"R0": 1, "R4": 4}, {"R0": 0, "R4": 10}, {"R0": 0, "R4": 10}, 4),
        ({"R0": 1, "R4": 4}, {"R0": 0, "R4": 0}, {"R0": 0, "R4": 0}, 4),
    ],
)
def test_examples_stand_in_their_shares(
    shares: dict[str, float], lessons: dict[str, int], counts: dict[str, int], most: int
) -> None:
    assert examples_by_level(shares, lessons) == counts
    assert repeats(shares) == most
    assert all(counts[level] <= most * n for level, n in lessons.items())


def test_the_rest_is_drawn_by_seed_and_level_and_no_lesson_stands_twice_more() -> None:
    ids = [f"p{i}" for i in range(40)]
    drawn = places_of(ids, 60, 0, "R4")
    assert drawn == places_of(ids, 60, 0, "R4")
    assert sorted(Counter(Counter(drawn).values()).items()) == [(1, 20), (2, 20)]
    assert drawn[:40] == list(range(40))
    others = [places_of(ids, 60, 1, "R4"), places_of(ids, 60, 0, "R0")]
    assert all(sorted(x) != sorted(drawn) for x in others)
    assert places_of(ids, 40, 0, "R4") == list(range(40))
    assert places_of([], 0, 0, "R4") == []


def test_the_sentence_counts_examples_and_says_of_what_the_shares_are() -> None:
    assert mixture_sentence({"R1": 1, "R6": 4}, {"R1": 24, "R6": 24}) == (
        "The mixed student's training examples, in the shares 1 to 4 of examples, not of tokens: "
        "R1 24 from 24 lessons, R6 96 from 24 lessons."
    )
