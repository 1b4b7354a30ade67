"""Which files in a report's folder are the report's: a person's own beside them are kept."""

from __future__ import annotations

__all__ = ["is_of_report"]

_FILES = {"report.json", "report.md", "index.html", "problems.jsonl"}
_TABLES = {
    *("scores", "levels", "comparisons", "interactions", "shared", "causes", "unread", "calls"),
    *("losses", "lessons", "corpus", "gates"),
}


def is_of_report(path: str) -> bool:
    """Return whether a report writes the file of that path in its folder."""
    folder, _, name = path.rpartition("/")
    stem, _, ending = name.rpartition(".")
    if folder == "figures":
        return ending in ("svg", "png")
    return path in _FILES or (folder == "tables" and ending == "csv" and stem in _TABLES)
