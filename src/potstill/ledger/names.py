"""Models that answer under another name than the one that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from potstill.text import several

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger

__all__ = ["name_note", "other_names"]

_NOTE = "the name of another model, "


def name_note(asked: str, said: str) -> str:
    """Return what is odd about a reply whose model calls itself otherwise than was asked for.

    "" where the two differ in case, in a path or a provider before the name or in a file's ending
    alone, or where the reply names none.
    """
    return f"{_NOTE}{said[:80]}" if said and _bare(said) != _bare(asked) else ""


def other_names(ledger: Ledger, stage: str = "") -> Iterator[str]:
    """Yield a sentence for each name that was not asked for, of one stage where it is given."""
    counts: dict[tuple[str, str], int] = {}
    for found in ledger.failures(("stage", "model", "kind")):
        of, asked, kind = found.group
        _, noted, said = kind.partition(f"kept with {_NOTE}")
        if noted and stage in ("", of):
            counts[asked, said] = counts.get((asked, said), 0) + found.n
    for (asked, said), n in sorted(counts.items()):
        yield (
            f"{asked} was asked for, and the endpoint named {said} as what answered "
            f"({several(n, 'answer')})."
        )


def _bare(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower().removesuffix(".gguf")
