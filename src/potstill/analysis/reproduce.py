"""``potstill reproduce``: a study run again from its ledger, its report compared with the first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.analysis.differences import Difference, count_values, differences
from potstill.errors import InputError, StoreError
from potstill.ledger.file import copy_ledger
from potstill.ledger.ledger import Ledger
from potstill.pipeline.declared import DECLARED_FILE
from potstill.pipeline.lock import LOCK_FILE, deciding, read_lock
from potstill.progress import Progress, quiet
from potstill.records import Excluded, Problem
from potstill.solvers.local import PROVIDER
from potstill.store.atomic import Writing, file_sha256, write_atomically, write_json
from potstill.store.cells import Cell, Store

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.pipeline.context import Context
    from potstill.study.schema import Study

__all__ = ["Reproduced", "print_reproduced", "reproduce_study"]

COMPARISON_FILE = "reproduction.json"
_MARK = ".reproduces"
_SHOWN = 20
_REPORT = "report/report.json"
_HAND_MADE = ("rulings.jsonl", "diagnosis.json", DECLARED_FILE)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """How a second run's report differs from the first; ``numbers`` counts the first's by section.

    ``elsewhere`` are the versions and the machine that are not the first run's: name, then, now.
    """

    folder: Path
    numbers: Mapping[str, int]
    differences: tuple[Difference, ...]
    elsewhere: tuple[tuple[str, str, str], ...]


def reproduce_study(
    directory: Path, out: Path, *, base: str = "", again: bool = False, progress: Progress = quiet
) -> Reproduced:
    """Return what came of running the study of ``directory`` again in ``out``, from its ledger
    alone.

    Nothing is bought: students are trained and answers graded anew, and what an API said is taken
    from a copy of the ledger. So is what local models said, where their weights came out the same,
    unless ``again``. ``base`` is where the base model is now. What was begun in ``out`` goes on.

    Raises InputError for a study without a report, another base model and an ``out`` that is in
    use; StoreError where the study is damaged or its ledger lacks a reply.
    """
    from potstill.pipeline.directory import study_of
    from potstill.pipeline.run import open_run, run_to_report

    study = study_of(directory)
    lock, then = _finished(directory)
    _prepare(directory, out, lock, again)
    with ExitStack() as stack:
        run = open_run(study, out, progress, stack, only_ledger=True, base_at=base)
        _check_base(run.context, lock)
        _bring_problems(run.context, directory, lock)
        report = run_to_report(run)
    found = Reproduced(
        out,
        count_values(then),
        tuple(differences(then, report or {})),
        tuple(_elsewhere(lock, read_lock(out) or {})),
    )
    _write(found)
    return found


def print_reproduced(found: Reproduced, console: Console) -> None:
    """Print by section how many numbers differ, then the first that do."""
    from rich.table import Table
    from rich.text import Text

    for name, then, now in found.elsewhere:
        console.print(Text(f"note: {name} was {then} and is {now} here."))
    total = sum(found.numbers.values())
    if not found.differences:
        console.print(f"All {total:,} numbers of the report are the same.", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("section", no_wrap=True)
    for head in ("numbers", "differ", "largest difference"):
        table.add_column(head, justify="right", no_wrap=True)
    for section, own in _by_section(found.differences).items():
        sizes = [d.size for d in own if d.size is not None]
        largest = f"{max(sizes):.4g}" if sizes else ""
        table.add_row(section, f"{found.numbers.get(section, 0):,}", f"{len(own):,}", largest)
    console.print(table)
    for d in found.differences[:_SHOWN]:
        where = " · ".join(part for part in (d.section, d.row, d.name) if part)
        console.print(Text(f"{where}: {_shown(d.then)} then, {_shown(d.now)} now"))
    if len(found.differences) > _SHOWN:
        console.print(f"and {len(found.differences) - _SHOWN:,} more", highlight=False)
    console.print(
        Text(
            f"{len(found.differences):,} values differ; {total:,} numbers were compared. All "
            f"differences stand in {found.folder / COMPARISON_FILE}."
        )
    )


def _finished(directory: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the lock of a study and its report, which is the one that the lock was written for."""
    path = directory / _REPORT
    lock = read_lock(directory)
    if not path.exists() or lock is None:
        lacks = "report" if not path.exists() else LOCK_FILE
        raise InputError(
            f"{directory} has no {lacks}, so there is nothing to compare with; run the study to "
            "its end first (potstill run)."
        )
    if file_sha256(path) != lock["artifacts"].get(_REPORT):
        raise StoreError(
            f"{path} is not the report that {LOCK_FILE} was written for; potstill verify "
            f"{directory} says what is damaged."
        )
    report = json.loads(path.read_text("utf-8"))
    if not isinstance(report, dict):
        raise StoreError(f"{path} is no report; run the study again to write it anew.")
    return lock, report


def _prepare(directory: Path, out: Path, lock: Mapping[str, Any], again: bool) -> None:
    """Copy into ``out`` what a run cannot make: the ledger and what a person decided."""
    if out.resolve() == directory.resolve():
        raise InputError("A study cannot be reproduced in its own directory; name another --out.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a new folder with --out.")
    begun = {"of": file_sha256(directory / LOCK_FILE), "again": again}
    if out.exists() and any(out.iterdir()):
        _check_begun(out, begun)
    else:
        write_json(out / _MARK, begun)
    for name in _HAND_MADE:
        if (directory / name).exists():
            with Writing(str(out)):
                write_atomically(out / name, (directory / name).read_bytes())
    ledger = out / "ledger.sqlite"
    if not ledger.exists():
        bought = directory / "ledger.sqlite"
        first = _counted(bought, lock)
        copy_ledger(bought, ledger, first=first, without=PROVIDER if again else "")


def _counted(ledger: Path, lock: Mapping[str, Any]) -> int | None:
    """Return how many replies the report counts; None where the ledger begins with others.

    What was asked later (potstill gap, say) is no part of the report.
    """
    replies, sha256 = lock["ledger"]["replies"], lock["ledger"]["sha256"]
    with Ledger.open(ledger, readonly=True) as opened:
        return replies if opened.digest(replies) == (replies, sha256) else None


def _check_begun(out: Path, begun: Mapping[str, Any]) -> None:
    """Refuse a folder in which another reproduction was begun, or anything else stands."""
    finished = (out / COMPARISON_FILE).exists()
    try:
        same = json.loads((out / _MARK).read_text("utf-8")) == begun
    except (OSError, ValueError):
        same = False
    if finished or not same:
        ours = finished and (out / _MARK).exists()
        what = "holds a finished reproduction; delete it, or" if ours else "is not empty;"
        raise InputError(f"{out} {what} name another folder with --out.")


def _check_base(context: Context, lock: Mapping[str, Any]) -> None:
    expected = lock["decides"]["student"]["base_hash"]
    if context.base_hash != expected:
        raise InputError(
            f"The base model at {context.base_path} is not the study's (hash "
            f"{context.base_hash[:12]} and not {expected[:12]}); give that one with --base."
        )


def _bring_problems(context: Context, directory: Path, lock: Mapping[str, Any]) -> None:
    """Take the study's own copy of its problems where their files are not on this machine.

    Raises StoreError where the files are here with another content.
    """
    from potstill.pipeline.stages import problems_cell

    then = lock["decides"]["problems"]
    now = deciding(context.study, context.directory, context.base_hash)["problems"]
    cell = problems_cell(context.study)
    if then == now or context.store.exists(cell):
        return
    missing = _missing_files(context.study)
    if not missing:
        raise StoreError(
            "The files of the problems are no longer what the study was made with; put them back, "
            f"or move them away to have the copy in {directory} used."
        )
    old = Store(directory, create=False)
    keys = [n.split("/")[2] for n in lock["artifacts"] if n.startswith("cells/problems/")]
    if not keys:
        raise StoreError(f"{LOCK_FILE} names no problems; put {missing[0]} where the study had it.")
    kept = Cell("problems", keys[0])
    tables = {"problems": Problem, "set_aside": Excluded}
    context.store.write(
        cell, {n: (record, old.rows(kept, n, record)) for n, record in tables.items()}
    )
    context.progress.note(
        f"{missing[0]} is not on this machine; the problems are the study's own copy of them."
    )


def _missing_files(study: Study) -> list[str]:
    values = [v for source in study.sources for v in source.options.values()]
    paths = [Path(v) for v in values if isinstance(v, str) and Path(v).is_absolute()]
    return [path.name for path in paths if not path.exists()]


def _elsewhere(then: Mapping[str, Any], now: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Return the versions, stages and machine that are not the same: name, then, now."""
    found = []
    for section in ("versions", "stages", "machine"):
        old, new = then.get(section, {}), now.get(section, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                found.append((name, str(old.get(name, "not there")), str(new.get(name, "gone"))))
    return found


def _by_section(found: Sequence[Difference]) -> dict[str, list[Difference]]:
    sections: dict[str, list[Difference]] = {}
    for difference in found:
        sections.setdefault(difference.section, []).append(difference)
    return sections


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "there"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str("nothing" if value is None else value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _write(found: Reproduced) -> None:
    told = {
        "numbers": sum(found.numbers.values()),
        "differences": [asdict(d) for d in found.differences],
        "elsewhere": [{"name": n, "then": a, "now": b} for n, a, b in found.elsewhere],
    }
    write_json(found.folder / COMPARISON_FILE, told)
