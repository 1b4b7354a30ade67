"""A folder that is there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potstill.errors import StoreError
from potstill.store.atomic import whole_folder

__all__ = ["new_folder", "refuse_taken"]


def refuse_taken(out: Path) -> None:
    """Raise StoreError where something stands at ``out``, an empty folder excepted."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} is there and not empty; name another folder with --out.")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out`` to write into, renamed to it at the end, or gone.

    Raises StoreError where the disk does not take it.
    """
    try:
        with whole_folder(out) as partial:
            yield partial
    except OSError as exc:
        raise StoreError(
            f"The export could not be written to {out} ({exc.strerror or exc}); free some space, "
            "make the folder writable or name another with --out, and export again."
        ) from exc
