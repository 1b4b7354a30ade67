"""``make audit``: what is said of advisories, and of a service that cannot be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOL = Path(__file__).resolve().parent.parent / "tools" / "audit.py"
CLEAN = {"name": "rich", "version": "14.0", "vulns": []}
ADVISORY = {"id": "PYSEC-2024-1", "fix_versions": ["3.1.4"], "aliases": [], "description": ""}
AFFECTED = {"name": "jinja2", "version": "3.1.2", "vulns": [ADVISORY]}
UNREACHED = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}


def audit(folder: Path, answer: list[dict[str, Any]] | None, *more: str) -> tuple[int, str]:
    """Exit code and words of the tool where pip-audit gives that answer, or breaks."""
    package = folder / "pip_audit"
    package.mkdir(exist_ok=True)
    said = "no route to host" if answer is None else json.dumps({"dependencies": answer})
    (package / "__main__.py").write_text(f"print({said!r})")
    done = subprocess.run(
        [sys.executable, str(TOOL), "constraints.txt", *more],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_advisory_is_named_and_fails(tmp_path: Path) -> None:
    code, said = audit(tmp_path, [CLEAN, AFFECTED])
    assert code == 1
    assert "jinja2 3.1.2: PYSEC-2024-1; mended in 3.1.4" in said
    assert "2 of 2 pinned versions looked up, 1 with advisories." in said


def test_what_was_not_looked_up_is_never_called_clean(tmp_path: Path) -> None:
    code, said = audit(tmp_path, [UNREACHED])
    assert code == 0
    assert "nothing is known" in said
    assert audit(tmp_path, [UNREACHED], "--required")[0] == 1
    assert audit(tmp_path, [CLEAN, UNREACHED], "--required")[0] == 1
    assert audit(tmp_path, None) == (
        0,
        "pip-audit could not look up constraints.txt: nothing is known about its versions.\n",
    )
    assert audit(tmp_path, None, "--required")[0] == 1
    assert audit(tmp_path, [CLEAN], "--required")[0] == 0
