"""The table a run prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from potstill.report.phrases import count, p_short, percent, points, shown, words
from potstill.report.views import OUTCOME_WORDS, outcomes_present, places, solver_rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["print_table"]

Row = dict[str, Any]

_SHORT = {
    "CORRECT": "right",
    "TRUNCATED": "cut",
    "UNPARSED": "unp.",
    "UNDECIDED": "undec.",
    "FILTERED": "filt.",
    "ERRORED": "error",
    "BAD_KEY": "key",
}


def print_table(report_json: Row, console: Console) -> None:
    """None; prints one table per set and split: base, students by level and seed, teacher.

    Outcomes stand in the same table where the console is wide enough, else in one below it.
    """
    from rich.padding import Padding
    from rich.text import Text

    for place in places(report_json):
        rows = solver_rows(report_json, place)
        outcomes = outcomes_present(rows)
        console.print()
        console.print(Text(shown(place.title), style="bold"))
        for table in _fitting(rows, outcomes, console):
            console.print(table)
    for claim in report_json["claims"]:
        if claim["about"] in ("student", "base"):
            console.print(Padding(Text(shown(claim["text"])), (0, 0, 1, 0)))


def _fitting(rows: list[Row], outcomes: list[str], console: Console) -> list[Table]:
    unbounded = console.options.update_width(10_000)

    def fits(table: Table) -> bool:
        return console.measure(table, options=unbounded).maximum <= console.width

    long, short = OUTCOME_WORDS, OUTCOME_WORDS | _SHORT
    for names in (long, short):
        whole = _table(rows, accuracy=True, outcomes=outcomes, names=names)
        if fits(whole):
            return [whole]
    counts = _table(rows, accuracy=False, outcomes=outcomes, names=long)
    if not fits(counts):
        counts = _table(rows, accuracy=False, outcomes=outcomes, names=short)
    return [_table(rows, accuracy=True, outcomes=[], names=long), counts]


def _table(rows: list[Row], *, accuracy: bool, outcomes: list[str], names: dict[str, str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    if accuracy:
        for name in ("right, %", "95 %", "words", "to base", "p"):
            table.add_column(name, justify="right")
    if outcomes:
        table.add_column("n", justify="right")
        for outcome in outcomes:
            table.add_column(names[outcome], justify="right", no_wrap=True)
    for row in rows:
        cells = _accuracy(row) if accuracy else []
        cells += [count(row["responses"])] if outcomes else []
        cells += [count(row["outcomes"][outcome]) for outcome in outcomes]
        # A label may hold brackets, which rich would read as markup.
        label = Text("  " * row["indent"] + shown(row["label"]))
        table.add_row(label, *cells, style="dim" if row["indent"] else "")
    return table


def _accuracy(row: Row) -> list[str]:
    against = row["against"]
    p = None
    if against:
        p = against["p"] if against["p_holm"] is None else against["p_holm"]
    known = row["accuracy"] is not None
    return [
        percent(row["accuracy"]) if known else "–",
        f"{percent(row['low'])}–{percent(row['high'])}" if known else "–",
        words(row["words"]),
        points(against["difference"], sign=True) if against else "",
        "no claim" if against and against["blocked"] else p_short(p),
    ]
