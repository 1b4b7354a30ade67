"""``potstill problems``: every problem of a file or a study, and why any is excluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError
from potstill.grading import GradingPool
from potstill.grading.key_reading import KeyReader
from potstill.grading.plugins import kind_settings
from potstill.lessons.ladder import count_words
from potstill.lessons.recorded import RecordedTally, read_recorded
from potstill.pipeline.intake import problems_of_file, problems_of_study
from potstill.planning.plan import splits_of
from potstill.problems import Columns, describe, guess_source
from potstill.records import ExclusionReason, Split
from potstill.study.schema import Study, load_study
from potstill.text import literal, print_columns, several, shown

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.problems import Imported, ProblemRow

__all__ = ["print_problems"]


_MOST_UNREAD = 20


def print_problems(
    file: Path, console: Console, *, only_aside: bool, columns: Columns | None = None
) -> None:
    """Print every problem of a study file or a data file, and those excluded.

    ``columns`` name what is not to be guessed of a data file. Raises InputError where they are
    given for a study file, which names its own.
    """
    columns = columns or Columns()
    snapshot = file.name == "study.json" and (file.parent / "potstill.json").is_file()
    if snapshot or file.suffix.lower() in (".yaml", ".yml"):
        if columns != Columns():
            raise InputError(
                f"{file} is a study, which names its columns itself; change its section problems, "
                "or give the table."
            )
        study = load_study(file)
        imported = problems_of_study(study)
        _print(imported, console, only_aside, kind_settings(study.kinds))
        if study.recorded:
            console.print("Grading the recorded levels ...")
            console.print(_recorded(study, imported), highlight=False)
        return
    source = guess_source(file, columns)
    console.print(f"[dim]{literal(source.why)}.[/dim]", highlight=False)
    _print(problems_of_file(source), console, only_aside, {})


def _recorded(study: Study, imported: Imported) -> str:
    """Return how many of a study's recorded levels would be trained on, and why others not."""
    assert study.recorded is not None
    splits = splits_of(study, imported.problems)
    taught = [p for p in imported.problems if splits[p.id] is not Split.HELDOUT]
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


def _print(
    imported: Imported, console: Console, only_aside: bool, kinds_set: Mapping[str, Any]
) -> None:
    keys = KeyReader(kinds_set)
    as_text = {p.id for p in imported.problems if keys.only_text(p)}
    every = describe(imported)
    rows = [row for row in every if row.reason or not only_aside]
    print_columns(
        console,
        ("id", "kind", "key", "problem"),
        [(row.id, _kind(row, as_text), row.key, _text_or_reason(row)) for row in rows],
        styles=["yellow" if row.reason else "" for row in rows],
        # which problem a duplicate repeats stands last
        whole={at for at, row in enumerate(rows) if row.reason},
    )
    unread = [item for item in imported.excluded if item.reason is ExclusionReason.BAD_KEY]
    for item in unread[:_MOST_UNREAD]:
        console.print(
            f"[yellow]{_literal(item.id)}: the key {_literal(repr(item.key[:60]))} cannot be read: "
            f"{_literal(item.detail)}[/yellow]",
            highlight=False,
        )
    if len(unread) > _MOST_UNREAD:
        console.print(f"... and {len(unread) - _MOST_UNREAD:,} more; --excluded lists them.")
    for note in imported.notes:
        console.print(f"\n[yellow]{literal(note)}[/yellow]", highlight=False)
    kinds = Counter(row.kind for row in every if not row.reason)
    reasons = Counter(item.reason.value for item in imported.excluded)
    if imported.problems:
        total = several(len(imported.problems), "problem")
        console.print(f"\n{total} by kind: {literal(_listed(kinds))}", highlight=False)
    else:
        console.print("\nNo problem is left: nothing of it can be asked and graded.")
    console.print(f"{len(imported.excluded):,} excluded: {_listed(reasons) or 'none'}")


def _literal(text: str) -> str:
    return literal(shown(" ".join(text.split())))


def _kind(row: ProblemRow, as_text: Container[str]) -> str:
    """Return how a problem is graded."""
    if row.reason:
        return "excluded"
    return "as text" if row.id in as_text else row.kind


def _text_or_reason(row: ProblemRow) -> str:
    """Return a problem's text, or why it is excluded."""
    if not row.reason:
        return row.text
    return row.reason + (f": {row.detail}" if row.detail else "")


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {name}" for name, count in ordered)
