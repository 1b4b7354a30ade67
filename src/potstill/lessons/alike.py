"""Levels whose lessons are the same texts, so that their students can differ by chance alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from potstill.records import Lesson, Level

__all__ = ["alike_levels"]

_FEW = 5  # problems, from which on it is odd that most have one text at two levels


def alike_levels(chosen: Mapping[str, Sequence[Lesson]], levels: Sequence[Level]) -> Iterator[str]:
    """Yield a sentence for each level most of whose lessons are the level above's, word for word.

    ``chosen`` are the lessons taught, by level. R0 is left out: its R1 may well be itself.
    """
    taught = [level for level in sorted(levels) if level is not Level.R0]
    texts = {level: {(x.problem_id, x.sample): x.text for x in chosen[level]} for level in taught}
    for above, level in pairwise(taught):
        shared = texts[above].keys() & texts[level].keys()
        same = sum(texts[above][one].split() == texts[level][one].split() for one in sorted(shared))
        if len(shared) >= _FEW and 2 * same > len(shared):
            yield (
                f"{level} teaches the same text as {above} in {same:,} of {len(shared):,} lessons, "
                "so that their students differ by chance alone: read them (potstill inspect DIR "
                "ID), and see what the condenser was asked"
            )
