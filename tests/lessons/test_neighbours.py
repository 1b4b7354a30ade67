"""Very many problems: what comparing all with all finds is found, and crowds do not explode."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.problems.overlap.find import find_pairs
from potstill.problems.overlap.minhash import GRAM, SKETCH_VALUES, TextColumns, sketches
from potstill.problems.overlap.neighbours import CROWD, Sketchers, find_among_many
from potstill.problems.overlap.pairs import Pair, numbers_of, split_numbers
from potstill.problems.raw import normalise
from potstill.problems.split import SplitOptions, split
from potstill.records import Problem
from support.scripted_lessons import problem

_RNG = random.Random(3)
WORDS = ["".join(_RNG.choices("abcdefghijklmnop", k=_RNG.randint(2, 9))) for _ in range(1500)]
STORY = "{} buys {} pens and {} books at the old shop by the river and pays with a large note."


class Once(Sequence[Problem]):
    """Problems that can be gone through a single time and never indexed."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._gone = False

    def __len__(self) -> int:
        return len(self._problems)

    def __iter__(self) -> Iterator[Problem]:
        assert not self._gone
        self._gone = True
        return iter(self._problems)

    def __getitem__(self, k: object) -> Problem:  # type: ignore[override]
        raise AssertionError(f"indexed at {k}")


def named(texts: Sequence[str], name: str = "p") -> list[Problem]:
    return [problem(f"{name}{i:05d}", text) for i, text in enumerate(texts)]


def prose(rng: random.Random, numbers: int) -> list[str]:
    words = rng.choices(WORDS, k=rng.randint(30, 50))
    for _ in range(numbers):
        words[rng.randrange(len(words))] = str(rng.randint(0, 99))
    return words


def edited(rng: random.Random, words: list[str]) -> list[str]:
    """A word replaced, or one to eight letters; the numbers stay."""
    words = list(words)
    places = [k for k, word in enumerate(words) if word.isalpha()]
    if rng.random() < 0.4:
        words[rng.choice(places)] = rng.choice(WORDS)
        return words
    for _ in range(rng.randint(1, 8)):
        k = rng.choice(places)
        letter = rng.randrange(len(words[k]))
        words[k] = words[k][:letter] + rng.choice("qrstuvwxyz") + words[k][letter + 1 :]
    return words


def mixture(seed: int, count: int) -> list[str]:
    """Prose, templates, near-duplicates and copies, without order."""
    rng = random.Random(seed)
    made = [prose(rng, rng.randint(0, 2)) for _ in range(count)]
    made += [edited(rng, rng.choice(made)) for _ in range(count // 3)]
    names = ("anna", "tom", "a clerk")
    texts = [" ".join(words) for words in made]
    texts += [
        STORY.format(rng.choice(names), rng.randint(2, 9), rng.randint(2, 30))
        for _ in range(count // 5)
    ]
    texts += [rng.choice(texts).upper() + "?" for _ in range(count // 20)]
    rng.shuffle(texts)
    return texts


def by_kind(pairs: list[Pair], how: str) -> dict[tuple[str, str], float]:
    return {(p.a_id, p.b_id): p.score for p in pairs if p.how == how}


@pytest.mark.slow
@pytest.mark.parametrize("sides", [1, 2])
def test_recall_against_comparing_all_with_all_and_no_false_pair(sides: int) -> None:
    a = named(mixture(1, 1500))
    b = None
    if sides == 2:
        a, b = a[::2], a[1::2]
    wanted = find_pairs(a, b)
    found = find_among_many(Once(a), Once(b) if b is not None else None, 0.9)
    assert by_kind(found, "exact") == by_kind(wanted, "exact") != {}
    near, all_near = by_kind(found, "near"), by_kind(wanted, "near")
    assert near.items() <= all_near.items()
    assert len(near) >= 0.99 * len(all_near) > 300 / sides
    # of those with other numbers a partner each, of at least the threshold, seldom another
    masked, all_masked = by_kind(found, "masked numbers"), by_kind(wanted, "masked numbers")
    assert {b_id for _, b_id in masked} <= {b_id for _, b_id in all_masked}
    assert len(masked) >= 0.97 * len(all_masked) > 100 / sides
    of_b = {b_id: score for (_, b_id), score in all_masked.items()}
    as_good = sum(score == of_b[b_id] for (_, b_id), score in masked.items())
    assert as_good >= 0.97 * len(masked)
    texts = {p.id: normalise(p.text) for p in [*a, *(b or [])]}
    for (a_id, b_id), score in masked.items():
        assert score >= 0.9
        assert numbers_of(texts[a_id]) != numbers_of(texts[b_id])
    order = ("exact", "near", "masked numbers")
    assert found == sorted(found, key=lambda p: (order.index(p.how), -p.score, p.a_id, p.b_id))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text("ab 12\u00e9\ud800", max_size=12), max_size=14), st.sampled_from([0.6, 0.9])
)
def test_any_texts_give_true_pairs_and_every_equal_one(texts: list[str], threshold: float) -> None:
    problems = named(texts)
    wanted = find_pairs(problems, threshold=threshold)
    found = find_among_many(problems, None, threshold)
    assert by_kind(found, "exact") == by_kind(wanted, "exact")
    assert by_kind(found, "near").items() <= by_kind(wanted, "near").items()
    assert all(score >= threshold for score in by_kind(found, "masked numbers").values())
    half = len(problems) // 2
    wanted = find_pairs(problems[:half], problems[half:], threshold=threshold)
    found = find_among_many(problems[:half], problems[half:], threshold)
    assert by_kind(found, "exact") == by_kind(wanted, "exact")
    assert by_kind(found, "near").items() <= by_kind(wanted, "near").items()


def test_a_crowd_of_copies_hangs_on_its_first() -> None:
    copies = named(["What is the sum of 2 and 3?"] * 5000)
    pairs = find_among_many(copies, None, 0.9)
    assert [(p.a_id, p.b_id, p.how) for p in pairs] == [
        ("p00000", p.id, "exact") for p in copies[1:]
    ]
    across = find_among_many(copies, named(["what is the sum of 2 and 3"] * 5000, "q"), 0.9)
    assert len(across) == 9999
    assert {p.a_id for p in across} | {p.b_id for p in across} == {
        f"{side}{k:05d}" for side in "pq" for k in range(5000)
    }


def test_few_copies_are_paired_with_each_other_and_with_what_is_near() -> None:
    near = "What is the sum of the two numbers 12 and 13, as a whole number?"
    problems = named([near] * 3 + [near.replace("the sum", "a sum")] * 2 + ["Nothing alike."])
    pairs = find_among_many(problems, None, 0.9)
    assert Counter(p.how for p in pairs) == {"exact": 4, "near": 6}


def test_a_template_gives_each_problem_one_partner() -> None:
    problems = named([STORY.format("anna", k % 90 + 2, k // 90 + 2) for k in range(5000)])
    pairs = find_among_many(problems, None, 0.9)
    assert {p.how for p in pairs} == {"masked numbers"}
    assert sorted(p.b_id for p in pairs) == [p.id for p in problems[1:]]
    assert all(p.score == 1 and p.a_id < p.b_id for p in pairs)


def test_a_crowd_of_near_duplicates_stays_whole_without_every_pair() -> None:
    rng = random.Random(4)
    body = " ".join(rng.choices(WORDS, k=60))
    crowd = named([f"{' '.join(rng.sample(WORDS, 2))} {body} 5" for _ in range(600)])
    others = named([" ".join(prose(rng, 1)) for _ in range(600)], "q")
    pairs = find_among_many([*crowd, *others], None, 0.9)
    assert {p.how for p in pairs} == {"near"}
    assert 599 <= len(pairs) <= 600 * CROWD
    assert len(pairs) < 600 * 599 / 4
    sides = split([*crowd, *others], SplitOptions(heldout_share=0.3), pairs)
    assert len({sides[p.id] for p in crowd}) == 1


def test_agreement_of_sketches_is_the_share_of_common_grams() -> None:
    rng = random.Random(5)
    off = []
    for _ in range(200):
        words = rng.choices(WORDS, k=40)
        other = words[: rng.randrange(40)] + rng.choices(WORDS, k=10)
        texts = [" ".join(words), " ".join(other)]
        one, two = ({f"{t}\0\0\0\0"[k : k + GRAM] for k in range(len(t))} for t in texts)
        share = len(one & two) / len(one | two)
        a, b = sketches(texts)
        off.append((a == b).sum() / SKETCH_VALUES - share - (1 - share) / 256)
    assert abs(sum(off)) / len(off) < 0.01
    assert (sum(x * x for x in off) / len(off)) ** 0.5 < 0.07  # 1 / (2 * 8) at most


def test_texts_are_sketched_alike_alone_and_among_others() -> None:
    texts = ["", "a", "\0\0", "abcd", "abcdefghij", "é日本", "\ud800x"]
    assert [sketches([text])[0].tolist() for text in texts] == sketches(texts).tolist()


def test_a_problem_takes_some_hundred_bytes() -> None:
    problems = named([" ".join(prose(random.Random(k), 1)) for k in range(3000)])
    length = sum(len(p.text) for p in problems) / len(problems)
    tracemalloc.start()
    columns = TextColumns(Once(problems), (), Sketchers())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(columns) < 1.2 * length + 200
    assert columns.masked(7) == split_numbers(normalise(problems[7].text))[0]
