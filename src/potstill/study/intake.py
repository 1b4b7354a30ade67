"""The problems of a study or a file, their keys read as the grader will read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from potstill.grading.key_reading import KeyReader
from potstill.grading.plugins import can_be_voted, kind_settings
from potstill.problems import Imported, SourceConfig, load_problems, read_problems
from potstill.records import Excluded, Problem

if TYPE_CHECKING:
    from potstill.study.schema import Study

__all__ = ["problems_of_file", "problems_of_study", "read_study_problems"]


def read_study_problems(study: Study, say: Callable[[str], None]) -> Iterator[Problem | Excluded]:
    """Yield every problem of a study, and those excluded; ``say`` is told what was mended."""
    keys = KeyReader(kind_settings(study.kinds))
    keyless = can_be_voted if study.keys else None
    return read_problems(study.sources, infer=keys.kind, keys=keys, say=say, keyless=keyless)


def problems_of_study(study: Study, tell: Callable[[int], None] | None = None) -> Imported:
    """Return the problems of a study's sources, in memory; ``tell`` is told how many there are so
    far, now and then.
    """
    keys = KeyReader(kind_settings(study.kinds))
    keyless = can_be_voted if study.keys else None
    return load_problems(study.sources, infer=keys.kind, keys=keys, tell=tell, keyless=keyless)


def problems_of_file(source: SourceConfig) -> Imported:
    """Return the problems of one source that is in no study."""
    keys = KeyReader()
    return load_problems([source], infer=keys.kind, keys=keys)
