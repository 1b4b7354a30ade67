"""Tables in markdown as lines that say the same: what a cell is of, a colon, the cell."""

from __future__ import annotations

import re
from itertools import groupby

from potstill.grading.reading.sentences import stem, words_of

__all__ = ["tables_told"]

_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")


# Words of a row that says what the others come to.
_CLOSING = frozenset(map(stem, ("total", "answer", "result", "final", "sum", "left", "remaining")))


def tables_told(text: str, words: frozenset[str]) -> str:
    """Return a text with the rows of a table of two columns, and the cells of one of one row, as
    lines "name: value", where a name has one of the ``words`` of the question or closes the table.
    """
    if "|" not in text or "--" not in text:
        return text
    told: list[str] = []
    for is_row, lines in groupby(text.split("\n"), key=lambda line: line.count("|") > 1):
        block = list(lines)
        told += _told(block, words) if is_row else block
    return "\n".join(told)


def _told(lines: list[str], words: frozenset[str]) -> list[str]:
    if len(lines) < 3 or _RULE.fullmatch(lines[1]) is None:
        return lines
    head, *rows = [_cells(line) for at, line in enumerate(lines) if at != 1]
    if all(len(row) == 2 for row in rows):
        pairs = [(name, value) for name, value in rows]
    elif len(rows) == 1 and len(head) == len(rows[0]):
        pairs = list(zip(head, rows[0], strict=True))
    else:
        return lines
    asked = words | _CLOSING
    return [f"{name}: {value}" for name, value in pairs if not asked.isdisjoint(words_of(name))]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
