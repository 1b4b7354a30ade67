"""Forty plain instructions whose form can be checked by rule: to see what training cost.

A raw row: ``id`` (instructions/01), ``asks`` (one word, length, list, json, language, letters,
wording), ``text``, ``must`` (a key of the kind ``form``). They have nothing to do with mathematics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

from potstill.problems.raw import RawProblem, SourceOptions

__all__ = ["Options", "read"]


class Options(SourceOptions):
    """There is nothing to set."""


def read(options: Options) -> Iterator[RawProblem]:
    """Yield the instructions, with the group ``asks``."""
    del options
    lines = files("potstill.problems").joinpath("instructions.jsonl").read_text("utf-8")
    for line in lines.splitlines():
        row = json.loads(line)
        yield RawProblem(
            id=row["id"],
            text=row["text"],
            key=row["must"],
            source="instructions",
            groups={"asks": row["asks"]},
            kind="form",
        )
