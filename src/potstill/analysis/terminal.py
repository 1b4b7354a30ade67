"""The table a run prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from potstill.report.gaps import Tells
from potstill.report.phrases import count, group_name, p_short, percent, points, shown, words
from potstill.report.readings import (
    READING_WORDS,
    readings_present,
    unread_advice,
    unread_sentence,
)
from potstill.report.views import OUTCOME_WORDS, outcomes_present, places, solver_rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from potstill.report.gaps import Gap, Gaps

__all__ = ["gap_table", "plain_table", "print_table"]

_GROUPS_SHOWN = 60
_END_SHOWN = 120  # characters of the end of an answer that could not be read

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
    """Print one table per set and split: base, students by level and seed, teacher.

    Outcomes stand in the same table where the console is wide enough, else in one below it; how
    answers were read is a table of its own. Solvers with many unread answers are warned of last.
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
        _print_readings(rows, console)
    if sentence := report_json.get("opening", {}).get("sentence"):  # an older report has none
        console.print(Padding(Text(shown(sentence), style="bold"), (0, 0, 1, 0)))
    for claim in report_json["claims"]:
        if claim["about"] in ("student", "best", "overlap", "base"):
            console.print(Padding(Text(shown(claim["text"])), (0, 0, 1, 0)))
    _print_unread(report_json["unread"], console)


def plain_table(*heads: str) -> Table:
    """Return an empty table in the style of all: a column of names, then these columns of
    numbers.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def gap_table(gaps: Gaps) -> Table:
    """Return the gaps of one set: all problems, then its groups, those with too few problems
    dimmed.
    """
    table = plain_table("n", "base", "teacher", "gap", "95 %", "gain", "most", "shows")
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    _add_gap(table, gaps.whole, "")
    table.add_section()
    for row in gaps.groups[:_GROUPS_SHOWN]:
        _add_gap(table, row, "dim" if row.tells in (Tells.TOO_FEW, Tells.BLOCKED) else "")
    left = len(gaps.groups) - _GROUPS_SHOWN
    if left > 0:
        table.add_row(f"… {count(left)} more")
    return table


def _add_gap(table: Table, row: Gap, style: str) -> None:
    from rich.text import Text

    table.add_row(
        Text(shown(group_name(row.group))),
        count(row.n),
        percent(row.base),
        percent(row.teacher),
        points(row.gap),
        f"{points(row.low)}–{points(row.high)}",
        points(row.gain),
        points(row.at_most),
        "none" if row.detectable is None else points(row.detectable),
        style=style,
    )


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
    from rich.text import Text

    table = plain_table("right, %", "95 %", "words", "to base", "p") if accuracy else plain_table()
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


def _print_readings(rows: list[Row], console: Console) -> None:
    """Print how the answers of each solver were read, a level's seeds together."""
    from rich.text import Text

    if not any(row["readings"].get(reading) for row in rows for reading in ("stated", "unread")):
        console.print("Every answer that was given was read from a box.")
        return
    readings = readings_present(rows)
    table = plain_table("n", *(READING_WORDS[reading] for reading in readings))
    for row in rows:
        if not row["indent"]:
            cells = [count(row["readings"].get(reading, 0)) for reading in readings]
            table.add_row(Text(shown(row["label"])), count(row["responses"]), *cells)
    console.print(table)


def _print_unread(warnings: list[Row], console: Console) -> None:
    """Print whose answers could not be read, with some of them, and what can be done."""
    from rich.padding import Padding
    from rich.text import Text

    for row in warnings:
        console.print(Text(f"Warning: {shown(unread_sentence(row))}", style="yellow"))
        for example in row["examples"]:
            end = " ".join(shown(example["end"]).split())[-_END_SHOWN:]
            said = Text(f"{shown(example['problem_id'])}: … {end}", style="dim")
            console.print(Padding(said, (0, 0, 0, 2)))
    if warnings:
        console.print(Padding(Text(unread_advice()), (0, 0, 1, 0)))


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
