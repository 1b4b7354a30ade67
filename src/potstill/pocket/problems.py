"""Pocket problems: a key, a split and a reproducible sample of them.

The split of a problem is a hash of the numbers in its text, sorted, and of nothing else: not of
its names, its wording or even its family. Two texts that agree after normalisation have the same
numbers, so no text can stand in two splits, and no rewording can carry a held-out problem into
training.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from potstill.errors import InputError
from potstill.pocket.draft import PocketDraft
from potstill.pocket.families import FAMILIES
from potstill.pocket.steps import PocketStep, show, values

__all__ = [
    "MOST",
    "SPLITS",
    "PocketProblem",
    "generate",
    "masked_key",
    "normalise_text",
    "stream",
]

SPLITS = {"pretrain": 70, "train": 15, "valid": 5, "heldout": 10}
"""Percent of all keys in each split (measured recipe, docs/log.md 2026-11-21)."""

MOST = 20_000
"""So many of each split a study may ask for: more take minutes to draw."""

ONE_STEP_SHARE = 0.3  # measured recipe, docs/log.md 2026-11-21
_TRIES_PER_PROBLEM = 400


@dataclass(frozen=True, slots=True)
class PocketProblem:
    """A problem with its answer and its working; `key` is a hash of the normalised text."""

    text: str
    answer: str
    family: str
    key: str
    steps: tuple[PocketStep, ...]
    split: str


def normalise_text(text: str) -> str:
    """Return the text in one canonical form: NFKC, lower case, single spaces, no punctuation.

    Signs that mean something in arithmetic stay: `n + 5` and `n - 5` are two problems.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w+\-*/=%()]+", " ", folded).split())


def _numbers(text: str) -> str:
    return ",".join(map(str, sorted(int(n) for n in re.findall(r"[0-9]+", text))))


def masked_key(problem: PocketProblem) -> str:
    """Return what is left of a problem without names and wording: family, numbers and answer."""
    return f"{problem.family}|{_numbers(problem.text)}|{problem.answer}"


def _split(text: str) -> str:
    digest = hashlib.sha256(f"potstill pocket|{_numbers(normalise_text(text))}".encode()).digest()
    percentile = int.from_bytes(digest[:8], "big") % 100
    for name, share in SPLITS.items():
        if percentile < share:
            return name
        percentile -= share
    raise AssertionError("the shares of SPLITS add up to 100")


def _problem(family: str, draft: PocketDraft) -> PocketProblem:
    key = hashlib.sha256(normalise_text(draft.text).encode()).hexdigest()[:16]
    answer = show(values(draft.steps)[-1])
    return PocketProblem(draft.text, answer, family, key, draft.steps, _split(draft.text))


def stream(split: str, seed: int) -> Iterator[PocketProblem | None]:
    """Return an endless stream of a split's problems, with repeats; None for each rejected draw."""
    start = hashlib.sha256(f"{split}|{seed}".encode()).digest()
    rng = random.Random(int.from_bytes(start[:8], "big"))
    names = tuple(FAMILIES)
    while True:
        family = names[rng.randrange(len(names))]
        draft = FAMILIES[family](rng, rng.random() < ONE_STEP_SHARE)
        problem = None if draft is None else _problem(family, draft)
        yield problem if problem is not None and problem.split == split else None


def generate(split: str, count: int, seed: int = 0) -> list[PocketProblem]:
    """Return `count` problems of a split, no two alike in text or in masked key.

    The same on every machine; a smaller count yields a prefix of a larger one. Raises InputError
    for an unknown split, a negative count, or a pool that is too small.
    """
    if split not in SPLITS:
        known = ", ".join(SPLITS)
        raise InputError(f"pocket problems have no split {split!r}; the splits are {known}")
    if count < 0:
        raise InputError(f"cannot generate {count} pocket problems; ask for 0 or more")
    return list(_generated(split, count, seed))


@lru_cache(maxsize=16)  # a study and its three scripted models ask for the same ones
def _generated(split: str, count: int, seed: int) -> tuple[PocketProblem, ...]:
    found: list[PocketProblem] = []
    seen: set[str] = set()
    tries = _TRIES_PER_PROBLEM * count + 10_000
    for problem in stream(split, seed):
        if len(found) == count:
            return tuple(found)
        if tries == 0:
            break
        tries -= 1
        if problem is None or problem.key in seen or masked_key(problem) in seen:
            continue
        seen.update((problem.key, masked_key(problem)))
        found.append(problem)
    raise InputError(
        f"the pocket split {split!r} yielded {len(found)} distinct problems of the {count} asked"
        " for; ask for fewer"
    )
