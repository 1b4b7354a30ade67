"""``potstill problems``: every problem of a file or a study, and why any is excluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError
from potstill.pipeline.intake import problems_of_file, problems_of_study
from potstill.problems import Columns, describe, guess_source
from potstill.study.schema import load_study
from potstill.text import literal, shown

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.problems import Imported

__all__ = ["print_problems"]


def print_problems(
    file: Path, console: Console, *, only_aside: bool, columns: Columns | None = None
) -> None:
    """Print every problem of a study file or a data file, and those set aside.

    ``columns`` name what is not to be guessed of a data file. Raises InputError where they are
    given for a study file, which names its own.
    """
    columns = columns or Columns()
    if file.suffix in (".yaml", ".yml"):
        if columns != Columns():
            raise InputError(
                f"{file} is a study, which names its columns itself; change its section problems, "
                "or give the table."
            )
        _print(problems_of_study(load_study(file)), console, only_aside)
        return
    source = guess_source(file, columns)
    console.print(f"[dim]Read as {source.source}: {literal(source.why)}[/dim]", highlight=False)
    _print(problems_of_file(source), console, only_aside)


def _print(imported: Imported, console: Console, only_aside: bool) -> None:
    from rich.table import Table

    rows = [row for row in describe(imported) if row.reason or not only_aside]
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("id", overflow="ellipsis", no_wrap=True, ratio=2)
    table.add_column("kind", no_wrap=True, width=11)
    table.add_column("key", overflow="ellipsis", no_wrap=True, width=14)
    table.add_column("problem", overflow="ellipsis", no_wrap=True, ratio=3)
    for row in rows:
        text = " ".join(row.text.split())
        if row.reason:
            why = row.reason + (f": {row.detail}" if row.detail else "")
            table.add_row(_plain(row.id), "set aside", _plain(row.key), _plain(why), style="yellow")
        else:
            table.add_row(_plain(row.id), _plain(row.kind), _plain(row.key), _plain(text))
    console.print(table)
    for note in imported.notes:
        console.print(f"\n[yellow]{literal(note)}[/yellow]", highlight=False)
    kinds = Counter(row.kind for row in describe(imported) if not row.reason)
    reasons = Counter(item.reason.value for item in imported.excluded)
    console.print(f"\n{len(imported.problems):,} problems by kind: {literal(_listed(kinds))}")
    console.print(f"{len(imported.excluded):,} set aside: {_listed(reasons) or 'none'}")


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(shown(" ".join(text.split())))


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {name}" for name, count in ordered)
