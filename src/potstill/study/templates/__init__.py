"""The study files that ship: the demo's, and the commented one that ``potstill init`` writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from potstill.errors import InputError
from potstill.store.atomic import write_atomically

__all__ = ["DEMO_STUDY", "filled", "study_path", "write_study", "write_text"]

_HERE = Path(__file__).parent
DEMO_STUDY = _HERE / "demo.yaml"


def study_path(name: str, parent: Path) -> Path:
    """Return where a new study file is written, ``parent/NAME/study.yaml``.

    Raises InputError for a name that is no folder name, or where the file is already there.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        wrong = next((x for x in name if not re.match(r"[A-Za-z0-9._-]", x)), "")
        why = f" ({wrong!r} is none of those it may have)" if wrong else ""
        raise InputError(
            f"{name!r} cannot name a study{why}; use the letters a to z, digits, dots, dashes and "
            "underscores, a letter or digit first."
        )
    if name.lower().endswith((".yaml", ".yml")):
        raise InputError(
            f"{name!r} would name a folder, in which study.yaml is written; leave the ending out."
        )
    path = parent / name / "study.yaml"
    if path.exists():
        raise InputError(f"{path} exists; choose another name, or edit that file.")
    return path


def write_study(name: str, parent: Path) -> Path:
    """Return the path of a new commented study file.

    Raises InputError as :func:`study_path` does, and where it cannot be written.
    """
    path = study_path(name, parent)
    write_text(path, filled("study.yaml", {"NAME": name}))
    return path


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with each name in capitals replaced by its value."""
    text = (_HERE / template).read_text(encoding="utf-8")
    return re.sub(
        r"(?<!\{)\b(?:" + "|".join(map(re.escape, values)) + r")\b", lambda m: values[m[0]], text
    )


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all. Raises InputError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8", "replace"))
    except OSError as exc:
        raise InputError(f"cannot write {path}: {exc.strerror}; choose another folder.") from exc
