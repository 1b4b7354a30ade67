"""The fenced blocks of a page of documentation, with what each one needs.

A block of ``sh`` is run by a test unless the line above it says why it cannot be:
``<!-- needs: network -->`` (or an API key, a GPU, a Mac, minutes ...), or ``<!-- serves -->`` for a
command that goes on until it is stopped. A block with a ``title`` is a file.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w+)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, the file it is (or ""), and what it needs."""

    page: str
    line: int
    language: str
    text: str
    title: str
    needs: str
    serves: bool

    def commands(self) -> list[str]:
        """List the commands of a block of sh; a backslash at its end joins a line to the next."""
        joined = self.text.replace("\\\n", " ")
        lines = [line.strip() for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    """Read the blocks of a page in their order. Raises ValueError for a mark that says nothing."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        mark = match["mark"] or ""
        line = text.count("\n", 0, match.start("language")) + 1
        needs = mark.removeprefix("needs:").strip() if mark.startswith("needs:") else ""
        if mark and not needs and mark != "serves":
            raise ValueError(
                f"{page.name} line {line}: the mark {mark!r} is neither needs nor serves"
            )
        title = _TITLE.search(match["rest"])
        name = page.relative_to(DOCS.parent).as_posix()
        found.append(
            Block(
                name,
                line,
                match["language"],
                match["text"],
                title[1] if title else "",
                needs,
                mark == "serves",
            )
        )
    return found


def words_of(command: str) -> list[str]:
    """Split a command as the shell does, without a remark at its end."""
    return shlex.split(command, comments=True)


def pages() -> list[Path]:
    """List every page of the documentation that is written by hand."""
    return sorted(p for p in DOCS.rglob("*.md") if p.parent.name != "reference")
