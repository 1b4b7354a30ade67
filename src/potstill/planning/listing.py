"""``potstill problems``: every problem of a file, and why any is excluded.

Nothing here imports what reads prose or a study, so that looking at a table is quick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.grading.key_reading import KeyReader
from potstill.problems import Columns, describe, guess_source
from potstill.records import ExclusionReason
from potstill.study.intake import problems_of_file
from potstill.text import literal, print_columns, several, shown

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.problems import Imported, ProblemRow

__all__ = ["print_imported", "print_problems_of_file"]


_MOST_UNREAD = 20
_ON_A_SCREEN = 30


def print_problems_of_file(
    file: Path, console: Console, *, only_aside: bool, columns: Columns | None = None
) -> None:
    """Print every problem of a data file or a folder, and those excluded.

    ``columns`` name what is not to be guessed of it.
    """
    source = guess_source(file, columns or Columns())
    console.print(f"[dim]{literal(source.why)}.[/dim]", highlight=False)
    print_imported(problems_of_file(source), console, only_aside=only_aside)


def print_imported(
    imported: Imported,
    console: Console,
    *,
    only_aside: bool,
    kinds: Mapping[str, Any] | None = None,
) -> None:
    """Print problems and those excluded, each with its reason, then both counted.

    ``kinds`` are a study's settings of the kinds of answers.
    """
    keys = KeyReader(kinds or {})
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
    if len(rows) <= _ON_A_SCREEN:
        unread = []  # the table says it already, in sight
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
    by_kind = Counter(row.kind for row in every if not row.reason)
    reasons = Counter(item.reason.value for item in imported.excluded)
    if imported.problems:
        total = several(len(imported.problems), "problem")
        console.print(f"\n{total} by kind: {literal(_listed(by_kind))}", highlight=False)
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
