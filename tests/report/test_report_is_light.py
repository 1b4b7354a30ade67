"""Importing the report and the evaluation loads none of the heavy libraries they use."""

from __future__ import annotations

import subprocess
import sys


def test_imports_are_light() -> None:
    code = (
        "import sys, potstill.report, potstill.evaluation; "
        "print([m for m in ('numpy', 'scipy', 'matplotlib', 'jinja2', 'rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
