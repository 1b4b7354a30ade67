"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potstill.errors import StoreError
from potstill.store.atomic import disk_errors
from potstill.training.student_folder import sync

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
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        for left in out.parent.glob(f".{out.name}.partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        with disk_errors():
            yield partial
        for path in partial.iterdir():
            sync(path)
        os.replace(partial, out)
        sync(out.parent)
    except OSError as exc:
        shutil.rmtree(partial, ignore_errors=True)
        raise StoreError(
            f"The export could not be written to {out} ({exc.strerror or exc}); free some space or "
            "make the folder writable, and export again."
        ) from exc
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
