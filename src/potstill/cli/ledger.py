"""A ledger looked at, checked, moved and merged: what ``potstill ledger`` does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cli.outputs import begins_as_ledger, check_output
from potstill.errors import InputError, PotstillError
from potstill.ledger.entries import Entry
from potstill.ledger.file import refuse_lost
from potstill.ledger.ledger import Ledger, Merge, SpendGroup
from potstill.store.cells import OWN
from potstill.store.untrusted import refuse_links
from potstill.text import literal, token_count

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["export_ledger", "import_into", "ledger_path", "print_spend", "print_verified"]

_SHOWN = 20
_MAY_BE_BILLED = {"malformed", "connection", "timeout"}
_OTHER_COLUMNS = 70  # what the table takes beside the name of the model


def ledger_path(place: Path) -> Path:
    """Return the ledger of a study directory, or the file itself; InputError where there is
    none, StoreError where it was lost.
    """
    place = _directory(place)
    path = place / "ledger.sqlite" if place.is_dir() else place
    refuse_lost(path)
    if not path.is_file():
        raise InputError(
            f"There is no ledger at {path}; give a study's directory or its ledger.sqlite."
        )
    _refuse_other(path)
    return path


def _directory(place: Path) -> Path:
    """Return a study file's directory, any other place as it is."""
    from potstill.pipeline.directory import directory_of

    return directory_of(place) if place.suffix in (".yaml", ".yml") else place


def _refuse_other(path: Path) -> None:
    """Raise InputError for a file that neither is nor was a ledger, going by name and content."""
    if path.suffix == ".sqlite" or not path.is_file():
        return
    if path.stat().st_size and not begins_as_ledger(path):
        raise InputError(f"{path} is no ledger; give a study's directory or its ledger.sqlite.")


def print_spend(place: Path, console: Console) -> None:
    """Print spend by stage, model and day, then what failed and was asked again."""
    from rich.table import Table

    place = _directory(place)
    with Ledger.open(ledger_path(place), readonly=True) as ledger:
        rows = ledger.spend(("stage", "provider", "model", "day"))
        totals = ledger.spend(())
        failures = ledger.failures(("stage", "kind"))
    names = _local_names(place)
    table = Table(box=None, pad_edge=False)
    for head in ("stage", "model", "day"):
        table.add_column(head, no_wrap=True)
    for head in ("calls", "again", "in", "cached", "out", "dollars"):
        table.add_column(head, justify="right", no_wrap=True)
    room = max(8, console.width - _OTHER_COLUMNS)
    for row in rows:
        stage, provider, model, day = row.group
        called = literal(names.get(model) or _shortened(str(provider), str(model), room))
        table.add_row(literal(stage), called, literal(day), *_figures(row))
    for row in totals:
        table.add_row("all", "", "", *_figures(row), style="bold")
    console.print(table if rows else "The ledger holds no reply yet.")
    console.print("[dim]again: tries that failed before; in, out: tokens; k thousand, M million[/]")
    unpriced = sum(row.unpriced for row in totals)
    if unpriced:
        console.print(
            f"{'1 reply is' if unpriced == 1 else f'{unpriced:,} replies are'} in no sum of "
            "dollars: the model has no known price (a study may give it one), or the endpoint did "
            "not say how many tokens it took.",
            highlight=False,
        )
    kinds: dict[str, Counter[str]] = {}
    for failed in failures:
        stage, kind = failed.group
        kinds.setdefault(stage, Counter())[kind] += failed.n
    for stage, counts in kinds.items():
        listed = ", ".join(f"{n:,} {kind}" for kind, n in counts.most_common())
        console.print(literal(f"{stage}: {listed}"), highlight=False)
    if any(set(counts) & _MAY_BE_BILLED for counts in kinds.values()):
        console.print(
            "Tries that broke off, or were no reply, are in no sum of dollars; an endpoint may "
            "bill what it had sent.",
            highlight=False,
        )


def _local_names(place: Path) -> dict[str, str]:
    """Return who local models are (base, R1 s0), where the study can be read; its ledger can too
    where it cannot.
    """
    from potstill.pipeline.directory import StudyDirectory

    if not place.is_dir():
        return {}
    try:
        return StudyDirectory.open(place).local_names()
    except PotstillError:
        return {}


def _figures(row: SpendGroup) -> tuple[str, ...]:
    share = f"{100 * row.tokens_cached / row.tokens_in:.0f} %" if row.tokens_cached else ""
    dollars = "no price" if row.unpriced == row.calls else f"{row.cost_usd:,.4f}"
    return (
        f"{row.calls:,}",
        f"{row.retries:,}" if row.retries else "",
        _compact(row.tokens_in),
        share,
        _compact(row.tokens_out),
        dollars,
    )


def _compact(tokens: int) -> str:
    if tokens < 10_000:
        return token_count(tokens)
    return f"{tokens / 1e3:,.0f}k" if tokens < 10_000_000 else f"{tokens / 1e6:,.1f}M"


def _shortened(provider: str, model: str, room: int) -> str:
    """Return a model's name in the room there is; a local one is told by the hashes of its
    weights.
    """
    name = f"local {model}" if provider == "local" else model
    return name if len(name) <= room else f"{name[: room - 1]}…"


def print_verified(place: Path, console: Console) -> bool:
    """Return whether every key is that of its request and every reply has the bytes it was kept
    with.
    """
    path = ledger_path(place)
    with Ledger.open(path, readonly=True) as ledger:
        count = sum(row.calls for row in ledger.spend(()))
        damaged = ledger.verify()
    if not damaged:
        console.print(f"{count:,} replies, every key and every byte as it was kept.")
        return True
    console.print(f"{len(damaged):,} of {count:,} replies are damaged:", highlight=False)
    for key in damaged[:_SHOWN]:
        console.print(f"  {literal(key)}", highlight=False)
    if len(damaged) > _SHOWN:
        console.print(f"  and {len(damaged) - _SHOWN:,} more")
    console.print(
        f"Nothing damaged is ever used. Restore {literal(path)} from a copy, or export the sound "
        "replies of another copy and import them into a new ledger.",
        highlight=False,
    )
    return False


def export_ledger(place: Path, to: Path) -> int:
    """Return how many replies were written to ``to``, one JSON object a line, whole or not at
    all.
    """
    path = ledger_path(place)
    check_output("--export", to, path, holds=Entry.__slots__[:3])
    with Ledger.open(path, readonly=True) as ledger:
        return ledger.export_jsonl(to)


def import_into(place: Path, source: Path) -> Merge:
    """Return what merging did: an exported file, another ledger or another study's directory.

    The ledger at ``place`` is made where there is none. Raises StoreError where a run holds it.
    """
    import tempfile

    place = _directory(place)
    if place.is_dir():
        refuse_links(place, OWN)
    target = place / "ledger.sqlite" if place.is_dir() or not place.suffix else place
    _refuse_other(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        if source.is_dir() or source.suffix == ".sqlite":
            lines = Path(scratch) / "replies.jsonl"
            export_ledger(source, lines)
            source = lines
        with Ledger.open(target) as ledger:
            return ledger.import_jsonl(source)
