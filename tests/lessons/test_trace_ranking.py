"""Which right traces of a problem become lessons, and in which order they are taken."""

from __future__ import annotations

import pytest

from potstill.lessons.traces import (
    LessonOptions,
    Likelihood,
    RankedTrace,
    RightTrace,
    copies_sentence,
    likeliest,
    rank_traces,
)

LONG = "so we add twelve and thirty and get forty two as the sum of both"
OTHER = "counting up from thirty in steps of three four times ends at 42"


def traces(*texts: str, disputed: tuple[int, ...] = ()) -> list[RightTrace]:
    return [RightTrace(10 + i, "p1", i, i in disputed, text) for i, text in enumerate(texts)]


def taken(ranked: list[RankedTrace]) -> list[int]:
    return [x.sample for x in sorted(ranked, key=lambda x: x.rank) if x.taken]


def test_all_takes_every_trace_in_the_order_drawn_up_to_most() -> None:
    three = traces("a b c", "a", "a b")
    assert taken(rank_traces(three, LessonOptions(take="all"))) == [0, 1, 2]
    assert taken(rank_traces(three, LessonOptions(take="all", most=2))) == [0, 1]


def test_shortest_counts_words_and_takes_one_unless_told_otherwise() -> None:
    four = traces("a b c d", "verylongsingleword", "a b", "c d")
    assert taken(rank_traces(four, LessonOptions(take="shortest"))) == [1]
    assert taken(rank_traces(four, LessonOptions(take="shortest", most=3))) == [1, 2, 3]


@pytest.mark.parametrize("take", ["all", "shortest", "distinct", "most_likely"])
def test_word_for_word_the_same_is_one_trace(take: str) -> None:
    options = LessonOptions.model_validate({"take": take, "most": 3})
    ranked = rank_traces(traces("a b", "a  b\n", "a b"), options)
    assert taken(ranked) == [0]
    assert [(x.rank, x.copy_of, x.similarity) for x in ranked[1:]] == [(0, 0, 1.0)] * 2
    assert copies_sentence(ranked).startswith("2 word for word of 3 right traces")


def test_distinct_drops_what_nearly_repeats_an_earlier_one_that_is_kept() -> None:
    near = LONG.replace("forty two", "42")
    ranked = rank_traces(traces(LONG, near, OTHER), LessonOptions(take="distinct"))
    assert taken(ranked) == [0, 2]
    # of 15 and of 14 words 13 are in common: 26 / 29
    assert ranked[1].copy_of == 0
    assert ranked[1].similarity == pytest.approx(26 / 29)
    assert taken(rank_traces(traces(LONG, near, OTHER), LessonOptions(take="all"))) == [0, 1, 2]


def test_most_likely_goes_by_the_mean_a_token_and_what_could_not_be_read_comes_last() -> None:
    likely = {
        ("p1", 0): Likelihood("p1", 0, 0, 0.0),
        ("p1", 1): Likelihood("p1", 1, 9, -2.5),
        ("p1", 2): Likelihood("p1", 2, 900, -0.5),
    }
    options = LessonOptions(take="most_likely")
    ranked = rank_traces(traces("a", "b", "c"), options, likely)
    assert taken(ranked) == [2, 1, 0]
    assert (ranked[2].tokens, ranked[2].mean_logprob) == (900, -0.5)
    best, worst = likeliest(ranked, 5)
    assert ([x.sample for x in best], [x.sample for x in worst]) == ([2], [1])


def test_the_first_is_told_whatever_is_taken() -> None:
    ranked = rank_traces(traces("a b", "a b c", "a", disputed=(0,)), LessonOptions(take="shortest"))
    assert [x.first for x in ranked] == [False, True, False]
    assert [x.place for x in ranked] == [10, 11, 12]


@pytest.mark.parametrize(
    ("options", "samples", "said"),
    [
        ({"take": "all"}, 1, "needs teacher.samples of 2 or more"),
        ({"take": "shortest"}, 1, "needs teacher.samples of 2 or more"),
        ({"take": "all", "most": 5}, 4, r"most \(5\) is more than teacher.samples \(4\)"),
        ({"most": 1}, 4, "decides nothing with take: first"),
    ],
)
def test_what_does_not_go_together_is_said(
    options: dict[str, object], samples: int, said: str
) -> None:
    import re

    assert re.search(said, LessonOptions.model_validate(options).fault(samples))


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 1),
        ({"take": "all"}, 4),
        ({"take": "shortest"}, 1),
        ({"take": "distinct", "most": 3}, 3),
    ],
)
def test_a_problem_has_at_most_so_many_traces(options: dict[str, object], most: int) -> None:
    found = LessonOptions.model_validate(options)
    assert found.fault(4) == ""
    assert found.most_of(4) == most
