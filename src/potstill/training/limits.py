"""How long a sequence and an answer may be, where a study leaves it to its lessons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from potstill.models.folder import family_and_width
from potstill.store.record_file import read_record, write_record
from potstill.store.typed import make
from potstill.training.examples import Example, encode_examples
from potstill.training.recipe import Recipe

__all__ = [
    "BEFORE_LESSONS",
    "LIMITS_FILE",
    "Limits",
    "answer_tokens",
    "limits_of",
    "read_limits",
    "resolved_recipe",
    "tokens_that_hold",
    "write_limits",
]

LIMITS_FILE = "limits.json"
FORMAT_VERSION = 1
SHARE = 0.99
_STEP = 64
# a base that was taught nothing writes more than a short lesson
_FEWEST_ANSWER = 256
BEFORE_LESSONS = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What stands for ``auto``: tokens of an example and of an answer, and the hash of what they
    were taken from.
    """

    max_sequence_tokens: int
    max_tokens: int
    taken_from: str


def tokens_that_hold(lengths: Sequence[int]) -> int:
    """Return the 99th percentile (nearest rank) of lengths in tokens, rounded up to a multiple of
    64.
    """
    rank = math.ceil(SHARE * len(lengths))
    return _STEP * math.ceil(sorted(lengths)[rank - 1] / _STEP)


def limits_of(
    tokenizer: Any, sets: Iterable[Sequence[Example]], context_tokens: int, taken_from: str
) -> Limits:
    """Return the limits that hold 99 of 100 examples of every set, and answers as long as theirs.

    An answer may have 256 tokens in any case; neither is more than the base's context.
    """
    sequences, answers = [_STEP], [_FEWEST_ANSWER]
    for examples in sets:
        found = encode_examples(tokenizer, examples, max_sequence_tokens=1 << 62).examples
        if found:
            sequences.append(tokens_that_hold([len(x.tokens) for x in found]))
            answers.append(tokens_that_hold([len(x.tokens) - x.prompt_length for x in found]))
    sequence, answer = (min(context_tokens, max(lengths)) for lengths in (sequences, answers))
    return Limits(sequence, answer, taken_from)


def write_limits(limits: Limits, folder: Path) -> None:
    """Write the limits into a study's directory."""
    write_record(folder / LIMITS_FILE, FORMAT_VERSION, asdict(limits))


def read_limits(folder: Path) -> Limits | None:
    """Return the limits in a study's directory, None where they are not known yet.

    Raises InputError for a file that cannot be read.
    """
    todo = "delete it, and the next run writes it anew"
    try:
        return read_record(
            folder / LIMITS_FILE, FORMAT_VERSION, lambda fields: make(Limits, fields), todo
        )
    except FileNotFoundError:
        return None


def answer_tokens(folder: Path) -> int:
    """Return what ``evaluation.max_tokens: auto`` stands for in a study's directory: 1,024 before
    there are lessons.
    """
    limits = read_limits(folder)
    return limits.max_tokens if limits else BEFORE_LESSONS


def resolved_recipe(recipe: Recipe, folder: Path, base: str = "") -> Recipe:
    """Return the recipe with ``learning_rate: auto`` made a number for a ``base``, where one is
    given, and ``max_sequence_tokens: auto`` where the study's directory ``folder`` has one.
    """
    if base and recipe.learning_rate == "auto":
        recipe = recipe.for_base(*family_and_width(base))
    if recipe.max_sequence_tokens != "auto" or (limits := read_limits(folder)) is None:
        return recipe
    return recipe.model_copy(update={"max_sequence_tokens": limits.max_sequence_tokens})
