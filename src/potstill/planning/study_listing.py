"""``potstill problems STUDY``: the problems of a study, and what its recorded levels bring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from potstill.grading import GradingPool
from potstill.grading.plugins import kind_settings
from potstill.lessons.ladder import count_words
from potstill.lessons.recorded import RecordedTally, read_recorded
from potstill.planning.listing import print_imported
from potstill.planning.plan import splits_of
from potstill.records import Split, is_keyed
from potstill.study.intake import problems_of_study
from potstill.study.schema import Study, load_study

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.problems import Imported

__all__ = ["print_problems_of_study"]


def print_problems_of_study(file: Path, console: Console, *, only_aside: bool) -> None:
    """Print every problem of a study file, those excluded, and how many recorded levels it has."""
    study = load_study(file)
    imported = problems_of_study(study)
    print_imported(imported, console, only_aside=only_aside, kinds=kind_settings(study.kinds))
    if study.recorded:
        console.print("Grading the recorded levels ...")
        console.print(_recorded(study, imported), highlight=False)


def _recorded(study: Study, imported: Imported) -> str:
    """Return how many of a study's recorded levels would be trained on, and why others not."""
    assert study.recorded is not None
    splits = splits_of(study, imported.problems)
    taught = [p for p in imported.problems if splits[p.id] is not Split.HELDOUT and is_keyed(p)]
    tally = RecordedTally()
    with GradingPool(kinds=kind_settings(study.kinds)) as pool:
        found = read_recorded(
            study.recorded,
            taught,
            grade=pool.grade,
            count_tokens=count_words,
            gates=study.gates,
        )
        for item in found:
            tally.add(item)
    return tally.line()
