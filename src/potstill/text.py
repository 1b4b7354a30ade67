"""Text that someone else wrote, made fit to be shown: in a file, on a page, in a terminal."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "first_of",
    "in_columns",
    "literal",
    "plain",
    "print_columns",
    "several",
    "shown",
    "token_count",
]

_LONGEST_CELL = 2_000
"""Characters of a cell of a table in a terminal, which is some hundred wide."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """Return the text as valid Unicode: a lone surrogate, which no file can hold, becomes
    U+FFFD.
    """
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def shown(text: str) -> str:
    """Return the text with control characters made visible, for a page or a terminal."""
    return _CONTROL.sub(_picture, text)


def literal(text: object) -> str:
    """Return someone else's text for a console that reads markup: it shows as it stands."""
    from rich.markup import escape

    return escape(shown(plain(str(text))))


def in_columns(rows: Sequence[Sequence[str]], width: int, right: Container[int] = ()) -> list[str]:
    """Return rows of cells as lines of at most ``width``, the columns in ``right`` set right.

    A column is as wide as its widest cell. Where they do not fit, they stand closer, then the
    widest column gives way; what is cut ends in an ellipsis.
    """
    from rich.cells import cell_len, set_cell_size

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    gaps = len(widths) - 1
    between = "  " if sum(widths) + 2 * gaps <= width else " "
    while sum(widths) + gaps > width and max(widths) > 1:
        widths[max(range(len(widths)), key=lambda i: (widths[i], i))] -= 1  # of equals the last

    def fitted(cell: str, place: int) -> str:
        size, wide = widths[place], cell_len(cell)
        if wide > size:
            return set_cell_size(cell, size - 1) + "…"
        blank = " " * (size - wide)
        return blank + cell if place in right else cell + blank

    return [between.join(fitted(cell, i) for i, cell in enumerate(row)).rstrip() for row in rows]


def print_columns(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Container[int] = (),
    styles: Sequence[str] = (),
    whole: Container[int] = (),
) -> None:
    """Print someone else's text in columns under bold heads, each row in its own of ``styles``.

    Of the rows ``whole`` the last column goes on below itself; nothing beyond 2,000 characters is
    shown.
    A thousand rows take no time, as they would in a table of rich's.
    """
    cells = [[shown(plain(_one_line(cell))) for cell in row] for row in rows]
    head, *lines = in_columns([heads, *cells], console.width, right)
    at = head.rindex(heads[-1])
    for number, row in enumerate(cells):
        if number in whole and len(row[-1]) > console.width - at:
            parts = wrap(row[-1], max(20, console.width - at))
            lines[number] = lines[number][:at] + f"\n{' ' * at}".join(parts)
    console.out(head, style="bold", highlight=False)
    styled = zip(lines, styles or [""] * len(lines), strict=True)
    for style, alike in groupby(styled, key=lambda row: row[1]):
        console.out("\n".join(line for line, _ in alike), style=style or None, highlight=False)


def _one_line(cell: str) -> str:
    """Return a cell as one line, cut where nobody would read on."""
    cut = len(cell) > _LONGEST_CELL
    return " ".join(cell[:_LONGEST_CELL].split()) + ("…" if cut else "")


def first_of(names: Sequence[str], most: int) -> str:
    """Return the first ``most`` of some names as a list in a sentence: a, b, ..."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def several(n: int, noun: str) -> str:
    """Return a count with its noun: 1 problem, 1,150 problems."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def lasting(seconds: float) -> str:
    """Return how long something takes, in a unit that says it: 2.5 hours, 7 minutes, 20 seconds."""
    if seconds < 90:
        return several(max(1, round(seconds)), "second")
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"


def token_count(tokens: int) -> str:
    """Return how many tokens calls took; a dash for none, which is what an endpoint that tells no
    counts leaves.
    """
    return f"{tokens:,}" if tokens else "—"


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    # an 8-bit terminal takes the rest for escape sequences
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
