"""What stands in a study directory: which stages are up to date, counts, spend. Only looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.errors import one_line
from potstill.lessons.majority import majority_sentence
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.run import STAGES
from potstill.store.cells import missing_files
from potstill.store.last_run import why_it_stopped
from potstill.text import literal, several, token_count

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_status"]

_LONGEST = 300  # characters of what a call ended in


def print_status(directory: Path, console: Console) -> None:
    """Print a study's stages, what they hold, and what was spent.

    Raises StoreError for a folder that is no study directory.
    """
    from rich.table import Table

    found = StudyDirectory.open(directory)
    study, waiting = found.study, found.unfinished
    report = (found.path / "report" / "index.html").exists()
    if not waiting and not report:
        waiting = "report is not finished."
    table = Table(title=literal(f"{study.name} in {found.path}"), title_justify="left", box=None)
    for head in ("stage", "state", "holds"):
        table.add_column(head)
    for name, note in found.up_to_date:
        table.add_row(literal(name), "[green]up to date[/green]", literal(note))
    if waiting:
        table.add_row("", "[yellow]to do[/yellow]", literal(waiting))
    elif report:
        page = literal(found.path / "report" / "index.html")
        table.add_row("report", "[green]there[/green]", page)
    console.print(table)
    if study.keys and (chosen := found.chosen):
        told = majority_sentence(found.made.problems, found.made.excluded, chosen.values())
        console.print(f"\n{literal(told)}", highlight=False)
    spends = found.spend()
    money = Table(title="\ncalls and spend", title_justify="left", box=None)
    for head, side in (
        ("stage", "left"),
        ("model", "left"),
        ("calls", "right"),
        ("retries", "right"),
        ("tokens in", "right"),
        ("tokens out", "right"),
        ("spend", "right"),
    ):
        money.add_column(head, justify=side, overflow="fold")  # type: ignore[arg-type]
    names = found.local_names()
    for spend in spends:
        usd = f"${spend.cost_usd:,.2f}" if not spend.unpriced else "no price"
        counts = [f"{spend.calls:,}", f"{spend.retries:,}"]
        counts += map(token_count, (spend.tokens_in, spend.tokens_out))
        stage, model = spend.group
        money.add_row(literal(stage), literal(names.get(model, model)), *counts, usd)
    if spends:
        console.print(money)
    else:
        console.print("\nNo call was made yet.")
    for lost in _lost_weights(found):
        console.print(f"\n[yellow]{literal(lost)}[/yellow]", highlight=False)
    if waiting:
        for why in _why(found, sum(spend.cost_usd for spend in spends)):
            console.print(f"\n{literal(why)}", highlight=False)
        told = (
            "Go on with the command that started it: potstill run, with your study file and --out "
            f"{found.path}."
        )
        console.print(f"\n{literal(told)}", highlight=False, soft_wrap=True)


def _lost_weights(found: StudyDirectory) -> Iterator[str]:
    """Yield what is to be said of each student whose weights were deleted."""
    for cell in found.made.students:
        if gone := missing_files(cell.folder):
            yield (
                f"{cell.student.variant} of seed {cell.student.seed} has lost its weights "
                f"({', '.join(gone)}): what was measured stands, but nobody can ask or export it. "
                f"Delete {cell.folder} and {found.path / 'report'}, and run again, to train it "
                "anew."
            )


def _why(found: StudyDirectory, spent_usd: float) -> Iterator[str]:
    """Yield where the study stands, and why it did not go on, as far as that is known."""
    place = len(found.finished)
    stage = f"It stands at the stage {STAGES[place]} ({place + 1} of {len(STAGES)})."
    yield " ".join(filter(None, (stage, why_it_stopped(found.path))))
    budget = found.study.budget_usd
    if budget is not None and spent_usd >= budget:
        yield (
            f"The budget is spent (${spent_usd:,.4f} of ${budget:,.4f}); raise budget_usd in the "
            "study to go on."
        )
    if lost := found.unanswered():
        last = one_line(lost[-1], _LONGEST)
        yield f"{several(len(lost), 'call')} had no reply; the last: {last.rstrip('.')}."
