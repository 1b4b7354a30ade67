"""The packages know only those below them, and the contract that says so can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contract_holds() -> None:
    said = lint_imports(ROOT)
    assert said.returncode == 0, said.stdout
    assert "2 kept, 0 broken" in said.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("records.py", "from potstill.cli import main", "potstill.records is not allowed"),
        ("models/model.py", "import potstill.solvers.local", "models is not allowed to import"),
        ("grading/extraction.py", "import potstill.grading.verdicts", "cycles are allowed in"),
        ("loose.py", "", "loose"),
    ],
    ids=["upwards", "a neighbour", "a circle within a package", "a file on top"],
)
def test_the_contract_fails_on(copied: Path, module: str, line: str, broken: str) -> None:
    file = copied / "src" / "potstill" / module
    before = file.read_text("utf-8") if file.is_file() else ""
    file.write_text(f"{before}\n\ndef planted() -> None:\n    {line or 'pass'}\n", "utf-8")
    said = lint_imports(copied)
    assert said.returncode == 1, said.stdout
    assert broken in said.stdout
