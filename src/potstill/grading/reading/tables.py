"""Tables in markdown as lines that say the same: what a cell is of, a colon, the cell."""

from __future__ import annotations

import re
from itertools import groupby

__all__ = ["tables_told"]

_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")


def tables_told(text: str) -> str:
    """Return a text with each table of two columns, and each of one row, as lines "name: value"."""
    if "|" not in text or "--" not in text:
        return text
    told: list[str] = []
    for is_row, lines in groupby(text.split("\n"), key=lambda line: line.count("|") > 1):
        block = list(lines)
        told += _told(block) if is_row else block
    return "\n".join(told)


def _told(lines: list[str]) -> list[str]:
    if len(lines) < 3 or _RULE.fullmatch(lines[1]) is None:
        return lines
    head, *rows = [_cells(line) for at, line in enumerate(lines) if at != 1]
    if all(len(row) == 2 for row in rows):
        return [f"{name}: {value}" for name, value in rows]
    if len(rows) == 1 and len(head) == len(rows[0]):
        return [f"{name}: {value}" for name, value in zip(head, rows[0], strict=True)]
    return lines


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
