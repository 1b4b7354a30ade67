"""Seconds and peak memory of the overlap audit, and how many planted near-duplicates it finds.

    python benchmarks/overlap.py [--sizes N ...] [--kinds mixed copies template crowd]
                                 [--peer rensa]

Every size runs in a fresh process over problems of 200 to 460 characters that are made while they
are read: ``mixed`` is prose of a skewed vocabulary (60 %), 2,000 templates with names and numbers
(35 %), near-duplicates of earlier problems (4 %: one to six letters or a word edited, numbers kept)
and copies (1 %); ``copies`` is one problem again and again, ``template`` one with other numbers,
``crowd`` one with a few other words. A line of JSON for each: seconds in all and of the reading
alone, the process's peak in MB, and how many of the planted near-duplicates were found.
Without arguments up to 30,000 problems; larger sizes by ``--sizes``.
``--peer rensa`` (``pip install rensa``) finds the candidates by that library's MinHash and LSH; up
to 100,000 problems the line tells the pairs that it alone reports, and those that ours alone does.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, overload

from circumstances import at_least_one, lacks, tell_sample
from potstill.problems.overlap.find import find_pairs
from potstill.problems.overlap.pairs import numbers_of
from potstill.problems.raw import normalise
from potstill.records import Problem, TextGold

_DRAW = random.Random(1)
_WORDS = ["".join(_DRAW.choices("etaoinshrdlucmfw", k=_DRAW.randint(2, 9))) for _ in range(6000)]
_SKEW = [sum(1 / (1 + k) for k in range(n + 1)) for n in range(6000)]
_NAMES = _WORDS[:300]
_KINDS = ("mixed", "copies", "template", "crowd")
_LAID_BESIDE = 100_000  # problems up to which a peer's pairs are compared with ours


def _words(rng: random.Random, count: int) -> list[str]:
    return rng.choices(_WORDS, cum_weights=_SKEW, k=count)


_TEMPLATES = [[*_words(_DRAW, 20), "{}", *_words(_DRAW, 12), "{}", "{}"] for _ in range(2000)]


class Made(Sequence[Problem]):
    """Problems that are made when they are read."""

    def __init__(self, count: int, kind: str = "mixed") -> None:
        self._count, self._kind = count, kind

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Problem]:
        return (self[k] for k in range(self._count))

    @overload
    def __getitem__(self, k: int) -> Problem: ...
    @overload
    def __getitem__(self, k: slice) -> list[Problem]: ...
    def __getitem__(self, k: Any) -> Any:
        return Problem(f"made/{k:07d}", self.text(k), TextGold("1"), "integer", "made", {})

    def text(self, k: int) -> str:
        """Return the text of problem ``k``, which hangs on nothing but ``k``."""
        if self._kind == "copies":
            return " ".join(_TEMPLATES[0] * 2)
        rng = random.Random(k)
        if self._kind == "crowd":
            return " ".join([*_words(rng, 2), *_TEMPLATES[0][:18], *_words(rng, 2), *_TEMPLATES[1]])
        if self._kind == "template":
            return " ".join(_TEMPLATES[0]).format(
                rng.choice(_NAMES[:3]), *rng.choices(range(99), k=2)
            )
        earlier = self.earlier(k)
        if earlier is not None:
            text = self.text(earlier)
            return edited(rng, text) if rng.random() < 0.8 else text.upper()
        if rng.random() < 0.63:
            words = _words(rng, rng.randint(36, 64))
            for _ in range(rng.randint(0, 3)):
                words[rng.randrange(len(words))] = str(int(rng.expovariate(0.03)))
            return " ".join(words) + "."
        template = " ".join(rng.choice(_TEMPLATES) + _TEMPLATES[rng.randrange(3)][:12])
        return template.format(rng.choice(_NAMES), *(str(rng.randint(1, 200)) for _ in range(2)))

    @staticmethod
    def earlier(k: int) -> int | None:
        """Return the problem of which ``k`` is a copy or near-copy."""
        rng = random.Random(-k - 1)
        return rng.randrange(k) // 20 * 20 if k % 20 == 19 else None


def edited(rng: random.Random, text: str) -> str:
    """Return the text with a word taken out, put in or replaced, or one to six letters replaced."""
    words = text.split()
    places = [k for k, word in enumerate(words) if word.isalpha()]
    if rng.random() < 0.5:
        k = rng.choice(places)
        words[k : k + 1] = _words(rng, rng.randint(0, 2))
    else:
        for _ in range(rng.randint(1, 6)):
            k = rng.choice(places)
            letter = rng.randrange(len(words[k]))
            words[k] = words[k][:letter] + rng.choice("aeioxyz") + words[k][letter + 1 :]
    return " ".join(words)


def planted(made: Made) -> set[tuple[str, str]]:
    """Return the pairs that a reader would call near: planted, over 0.9, with the same numbers."""
    from rapidfuzz import fuzz

    found = set()
    for k in range(19, len(made), 20):
        one, other = (normalise(made.text(x)) for x in (made.earlier(k) or 0, k))
        if one != other and numbers_of(one) == numbers_of(other) and fuzz.ratio(one, other) >= 90:
            found.add((made[made.earlier(k) or 0].id, made[k].id))
    return found


def measure(count: int, kind: str, peer: str | None = None) -> dict[str, Any]:
    """Return what one size and kind took, in this process."""
    find = import_module(f"peers.{peer}_lsh").find_pairs if peer else find_pairs
    made = Made(count, kind)
    start = time.perf_counter()
    for _ in made:
        pass
    reading_s = time.perf_counter() - start
    start = time.perf_counter()
    pairs = find(made)
    total_s = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {
        "kind": kind,
        "problems": count,
        "seconds": round(total_s, 1),
        "reading_s": round(reading_s, 1),
        "peak_mb": round(peak_mb),
        "pairs": dict(Counter(pair.how for pair in pairs)),
    }
    if kind == "mixed":
        wanted = planted(made)
        listed = {(pair.a_id, pair.b_id) for pair in pairs if pair.how == "near"}
        told |= {"planted": len(wanted), "found": len(wanted & listed)}
    if peer:
        told = {"peer": peer, **told}
        if count <= _LAID_BESIDE:
            theirs, ours = ({(p.how, p.a_id, p.b_id) for p in x} for x in (pairs, find_pairs(made)))
            told["theirs_alone"] = Counter(how for how, *_ in theirs - ours)
            told["ours_alone"] = Counter(how for how, *_ in ours - theirs)
    return told


def main() -> None:
    """Print a line of JSON for each size and kind."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--sizes", type=at_least_one, nargs="+", default=[1000, 10_000, 30_000], help="problems"
    )
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=list(_KINDS))
    parser.add_argument("--peer", choices=["rensa"], help="whose candidates, instead of ours")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer and lacks(args.peer, f"pip install {args.peer}", "nothing was measured"):
        return
    for kind in args.kinds:
        for count in args.sizes:
            if args.here:
                print(json.dumps(measure(count, kind, args.peer)), flush=True)
            else:
                one = ["--here", "--sizes", str(count), "--kinds", kind]
                one += ["--peer", args.peer] if args.peer else []
                subprocess.run([sys.executable, __file__, *one], check=True)
    if not args.here:
        sizes = ", ".join(f"{count:,}" for count in args.sizes)
        tell_sample(f"{sizes} problems, once each; larger audits by --sizes 100000 1000000")


if __name__ == "__main__":
    main()
