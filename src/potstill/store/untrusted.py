"""Reading untrusted files: how much of it, in which form, and from where.

A study directory, an adapter or a problem file from someone else is data. Nothing of it is run, and
no name in it leads out of its folder.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from potstill.errors import InputError, StoreError

__all__ = [
    "DOCUMENT_BYTES",
    "LINE_CHARACTERS",
    "REPLY_BYTES",
    "STUDY_BYTES",
    "TABLE_BYTES",
    "holds_login",
    "is_plain_name",
    "lines_of",
    "parse_json",
    "read_bytes",
    "read_json",
    "refuse_links",
    "stays_inside",
]

STUDY_BYTES = 1 << 20  # a study file
DOCUMENT_BYTES = 256 << 20  # a JSON document of ours: a report, a student's record, a manifest
TABLE_BYTES = 1 << 30  # a table in one piece of JSON, which is read whole
LINE_CHARACTERS = 256 << 20  # a line of JSON Lines, a cell of a csv: a whole trace and more
REPLY_BYTES = 64 << 20  # one reply of a model

_LOGIN = re.compile(r"://[^@\s]*:[^@\s]*@")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")


def read_bytes(path: Path, limit_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises InputError for a larger one, OSError for one that is not there.

    What is no regular file (a pipe, a device) is refused before it is opened.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no file; give the path of one.")
    if status.st_size > limit_bytes:
        raise InputError(
            f"{path} has {status.st_size / 1e6:,.0f} MB, and no more than {limit_bytes / 1e6:,.0f} "
            "MB are read of such a file; check that it is the right one."
        )
    with path.open("rb") as file:
        return file.read(limit_bytes)


def parse_json(
    text: str | bytes, made: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """Return the value that JSON text holds; ``made`` makes an object of its pairs.

    Raises ValueError for anything else, however it is broken.
    """
    try:
        return json.loads(text, object_pairs_hook=made)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def read_json(path: Path, limit_bytes: int = DOCUMENT_BYTES) -> Any:
    """Return the value of a JSON file.

    Raises OSError, ValueError, and InputError for one too large.
    """
    return parse_json(read_bytes(path, limit_bytes))


def lines_of(path: Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    """Yield the lines of a text with their numbers, blank ones left out.

    Raises InputError for a line too long to be a row, OSError and UnicodeDecodeError.
    """
    with path.open(encoding=encoding) as handle:
        number = 0
        while line := handle.readline(LINE_CHARACTERS):
            number += 1
            if len(line) == LINE_CHARACTERS:
                raise InputError(
                    f"{path} line {number} has more than {LINE_CHARACTERS >> 20} million "
                    "characters; check that it is the right file."
                )
            if line.strip():
                yield number, line


def holds_login(text: str) -> bool:
    """Return whether a text holds a URL with a password or key in it, which is not to be shown."""
    return _LOGIN.search(text) is not None


def is_plain_name(name: object) -> bool:
    """Return whether a name that stands in a file can be that of a file or folder beside it."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def stays_inside(name: str) -> bool:
    """Return whether a relative path (``tokenizer.json``, ``a/b``) leads to a place beneath its
    folder.
    """
    parts = name.split("/")
    return name.isprintable() and all(part not in ("", ".", "..") for part in parts)


def refuse_links(folder: Path, names: Sequence[str]) -> None:
    """Raise StoreError where a link beneath ``folder`` leads out of it.

    ``names`` are patterns of the entries that are looked at, with all that is beneath them. A link
    may point to another place beneath the folder. A pipe or a device, which would be waited for, is
    refused too.
    """
    root = folder.resolve()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(place)) if place.is_dir() else []
        except OSError as exc:
            raise StoreError(f"{place} cannot be read ({exc.strerror}); check its owner.") from exc
        for entry in entries:
            if place is folder and not any(fnmatch(entry.name, name) for name in names):
                continue
            if entry.is_symlink():
                if not _target(Path(entry.path)).is_relative_to(root):
                    raise StoreError(
                        f"{entry.path} is a link that leads out of {folder}; a study directory "
                        "holds its own files: delete the link, or put a copy in its place."
                    )
            elif entry.is_dir():
                waiting.append(Path(entry.path))
            elif not entry.is_file():
                raise StoreError(f"{entry.path} is neither a file nor a folder; delete it.")


def _target(link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return Path("/")
