"""What stands in a study directory: stages, freshness, counts, spend. Only looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.pipeline.context import NotFresh
from potstill.pipeline.run import study_of
from potstill.progress import Bar
from potstill.text import literal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_status"]


class _Witness:
    """A progress that writes down what was found fresh."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "items") -> Iterator[Bar]:
        raise NotFresh(f"{name} is not finished.")
        yield  # a context manager that never enters

    def fresh(self, name: str, note: str) -> None:
        self.rows.append((name, note))

    def note(self, text: str) -> None:
        return None


def print_status(directory: Path, console: Console) -> None:
    """Nothing; prints a study's stages, what they hold, and what was spent.

    Raises StoreError for a folder that is no study directory.
    """
    from rich.table import Table

    from potstill.ledger.ledger import Ledger
    from potstill.pipeline.run import run_study

    study = study_of(directory)
    witness = _Witness()
    waiting = ""
    try:
        run_study(study, directory, progress=witness, until="answer", peek=True)
    except NotFresh as exc:
        waiting = str(exc)
    table = Table(title=literal(f"{study.name} in {directory}"), title_justify="left", box=None)
    for head in ("stage", "state", "holds"):
        table.add_column(head)
    for name, note in witness.rows:
        table.add_row(literal(name), "[green]fresh[/green]", literal(note))
    report = (directory / "report" / "index.html").exists()
    if waiting:
        table.add_row("", "[yellow]to do[/yellow]", literal(waiting))
    elif report:
        page = literal(directory / "report" / "index.html")
        table.add_row("report", "[green]there[/green]", page)
    console.print(table)
    with Ledger.open(directory / "ledger.sqlite", readonly=True) as ledger:
        spends = ledger.spend(("stage", "model"))
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
    for spend in spends:
        usd = f"${spend.cost_usd:,.2f}" if not spend.unpriced else "no price"
        counts = (spend.calls, spend.retries, spend.tokens_in, spend.tokens_out)
        money.add_row(*map(literal, spend.group), *(f"{count:,}" for count in counts), usd)
    console.print(money)
    if waiting:
        console.print("\nGo on with the command that started it: potstill run STUDY --out DIR.")
