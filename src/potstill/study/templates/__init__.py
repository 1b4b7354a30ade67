"""The study files that ship: the demo's, and the commented one that ``potstill init`` writes."""

from __future__ import annotations

import re
from pathlib import Path

from potstill.errors import InputError

__all__ = ["DEMO_STUDY", "write_study"]

_HERE = Path(__file__).parent
DEMO_STUDY = _HERE / "demo.yaml"


def write_study(name: str, parent: Path) -> Path:
    """Return the path of a new commented study file, ``parent/NAME/study.yaml``.

    Raises InputError for a name that is no folder name, or where the file is already there.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"{name!r} cannot name a study; use letters, digits, dots, dashes and underscores."
        )
    path = parent / name / "study.yaml"
    if path.exists():
        raise InputError(f"{path} exists; choose another name, or edit that file.")
    text = (_HERE / "study.yaml").read_text(encoding="utf-8").replace("NAME", name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"cannot write {path}: {exc.strerror}; choose another folder.") from exc
    return path
