"""What a person sees while a study runs: one bar per stage with items, rate, time left, spend."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from potstill.text import literal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Bar", "Progress", "TerminalProgress", "quiet"]


class Bar(Protocol):
    """One stage under way."""

    def advance(self, items: int = 1) -> None:
        """Count that many more items as done."""

    def spend(self, usd: float) -> None:
        """Tell how much the stage has spent in all."""

    def tell(self, rate: str, note: str) -> None:
        """Put text in the place of the items a second, and a few characters beside it."""

    def cut_short(self) -> None:
        """Tell that the stage ends without some of its items: no count of them is shown then."""


class Progress(Protocol):
    """Where the pipeline tells what it is doing."""

    def stage(
        self, name: str, total: int | None, unit: str = "items"
    ) -> AbstractContextManager[Bar]:
        """Return a bar for a stage that has work to do."""

    def up_to_date(self, name: str, note: str) -> None:
        """Tell that the stage was found finished."""

    def note(self, text: str) -> None:
        """Print one line worth reading."""


class _NoBar:
    def advance(self, items: int = 1) -> None:
        return None

    def spend(self, usd: float) -> None:
        return None

    def tell(self, rate: str, note: str) -> None:
        return None

    def cut_short(self) -> None:
        return None


class _Quiet:
    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "items") -> Iterator[Bar]:
        yield _NoBar()

    def up_to_date(self, name: str, note: str) -> None:
        return None

    def note(self, text: str) -> None:
        return None


quiet: Progress = _Quiet()


class TerminalProgress:
    """Bars in a terminal; a line per finished stage where the output is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "items") -> Iterator[Bar]:
        """Yield a bar while the stage runs, and one line that stays once it has ended."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        started = time.monotonic()
        columns = (
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", style="dim"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as bars:
            task = bars.add_task(literal(name), total=total, rate="", note="")
            bar = _RichBar(bars, task, started)
            yield bar
        if bar.is_cut_short:
            self._console.print(f"[yellow]–[/yellow] {literal(name):<28}unfinished")
            return
        seconds = time.monotonic() - started
        rate = f"{bar.done / seconds:,.1f}/s" if seconds > 0 else ""
        money = f"  ${bar.usd:,.2f}" if bar.usd else ""
        self._console.print(
            f"[green]✓[/green] {literal(name):<28}{bar.done:>7,} {unit:<10} {seconds:>6.1f} s "
            f"{rate:>12}{money}",
            highlight=False,
        )

    def up_to_date(self, name: str, note: str) -> None:
        """Say that the stage was finished before."""
        self._console.print(
            f"[dim]= {literal(name):<28}up to date, {literal(note)}[/dim]", highlight=False
        )

    def note(self, text: str) -> None:
        """Print one line."""
        self._console.print(f"  {literal(text)}", highlight=False)


class _RichBar:
    def __init__(self, bars: object, task: object, started: float) -> None:
        self._bars, self._task, self._started = bars, task, started
        self.done = 0
        self.rate = ""
        self.usd = 0.0
        self.is_cut_short = False

    def advance(self, items: int = 1) -> None:
        self.done += items
        seconds = time.monotonic() - self._started
        rate = self.rate or (f"{self.done / seconds:,.1f}/s" if seconds > 0 else "")
        self._bars.update(self._task, completed=self.done, rate=rate)  # type: ignore[attr-defined]

    def spend(self, usd: float) -> None:
        self.usd = usd
        self._bars.update(self._task, note=f"${usd:,.2f}")  # type: ignore[attr-defined]

    def tell(self, rate: str, note: str) -> None:
        self.rate = rate
        self._bars.update(self._task, note=note)  # type: ignore[attr-defined]

    def cut_short(self) -> None:
        self.is_cut_short = True
