"""Problems of the pocket world, generated: training, validation and held-out numbers disjoint.

A raw one: "Anna buys 3 pens for 4 dollars each. How many dollars does Anna pay?", 12, shopping.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from potstill.pocket import generate
from potstill.pocket.problems import MOST
from potstill.problems.raw import RawProblem, SourceOptions

__all__ = ["Options", "read"]


class Options(SourceOptions):
    """How many problems of each split, and the seed they are drawn with."""

    train: Annotated[int, Field(ge=0, le=MOST, description="How many to train on.")] = 300
    valid: Annotated[int, Field(ge=0, le=MOST, description="How many to validate on.")] = 60
    heldout: Annotated[int, Field(ge=0, le=MOST, description="How many are held out.")] = 330
    seed: int = Field(default=0, description="Draws the problems.")


def read(options: Options) -> Iterator[RawProblem]:
    """Yield the problems of the three splits, with the groups ``family`` and ``split``."""
    counts = {"train": options.train, "valid": options.valid, "heldout": options.heldout}
    for split, count in counts.items():
        for item in generate(split, count, options.seed):
            yield RawProblem(
                id=f"pocket/{item.key}",
                text=item.text,
                key=item.answer,
                source="pocket",
                groups={"family": item.family, "split": split},
            )
