"""The generator: the same everywhere, split cleanly, right by a second way of solving."""

from __future__ import annotations

import hashlib
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import islice

import pytest

from potstill.errors import InputError
from potstill.pocket import (
    LEVELS,
    SPLITS,
    PocketProblem,
    generate,
    masked_key,
    normalise_text,
    render,
)
from potstill.pocket.problems import stream

DIGEST = "4e2405cdb65845d2ee0db73d636d10d6cb25c7da3151a40187de04a679de4866"
_DIGEST_PROGRAM = """
import hashlib
from potstill.pocket import LEVELS, generate, render
h = hashlib.sha256()
for p in generate("heldout", 60) + generate("train", 60, seed=3):
    h.update("|".join([p.text, p.answer, p.key, *(render(p, l) for l in LEVELS)]).encode())
print(h.hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "77"])
def test_same_problems_in_every_process(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", _DIGEST_PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == DIGEST


def test_smaller_count_is_a_prefix(heldout: list[PocketProblem]) -> None:
    assert generate("heldout", 330) == heldout[:330]
    assert generate("heldout", 330, seed=1) != heldout[:330]


@pytest.mark.parametrize(("split", "count"), [("heldout", 700), ("train", 500), ("valid", 120)])
def test_problems_are_distinct_and_in_their_split(split: str, count: int) -> None:
    problems = generate(split, count)
    assert len({p.key for p in problems}) == count
    assert len({masked_key(p) for p in problems}) == count
    assert {p.split for p in problems} == {split}


def test_every_family_and_enough_one_step_problems(heldout: list[PocketProblem]) -> None:
    families = Counter(p.family for p in heldout)
    assert len(families) == 11
    assert min(families.values()) >= 30
    one_step = sum(len(p.steps) == 1 for p in heldout) / len(heldout)
    assert 0.2 < one_step < 0.35


def test_no_text_and_no_numbers_cross_splits() -> None:
    texts: dict[str, str] = {}
    numbers: dict[str, str] = {}
    for split in SPLITS:
        for problem in islice((p for p in stream(split, 9) if p is not None), 2500):
            assert texts.setdefault(normalise_text(problem.text), split) == split
            masked = masked_key(problem).rsplit("|", 1)[0]
            assert numbers.setdefault(masked, split) == split


def test_split_ignores_names_and_wording() -> None:
    seen: dict[tuple[str, ...], set[str]] = {}
    for split in SPLITS:
        for problem in islice((p for p in stream(split, 2) if p is not None), 1500):
            key = tuple(sorted(re.findall(r"\d+", problem.text), key=int))
            seen.setdefault(key, set()).add(problem.split)
    assert all(len(splits) == 1 for splits in seen.values())


def test_shares_of_splits() -> None:
    draws = list(islice(stream("heldout", 5), 6000))
    share = sum(p is not None for p in draws) / len(draws)
    assert 0.06 < share < 0.14


def test_key_is_the_hash_of_the_normalised_text(heldout: list[PocketProblem]) -> None:
    for problem in heldout[:50]:
        normal = normalise_text(f"  {problem.text.upper()}\n")
        assert problem.key == hashlib.sha256(normal.encode()).hexdigest()[:16]


def test_normalisation_keeps_signs() -> None:
    assert normalise_text("Find  N: n + 5 = 9!") == "find n n + 5 = 9"
    assert normalise_text("n + 5") != normalise_text("n - 5")


@pytest.mark.parametrize(
    ("split", "count", "message"),
    [
        ("test", 3, "no split 'test'"),
        ("train", -1, "cannot generate -1"),
        ("valid", 200_000, "ask for fewer"),
    ],
)
def test_bad_requests_are_told(
    split: str, count: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.pocket.problems._TRIES_PER_PROBLEM", 0)
    with pytest.raises(InputError, match=message):
        generate(split, count)


def _listed_mean(*numbers: int) -> Fraction:
    return Fraction(sum(numbers[1:]), numbers[0])


# Each pattern reads a wording; the function solves it in another way than the generator's steps.
_SOLVERS: list[tuple[str, Callable[..., Fraction | int]]] = [
    (r"(\d+) \w+ (?:for|at) (\d+) .*and (\d+) \w+ (?:for|at) (\d+) .* had (\d+)",
     lambda a, b, c, d, e: e - a * b - c * d),
    (r"(\d+) \w+ (?:for|at) (\d+) .*and (\d+) \w+ (?:for|at) (\d+) .*total",
     lambda a, b, c, d: a * b + c * d),
    (r"orders (\d+) \w+ for (\d+) .* costs (\d+) .* off (\d+)", lambda a, b, c, d: a * b + c - d),
    (r"buys (\d+) \w+ for (\d+) dollars each\. How", lambda a, b: a * b),
    (r"costs (\d+) dollars\. What do (\d+)", lambda p, n: p * n),
    (r" (\d+)[kmnty] = (\d+)[.,]", lambda a, c: Fraction(c, a)),
    (r" [kmnty] \+ (\d+) = (\d+)[.,]", lambda b, c: c - b),
    (r" [kmnty] - (\d+) = (\d+)[.,]", lambda b, c: c + b),
    (r"scores (\d+) points in (\d+)", lambda s, n: Fraction(s, n)),
    (r"(?<!then) (\d+) km per hour for (\d+) hours\.", lambda p, t: p * t),
    (r" (\d+) km in (\d+) hours\.", lambda s, t: Fraction(s, t)),
    (r"has the term (\d+) and the difference (\d+)", lambda a, d: a + d),
    (r"has the term (\d+) followed by (\d+)", lambda a, b: b - a),
    (r" (\d+)[kmnty] \+ (\d+) = (\d+)[.,]", lambda a, b, c: Fraction(c - b, a)),
    (r" (\d+)\([kmnty] \+ (\d+)\) \+ (\d+) = (\d+)[.,]",
     lambda a, e, b, c: Fraction(c - b - a * e, a)),
    (r" (\d+)[kmnty] \+ (\d+) = (\d+)[kmnty] \+ (\d+)",
     lambda a, b, c, d: Fraction(d - b, a - c)),
    (r"If (\d+)[kmnty] - (\d+) = (\d+), what is [kmnty] \+ (\d+)",
     lambda a, b, c, e: Fraction(c + b, a) + e),
    (r"remainder (?:when|of) (\d+) (?:is|after)\D+(\d+)", lambda a, m: a % m),
    (r"remainder (?:when|of) (\d+) x (\d+) (?:is|after)\D+(\d+)", lambda a, b, m: a * b % m),
    (r"remainder (?:when|of) (\d+) x (\d+) \+ (\d+) \D+(\d+)",
     lambda a, b, c, m: (a * b + c) % m),
    (r"remainder (?:when|of) (\d+) \+ (\d+) \+ (\d+) \D+(\d+)",
     lambda a, b, c, m: (a + b + c) % m),
    (r"(?:is|Find) the units digit of (?:the product )?(\d+) x (\d+)",
     lambda a, b: int(str(a * b)[-1])),
    (r"(?:the|has) (\d+) (?:numbers|scores:) (\d+), (\d+) and (\d+)", _listed_mean),
    (r"(?:the|has) (\d+) (?:numbers|scores:) (\d+), (\d+), (\d+) and (\d+)", _listed_mean),
    (r"mean of (\d) numbers is (\d+)\. Two of them are (\d+) and (\d+)",
     lambda n, m, a, b: n * m - a - b),
    (r"sum of (\d+) numbers is (\d+)\.", lambda n, s: Fraction(s, n)),
    (r" (\d+) km per hour for (\d+) hours, then (\d+) km per hour for (\d+) hours\. How",
     lambda p, t, q, u: p * t + q * u),
    (r" (\d+) km per hour for (\d+) hours, then (\d+) km per hour for (\d+) .* is (\d+) km",
     lambda p, t, q, u, g: g - p * t - q * u),
    (r"makes (\d+) cups in (\d+) minutes. It runs for (\d+) minutes and (\d+)",
     lambda n, t, u, b: Fraction(n * u, t) - b),
    (r"holds (\d+) litres. One pipe brings (\d+) .* another (\d+) .* after (\d+)",
     lambda e, p, q, t: e + t * p + t * q),
    (r"(?:is|Find) (\d+)% of (\d+)", lambda p, n: Fraction(p * n, 100)),
    (r"costs (\d+) dollars. Its price falls by (\d+)%", lambda n, p: n * (1 - Fraction(p, 100))),
    (r"costs (\d+) dollars. Its price rises by (\d+)%", lambda n, p: n * (1 + Fraction(p, 100))),
    (r"of (\d+) dollars with (\d+)% off. Delivery costs (\d+)",
     lambda n, p, f: n * (1 - Fraction(p, 100)) + f),
    (r"add up to (\d+) degrees. One is (\d+)", lambda w, a: w - a),
    (r"triangle are (\d+) and (\d+) degrees.*?(\d+)", lambda a, b, w: w - a - b),
    (r"quadrilateral are (\d+), (\d+) and (\d+) degrees.*?(\d+)", lambda a, b, c, w: w - a - b - c),
    (r"regular polygon has (\d+)", lambda n: Fraction(180 * n - 360, n)),
    (r"polygon has (\d+) sides. All .* add up to (\d+)", lambda n, k: 180 * n - 360 - k),
    (r"starts at (\d+) and has the difference (\d+). What is term number (\d+)",
     lambda a, d, n: list(islice(range(a, 10**6, d), n))[-1]),
    (r"goes up by (\d+) from (\d+). Find term number (\d+)",
     lambda d, a, n: list(islice(range(a, 10**6, d), n))[-1]),
    (r"starts at (\d+), ends at (\d+) and has the difference (\d+)",
     lambda a, z, d: len(range(a, z + 1, d))),
    (r"starts at (\d+) and its term number (\d+) is (\d+)",
     lambda a, n, z: next(d for d in range(100) if a + (n - 1) * d == z)),
    (r"A bag has (\d+) \w+ and (\d+) of them", lambda n, a: Fraction(a, n)),
    (r"A bag has (\d+) \w+ and (\d+) \w+ \w+\.", lambda a, b: Fraction(a, a + b)),
    (r"A bag has (\d+) \w+, (\d+) \w+ and (\d+) .* is not \w+\?$",
     lambda a, b, c: 1 - Fraction(a, a + b + c)),
    (r"A bag has (\d+) \w+, (\d+) \w+ and (\d+) .* it is (?!not)\w+\?$",
     lambda a, b, c: Fraction(a, a + b + c)),
    (r"has (\d+) shirts, (\d+) skirts and (\d+) hats. An outfit is one of each. How",
     lambda a, b, c: math.prod((a, b, c))),
    (r"has (\d+) shirts, (\d+) skirts and (\d+) hats.* But (\d+)",
     lambda a, b, c, x: a * b * c - x),
    (r"has (\d+) shirts, (\d+) skirts and (\d+) hats.* also (\d+)",
     lambda a, b, c, x: a * b * c + x),
    (r"one of (\d+) shirts with one of (\d+) skirts, or one of (\d+) dresses with one of (\d+)",
     lambda a, b, c, d: a * b + c * d),
    (r"has (\d+) shirts and (\d+) skirts\.", lambda a, b: a * b),
]  # fmt: skip


def _solve(problem: PocketProblem) -> Fraction | None:
    if problem.family == "changes":
        gains = r"get on|wins|flow in|are added|buys"
        start, *clauses = re.split(r"(?:First|Then|After that|Next) ", problem.text)
        total = int(re.findall(r"\d+", start)[0])
        for clause in clauses:
            amount = int(re.findall(r"\d+", clause)[0])
            total += amount if re.search(gains, clause) else -amount
        return Fraction(total)
    found = []
    for pattern, solve in _SOLVERS:
        match = re.search(pattern, problem.text)
        if match:
            parts = [int(g) if g.isdigit() else g for g in match.groups()]
            found.append(Fraction(solve(*parts)))
    assert len(set(found)) <= 1, problem.text
    return found[0] if found else None


def test_answers_agree_with_a_second_solver(many: list[PocketProblem]) -> None:
    for problem in many:
        assert str(_solve(problem)) == problem.answer, problem.text


def test_levels_are_those_of_the_paper() -> None:
    assert LEVELS == ("R0", "R1", "R2", "R3", "R4", "R5", "R6")
    problem = generate("valid", 1)[0]
    assert all(render(problem, level) for level in LEVELS)


def test_what_is_done_to_one_list_changes_no_other() -> None:
    mine = generate("valid", 5)
    mine.clear()
    assert len(generate("valid", 5)) == 5
