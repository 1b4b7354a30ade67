"""``potstill overlap``: the problems that two files share, from any two files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.cli.outputs import check_output
from potstill.errors import InputError, StoreError
from potstill.problems import Imported, guess_source
from potstill.problems.overlap.find import find_pairs
from potstill.problems.overlap.pairs import Pair
from potstill.records import ExclusionReason, Problem
from potstill.report.overlaps import KIND_WORDS
from potstill.report.phrases import shown
from potstill.store.atomic import write_atomically
from potstill.study.intake import problems_of_file, problems_of_study
from potstill.text import several

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_overlap"]

_COLUMNS = ("a_id", "b_id", "how", "score", "a_text", "b_text")


def print_overlap(
    a: Path, b: Path | None, threshold: float, out: Path | None, console: Console
) -> list[Pair]:
    """Return the pairs between two files (within one where ``b`` is None), printed, the surest
    first.

    ``out`` takes them all as csv or jsonl. Raises InputError for what cannot be read.
    """
    if out is not None and out.suffix not in (".csv", ".jsonl"):
        raise InputError(f"{out} is neither .csv nor .jsonl; name the file of pairs so.")
    if out is not None:
        check_output("--out", out, *filter(None, (a, b)), holds=_COLUMNS)
    left = _load(a)
    right = _load(b) if b is not None else None
    pairs = find_pairs(left.problems, right.problems if right else None, threshold=threshold)
    texts_a = {p.id: p for p in left.problems}
    texts_b = {p.id: p for p in right.problems} if right else texts_a
    for pair in pairs:
        _print_pair(pair, texts_a[pair.a_id], texts_b[pair.b_id], console)
    if out is not None:
        _write(out, [_row(pair, texts_a, texts_b) for pair in pairs])
    _print_counts(pairs, left, right, threshold, console)
    return pairs


def _load(path: Path) -> Imported:
    if path.suffix in (".yaml", ".yml"):
        from potstill.study.schema import load_study

        return problems_of_study(load_study(path))
    return problems_of_file(guess_source(path))


def _print_pair(pair: Pair, a: Problem, b: Problem, console: Console) -> None:
    from rich.text import Text

    head = Text(f"{pair.score:.2f} {KIND_WORDS[pair.how]}", style="bold")
    console.print(head)
    for problem in (a, b):
        line = Text(f"  {shown(problem.id)}  ", style="cyan")
        line.append(shown(" ".join(problem.text.split())), style="default")
        line.truncate(2 * console.width - 2, overflow="ellipsis")
        console.print(line)


def _print_counts(
    pairs: Sequence[Pair],
    left: Imported,
    right: Imported | None,
    threshold: float,
    console: Console,
) -> None:
    counts: Counter[str] = Counter(pair.how for pair in pairs)
    sizes = several(len(left.problems), "problem")
    if right:
        sizes += f" and {len(right.problems):,}"
    listed = ", ".join(f"{counts[how]:,} {told}" for how, told in KIND_WORDS.items())
    console.print(
        f"{sizes}, threshold {threshold:g}: {several(len(pairs), 'pair')} ({listed})",
        highlight=False,
    )
    for name, found in (("the first", left), ("the second", right)):
        twice = sum(s.reason is ExclusionReason.DUPLICATE for s in found.excluded) if found else 0
        if twice:
            are = "is an exact copy" if twice == 1 else "are exact copies"
            console.print(
                f"Within {name} file {several(twice, 'problem')} {are} of another: excluded, and "
                "in none of these pairs.",
                highlight=False,
            )
    if counts["masked numbers"]:
        console.print(
            "With other numbers: the same words, or nearly; one may be trained on "
            "and the other held out.",
            highlight=False,
        )


def _row(pair: Pair, a: dict[str, Problem], b: dict[str, Problem]) -> dict[str, Any]:
    return {
        "a_id": pair.a_id,
        "b_id": pair.b_id,
        "how": pair.how,
        "score": round(pair.score, 4),
        "a_text": a[pair.a_id].text,
        "b_text": b[pair.b_id].text,
    }


def _write(out: Path, rows: list[dict[str, Any]]) -> None:
    import csv
    import io
    import json

    text = io.StringIO(newline="")
    if out.suffix == ".jsonl":
        text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    try:
        write_atomically(out, text.getvalue().encode("utf-8", "replace"))
    except OSError as exc:
        raise StoreError(f"{out} cannot be written ({exc.strerror}); name another file.") from exc
