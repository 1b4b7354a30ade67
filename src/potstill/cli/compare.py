"""What ``potstill compare`` prints: a table of figures, one of differences, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.analysis.compare import (
    FinishedStudy,
    SetBeside,
    TwoStudies,
    compare_studies,
    total_usd,
)
from potstill.analysis.terminal import plain_table
from potstill.cli.outputs import EXPLORATORY, check_output
from potstill.evaluation.side_by_side import Beside
from potstill.records import Role
from potstill.report.phrases import (
    count,
    listed,
    money,
    p_short,
    percent,
    points,
    several,
    shown,
    words,
)
from potstill.report.readings import format_sentence
from potstill.report.views import Place

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from potstill.evaluation.scores import LevelScore

__all__ = ["print_comparison", "set_sentences", "show_comparison"]

_LONGEST = 300  # characters of one setting


def show_comparison(a: Path, b: Path, json_file: Path | None, console: Console) -> None:
    """Print two study directories side by side, and write ``json_file`` if named.

    Raises what :func:`~potstill.analysis.compare.compare_studies` raises.
    """
    if json_file is not None:
        check_output("--json", json_file, a, b, holds=EXPLORATORY)
    found = compare_studies(a, b)
    if a.resolve() == b.resolve():
        console.print("Both are one study, so nothing differs.")
    print_comparison(found, console)
    if json_file is not None:
        from potstill.report.numbers import write_json

        write_json(found.plain(), json_file)


def print_comparison(found: TwoStudies, console: Console) -> None:
    """Print figures and differences set by set, the settings that differ, the cost."""
    from rich.text import Text

    console.print(
        "Exploratory: neither study declared this comparison before it ran.", style="bold"
    )
    for name, study in (("A", found.a), ("B", found.b)):
        console.print(Text(shown(f"{name}  {study.study.name}, {study.directory}")))
    for beside in found.sets:
        console.print()
        console.print(Text(shown(_title(beside)), style="bold"))
        console.print(_figures(beside.rows))
        console.print(_differences(beside.rows))
        for sentence in set_sentences(beside):
            console.print(Text(shown(sentence)))
    console.print(
        "[dim]p: exact McNemar, or for several seeds or draws a test of them and problems, after "
        "Holm's correction over the set; bootstrap: problems resampled in pairs, the seeds as "
        "they are.[/]",
        highlight=False,
    )
    for alone in found.alone:
        console.print(Text(shown(f"\nIn one study alone, {alone}.")))
    _print_settings(found, console)
    _print_cost(found.a, found.b, console)


def set_sentences(beside: SetBeside) -> list[str]:
    """Return what two studies on one set show, and which solvers are not paired, in words."""
    rows = [row for row in beside.rows if row.paired]
    blocked = [row.who for row in rows if row.blocked]
    judged = [row for row in rows if not row.blocked]
    same = [row for row in judged if not row.only_a and not row.only_b]
    level = [row for row in judged if not row.beyond_chance and row not in same]
    above = [row.who for row in judged if row.beyond_chance and (row.difference or 0) > 0]
    below = [row.who for row in judged if row.beyond_chance and (row.difference or 0) < 0]
    corrected = f" (corrected for {len(rows)} comparisons)" if len(rows) > 1 else ""
    made = []
    for names, says in ((above, "more"), (below, "less")):
        if names:
            made.append(f"B answers {says} than A beyond chance: {listed(names)}{corrected}.")
    lucky = [row.who for row in judged if row.beyond_chance and _one_seed(row)]
    if lucky:
        made.append(
            f"With one seed a side that is said of these students ({listed(lucky)}), not of how "
            "they were trained: another seed may differ as much."
        )
    made += _may_be_format(judged)
    if level:
        made.append(f"Cannot be told apart: {listed([x.who for x in level])}{_would_show(level)}.")
    if same:
        made.append(f"Right and wrong on the same problems: {listed([x.who for x in same])}.")
    if blocked:
        made.append(
            f"No difference is claimed for {listed(blocked)}, for some responses ended in an "
            "error. Run the study again: they are asked again."
        )
    whys = dict.fromkeys(row.why for row in beside.rows if row.why)
    for why in whys:
        names = [row.who for row in beside.rows if row.why == why]
        unpaired = "" if why.endswith("alone has it") else "unpaired and not tested, for "
        made.append(f"{listed(names)}: {unpaired}{why}.")
    if beside.other_key:
        made.append(
            f"{several(beside.other_key, 'problem')} with the same text and another key "
            "counted as different."
        )
    return made


def _may_be_format(rows: Sequence[Beside]) -> list[str]:
    """Return which differences may be format, not reasoning: in a sentence, or none."""
    pairs = []
    for row in rows:
        if row.format and row.a and row.b:
            pairs.append(
                {
                    # a report's comparisons are of a over b, these of B over A
                    "a": f"{row.who} of B",
                    "b": f"{row.who} of A",
                    "n": row.n,
                    "difference": row.difference,
                    "seeds_a": row.b.seeds,
                    "seeds_b": row.a.seeds,
                    "draws_a": row.b.draws,
                    "draws_b": row.a.draws,
                    "format": asdict(row.format.turned()),
                    "beyond_chance": row.beyond_chance,
                    "survives_format": row.survives_format,
                }
            )
    sentence = format_sentence(pairs)
    return [sentence] if sentence else []


def _one_seed(row: Beside) -> bool:
    """Return whether a side is one trained student, whose luck no test can tell from its
    training.
    """
    sides = [x for x in (row.a, row.b) if x is not None]
    return row.role is Role.STUDENT and any(len(x.seeds) == 1 for x in sides)


def _title(beside: SetBeside) -> str:
    title = Place(beside.set_a, beside.split).title
    if beside.set_b != beside.set_a:
        title += f" (B calls it {beside.set_b})"
    if beside.problems_a == beside.problems_b == beside.shared:
        return f"{title}: the same {several(beside.shared, 'problem')}"
    return (
        f"{title}: {several(beside.problems_a, 'problem')} in A, {count(beside.problems_b)} in B, "
        f"{count(beside.shared)} of them the same"
    )


def _would_show(rows: Sequence[Beside]) -> str:
    """Return the least differences that the problems of some rows show, in a clause."""
    least = [row.detectable for row in rows if row.detectable is not None]
    if not least:
        return ""
    low, high = points(min(least)), points(max(least))
    span = low if low == high else f"{low} to {high}"
    return f" (with so many problems a difference of {span} points would show)"


def _figures(rows: Iterable[Beside]) -> Table:
    from rich.text import Text

    table = plain_table("A, %", "95 %", "words", "B, %", "95 %", "words")
    for row in rows:
        cells = [*_figure(row.a), *_figure(row.b)]
        table.add_row(Text(shown(row.who)), *cells)
    return table


def _figure(score: LevelScore | None) -> tuple[str, str, str]:
    if score is None or not score.n:
        return ("–", "", "")
    ends = f"{percent(score.low)}–{percent(score.high)}"
    return percent(score.accuracy), ends, words(score.words)


def _differences(rows: Iterable[Beside]) -> Table:
    from rich.text import Text

    table = plain_table("n", "B less A", "95 %", "bootstrap", "only A", "only B", "p")
    for row in rows:
        if row.difference is None:
            continue
        p = "no claim" if row.blocked else p_short(row.p_holm) if row.paired else "unpaired"
        table.add_row(
            Text(shown(row.who)),
            count(row.n) if row.paired else "",
            points(row.difference, sign=True),
            _ends(row.low, row.high),
            _ends(row.bootstrap.low, row.bootstrap.high) if row.bootstrap else "",
            count(row.only_a) if row.only_a is not None else "",
            count(row.only_b) if row.only_b is not None else "",
            p,
        )
    return table


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{points(low)}–{points(high)}"


def _print_settings(found: TwoStudies, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found.settings:
        console.print("\nThe two studies have the same settings, problems and base.")
        return
    table = Table(title="\nwhat differs", title_justify="left", box=None, pad_edge=False)
    for head in ("setting", "A", "B"):
        table.add_column(head, overflow="fold")
    for row in found.settings:
        table.add_row(*(Text(shown(x[:_LONGEST]) or "–") for x in (row.name, row.a, row.b)))
    console.print(table)


def _print_cost(a: FinishedStudy, b: FinishedStudy, console: Console) -> None:
    console.print("\ncost", style="italic")
    table = plain_table("A calls", "tokens out", "cost", "B calls", "tokens out", "cost")
    for stage in dict.fromkeys(call.stage for x in (a, b) for call in x.calls):
        table.add_row(stage, *_cost(a, stage), *_cost(b, stage))
    table.add_row("all", *_cost(a, ""), *_cost(b, ""), style="bold")
    console.print(table)
    console.print("[dim]Every reply in the ledger counts, those of earlier settings too.[/]")


def _cost(finished: FinishedStudy, stage: str) -> tuple[str, str, str]:
    calls = [call for call in finished.calls if stage in ("", call.stage)]
    if not calls:
        return ("", "", "")
    return (
        count(sum(call.calls for call in calls)),
        count(sum(call.tokens_out for call in calls)),
        money(total_usd(calls)),
    )
